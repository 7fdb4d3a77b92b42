"""What the peers in Java share: the JDK, and classes that are compiled once and kept by what they were made of."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from services.broker.jars import Jar, class_path
from tests.benchmarks import command
from tests.benchmarks.common import BUNDLE
from tests.services.harness import ROOT

HERE = Path(__file__).parent
SCORING = HERE / "java" / "Scoring.java"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay"
GRAPH = ROOT / BUNDLE / "model.onnx"


def java() -> Path | None:
    """The `java` beside a compiler; None where there is none: a JDK's, of version 17 or newer."""
    compiler = shutil.which("javac")
    return Path(compiler).resolve().with_name("java") if compiler else None


def program(source: Path, jars: tuple[Jar, ...], *options: str) -> list[str]:
    """A command line that runs the class of this name, compiled with what scores. Raises JarError, OptionError."""
    runtime = java()
    assert runtime is not None, "ask `java` first"
    path = class_path(jars)
    classes = compiled(runtime.with_name("javac"), (SCORING, source), path)
    return [str(runtime), "-Xmx1g", *options, "-cp", os.pathsep.join((path, str(classes))), source.stem]


def compiled(compiler: Path, sources: tuple[Path, ...], path: str) -> Path:
    """The folder of the classes. Raises OptionError."""
    parts = [str(compiler).encode(), path.encode(), *(source.read_bytes() for source in sources)]
    kept = CACHE / f"java-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:12]}"
    if kept.exists():
        return kept
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        fresh = Path(directory) / "classes"
        compiling = [str(compiler), "-cp", path, "-d", str(fresh), *map(str, sources)]
        done = subprocess.run(compiling, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise command.OptionError(
                f"{sources[-1].name} cannot be compiled by {compiler}: {done.stderr.strip()[:500]}"
            )
        if not kept.exists():  # another may have been faster
            fresh.rename(kept)
    return kept
