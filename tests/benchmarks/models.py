"""Rows a second of the reference network and of VAEs 10 and 100 times as wide, by batch, beside the device's own limit.

`python -m tests.benchmarks.models [--json] [--record] [--device cpu|cuda] [--wide N ...] [--batch N ...] [--rounds N]`

Random weights: for speed alone. On the CPU one thread, as a scorer's session has it, beside one matrix product of 1,024 by
1,024 on one thread (the limit, FLOP/s: the better of numpy and ONNX Runtime). On CUDA the bound buffers and captured graphs of
the scorer, without TensorRT, from rows in the host's memory to scores there, beside the CPU, one large matrix product on the
card (FLOP/s) and a copy to it (bytes/s).
"""

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from models.scoring.bound import BoundGraph
from models.scoring.devices import Provider, create_session, open_session
from models.scoring.page_lock import page_lock
from tests.benchmarks import command
from tests.benchmarks.graphs import INPUT, OUTPUTS, WIDTHS, build, product
from tests.benchmarks.record import interleaved, surroundings

WIDE = (1, 10, 100)
BATCHES = (1, 16, 64, 256, 1024, 4096, 16_384)
BATCH_S_MAX = 2.0
"""A batch that would take longer at the limit is left out."""

TIME_S = 0.3
SQUARE: dict[Provider, int] = {"cpu": 1024, "cuda": 8192}
COPY_BYTES = 256 << 20
LIBRARIES = ("numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "threadpoolctl")

notes = Console(stderr=True, soft_wrap=True, highlight=False)
Runner = Callable[[NDArray[np.float32]], Any]


def rate(work: Callable[[], object]) -> float:
    """Runs a second, over about TIME_S."""
    work()
    runs, begun_s = 0, time.perf_counter()
    while (taken_s := time.perf_counter() - begun_s) < TIME_S or not runs:
        work()
        runs += 1
    return runs / taken_s


def on(device: Provider, path: Path, width: int, outputs: tuple[str, ...], batch: int) -> Runner:
    """How a scorer runs the graph on the device. Raises DeviceError where the GPU is not there."""
    session, _ = create_session(str(path), device)
    if device == "cpu":
        return lambda matrix: session.run(outputs, {INPUT: matrix})
    return BoundGraph(session, INPUT, outputs, width, (batch,)).run


def flops_limit(device: Provider, directory: Path) -> float:
    """The most FLOP/s that one large matrix product reaches, as a scorer could use the device."""
    size = SQUARE[device]
    if device == "cpu":
        matrix = np.random.default_rng(7).normal(size=(size, size)).astype(np.float32)
        run = on("cpu", product(directory, size), size, ("mean",), size)
        with threadpool_limits(1):
            return max(rate(lambda: matrix @ matrix), rate(lambda: run(matrix))) * 2 * size**3
    matrix = np.zeros((size, size), np.float32)
    session = open_session(
        str(product(directory, size)), [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]
    )
    binding = session.io_binding()
    binding.bind_ortvalue_input(INPUT, onnxruntime.OrtValue.ortvalue_from_numpy(matrix, "cuda", 0))
    binding.bind_output("mean", "cuda", 0)
    return rate(lambda: session.run_with_iobinding(binding)) * 2 * size**3


def copy_limit() -> float:
    """Bytes a second from the host's memory to the card's."""
    matrix = np.zeros(COPY_BYTES // 4, np.float32)
    value = onnxruntime.OrtValue.ortvalue_from_numpy(matrix, "cuda", 0)
    page_lock(value, matrix)
    return rate(lambda: value.update_inplace(matrix)) * COPY_BYTES


def card() -> str:
    """The GPU's name, as its driver tells it."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()


def measure(
    rounds: int, device: str = "cpu", wide: tuple[int, ...] = WIDE, batch: tuple[int, ...] = BATCHES
) -> dict[str, Any]:
    """Every graph and batch on each device, in turn; the limits in the same rounds."""
    if device not in SQUARE:
        raise command.OptionError(f"--device {device} is none of cpu, cuda.")
    devices: tuple[Provider, ...] = ("cpu",) if device == "cpu" else ("cpu", "cuda")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        session, _ = create_session(
            str(product(directory, 16)), devices[-1]
        )  # a GPU that is not there is reported at once
        page_locked = device == "cuda" and BoundGraph(session, INPUT, ("mean",), 16, (16,)).page_locked
        limits: dict[str, list[float]] = interleaved(
            {name: lambda name=name: flops_limit(name, directory) for name in devices},  # type: ignore[misc]
            rounds,
        )
        copies = interleaved({"copy": copy_limit}, rounds)["copy"] if device == "cuda" else []
        medians = {name: statistics.median(values) for name, values in limits.items()}
        for times in wide:
            path, flops = build(directory, times)
            for name in devices:
                sizes = [size for size in batch if size * flops / medians[name] < BATCH_S_MAX]
                rows += _graph(name, path, times, flops, sizes, rounds, medians[name])
            path.unlink()
            path.with_suffix(".weights").unlink()
    return {
        "device": device,
        "record_as": "models" if device == "cpu" else f"models-{device}",
        **(_of_the_card(copies, page_locked) if device == "cuda" else {}),
        "limit_gflops": {name: round(value / 1e9, 1) for name, value in medians.items()},
        "limit_rounds_gflops": {name: [round(v / 1e9, 1) for v in values] for name, values in limits.items()},
        "rows": rows,
        **surroundings(LIBRARIES),
    }


def _of_the_card(copies: list[float], page_locked: bool) -> dict[str, Any]:
    copy_gb_per_s = round(statistics.median(copies) / 1e9, 2)
    return {"card": card(), "copy_gb_per_s": copy_gb_per_s, "page_locked": page_locked}


def _graph(
    device: Provider, path: Path, times: int, flops: int, sizes: list[int], rounds: int, limit: float
) -> list[dict[str, Any]]:
    """One graph on one device, all batches in turn."""
    random = np.random.default_rng(7)
    work = {}
    shared = on(device, path, WIDTHS[0], OUTPUTS, 1) if device == "cpu" else None
    for size in sizes:
        run = shared or on(device, path, WIDTHS[0], OUTPUTS, size)
        matrix = random.uniform(0, 1, (size, WIDTHS[0])).astype(np.float32)
        work[str(size)] = lambda run=run, matrix=matrix: rate(lambda: run(matrix))
    found = interleaved(work, rounds)
    rows = []
    for size in sizes:
        rates = [size * value for value in found[str(size)]]
        median = statistics.median(rates)
        rows.append(
            {
                "device": device,
                "times_as_wide": times,
                "batch": size,
                "rows_per_s": round(median, 1),
                "of_limit": round(median * flops / limit, 3),
                "flops_per_row": flops,
                "rounds": [round(value, 1) for value in rates],
            }
        )
        notes.print(f"{device} {times} times as wide, batch {size}: {median:,.0f} rows/s")
    return rows


def show(result: dict[str, Any]) -> None:
    """The table for people."""
    table = Table("device", "times as wide", "batch", "rows/s (median)", "lowest", "highest", "of the FLOP/s limit")
    for row in result["rows"]:
        table.add_row(
            row["device"],
            str(row["times_as_wide"]),
            f"{row['batch']:,}",
            *(f"{value:,.0f}" for value in (row["rows_per_s"], min(row["rounds"]), max(row["rounds"]))),
            f"{row['of_limit']:.0%}",
        )
    console = Console()
    console.print(table)
    console.print(f"bound, GFLOP/s: {result['limit_gflops']}; {result.get('card', 'one thread of the CPU')}")


if __name__ == "__main__":
    command.run("models", __doc__, measure, show, device="cpu", wide=WIDE, batch=BATCHES, rounds=3)
