"""Who has to answer a command."""

from types import SimpleNamespace

import pytest

from models.bundle.files import BundleError
from models.sources.spec_file import load_source
from schemas.topics import APPLICATIONS, ENTITY_FEATURES, EVENTS, TRANSACTIONS
from services import commanding
from tests.services.harness import ROOT


def test_the_partitions_that_answer_are_those_that_scorers_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the topic that the bundle names, of what intake or the stages of entities make of it; `transactions` without any."""
    own = load_source(ROOT / "docs/examples/source.yaml")
    features = SimpleNamespace(stages=())
    found = {}
    for name, source, spec in (
        ("none", None, features),
        ("own", own, features),
        ("staged", own, SimpleNamespace(stages=("device",))),
    ):
        bundle = SimpleNamespace(manifest=SimpleNamespace(source=source, feature_spec=spec))
        monkeypatch.setattr(commanding, "scoring_bundle", lambda *_, bundle=bundle: SimpleNamespace(bundle=bundle))
        found[name] = commanding._inputs_of(commanding.SCORERS)
    assert found["none"] == TRANSACTIONS
    assert found["own"].name == (EVENTS.name if own.is_routed else own.topic)
    assert found["staged"] == ENTITY_FEATURES
    assert commanding._inputs_of(commanding.CREDIT) == APPLICATIONS


def test_without_a_bundle_that_can_be_read_it_is_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a registry has its first policy and no model yet."""

    def refuse(*_: object) -> None:
        raise BundleError("No.", "unreadable")

    monkeypatch.setattr(commanding, "scoring_bundle", refuse)
    assert commanding._inputs_of(commanding.SCORERS) == TRANSACTIONS
