"""Compiles while an image is built, so that no container compiles at its start: bytecode of what services import, and kernels.

Bytecode is written beside each source that is imported here, the standard library's included, unless PYTHONDONTWRITEBYTECODE is
set; kernels into NUMBA_CACHE_DIR.
"""

import importlib
import re
from pathlib import Path

import models
import schemas
import services
from models.compiled import HAS_COMPILER
from models.features.fold import warm
from models.features.spec_file import load_spec
from services.engine.duplicates import warm as warm_duplicates
from services.kafka.batch_writer import warm as warm_batches
from services.scorer.score_texts import warm as warm_texts

OURS = (schemas, models, services)
BY_NAME = ("uvicorn.lifespan.on", "uvicorn.loops.uvloop", "uvicorn.protocols.http.httptools_impl")
"""What a library imports by a name that it is given, once it serves."""


def import_everything() -> None:
    """Every module of ours but those of extras that an image has not: the trainer's, files', the embedded broker's."""
    names = []
    for package in OURS:
        folder = Path(package.__path__[0])
        sources = (path for path in sorted(folder.rglob("*.py")) if folder / "installed" not in path.parents)
        paths = [path.relative_to(folder.parent).with_suffix("") for path in sources]
        names += [".".join(path.parts).removesuffix(".__init__") for path in paths]
    missing: set[str] = set()
    for name in (*names, *BY_NAME):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            absent = error.name or str(error)
            if re.match(r"(models|schemas|services)\b", absent):
                raise
            missing.add(absent.split(".")[0])
    print(
        f"bytecode written for {len(names)} modules and what they import; not in this image: {', '.join(sorted(missing))}"
    )


import_everything()
if HAS_COMPILER:
    for path in sorted(Path("deploy/features").glob("*.yaml")):
        warm(load_spec(path))
        print(f"compiled for {path}")
    warm_duplicates()
    warm_batches()
    warm_texts()
