"""What is compiled is kept on disk, and survives an upgrade in place."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODULE = """
from typing import NamedTuple
from models.compiled import compiled

class {name}(NamedTuple):
    value: float

@compiled
def twice(program):
    return 2 * program.value

print(twice({name}(21.0)), sum(twice.stats.cache_hits.values()))
"""


def run(folder: Path, name: str) -> str:
    """What the module prints, with a class of this name: the answer, and how often the cache had the code."""
    module, text = folder / "compiled_here.py", MODULE.format(name=name)
    if not module.exists() or module.read_text() != text:
        module.write_text(text)
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", "NUMBA_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-c", "import compiled_here"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.stdout.strip() or done.stderr.strip().rpartition("\n")[2]


def test_compiled_code_is_kept_and_dropped_where_an_earlier_version_s_types_are_gone(tmp_path: Path) -> None:
    """An upgrade in place leaves the cache of the version before, which numba cannot read."""
    assert run(tmp_path, "Planes") == "42.0 0"
    assert run(tmp_path, "Planes") == "42.0 1"
    assert run(tmp_path, "BucketLayout") == "42.0 0"
    assert run(tmp_path, "BucketLayout") == "42.0 1"
