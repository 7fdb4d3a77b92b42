"""Fits in processes of their own: in order, with their reports, and a process that is killed is said."""

import os
import signal
from functools import partial

import pytest
import torch

from models.training.data import TrainingError
from models.training.progress import Progress, silent
from models.training.workers import Work, beside, processes_of

pytestmark = pytest.mark.train


def drawn(seed: int, progress: Progress) -> list[float]:
    """Seeded, and reported."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        progress(f"draw {seed}", 1, 1)
        return [*torch.rand(3).tolist(), float(torch.get_num_threads())]


def killed(_: Progress) -> list[float]:
    """As the kernel does where memory ends."""
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def refused(_: Progress) -> list[float]:
    """A sentence travels."""
    raise TrainingError("No.")


def test_works_give_the_same_in_any_number_of_processes_and_report() -> None:
    """In the order that they were given."""
    torch.set_num_threads(1)
    works, seen = [partial(drawn, seed) for seed in (3, 1, 2)], list[tuple[str, int, int]]()
    alone = beside(works, lambda *report: seen.append(report), 1)
    assert beside(works, lambda *report: seen.append(report), 2) == alone
    assert sorted(seen[3:]) == sorted(seen[:3]) == [(f"draw {seed}", 1, 1) for seed in (1, 2, 3)]


def test_a_process_that_is_killed_and_a_work_that_refuses_are_one_sentence() -> None:
    """Nothing waits for ever."""
    other: Work[list[float]] = partial(drawn, 1)
    with pytest.raises(TrainingError, match="was killed, most often for want of memory"):
        beside([killed, other], silent, 2)
    with pytest.raises(TrainingError, match=r"^No\.$"):
        beside([refused, other], silent, 2)


def test_fits_on_a_gpu_come_one_after_the_other() -> None:
    """They would share it."""
    assert processes_of(4, "cuda") == 1
    assert processes_of(3, "cpu") == 3
    assert processes_of(None, "cpu") == (os.cpu_count() or 1)
