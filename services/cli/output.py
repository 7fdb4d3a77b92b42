"""Where output goes: results to stdout, everything else to stderr."""

import json
from typing import Any

from rich.console import Console

results = Console(soft_wrap=True, highlight=False)
notes = Console(stderr=True, soft_wrap=True, highlight=False)


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    print(json.dumps(value), flush=True)
