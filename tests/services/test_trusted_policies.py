"""Which policy decides, and what happens where the registry was tampered with."""

from pathlib import Path
from typing import Any

import pytest

from models.bundle.files import BundleError
from models.bundle.keys import private_key, write_key_pair
from models.policy.signed import ref_of, signed, write_policy
from schemas.control import BundleRef
from schemas.policy import Policy
from schemas.registry import RegistryEvent
from services.settings.bundles import BundleSettings
from services.settings.policy import CreditPolicySettings, PolicySettings
from services.trusted_policies import (
    check_order,
    deciding_policy,
    policies_by_name,
    policy_registry_of,
    published_policy,
)
from tests.models.bundle.test_persons import command, persons_file
from tests.models.bundle.test_persons import signed as signed_step


@pytest.fixture
def settings(tmp_path: Path) -> BundleSettings:
    """A registry with two policies, promoted one after the other."""
    write_key_pair(tmp_path / "release")
    found = BundleSettings(registry_url=str(tmp_path / "registry"), bundle_public_keys=str(tmp_path / "release.pub"))
    registry = policy_registry_of(found)
    for version in (1, 2):
        policy = Policy(name="fraud", version=version)
        event = RegistryEvent(action="publish", bundle=ref_of(policy), at_ms=1, by="a test")
        registry.publish(signed(policy, private_key(tmp_path / "release.key")), event)
        registry.promote(event.model_copy(update={"action": "promote", "channel": "champion"}))
    return found


def test_the_registrys_champion_decides_before_the_file_that_is_set(settings: BundleSettings, tmp_path: Path) -> None:
    """Without a champion, ASSAY_POLICY; without both, none."""
    own = tmp_path / "own.policy"
    write_policy(own, signed(Policy(name="own", version=1), private_key(tmp_path / "release.key")))
    found = deciding_policy(PolicySettings(policy=own), settings)
    assert found is not None
    assert str(found.signed.ref) == "fraud/2"
    found = deciding_policy(PolicySettings(policy=own, policy_line="other"), settings)
    assert found is not None
    assert str(found.signed.ref) == "own/1"
    assert deciding_policy(PolicySettings(policy_line="other"), settings) is None


def test_a_champion_that_was_tampered_with_is_refused_and_the_one_before_decides(
    settings: BundleSettings, tmp_path: Path
) -> None:
    """Who can write the registry's files decides nothing; where none is left, it is said."""
    (newest,) = (tmp_path / "registry" / "policies").glob("fraud-2-*")
    newest.write_bytes(newest.read_bytes().replace(b'"version":2', b'"version":3'))
    found = deciding_policy(PolicySettings(), settings)
    assert found is not None
    assert (str(found.signed.ref), [str(wanted) for wanted, _ in found.refused]) == ("fraud/1", ["fraud/2"])
    (oldest,) = (tmp_path / "registry" / "policies").glob("fraud-1-*")
    oldest.write_bytes(b"assay-bundle 1\n\n")
    with pytest.raises(BundleError, match=r"policy\.json is not as it was signed|policy\.json is missing"):
        deciding_policy(PolicySettings(), settings)


def test_a_policy_below_the_floor_is_refused_however_it_comes(settings: BundleSettings, tmp_path: Path) -> None:
    """From the registry, by a rollback and from a file: as bundles are."""
    floor = settings.model_copy(update={"policy_version_min": 2})
    found = deciding_policy(PolicySettings(), floor)
    assert found is not None
    assert str(found.signed.ref) == "fraud/2"
    older = ref_of(Policy(name="fraud", version=1))
    with pytest.raises(BundleError, match="version 1 is older than ASSAY_POLICY_VERSION_MIN=2") as refused:
        published_policy(policy_registry_of(floor), older, floor)
    assert refused.value.reason == "older"
    own = tmp_path / "own.policy"
    write_policy(own, signed(Policy(name="own", version=1), private_key(tmp_path / "release.key")))
    with pytest.raises(BundleError, match="ASSAY_POLICY_VERSION_MIN=2"):
        deciding_policy(PolicySettings(policy=own, policy_line="other"), floor)


def test_a_policy_is_found_by_the_name_that_outputs_give_it(settings: BundleSettings) -> None:
    """Name, version and digest: another content under the same name is not it."""
    find = policies_by_name(PolicySettings(), settings)
    name = f"fraud/1@{Policy(name='fraud', version=1).digest()[:12]}"
    found = find(name)
    assert found is not None
    assert found.name == name
    assert find("fraud/1@000000000000") is None


def test_a_step_of_a_policy_counts_where_a_person_signed_it_as_one_of_its_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As commands have it signed; one of a bundle, or of the other product, stays void."""
    monkeypatch.setenv("ASSAY_PERSONS_FILE", str(persons_file(tmp_path / "persons.yaml")))
    monkeypatch.setenv("ASSAY_PERSONS_SIGNATURES_MIN", "1")
    write_key_pair(tmp_path / "release")
    found, policy = BundleSettings(registry_url=str(tmp_path / "registry")), Policy(name="credit", version=1)
    said: dict[str, Any] = {"line": "credit", "bundle": ref_of(policy), "before": None}
    publish = RegistryEvent(action="publish", bundle=ref_of(policy), at_ms=1, by="rosa")
    promote = publish.model_copy(update={"action": "promote", "channel": "champion"})
    for settings in (PolicySettings, CreditPolicySettings):
        registry = policy_registry_of(found, settings)
        registry.publish(signed(policy, private_key(tmp_path / "release.key")), publish)
        (other,) = {"policy", "credit_policy"} - {settings.signed_as}
        for steps, subject in enumerate(("bundle", other), 1):
            step = signed_step("rosa", subject=subject, registry_steps=steps, **said)
            registry.promote(promote.model_copy(update={"signed": step}))
            assert registry.holds("credit", "champion") is None
        step = signed_step("rosa", subject=settings.signed_as, registry_steps=3, **said)
        registry.promote(promote.model_copy(update={"signed": step}))
        assert registry.holds("credit", "champion") == ref_of(policy)


def test_a_command_of_another_line_than_the_settings_is_refused(settings: BundleSettings) -> None:
    """It would decide until the next start, which looks for the line of the settings alone."""
    ours, theirs = (BundleRef(name=name, version=3, digest="a" * 64) for name in ("fraud", "transfers"))
    now = ref_of(Policy(name="fraud", version=2))
    for deciding in (None, now):
        check_order("policy", command(None, channel="policy", bundle=ours), deciding, PolicySettings())
        for channel in ("policy", "shadow_policy"):
            asked = command(None, channel=channel, bundle=theirs)
            with pytest.raises(BundleError, match="than fraud, which ASSAY_POLICY_LINE names"):
                check_order(channel, asked, deciding, PolicySettings())
    with pytest.raises(BundleError, match="than credit, which ASSAY_CREDIT_POLICY_LINE names"):
        check_order("policy", command(None, channel="policy", bundle=ours), None, CreditPolicySettings())
    own = ref_of(Policy(name="own", version=1))
    with pytest.raises(BundleError, match="than own/1, which decides"):
        check_order("policy", command(None, channel="policy", bundle=ours), own, PolicySettings())
