"""A generator as a directory, checked like a bundle: nothing in it is trusted, and what was checked is what runs."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from models.bundle.directory import replace_directory, standing
from models.bundle.graph import GraphError, check_graph
from schemas.generator import GeneratorManifest

MANIFEST, MODEL = "manifest.json", "generator.onnx"
BYTES_MAX = {MANIFEST: 1 << 20, MODEL: 16 << 20}
"""Every file and its largest size; no other file may be in the directory."""

INPUT, OUTPUT = "noise", "levels"
"""Of the graph: float32[n, noise], standard normal, to float32[n, columns] in (0, 1)."""


class GeneratorError(ValueError):
    """A generator that must not be used: one sentence that says why."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A checked generator. model: the ONNX graph's bytes."""

    manifest: GeneratorManifest
    model: bytes


def load_generator(path: Path) -> Artefact:
    """The generator in the directory `path`. Raises GeneratorError, one sentence, if anything about it is not right."""
    try:
        files = _read(standing(path))
        manifest = GeneratorManifest.model_validate_json(files[MANIFEST])
        if manifest.files != {MODEL: hashlib.sha256(files[MODEL]).hexdigest()}:
            raise GeneratorError(f"{MODEL} is not the file that {MANIFEST} lists (SHA-256 differs)")
        graph = check_graph(files[MODEL], manifest.noise, INPUT, (OUTPUT,))
    except OSError as error:
        raise GeneratorError(f"Generator {path} cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the whole file"
        raise GeneratorError(f"Generator {path} is refused: {MANIFEST} is not valid at {where}.") from None
    except (GeneratorError, GraphError) as error:
        raise GeneratorError(f"Generator {path} is refused: {error}.") from None
    return Artefact(manifest, graph)


def _read(path: Path) -> dict[str, bytes]:
    """Every file's bytes, through one open directory, each read once."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if set(os.listdir(directory)) != set(BYTES_MAX):
            raise GeneratorError(f"it does not hold exactly {', '.join(BYTES_MAX)}")
        return {name: _read_file(directory, name) for name in BYTES_MAX}
    finally:
        os.close(directory)


def _read_file(directory: int, name: str) -> bytes:
    if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        raise GeneratorError(f"{name} is not a regular file")
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(BYTES_MAX[name] + 1)
    if len(content) > BYTES_MAX[name]:
        raise GeneratorError(f"{name} is larger than {BYTES_MAX[name]} bytes")
    return content


def pack_generator(path: Path, manifest: GeneratorManifest, model: bytes) -> None:
    """Write the directory `path`, all of it or nothing, replacing a generator that is there. `manifest.files` is filled in."""
    if path.exists() and not (path / MODEL).is_file() and any(path.iterdir()):
        raise GeneratorError(f"{path} holds other files, not a generator: choose another directory.")
    listed = manifest.model_copy(update={"files": {MODEL: hashlib.sha256(model).hexdigest()}})
    content = {MODEL: model, MANIFEST: (listed.model_dump_json(indent=1) + "\n").encode()}
    replace_directory(path, content, check=load_generator)
