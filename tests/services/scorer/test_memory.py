"""Swapping models for ever must not fill memory: ONNX Runtime's arenas and destroyed sessions have been known to stay."""

import asyncio
from pathlib import Path

import numpy as np
import psutil
import pytest

from models.bundle import container
from schemas.control import Control
from schemas.registry import RegistryEvent
from services.runtime.bundles import registry_of
from services.runtime.metrics import Metrics
from services.runtime.settings import BundleSettings, ScorerSettings
from services.scorer.live import Models
from services.scorer.model import Loader
from services.scorer.swap import Swapper
from services.scorer.watch import Bands
from tests.models.bundle.making import read_raw, ref_of, version_of

SWAPS = 200
WARM_SWAPS = 40
BYTES_MAX = 12_000_000
"""Far less than 160 sessions of this graph would take: 0.6 MB of weights each, and their arenas."""


async def test_200_swaps_leave_resident_memory_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bundles in turn through everything that a swap does, each used for a full batch and watched by the old one."""
    monkeypatch.chdir(Path(__file__).parents[3])
    url, refs = str(tmp_path / "registry"), []
    registry = registry_of(BundleSettings(registry_url=url))
    for version in (1, 2):
        refs.append(ref_of(version_of(tmp_path / "bundle", version, other=version == 2)))
        event = RegistryEvent(action="publish", bundle=refs[-1], at_ms=1, by="a test")
        registry.publish(container.pack(read_raw(tmp_path / "bundle")), event)
    settings = BundleSettings(registry_url=url, allow_unsigned_bundles=True)
    metrics = Metrics()
    loader = Loader(ScorerSettings(bundle=tmp_path / "bundle", device="cpu"), settings, metrics)
    models = Models(loader.first(), Bands(1000, 3.0, 5.0), metrics, "scorer")
    swapper, memory = Swapper(models, loader, "scorer", metrics, lambda: True), psutil.Process().memory_info
    rows, sizes = np.zeros((2000, len(models.champion.feature_spec.names)), np.float32), []
    for number in range(SWAPS):
        command = Control(
            kind="command",
            group="scorer",
            channel="champion",
            command_id=str(number),
            at_ms=1,
            by="a test",
            bundle=refs[number % 2],
            rollback=number % 2 == 0,
        )
        assert await swapper.apply(command)
        await asyncio.to_thread(models.champion.session.run, rows)
        sizes.append(memory().rss)
    assert str(models.champion.bundle) == "fraud/2"
    before, after = np.median(sizes[WARM_SWAPS : WARM_SWAPS + 20]), np.median(sizes[-20:])
    assert after - before < BYTES_MAX, [size // 1_000_000 for size in sizes[::10]]
