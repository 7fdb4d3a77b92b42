"""A generator's directory is believed in nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.generation.artefact import BYTES_MAX, MANIFEST, MODEL, GeneratorError, load_generator, pack_generator

COMMITTED = Path("deploy/generators/payments")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the committed generator, to spoil."""
    return shutil.copytree(COMMITTED, tmp_path / "generator")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    change(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest))


def outside(path: Path) -> None:
    shutil.move(path / MODEL, path.parent / "elsewhere.onnx")
    (path / MODEL).symlink_to(path.parent / "elsewhere.onnx")


def another_graph(path: Path) -> None:
    """A valid graph of another kind, under its right digest."""
    import hashlib

    model = Path("deploy/bundles/fraud/model.onnx").read_bytes()
    (path / MODEL).write_bytes(model)
    edit(path, lambda manifest: manifest["files"].update({MODEL: hashlib.sha256(model).hexdigest()}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: flip(path / MODEL), "SHA-256 differs"),
        (lambda path: (path / MODEL).unlink(), "exactly"),
        (lambda path: (path / "more.txt").write_text("x"), "exactly"),
        (outside, "not a regular file"),
        (lambda path: (path / MODEL).write_bytes(bytes(BYTES_MAX[MODEL] + 1)), "larger than"),
        (another_graph, "input is not `noise`"),
        (lambda path: edit(path, lambda m: m["columns"][0]["values"].reverse()), "not valid at columns.0"),
        (lambda path: edit(path, lambda m: m["columns"][0]["levels"].pop()), "not valid at columns.0"),
        (lambda path: edit(path, lambda m: m.pop("noise")), "not valid at noise"),
        (lambda path: edit(path, lambda m: m.update(noise=99)), "does not take 99"),
        (lambda path: (path / MANIFEST).write_text("{"), "not valid at the whole file"),
    ],
)
def test_a_spoiled_generator_is_refused_in_one_sentence(
    copy: Path, spoil: Callable[[Path], object], words: str
) -> None:
    """Whatever is wrong, it says what."""
    spoil(copy)
    with pytest.raises(GeneratorError, match=words):
        load_generator(copy)


def test_a_missing_generator_is_one_sentence(tmp_path: Path) -> None:
    """And no traceback."""
    with pytest.raises(GeneratorError, match="cannot be read"):
        load_generator(tmp_path / "nowhere")


def test_a_packed_generator_replaces_the_old_one_and_nothing_else(copy: Path, tmp_path: Path) -> None:
    """A directory of something else is left alone."""
    artefact = load_generator(COMMITTED)
    pack_generator(copy, artefact.manifest.model_copy(update={"version": 9}), artefact.model)
    assert load_generator(copy).manifest.version == 9
    assert [path.name for path in copy.parent.iterdir()] == ["generator"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(GeneratorError, match="holds other files"):
        pack_generator(other, artefact.manifest, artefact.model)
    assert (other / "notes.txt").read_text() == "mine"
