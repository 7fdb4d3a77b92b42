"""Fits that do not need each other, in processes beside each other: the same bits for any number of processes."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from models.training.data import TrainingError
from models.training.devices import deterministic_torch
from models.training.progress import Progress

T = TypeVar("T")

Work = Callable[[Progress], T]
"""A partial of a module's function, which another process imports. It seeds its own draws, and leaves torch's as they were."""

LOOK_S = 0.2
_reports: Any = None


def processes_of(asked: int | None, device_type: str) -> int:
    """How many fits at once: as many as asked for, by default one a core; one alone on a GPU, which they would share."""
    return 1 if device_type != "cpu" else asked or os.cpu_count() or 1


def beside(works: Sequence[Work[T]], progress: Progress, processes: int) -> list[T]:
    """What each returns, in their order; give the longest first. Raises TrainingError where a process is killed."""
    if processes == 1 or len(works) == 1:
        return [work(progress) for work in works]
    spawn = multiprocessing.get_context("spawn")  # a fork would copy locks of torch's and polars' threads
    reports = spawn.SimpleQueue()
    with ProcessPoolExecutor(min(processes, len(works)), spawn, _begin, (reports,)) as pool:
        futures = [pool.submit(_done, work) for work in works]
        try:
            waiting = set(futures)
            while waiting:
                waiting = wait(waiting, LOOK_S).not_done
                _pass_on(reports, progress)
            return [future.result() for future in futures]
        except BrokenProcessPool:
            raise TrainingError(
                "A process that fitted a model was killed, most often for want of memory: give --processes 1, or fewer rows."
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _pass_on(reports: Any, progress: Progress) -> None:
    while not reports.empty():
        progress(*reports.get())


def _begin(reports: Any) -> None:
    """A process of the pool: as the one that trains, and gone when that one is."""
    global _reports
    _reports = reports
    deterministic_torch(0)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """The pool's pipes do not end with a parent that is killed: its processes would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _done(work: Work[T]) -> T:
    return work(_report)


def _report(stage: str, done: int, most: int) -> None:
    _reports.put((stage, done, most))
