"""`services`, `models` and `schemas` go by exactly these names, and the core stays light."""

import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from services.engine.placement import place

ROOT = Path(__file__).parents[1]

IMPORT_ALL = """
import importlib, json, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print(json.dumps({name: getattr(module, "__file__", None) for name, module in sys.modules.items()}))
"""


def modules_after_importing(*packages: str) -> dict[str, str | None]:
    """Every module of a fresh Python that has imported these packages whole, with its file."""
    command = [sys.executable, "-c", IMPORT_ALL, *packages]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return modules


def test_no_file_of_ours_becomes_two_modules() -> None:
    """Two module objects of one file mean two copies of every class and constant in it."""
    ours = {
        name: file
        for name, file in modules_after_importing("services", "schemas").items()
        if file and Path(file).is_relative_to(ROOT) and ".venv" not in Path(file).parts
    }
    assert {name.partition(".")[0] for name in ours} <= {"services", "models", "schemas"}
    assert len(set(ours.values())) == len(ours)


@pytest.mark.parametrize("package", ["services.scorer", "services.engine"])
def test_the_core_imports_no_trainer_and_no_plotting(package: str) -> None:
    """A scorer's image has none of them, and its memory neither."""
    roots = {name.partition(".")[0] for name in modules_after_importing(package)}
    assert roots & {"torch", "pandas", "matplotlib", "sklearn", "onnx"} == set()


def test_no_service_calls_compiled_code_or_loads_a_trainer_while_it_is_imported() -> None:
    """numba loads SciPy's linear algebra and its own registries at the first call: half a second of each start."""
    mains = [f"services.{path.parent.name}.__main__" for path in sorted((ROOT / "services").glob("*/__main__.py"))]
    assert {"services.scorer.__main__", "services.gateway.__main__", "services.console.__main__"} <= set(mains)
    script = f"import sys, {', '.join(mains)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"scipy.linalg", "numba.np.arraymath", "torch", "pandas", "sklearn", "matplotlib", "onnx", "xgboost", "ray"}
    assert set(done.stdout.split()) & heavy == set()


WITHOUT = """
import sys
sys.modules |= dict.fromkeys(("numba", "llvmlite", "onnxruntime"))
import services.cases.__main__, services.console.__main__, services.gateway.__main__, services.monitor.__main__
from models.compiled import CompilerMissingError
from models.scoring.devices import DeviceError, create_session
from services.engine.placement import Subjects, place
print(place(b"k1:4vnmq2x7tdz3cgl5", 12))
for call in (lambda: Subjects.of(["a"]).partitions(12), lambda: create_session(b"", "cpu")):
    try:
        call()
    except (CompilerMissingError, DeviceError) as error:
        print(error)
"""


def test_what_computes_nothing_starts_without_a_compiler_and_a_runtime_of_models() -> None:
    """The slim image has neither; what would need them says so, and a partition is the one that compiled code finds."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, check=True)
    partition, compiler, runtime = done.stdout.splitlines()
    assert int(partition) == place(b"k1:4vnmq2x7tdz3cgl5", 12)
    assert compiler.startswith("This needs numba, which is not installed: a slim image")
    assert runtime.startswith("Scoring needs onnxruntime, which is not installed: pip install ")


def test_the_console_script_resolves() -> None:
    """`assay` is what pyproject.toml says."""
    module, _, function = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["assay"].partition(
        ":"
    )
    assert callable(getattr(importlib.import_module(module), function))
