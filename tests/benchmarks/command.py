"""The command line that the benchmarks share."""

import argparse
import json
from collections.abc import Callable
from typing import Any


def run(
    description: str | None,
    measure: Callable[[int, int], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
    records: int = 400_000,
) -> None:
    """Arguments, measurement (of records, in rounds), output."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--records", type=int, default=records)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    result = measure(arguments.records, arguments.rounds)
    if arguments.json:
        print(json.dumps(result))
    else:
        show(result)
