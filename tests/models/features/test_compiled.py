"""What is compiled is kept on disk, and survives an upgrade in place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KERNEL = """
from models.compiled import compiled

@compiled
def twice(program):
    return 2 * program.value
"""
TYPES = """
from typing import NamedTuple
from compiled_here import kernel  # a circle, as where a layout knows its kernel

class {name}(NamedTuple):
    {fields}

print(kernel.twice({name}(21.0, 4.0)), sum(kernel.twice.stats.cache_hits.values()))
"""


def run(folder: Path, name: str, fields: str = "value: float; other: float") -> str:
    """What the package prints, with a class of this name: the answer, and how often the cache had the code."""
    package = folder / "compiled_here"
    package.mkdir(exist_ok=True)
    for path, text in {
        "__init__.py": "",
        "kernel.py": KERNEL,
        "types.py": TYPES.format(name=name, fields=fields),
    }.items():
        if not (package / path).exists() or (package / path).read_text() != text:
            (package / path).write_text(text)
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", "NUMBA_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-c", "import compiled_here.types"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.stdout.strip() or done.stderr.strip().rpartition("\n")[2]


@pytest.mark.slow
def test_compiled_code_is_kept_and_dropped_where_an_earlier_version_s_types_are_gone(tmp_path: Path) -> None:
    """An upgrade in place leaves the cache of the version before, which numba cannot read."""
    assert run(tmp_path, "Planes") == "42.0 0"
    assert run(tmp_path, "Planes") == "42.0 1"
    assert run(tmp_path, "BucketLayout") == "42.0 0"
    assert run(tmp_path, "BucketLayout") == "42.0 1"


def test_what_changes_in_another_file_of_the_package_is_compiled_again(tmp_path: Path) -> None:
    """Two fields of a tuple that change places have the same type for numba."""
    assert run(tmp_path, "Planes") == "42.0 0"
    assert run(tmp_path, "Planes", "other: float; value: float") == "8.0 0"


@pytest.mark.slow
def test_the_second_process_compiles_nothing() -> None:
    """A scorer that compiles the kernels itself takes three seconds of processor time longer to start."""
    script = "import services.scorer.__main__, runpy; runpy.run_path('deploy/containers/warm.py')"
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "NUMBA_DEBUG_CACHE": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
    assert "data loaded from" in done.stdout
    assert [line for line in done.stdout.splitlines() if "saved to" in line] == []
