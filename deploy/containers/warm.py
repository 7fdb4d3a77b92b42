"""Compiles the feature kernels into NUMBA_CACHE_DIR while an image is built, so that no container compiles at its start."""

from pathlib import Path

from models.features.fold import warm
from models.features.spec_file import load_spec
from services.engine.duplicates import warm as warm_duplicates
from services.kafka.batch_writer import warm as warm_batches

for path in sorted(Path("deploy/features").glob("*.yaml")):
    warm(load_spec(path))
    print(f"compiled for {path}")
warm_duplicates()
warm_batches()
