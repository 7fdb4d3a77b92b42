"""What a scorer's process holds once it is ready: nothing of the trainer, of data frames, of plots, of Faust."""

import re
from pathlib import Path

import pytest

from tests.services.harness import Stream

FORBIDDEN = (
    "torch",
    "pandas",
    "matplotlib",
    "plotly",
    "sklearn",
    "polars",
    "faust",
    "onnx",
    "xgboost",
    "ray",
    "sqlglot",
)

SITE = """
import atexit, os, sys
atexit.register(lambda: open(os.environ["MODULES_LIST"], "w").write("\\n".join(sorted(sys.modules))))
"""
"""Python imports `sitecustomize` before anything else, so the process itself tells at its end what it has loaded."""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where every Python process that starts now lists its modules when it ends."""
    (tmp_path / "sitecustomize.py").write_text(SITE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MODULES_LIST", str(tmp_path / "modules"))
    return tmp_path / "modules"


def listed(path: Path) -> set[str]:
    """The modules."""
    return set(path.read_text().split())


async def test_a_ready_scorer_has_loaded_nothing_heavy(stream: Stream, told: Path) -> None:
    """A real process, asked at its end."""
    scorer = stream.scorer()
    scorer.wait_ready()
    assert scorer.terminate() == 0, scorer.log()
    modules = listed(told)
    packages = {name.partition(".")[0] for name in modules}
    assert {"numba", "onnxruntime", "aiokafka"} <= packages
    assert packages & set(FORBIDDEN) == set()
    assert not [name for name in modules if re.match(r"models\.(training|networks)", name)]
