"""The documentation's site: built strictly, complete, without an outside address."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer

from schemas.topics import TOPICS
from services.cli.app import app

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=\"(?:https?:)?//")


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    """What makes the pages that are not in docs/."""
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "deploy" / "site" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands(command: object, before: str = "assay") -> list[str]:
    """Every command by its words."""
    inner = getattr(command, "commands", None)
    if inner is None:
        return [before]
    return [name for word, found in inner.items() if not found.hidden for name in commands(found, f"{before} {word}")]


def test_every_command_has_its_place_and_an_example(hooks: ModuleType) -> None:
    """As `--help` says it."""
    page = hooks.commands_page()
    names = commands(typer.main.get_command(app))
    headings = set(re.findall(r"^#+ `(.*)`$", page, re.MULTILINE))
    assert len(names) > 50
    assert not [name for name in names if name not in headings]
    assert page.count("Example: ") >= len(names)


def test_every_topic_is_a_channel_with_a_message_that_is_described(hooks: ModuleType) -> None:
    """In AsyncAPI 3, all references resolved within."""
    document = hooks.asyncapi()
    assert set(document["channels"]) == {topic.name for topic in TOPICS}
    schemas = document["components"]["schemas"]
    found = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert found <= set(schemas)


@pytest.mark.slow
def test_the_site_is_built_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """Links, anchors and pages that are in no menu are errors."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        [*command, "--config-file", "deploy/site/mkdocs.yml"],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 40
    assert not [page.name for page in pages if LOADED.search(page.read_text(encoding="utf-8"))]
