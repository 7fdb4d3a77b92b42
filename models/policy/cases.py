"""Examples of a policy: events with the action that is expected of each. For the tests of those who write rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.policy.known import Column, Known
from models.policy.policy_file import PolicyError
from models.policy.program import Batch, Program
from models.yaml_specs import parse_yaml, read_text
from schemas.base import Number, Part, Percentile, Probability
from schemas.lists import ListName
from schemas.manifest import Thresholds
from schemas.policy import Action, Name

CASES_MAX = 10_000

Value = bool | Number | Annotated[str, Field(max_length=1_000)] | None
ListValues = Annotated[tuple[Annotated[str, Field(max_length=1_000)], ...], Field(max_length=100_000)]
Names = Annotated[tuple[Name, ...], Field(max_length=500)]


class Case(Part):
    """One example. What is not given is missing, and no condition that needs it holds."""

    name: Annotated[str, Field(min_length=1, max_length=200)] = Field(description="What the example shows.")
    given: Annotated[dict[str, Value], Field(max_length=1_000)] = Field(
        {}, description="Fields, attributes, features by the names that conditions have."
    )
    probability: Probability = Field(0.0, description="The probability's score.")
    anomaly_percentile: Percentile = Field(0.0, description="The percentile's score.")
    action: Action = Field(description="What the policy is expected to say.")
    rules: Names | None = Field(None, description="Rules that are on and expected to hold, exactly. Default: any.")
    shadow_rules: Names | None = Field(None, description="The same of those in shadow.")


class Cases(Part):
    """A file of examples."""

    lists: Annotated[dict[ListName, ListValues], Field(max_length=64)] = Field(
        {}, description="What is on each list, for these examples."
    )
    cases: Annotated[tuple[Case, ...], Field(min_length=1, max_length=CASES_MAX)] = Field(description="The examples.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """An example, and what the policy says of it."""

    case: Case
    action: Action
    rules: tuple[str, ...]
    shadow_rules: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether it is as expected."""
        wanted = self.case
        return (
            self.action == wanted.action
            and (wanted.rules is None or set(wanted.rules) == set(self.rules))
            and (wanted.shadow_rules is None or set(wanted.shadow_rules) == set(self.shadow_rules))
        )


def load_cases(path: Path) -> Cases:
    """The examples in a YAML file. Raises PolicyError."""
    return parse_yaml(Cases, read_text(path, "examples", PolicyError), str(path), PolicyError)


def run_cases(program: Program, cases: Cases, known: Known, thresholds: Thresholds, width: int) -> list[Outcome]:
    """What the policy says of each. thresholds: those that count. width: how many features the bundle has.

    Raises PolicyError where an example names or gives what there is not.
    """
    rows = [_row(case, known) for case in cases.cases]
    length = len(rows)
    features = np.full((length, width), np.nan, np.float32)
    for number, row in enumerate(rows):
        for column, value in row.items():
            if column.group == "feature" and value is not None:
                features[number, int(column.column)] = float(value)
    probability = np.array([case.probability for case in cases.cases], np.float32)
    percentile = np.array([case.anomaly_percentile for case in cases.cases], np.float32)
    events = _Events(program, rows)
    batch = Batch(events, features, probability, percentile, _Lists(cases.lists))
    by_probability = probability >= np.float32(thresholds.probability)
    by_anomaly = percentile >= np.float32(thresholds.anomaly_percentile)
    ruling = program.rule(batch, by_probability, by_anomaly)
    return [
        Outcome(case, action, ruling.rules.get(row, ()), ruling.shadow_rules.get(row, ()))
        for row, (case, action) in enumerate(zip(cases.cases, ruling.actions(), strict=True))
    ]


def _row(case: Case, known: Known) -> dict[Column, Any]:
    row: dict[Column, Any] = {}
    for name, value in case.given.items():
        plain, _, rest = name.partition(".")
        column = known.find(rest, plain) if rest else known.find(name)
        if column is None or column.group == "score":
            near = known.nearest(name)
            hint = f"; did you mean {near}?" if near and column is None else "."
            raise PolicyError(
                f"Example {case.name!r} gives {name}, which is not a field, an attribute or a feature{hint}"
            )
        fits = {"text": str, "boolean": bool, "number": float}[column.kind]
        if value is not None and not isinstance(value, fits):
            raise PolicyError(f"Example {case.name!r} gives {name} as {value!r}, and it is a {column.kind}.")
        row[column] = value
    return row


class _Events:
    """Columns of the examples, as `Events` has them."""

    def __init__(self, program: Program, rows: Sequence[Mapping[Column, Any]]) -> None:
        self._columns: dict[str, list[Any]] = {}
        self._kinds = {str(column.column): column.kind for column in program.columns.values()}
        for number, row in enumerate(rows):
            for column, value in row.items():
                if column.group != "feature":
                    self._columns.setdefault(str(column.column), [None] * len(rows))[number] = value
        self._length = len(rows)
        self.ids = [
            value if isinstance(value, str) else f"example-{row}"
            for row, value in enumerate(self._columns.get("id", [None] * len(rows)))
        ]
        times = self.column("time") if "time" in self._columns else [None] * len(rows)
        self.time_ms: NDArray[np.int64] = np.array([int(value or 0) for value in times], np.int64)

    def column(self, name: str) -> Any:
        """A column; of numbers, NaN where one is missing."""
        values = self._columns.get(name, [None] * self._length)
        if self._kinds.get(name) == "text":
            return values
        return np.array([np.nan if value is None else float(value) for value in values], np.float64)


class _Lists:
    """Lists of the examples: whatever is asked for, by value alone."""

    def __init__(self, lists: Mapping[str, Sequence[str]]) -> None:
        self._lists = {name: frozenset(values) for name, values in lists.items()}

    def contains(
        self,
        list_name: str,
        column_name: str,
        values: Sequence[str | None] | NDArray[np.float64],
        event_time_ms: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Which values are on it."""
        held = self._lists.get(list_name, frozenset())
        texts = [f"{value:g}" if isinstance(value, float) else value for value in values]
        return np.array([text in held for text in texts], np.bool_)
