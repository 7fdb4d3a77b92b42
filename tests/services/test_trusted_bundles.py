"""Everybody means the same bundle: the registry's champion, or ASSAY_BUNDLE; the demo's only where a setting says so."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from models.bundle.files import BundleError
from models.bundle.keys import public_pem
from models.bundle.registry import Registry
from schemas.control import BundleRef
from schemas.registry import RegistryEvent
from services.cli.app import app
from services.errors import AssayError, SettingsError
from services.observability.metrics import Metrics
from services.settings.bundles import BundleSettings
from services.settings.credit import CreditSettings
from services.settings.scorer import ScorerSettings
from services.swapping import loader as model
from services.swapping.loader import Loader
from services.trusted_bundles import registry_of, scoring_bundle, trust_of
from tests.models.bundle.making import packed, signing_key, version_of


class Desk:
    """A registry with three versions, and a bundle beside it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "key.pub").write_bytes(public_pem(signing_key().public_key()))
        self.refs: dict[int, BundleRef] = {}
        for version in (1, 2, 3):
            self.refs[version] = version_of(directory / f"v{version}", version, other=version == 2).ref
            self.registry.publish(packed(directory / f"v{version}"), self._step("publish", version))

    @property
    def settings(self) -> BundleSettings:
        """With registry and key."""
        url, key = str(self.directory / "registry"), str(self.directory / "key.pub")
        return BundleSettings(registry_url=url, bundle_public_keys=key)

    @property
    def registry(self) -> Registry:
        """A fresh look at it."""
        return registry_of(self.settings)

    def _step(self, action: Any, version: int) -> RegistryEvent:
        channel = None if action == "publish" else "champion"
        return RegistryEvent(action=action, bundle=self.refs[version], channel=channel, at_ms=1, by="a test")

    def promote(self, version: int) -> None:
        """Give it the channel."""
        self.registry.promote(self._step("promote", version))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Everything there, nothing promoted."""
    return Desk(tmp_path)


def scorer(path: Path | None) -> ScorerSettings:
    """With that bundle, on the CPU."""
    return ScorerSettings(bundle=path, device="cpu")


def test_the_champion_scores_where_a_registry_has_one_else_the_bundle_of_the_settings(desk: Desk) -> None:
    """And each answer says why."""
    own = scorer(desk.directory / "v1")
    found = scoring_bundle(own, desk.settings)
    assert (found.ref, "has no champion of fraud" in found.why, "ASSAY_BUNDLE=" in found.why) == (
        desk.refs[1],
        True,
        True,
    )
    desk.promote(2)
    found = scoring_bundle(own, desk.settings)
    assert (found.ref, found.why.startswith("champion of fraud in ASSAY_REGISTRY_URL=")) == (desk.refs[2], True)
    option = scoring_bundle(own, desk.settings, desk.directory / "v3")
    assert (option.ref, "--bundle=" in option.why) == (desk.refs[3], True)
    assert str(Loader(own, desk.settings, Metrics()).first().bundle) == "fraud/2"


def test_the_same_bundle_is_tried_in_a_child_once_a_process(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way back from a bundle that scored before waits for no other process; a bundle of other bytes is tried."""
    tried: list[str] = []
    monkeypatch.setattr(model, "check_in_child", lambda bundle: tried.append(str(bundle.ref)))
    desk.promote(2)
    loader = Loader(scorer(desk.directory / "v1"), desk.settings, Metrics())
    loader.first()
    for number in (3, 2, 3, 2):
        loader.of(desk.refs[number])
    assert tried == ["fraud/2", "fraud/3"]


