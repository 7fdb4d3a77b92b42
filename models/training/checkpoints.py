"""What a training run keeps on disk, so that one that was killed goes on where it was, to the same bytes.

A stage is one part of the run: a fit, which keeps its weights, its optimiser and the state of torch's draws after each epoch,
or a model of the comparison, which keeps its scores. A file is written whole or not at all, and holds its own digest.
"""

import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.durable import make_directory, sync_directory, write_file
from models.training.data import TrainingError
from models.training.progress import Progress

RUN = "run.json"
DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Stage:
    """The file of one stage; None keeps nothing."""

    path: Path | None = None

    def load(self) -> dict[str, Any] | None:
        """What was saved last; None where nothing was. Raises TrainingError where the file is damaged."""
        if self.path is None or not self.path.exists():
            return None
        content = self.path.read_bytes()
        if hashlib.sha256(content[DIGEST_BYTES:]).digest() != content[:DIGEST_BYTES]:
            raise TrainingError(f"{self.path} is damaged: remove it, and only this part of the run begins again.")
        found: dict[str, Any] = torch.load(io.BytesIO(content[DIGEST_BYTES:]), weights_only=True)
        return found

    def save(self, state: Mapping[str, Any]) -> None:
        """Numbers, tensors, and lists and dicts of them."""
        if self.path is None:
            return
        held = io.BytesIO()
        torch.save(dict(state), held)
        content = held.getvalue()
        write_file(self.path, lambda file: file.write(hashlib.sha256(content).digest() + content))


FORGETFUL = Stage()


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The stages of a run, in a folder of its own; None keeps nothing."""

    directory: Path | None = None

    def stage(self, name: str) -> Stage:
        """The stage of a name, which is the run's own choice."""
        if self.directory is None:
            return FORGETFUL
        readable = "".join(letter if letter.isalnum() else "-" for letter in name)
        return Stage(self.directory / f"{readable}.checkpoint")

    def begin(self, run: Mapping[str, Any]) -> None:
        """Names what is trained: settings, data, versions. Raises TrainingError where the folder is of another run."""
        if self.directory is None:
            return
        path, content = self.directory / RUN, json.dumps(run, sort_keys=True, indent=1)
        before = json.loads(path.read_text()) if path.exists() and self.started else {}
        if before and (other := sorted(name for name in {*before, *run} if before.get(name) != run.get(name))):
            raise TrainingError(
                f"{self.directory} is of a run with other {', '.join(other)}: train as that one was, or remove the folder."
            )
        write_file(path, lambda file: file.write(content.encode()))

    @property
    def started(self) -> bool:
        """Whether there is anything to go on from."""
        return self.directory is not None and any(self.directory.glob("*.checkpoint"))

    def end(self) -> None:
        """Removes the folder: the bundle is written."""
        if self.directory is not None and self.directory.exists():
            shutil.rmtree(self.directory)
            sync_directory(self.directory.parent)


@contextmanager
def checkpoints(directory: Path, *, resume: bool) -> Iterator[Checkpoints]:
    """The folder of one run at a time, new or to go on from. One that kept nothing is removed at the end.

    Raises TrainingError where another process uses it, or a run in it did not end and `resume` does not say to go on.
    """
    found = Checkpoints(directory)
    try:
        make_directory(directory)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise TrainingError(f"{directory} cannot be used ({error.strerror}): choose another --out.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if found.started and not resume:
            raise TrainingError(
                f"{directory} holds a training that did not end: --resume goes on with it; or remove the folder to begin again."
            )
        for scratch in directory.glob("*.bin"):
            scratch.unlink()
        try:
            yield found
        finally:
            if not found.started:
                found.end()
    except BlockingIOError:
        raise TrainingError(f"Another process trains in {directory}: wait for it, or choose another --out.") from None
    finally:
        os.close(descriptor)


NONE = Checkpoints()


def draws(device: torch.device) -> dict[str, Any]:
    """The state of torch's draws."""
    return {
        "draws": torch.get_rng_state(),
        "cuda_draws": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def go_on(state: Mapping[str, Any], device: torch.device) -> None:
    """Draw as from the state that was saved on."""
    torch.set_rng_state(state["draws"])
    if state["cuda_draws"] is not None:
        torch.cuda.set_rng_state(state["cuda_draws"], device)


Scored = NDArray[np.float32] | dict[str, NDArray[np.float32]]


def kept(stage: Stage, name: str, work: Callable[[Progress], Scored], progress: Progress) -> Scored:
    """What `work` returns, float32[n] or some by name, or returned when the stage was saved. name: in its reports."""
    state = stage.load()
    if state is None:
        found = work(progress)
        named = found if isinstance(found, dict) else {"": found}
        stage.save({name: torch.from_numpy(scores) for name, scores in named.items()})
        return found
    progress(name, 1, 1)
    known: dict[str, NDArray[np.float32]] = {name: scores.numpy() for name, scores in state.items()}
    return known.get("", known)
