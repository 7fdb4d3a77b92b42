"""A page of the docs, typed as it stands: its shell blocks in one shell, as a reader has it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.services.harness import ROOT

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def typed(page: Path, folder: Path, bootstrap: str, seconds_max: float, **environment: str) -> str:
    """What it says. Whatever ends with another status than 0 ends it, and fails the test."""
    programs = folder / "bin"
    programs.mkdir()
    for name, command in {"assay": f'"{sys.executable}" -m services.cli', "python": f'"{sys.executable}"'}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ASSAY_")}
    variables |= {
        "PATH": f"{programs}:{variables['PATH']}",
        "PYTHONPATH": str(ROOT),
        "ASSAY_KAFKA_BOOTSTRAP": bootstrap,
        "ASSAY_REPLICATION": "1",
        "ASSAY_HTTP_PORT": "0",
        **environment,
    }
    script = folder / "typed.sh"
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    script.write_text("set -ex\ntrap 'kill $(jobs -p) 2> /dev/null || :; wait' EXIT\n" + "".join(blocks))
    done = subprocess.run(
        ["bash", str(script)],
        cwd=folder, env=variables, capture_output=True, text=True, timeout=seconds_max, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    return said