def test_a_bundle_that_the_next_start_would_not_find_is_not_taken(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another line than the settings name: unless it is ASSAY_BUNDLE itself."""
    monkeypatch.setattr(model, "check_in_child", lambda bundle: None)
    other = desk.settings.model_copy(update={"registry_line": "transfers"})
    loader = Loader(scorer(desk.directory / "v1"), other, Metrics())
    with pytest.raises(BundleError, match="fraud/2 is of another line than transfers, which ASSAY_REGISTRY_LINE names"):
        loader.of(desk.refs[2])
    assert loader.of(desk.refs[1]).bundle == desk.refs[1]


def test_a_champion_that_was_tampered_with_gives_way_to_the_one_before_loudly(desk: Desk) -> None:
    """For the scorer and for every command alike."""
    desk.promote(1)
    desk.promote(2)
    (place,) = (desk.directory / "registry" / "bundles").glob("fraud-2-*")
    place.write_bytes(place.read_bytes()[:-100])
    found = scoring_bundle(scorer(None), desk.settings)
    assert (found.ref, [ref for ref, _ in found.refused]) == (desk.refs[1], [desk.refs[2]])
    assert "before fraud/2, which is refused" in found.why


def test_a_registry_that_is_not_there_ends_the_start_with_a_sentence_whatever_else_is_set(desk: Desk) -> None:
    """Never another bundle than was meant."""
    nowhere = desk.settings.model_copy(update={"registry_url": str(desk.directory / "nowhere"), "demo_bundle": True})
    with pytest.raises(BundleError, match="nowhere holds no registry"):
        scoring_bundle(scorer(desk.directory / "v1"), nowhere)
    with pytest.raises(AssayError, match="nowhere holds no registry"):
        Loader(scorer(desk.directory / "v1"), nowhere, Metrics()).first()


def test_the_demos_bundle_and_key_are_taken_only_where_a_setting_says_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From any working directory; a key that is pinned is never joined by the demo's."""
    for name in ("ASSAY_BUNDLE", "ASSAY_BUNDLE_PUBLIC_KEYS", "ASSAY_CREDIT_BUNDLE"):
        monkeypatch.delenv(name)
    monkeypatch.chdir(desk.directory)
    assert (ScorerSettings().bundle, CreditSettings().bundle, BundleSettings().bundle_public_keys) == (None, None, "")
    with pytest.raises(SettingsError, match="No bundle is set"):
        scoring_bundle(ScorerSettings(), BundleSettings())
    with pytest.raises(BundleError, match="no public key is pinned"):
        scoring_bundle(scorer(desk.directory / "v1"), BundleSettings())
    found = scoring_bundle(ScorerSettings(), BundleSettings(demo_bundle=True))
    assert found.why == "the demo's (ASSAY_DEMO_BUNDLE)"
    pinned = desk.settings.model_copy(update={"demo_bundle": True, "registry_url": None})
    assert len(trust_of(pinned).public_keys) == 1
    with pytest.raises(BundleError, match="signed"):
        scoring_bundle(ScorerSettings(), pinned)


def test_several_keys_may_be_given_as_text(desk: Desk) -> None:
    """As a ConfigMap has them."""
    pem = (desk.directory / "key.pub").read_text()
    assert len(trust_of(BundleSettings(bundle_public_keys=pem + pem)).public_keys) == 2


def test_commands_look_at_the_champion_and_say_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor`, with a registry beside ASSAY_BUNDLE."""
    desk.promote(2)
    for name, value in {
        "ASSAY_BUNDLE": str(desk.directory / "v1"),
        "ASSAY_BUNDLE_PUBLIC_KEYS": str(desk.directory / "key.pub"),
        "ASSAY_REGISTRY_URL": str(desk.directory / "registry"),
        "ASSAY_KAFKA_BOOTSTRAP": "127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    checks = {check["check"]: check for check in json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)}
    assert checks["bundle"]["ok"]
    assert checks["bundle"]["detail"].startswith(f"fraud/2 ({desk.refs[2].digest[:12]}), champion of fraud in ")
    monkeypatch.setenv("ASSAY_REGISTRY_URI", "x")
    checks = {check["check"]: check for check in json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)}
    assert "the nearest is ASSAY_REGISTRY_URL" in checks["settings"]["detail"]
