"""docs/tutorial.md, typed as it stands, in an empty folder, on a real Kafka."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.harness import ROOT

PAGE = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TUTORIAL_S_MAX = 1200.0


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.train
def test_the_tutorial_goes_from_an_unknown_topic_to_alerts(kafka_bootstrap: str, tmp_path: Path) -> None:
    """One shell, as a reader has it; whatever ends with another status than 0 ends it."""
    shutil.copy(ROOT / "docs" / "examples" / "tutorial" / "stream.py", tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, command in {"assay": f'"{sys.executable}" -m services.cli', "python": f'"{sys.executable}"'}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
    environment |= {
        "PATH": f"{programs}:{environment['PATH']}",
        "PYTHONPATH": str(ROOT),
        "ASSAY_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "ASSAY_PRODUCT": tmp_path.name.replace("_", "-"),  # topics and groups apart from those of other tests
        "ASSAY_REPLICATION": "1",
        "ASSAY_HTTP_PORT": "0",
        "ASSAY_INTAKE_HTTP_PORT": "0",
    }
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    script = tmp_path / "typed.sh"
    script.write_text("set -ex\ntrap 'kill $(jobs -p) 2> /dev/null; wait' EXIT\n" + "".join(blocks))
    done = subprocess.run(
        ["bash", str(script)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=TUTORIAL_S_MAX, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    assert (tmp_path / "shop" / "bundle" / "report.html").is_file()
    assert "routed" in said
    assert "Exactly once: nothing missing" in said
