"""Pieces of a question on as many processes as there are cores, with progress. Each process loads what it needs itself."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from typing import Any

import polars as pl

from services.errors import AssayError

Piece = tuple[Any, ...]
Work = Callable[..., pl.DataFrame]
"""Called with a piece's parts and a Report."""

LOOK_S = 0.2
_done: Any = None


def answers(work: Work, pieces: Sequence[Piece], workers: int, report: Callable[[int], None]) -> pl.DataFrame:
    """All pieces' answers, in their order. report: called with the payments judged so far. Raises AssayError."""
    if workers <= 1 or len(pieces) <= 1:
        count = 0

        def one_more(payments: int) -> None:
            nonlocal count
            count += payments
            report(count)

        return pl.concat([work(*piece, one_more) for piece in pieces])
    spawn = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks of ONNX Runtime and polars
    done = spawn.Value("q", 0)
    with ProcessPoolExecutor(min(workers, len(pieces)), spawn, _keep, (done,)) as pool:
        futures = [pool.submit(_piece, work, piece) for piece in pieces]
        try:
            return pl.concat([_waited(future, done, report) for future in futures])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _waited(future: "Future[pl.DataFrame | str]", done: Any, report: Callable[[int], None]) -> pl.DataFrame:
    while not wait([future], LOOK_S).done:
        report(done.value)
    report(done.value)
    found = future.result()
    if isinstance(found, str):
        raise AssayError(found)
    return found


def _keep(done: Any) -> None:
    global _done
    _done = done


def _piece(work: Work, piece: Piece) -> pl.DataFrame | str:
    """The answer, or the sentence of what is wrong: not every error travels between processes."""
    try:
        return work(*piece, _report)
    except (AssayError, ValueError) as error:
        return str(error)


def _report(payments: int) -> None:
    with _done.get_lock():
        _done.value += payments
