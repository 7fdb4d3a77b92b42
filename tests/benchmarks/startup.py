"""From the start of a scorer's process to ready, its kernels compiled before: and how much of it is imports.

`python -m tests.benchmarks.startup [--json] [--record] [--rounds N]`

Four empty partitions, the committed bundle, one broker. `imports` is a process that imports the scorer and ends.
"""

import asyncio
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks import command
from tests.benchmarks.place import broker, place
from tests.benchmarks.record import interleaved, surroundings
from tests.services.harness import ROOT, Stream

TARGET_S = 2.0
WAIT_S_MAX = 90.0
POLL_S = 0.01
LIBRARIES = ("aiokafka", "numba", "numpy", "onnxruntime", "pydantic")


def imports() -> float:
    """Seconds of a process that imports all that a scorer imports."""
    begun_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import services.scorer.__main__"], cwd=ROOT, check=True)
    return time.perf_counter() - begun_s


def ready(stream: Stream) -> float:
    """Seconds to the first yes of /readyz."""
    begun_s = time.perf_counter()
    scorer = stream.scorer()
    address = ""
    while time.perf_counter() - begun_s < WAIT_S_MAX:
        if scorer.returncode is not None:
            break
        if not address and '"http": "' in scorer.log():
            address = scorer.address()
        if address and _says_yes(address):
            taken_s = time.perf_counter() - begun_s
            scorer.terminate()
            return taken_s
        time.sleep(POLL_S)
    raise SystemExit(f"the scorer is not ready: {scorer.log()[-2000:]}")


def _says_yes(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


def measure(rounds: int) -> dict[str, Any]:
    """Imports and whole starts in turn; one start before, which fills the caches."""
    with broker() as bootstrap, place(bootstrap) as stream:
        asyncio.run(stream.create())
        ready(stream)
        found = interleaved({"imports": imports, "ready": lambda: ready(stream)}, rounds)
    return {
        "ready_s": round(statistics.median(found["ready"]), 2),
        "imports_s": round(statistics.median(found["imports"]), 2),
        "target_s": TARGET_S,
        "rounds": {name: [round(value, 2) for value in values] for name, values in found.items()},
        **surroundings(LIBRARIES),
    }


def show(result: dict[str, Any]) -> None:
    """The table for people."""
    table = Table("start", "minimum, s", "median", "maximum")
    for name, values in result["rounds"].items():
        table.add_row(name, *(f"{of(values):.2f}" for of in (min, statistics.median, max)))
    console = Console()
    console.print(table)
    met = "met" if result["ready_s"] <= TARGET_S else "MISSED"
    console.print(f"ready after {result['ready_s']:.2f} s: the target of {TARGET_S:.0f} s is {met}")


if __name__ == "__main__":
    command.run("startup", __doc__, measure, show, rounds=5)
