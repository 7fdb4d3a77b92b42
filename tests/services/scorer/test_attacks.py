"""Bundles that somebody tampered with, met while running: refused, the old model goes on, one count and one log line each."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import AsyncMock

import numpy as np
import pytest
import structlog.testing

from models.bundle.keys import public_pem
from schemas.control import BundleRef, Control
from schemas.registry import RegistryEvent
from services.observability.metrics import Metrics
from services.settings.bundles import BundleSettings
from services.settings.scorer import ScorerSettings
from services.swapping.live import Models
from services.swapping.loader import Loader
from services.swapping.swap import Swapper
from services.swapping.watch import Bands
from services.trusted_bundles import registry_of
from tests.models.bundle.making import (
    packed,
    signing_key,
    version_of,
)
from tests.services.scorer.attacks import ATTACKS, IN_FORCE, NEXT, SEAL_KEY, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Everything but Kafka."""
    (tmp_path / "key.pub").write_bytes(public_pem(signing_key().public_key()))
    settings = BundleSettings(
        bundle_public_keys=str(tmp_path / "key.pub"),
        registry_url=str(tmp_path / "registry"),
        bundle_seal_key=SEAL_KEY.secret.hex(),
    )
    now = version_of(tmp_path / "now", IN_FORCE)
    registry = registry_of(settings)
    published = RegistryEvent(action="publish", bundle=now.ref, at_ms=1, by="a test")
    registry.publish(packed(tmp_path / "now"), published)
    version_of(tmp_path / "next", NEXT, report=b"<!doctype html><title>Report</title>")
    metrics = Metrics()
    loader = Loader(ScorerSettings(bundle=tmp_path / "now", device="cpu"), settings, metrics)
    models = Models(loader.first(), Bands(1000, 3.0, 5.0), metrics, "scorer")
    swapper = Swapper(models, loader, "scorer", metrics, AsyncMock())
    return Bench(tmp_path / "registry", tmp_path / "next", registry, models, swapper, metrics)


@pytest.mark.parametrize(("attack", "reason"), [a[1:] for a in ATTACKS], ids=[a[0] for a in ATTACKS])
async def test_an_attacked_bundle_is_refused_and_the_old_model_goes_on(
    bench: Bench, attack: Callable[[Bench], BundleRef], reason: str
) -> None:
    """One log line, one count, an answer that says why; the very session that scored before still does."""
    before, rows = bench.models.champion, np.zeros((3, len(bench.models.champion.feature_spec.names)), np.float32)
    expected = before.session.run(rows)
    command = Control(
        kind="command",
        group="scorer",
        channel="champion",
        command_id="1",
        at_ms=1,
        by="an attacker",
        bundle=attack(bench),
    )
    with structlog.testing.capture_logs() as logs:
        assert not await bench.swapper.apply(command)
    assert bench.models.champion is before
    assert [column.tobytes() for column in before.session.run(rows)] == [column.tobytes() for column in expected]
    assert [(line["event"], line["reason"], line["log_level"]) for line in logs] == [
        ("bundle.refused", reason, "error")
    ]
    counted = {
        sample.labels["reason"]: sample.value
        for family in bench.metrics.refused_bundles.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value  # every reason is shown from the start, as 0
    }
    assert counted == {reason: 1.0}
    answer = bench.models.answers["champion"]
    assert answer.current_bundle == before.bundle
    assert answer.reason
    assert "\n" not in answer.reason


async def test_the_same_bundle_unharmed_is_taken(bench: Bench) -> None:
    """So that the table above refuses what was attacked, not everything."""
    ref = bench.put(packed(bench.bundle), bench.ref())
    command = Control(kind="command", group="scorer", channel="champion", command_id="1", at_ms=1, by="us", bundle=ref)
    assert await bench.swapper.apply(command)
    assert bench.models.champion.bundle == ref
    assert bench.models.previous is not None
