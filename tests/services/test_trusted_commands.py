"""What judges commands by the signatures of persons, for payments and for credit. Pure, with real keys and a real registry."""

from pathlib import Path
from typing import Any

import pytest

from models.bundle.files import BundleError
from schemas.control import Control
from schemas.person import SignedStep
from schemas.registry import RegistryEvent
from services.errors import AssayError
from services.settings.bundles import BundleSettings
from services.settings.credit import CreditSettings
from services.settings.policy import CreditPolicySettings, PolicySettings
from services.settings.scorer import ScorerSettings
from services.trusted_commands import CommandGuard, command_guard
from services.trusted_policies import outdated, policy_registry_of
from tests.models.bundle.test_persons import NEW, OLD, persons_file, signed
from tests.models.bundle.test_persons import command as command_of
from tests.services.test_approvals import NOW_MS

PRODUCTS: tuple[PolicySettings, ...] = (PolicySettings(), CreditPolicySettings(policy_line="fraud"))


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BundleSettings:
    """Two persons have to sign; and a registry."""
    monkeypatch.setenv("ASSAY_PERSONS_FILE", str(persons_file(tmp_path / "persons.yaml")))
    monkeypatch.setenv("ASSAY_PERSONS_SIGNATURES_MIN", "2")
    return BundleSettings(registry_url=str(tmp_path / "registry"))


def guard_of(bundles: BundleSettings, policies: PolicySettings) -> CommandGuard:
    """A service's."""
    scoring = CreditSettings() if isinstance(policies, CreditPolicySettings) else ScorerSettings()
    found = command_guard(bundles, policies, scoring)
    assert found is not None
    return found


def step(policies: PolicySettings, **changes: Any) -> SignedStep:
    """A promotion of the new policy, as the first step, signed by both."""
    return signed("rosa", "aron", **{"subject": policies.signed_as, "before": None, "registry_steps": 0, **changes})


def seen(guard: CommandGuard, said: SignedStep | None, **changes: Any) -> Control:
    """A command that the service has read."""
    command = command_of(said, **{"channel": "policy", "registry_steps": 0, **changes})
    guard.saw(command, NOW_MS)
    return command


@pytest.mark.parametrize("policies", PRODUCTS, ids=("payments", "credit"))
def test_a_service_obeys_its_own_signed_commands_alone(bundles: BundleSettings, policies: PolicySettings) -> None:
    """Unsigned, of one person, of the other product, of another line, over, never read: refused."""
    guard = guard_of(bundles, policies)
    guard.check(seen(guard, step(policies)))
    (other,) = [one for one in PRODUCTS if one is not policies]
    for said in (None, signed("rosa", registry_steps=0), step(other)):
        with pytest.raises(BundleError) as refused:
            guard.check(seen(guard, said))
        assert refused.value.reason == "signature"
    with pytest.raises(BundleError, match="of line transfers, and fraud is worked here"):
        guard.check(seen(guard, step(policies, line="transfers")))
    emptied = step(policies, action="withdraw", line="transfers", bundle=None, before=NEW, channel="challenger")
    with pytest.raises(BundleError, match="of line transfers"):
        guard.check(seen(guard, emptied, channel="shadow_policy", bundle=None))
    with pytest.raises(BundleError, match="over"):
        guard.check(seen(guard, step(policies, expires_at_ms=NOW_MS)))
    with pytest.raises(BundleError, match="no command that was read"):
        guard.check(command_of(step(policies), channel="policy", registry_steps=0, command_id="unread"))


@pytest.mark.parametrize("policies", PRODUCTS, ids=("payments", "credit"))
def test_a_signed_command_is_not_repeated_after_a_later_step(bundles: BundleSettings, policies: PolicySettings) -> None:
    """Judged by the history of the service's own product."""
    guard, registry = guard_of(bundles, policies), policy_registry_of(bundles, type(policies))
    first = step(policies, bundle=OLD)
    promoted = RegistryEvent(action="promote", bundle=OLD, channel="champion", at_ms=1, by="rosa", signed=first)
    publish = RegistryEvent(action="publish", bundle=OLD, at_ms=1, by="rosa")
    for bundle in (OLD, NEW):
        registry.publish(b"", publish.model_copy(update={"bundle": bundle}))
    registry.promote(promoted)
    guard.check(seen(guard, first, bundle=OLD))
    second = step(policies, bundle=NEW, before=OLD, registry_steps=3)
    registry.promote(promoted.model_copy(update={"bundle": NEW, "signed": second}))
    guard.check(seen(guard, second, registry_steps=3))
    with pytest.raises(BundleError, match="repeated"):
        guard.check(seen(guard, first, bundle=OLD))
    with pytest.raises(BundleError, match="repeated"):  # also as what takes the second one back
        guard.check(seen(guard, second, bundle=OLD, replaces=NEW, rollback=True, registry_steps=3))


@pytest.mark.parametrize("policies", PRODUCTS, ids=("payments", "credit"))
def test_a_command_counts_until_the_registry_takes_a_step_about_its_channel(
    bundles: BundleSettings, policies: PolicySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in shadow ends by a step of the registry, too, and does not come back at the next start."""
    monkeypatch.delenv("ASSAY_PERSONS_SIGNATURES_MIN")
    registry = policy_registry_of(bundles, type(policies))
    event = RegistryEvent(action="publish", bundle=NEW, at_ms=1, by="rosa")
    registry.publish(b"", event)
    beside, deciding = (command_of(None, channel=c, registry_steps=1) for c in ("shadow_policy", "policy"))
    assert not outdated(policies, bundles, beside)
    registry.promote(event.model_copy(update={"action": "promote", "channel": "challenger"}))
    registry.withdraw("fraud", lambda now: event.model_copy(update={"action": "withdraw", "channel": "challenger"}))
    assert outdated(policies, bundles, beside)
    assert not outdated(policies, bundles, deciding)
    assert not outdated(policies, bundles, beside.model_copy(update={"registry_steps": None}))
    assert not outdated(policies, BundleSettings(registry_url=None), beside)


def test_a_service_needs_no_signatures_unless_asked_and_says_what_is_missing(
    bundles: BundleSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file of persons that cannot be read ends the start with one sentence."""
    monkeypatch.setenv("ASSAY_PERSONS_FILE", str(tmp_path / "none.yaml"))
    with pytest.raises(AssayError, match=r"none\.yaml cannot be read"):
        command_guard(bundles, CreditPolicySettings(), CreditSettings())
    monkeypatch.setenv("ASSAY_PERSONS_SIGNATURES_MIN", "0")
    assert command_guard(bundles, CreditPolicySettings(), CreditSettings()) is None


@pytest.mark.parametrize("of_credit", [False, True], ids=("payments", "credit"))
def test_a_signature_about_a_bundle_of_one_product_is_none_about_one_of_the_other(
    bundles: BundleSettings, of_credit: bool
) -> None:
    """Both lines may have the same name: what was signed says of which history it is."""
    policies: PolicySettings = CreditPolicySettings() if of_credit else PolicySettings()
    scoring = CreditSettings(registry_line="fraud") if of_credit else ScorerSettings()
    guard = command_guard(bundles, policies, scoring)
    assert guard is not None
    own, other = ("credit_bundle", "bundle") if of_credit else ("bundle", "credit_bundle")
    guard.check(seen(guard, step(policies, subject=own), channel="champion"))
    with pytest.raises(BundleError, match="another step"):
        guard.check(seen(guard, step(policies, subject=other), channel="champion"))
