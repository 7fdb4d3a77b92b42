"""Swaps models 500 times and prints the resident memory after each: `python -m tests.services.scorer.swapping DIRECTORY`.

In a process of its own, whose memory nothing else moves.
"""

import asyncio
import json
import sys
from pathlib import Path
from unittest.mock import AsyncMock

import numpy as np
import psutil

from models.bundle import container
from schemas.control import Control
from schemas.registry import RegistryEvent
from services.observability.metrics import Metrics
from services.settings.bundles import BundleSettings
from services.settings.scorer import ScorerSettings
from services.swapping.live import Models
from services.swapping.loader import Loader
from services.swapping.swap import Swapper
from services.swapping.watch import Bands
from services.trusted_bundles import registry_of
from tests.models.bundle.making import read_raw, version_of

SWAPS = 500


async def swapped(directory: Path) -> list[int]:
    """Two bundles in turn through everything that a swap does, each used for a full batch and watched by the old one."""
    url, refs = str(directory / "registry"), []
    registry = registry_of(BundleSettings(registry_url=url))
    for version in (1, 2):
        refs.append(version_of(directory / "bundle", version, other=version == 2).ref)
        event = RegistryEvent(action="publish", bundle=refs[-1], at_ms=1, by="a test")
        registry.publish(container.pack(read_raw(directory / "bundle")), event)
    settings = BundleSettings(registry_url=url, allow_unsigned_bundles=True)
    metrics = Metrics()
    loader = Loader(ScorerSettings(bundle=directory / "bundle", device="cpu"), settings, metrics)
    models = Models(loader.first(), Bands(1000, 3.0, 5.0), metrics, "scorer")
    swapper, memory = Swapper(models, loader, "scorer", metrics, AsyncMock()), psutil.Process().memory_info
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
    return sizes


if __name__ == "__main__":
    print(json.dumps(asyncio.run(swapped(Path(sys.argv[1])))))
