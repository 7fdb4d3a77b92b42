"""Which code trained a bundle: the end of the line from a score back to its origin."""

import subprocess
from importlib.metadata import version
from pathlib import Path

from models.installation import DISTRIBUTION


def code_version() -> str:
    """The distribution's version and, in a git checkout, its commit, marked where tracked files differ from it."""
    here = Path(__file__).parent
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(
            command, cwd=here, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return f"{DISTRIBUTION} {version(DISTRIBUTION)}"
    return f"{DISTRIBUTION} {version(DISTRIBUTION)} at {described}"
