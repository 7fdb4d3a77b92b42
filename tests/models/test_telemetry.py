"""No library tells anybody anything."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCORES = """
import sys
from pathlib import Path
import numpy as np
from models.bundle.load import load_bundle
from models.scoring.session import ModelSession
bundle = load_bundle(Path("deploy/bundles/fraud"))
ModelSession(bundle, "cpu").run(np.zeros((1, len(bundle.reference.features)), np.float32))
print(sum(name.startswith("onnxruntime") for name in sys.modules))
"""


def test_onnx_runtime_keeps_nothing_to_send(tmp_path: Path) -> None:
    """As shipped it writes events under the home at import, to be sent later. A CI's variable alone would stop it."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    command = [sys.executable, "-c", SCORES]
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 0
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and tmp_path / "numba" not in path.parents]
    assert kept == []


def test_only_modules_of_models_import_onnx_runtime() -> None:
    """Their package turns it off before the import; another package's module might be first."""
    imports = re.compile(r"^\s*(import|from) onnxruntime", re.MULTILINE)
    found = [path for folder in ("services", "schemas", "deploy", "docs") for path in (ROOT / folder).rglob("*.py")]
    assert [path for path in found if imports.search(path.read_text("utf-8"))] == []
