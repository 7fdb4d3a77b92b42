"""What every part of a training run is given beside its settings: none of it changes a bit of the result."""

from dataclasses import dataclass

import torch

from models.training.checkpoints import NONE, Checkpoints
from models.training.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class Run:
    """device: to fit networks on. processes: for fits that do not need each other. checkpoints: to go on from after a kill."""

    device: torch.device
    progress: Progress = silent
    processes: int = 1
    checkpoints: Checkpoints = NONE
