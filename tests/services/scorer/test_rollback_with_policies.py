"""A rollback to a model of other features, with active policies: all of it happens, or nothing."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from models.bundle.files import BundleError
from schemas.control import BundleRef, Control
from services.observability.metrics import Metrics
from services.swapping import live
from services.swapping.live import ActivePolicy, Models
from services.swapping.watch import Bands


def model(version: int, features: str) -> Any:
    """As far as a swap looks at one."""
    bundle = BundleRef(name="fraud", version=version, digest=f"{version}" * 64)
    session = SimpleNamespace(bundle=SimpleNamespace(ref=bundle, manifest=None), provider="cpu")
    return SimpleNamespace(session=session, spec_digest=features, bundle=bundle, identity=None)


OLD, NEW = model(1, "a"), model(2, "b")


def fits(beside: Any) -> ActivePolicy:
    """A policy that any model can serve, compiled for one."""
    program: Any = SimpleNamespace(name="fraud/1", policy=SimpleNamespace(lists=()), rules=())
    return ActivePolicy(beside.bundle, program, beside.spec_digest, fits)


def reads_what_only_the_new_has(_: Any) -> ActivePolicy:
    """What compiling it for the old one gives."""
    raise BundleError("reads card_count_2h, which fraud/1 has not")


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    """The new champion, watched."""
    monkeypatch.setattr(live, "show_budget", lambda *_: None)
    made = Models(OLD, Bands(1000, 2.0, 2.0), Metrics(), "g")
    made.swap(NEW, command("champion"))
    return made


def command(channel: Any) -> Control:
    """Of an operator."""
    return Control(kind="command", group="g", channel=channel, command_id="c1", at_ms=1, by="x", bundle=NEW.bundle)


def policy(beside: Callable[[Any], ActivePolicy]) -> ActivePolicy:
    """Compiled for the new champion."""
    program: Any = SimpleNamespace(name="fraud/2", policy=SimpleNamespace(lists=()), rules=())
    return ActivePolicy(NEW.bundle, program, NEW.spec_digest, beside)


def test_a_policy_in_shadow_that_does_not_fit_is_dropped_and_the_rollback_goes_on(models: Models) -> None:
    """The deciding one is compiled for the model that now scores."""
    models.set_policy("policy", policy(fits), command("policy"))
    models.set_policy("shadow_policy", policy(reads_what_only_the_new_has), command("shadow_policy"))
    assert models.roll_back(NEW, "it fails") is OLD
    assert models.policy is not None
    assert (models.champion, models.policy.spec_digest, models.shadow_policy) == (OLD, "a", None)


def test_a_deciding_policy_that_does_not_fit_keeps_the_new_champion_and_its_own_features(models: Models) -> None:
    """It must never read features by another model's places."""
    models.set_policy("policy", policy(reads_what_only_the_new_has), command("policy"))
    assert models.roll_back(NEW, "it fails") is None
    assert models.policy is not None
    assert (models.champion, models.policy.spec_digest) == (NEW, "b")


def test_a_rule_that_never_held_is_counted_0_and_one_that_is_gone_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that an alarm can tell a rule without hits from one that is not there."""
    monkeypatch.setattr(live, "show_budget", lambda *_: None)
    metrics = Metrics()
    models = Models(OLD, Bands(1000, 2.0, 2.0), metrics, "g")

    def hits(rule: str) -> float | None:
        return metrics.registry.get_sample_value("assay_rule_hits_total", {"rule": rule, "state": "on"})

    for names in (("large", "night"), ("night",)):
        active = policy(fits)
        active.program.rules = tuple(SimpleNamespace(name=name, state="on") for name in names)  # type: ignore[misc]
        models.set_policy("policy", active, command("policy"))
        metrics.risk.rule_hits.labels("night", "on").inc()
        assert [hits("large"), hits("night")] == ([0.0, 1.0] if len(names) == 2 else [None, 2.0])
    models.set_policy("policy", None, command("policy"))
    assert hits("night") is None
