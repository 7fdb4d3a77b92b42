"""The command line that the benchmarks share: options, measurement, output, and the record."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from models.scoring.devices import DeviceError
from tests.benchmarks import page, record

Result = dict[str, Any]


class OptionError(ValueError):
    """An option that a benchmark cannot use: one sentence."""


def run(
    name: str,
    description: str | None,
    measure: Callable[..., Result],
    show: Callable[[Result], None],
    good: Callable[[Result], bool] = lambda result: True,
    printed: Callable[[Result], Any] = lambda result: result,
    **options: Any,
) -> None:
    """Measure with the options given, print, and with --record keep it; exit status 1 where the result is not `good`.

    printed: of a result, what --json prints. options: name and default of each argument of `measure`. A tuple is a repeatable
    option, False a switch, a string one of words; numbers must be above zero.
    """
    arguments = vars(_parser(description, options).parse_args())
    as_json, keep = arguments.pop("json"), arguments.pop("record")
    for option, default in options.items():
        if isinstance(default, tuple):
            arguments[option] = tuple(arguments[option] or default)
    try:
        result = measure(**arguments)
    except (OptionError, DeviceError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)
    if as_json:
        print(json.dumps(printed(result)))
    else:
        show(result)
    if keep:
        record.append(record.now(result.get("record_as", name), arguments, result))
        page.write()
    sys.exit(0 if good(result) else 1)


def _parser(description: str | None, options: dict[str, Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument(
        "--record", action="store_true", help="append to docs/benchmarks.jsonl, and write the pages again"
    )
    for name, default in options.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(default, bool):
            parser.add_argument(flag, action="store_true")
        elif isinstance(default, tuple):
            shown = ", ".join(map(str, default))
            parser.add_argument(flag, action="append", type=_above_zero(type(default[0])), help=f"repeatable ({shown})")
        elif isinstance(default, str):
            parser.add_argument(flag, default=default, help=f"({default})")
        else:
            parser.add_argument(flag, default=default, type=_above_zero(type(default)), help=f"({default})")
    return parser


def _above_zero(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def number(text: str) -> Any:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not above zero")
        return value

    return number


def settings(text: str) -> dict[str, str]:
    """The value of --environment, NAME=VALUE,..., as a dictionary. Raises OptionError."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    wrong = [name for name, _, value in pairs if not (name.startswith("ASSAY_") and value)]
    if wrong:
        raise OptionError(f"--environment takes ASSAY_NAME=VALUE,..., and {wrong[0]} is none.")
    return {name: value for name, _, value in pairs}
