"""What would have been decided: payments of the past, judged again by another bundle, policy or thresholds.

The fold, the model and the rules are the replay's own. Beside each payment stands what was decided then.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from models.policy.policy_file import compile_policy, load_policy
from models.policy.program import Program, thresholds_of
from models.scoring.scores import Scores
from models.scoring.session import ModelSession
from schemas import codec
from schemas.manifest import Thresholds
from schemas.policy import ACTIONS
from schemas.score import Score
from services.errors import AssayError
from services.replay.archive import ArchiveLog
from services.replay.dataset import FEATURE_PREFIX, Cut
from services.replay.log import Spans
from services.replay.replay import Replaying
from services.scorer.decide import decide
from services.scorer.lists import ListTable
from services.scorer.offline import OfflinePartition
from services.scorer.processor import Limits
from services.scorer.ruling import rule
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.settings.scorer import ScorerSettings
from services.signed_entries import entry_guard
from services.swapping.loader import load_session
from services.trusted_policies import known_to

BATCH_ROWS = 2000
TABLE_ROWS = 16_384
"""Rows of a data set that are judged at once: nothing is folded, so more of them share the cost of a call."""

Report = Callable[[int], None]
"""Called with how many more payments are judged."""

_decode_score = codec.decoder(Score)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. It travels to each process, which loads bundle and policy itself.

    bundle: None for the one that scores. policy: in YAML, None for thresholds alone. thresholds: in place of the bundle's or
    the policy's. columns: of the events, for segments.
    """

    cut: Cut
    bundle: Path | None = None
    policy: Path | None = None
    thresholds: dict[str, float] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    own_labels: bool = False
    """Whether what a data set says of each row, is_fraud, is what is known."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Bundle, policy and thresholds of a question."""

    session: ModelSession
    program: Program | None
    thresholds: Thresholds

    def decided(self, events: Any, features: NDArray[np.float32], scores: Scores, lists: ListTable) -> dict[str, Any]:
        """Columns of the answer: whether there is an alert, the action, and the rules that hold."""
        if self.program is None:
            return {"alert": decide(scores, self.thresholds).alert}
        outcomes, ruled = rule(self.program, events, features, scores, self.thresholds, lists=lists.lists)
        held, rows = ruled.ruling, len(features)
        return {
            "alert": outcomes.alert,
            "action": _actions(held.action),
            "rules": _names(held.rules, rows),
            "shadow_rules": _names(held.shadow_rules, rows),
        }


def judge_of(question: Question) -> Judge:
    """Raises AssayError, and what bundles and policies raise."""
    session, _ = load_session(load(ScorerSettings), question.bundle)
    program = None
    if question.policy is not None:
        policy, text = load_policy(question.policy)
        program = compile_policy(policy, known_to(session.bundle), text, str(question.policy))
    thresholds = thresholds_of(program, session.bundle.manifest.thresholds)
    return Judge(session, program, thresholds.model_copy(update=question.thresholds))


_judge = cache(lambda path, policy, thresholds: judge_of(Question(Cut(0, 0), path, policy, dict(thresholds))))
"""One a process."""


def _judge_for(question: Question) -> Judge:
    return _judge(question.bundle, question.policy, tuple(sorted(question.thresholds.items())))


SCHEMA: dict[str, Any] = {
    "transaction_id": pl.String,
    "event_time_ms": pl.Int64,
    "amount": pl.Float64,
    "currency": pl.String,
    "then_alert": pl.Boolean,
    "then_action": pl.String,
    "then_probability": pl.Float32,
    "alert": pl.Boolean,
    "action": pl.String,
    "probability": pl.Float32,
    "anomaly_percentile": pl.Float32,
    "rules": pl.List(pl.String),
    "shadow_rules": pl.List(pl.String),
}
"""Columns of an answer, before those of segments: what was decided then, and what would be."""


ACTION_NAMES = pl.Series([*ACTIONS, None], dtype=pl.String)


def _actions(numbers: NDArray[np.int8]) -> pl.Series:
    """Actions by their places in ACTIONS; -1 for none."""
    return ACTION_NAMES.gather(numbers.astype(np.int64) % len(ACTION_NAMES))


def _names(held: Mapping[int, tuple[str, ...]], rows: int) -> pl.Series:
    """A list a row; of rows in which no rule holds, an empty one."""
    found: dict[tuple[str, ...], int] = {(): 0}  # few sets of rules hold together, of many payments
    places = np.zeros(rows, np.int64)
    places[list(held)] = [found.setdefault(names, len(found)) for names in held.values()]
    return pl.Series([list(names) for names in found], dtype=pl.List(pl.String)).gather(places)


class Then:
    """What was decided of one partition's offsets, in arrays."""

    def __init__(self, begin: int, end: int) -> None:
        size = max(0, end - begin)
        self._begin = begin
        self.scored, self.alert = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
        self.action = np.full(size, -1, np.int8)
        self.probability = np.zeros(size, np.float32)
        self.profiles_offset = np.zeros(size, np.int64)

    def add(self, offset: int, value: bytes, profiles_offset: int) -> None:
        """One record of `scores`. Offsets outside are left out."""
        place = offset - self._begin
        if 0 <= place < len(self.scored):
            score = _decode_score(value)
            self.scored[place], self.alert[place] = True, score.alert
            self.probability[place], self.profiles_offset[place] = score.probability, profiles_offset
            action = score.withheld_action or score.action
            self.action[place] = -1 if action is None else ACTIONS.index(action)

    def places(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of offsets in the arrays."""
        return offsets - self._begin


def answer_of_partition(archive: Path, partition: int, question: Question, report: Report) -> pl.DataFrame:
    """The payments of one partition that the cut holds and that were scored then. Raises AssayError."""
    return asyncio.run(_of_partition(ArchiveLog(archive, [partition]), partition, question, report))


async def _of_partition(log: ArchiveLog, partition: int, question: Question, report: Report) -> pl.DataFrame:
    judge, limits = _judge_for(question), Limits.of(load(RuntimeSettings), load(ScorerSettings))
    span = (await log.spans()).by_partition[partition]
    then = Then(span.begin, span.end)
    async for scores in log.scores(None):
        for score in scores:
            then.add(score.source_offset, score.value, score.profiles_offset)
    profiled = judge.session.bundle.manifest.feature_spec.profiled
    state = Replaying(OfflinePartition(judge.session, limits, of_log=True), await log.profiles() if profiled else [])
    lists = await lists_of(log, judge)
    frames = [pl.DataFrame(schema=_schema(question))]
    seen = 0
    async for _, found in log.inputs(None):
        for start in range(0, len(found), BATCH_ROWS):
            records = found[start : start + BATCH_ROWS]
            places = then.places(np.array([record.offset for record in records], np.int64))
            # a record without a score was not folded either, and sees what its predecessor saw
            known = np.maximum(np.maximum.accumulate(then.profiles_offset[places]), seen)
            seen = int(known[-1])
            frames += [_answered(part, then, judge, question, lists) for part in state.judge(records, known)]
            report(len(records))
    return pl.concat(frames)


async def lists_of(log: ArchiveLog, judge: Judge) -> ListTable:
    """The lists as they are now, if the policy asks any."""
    table = ListTable(guard=entry_guard())
    if judge.program is not None and judge.program.policy.lists:
        table.apply(await log.lists())
    return table


def _answered(part: Any, then: Then, judge: Judge, question: Question, lists: ListTable) -> pl.DataFrame:
    """The part's payments that were scored then and that the cut holds."""
    places = then.places(np.array([record.offset for record in part.records], np.int64))
    events, cut = part.events, question.cut
    until_ms = min(cut.until_ms, cut.as_of_ms - cut.maturity_ms + 1)
    wanted = then.scored[places] & (events.time_ms >= cut.since_ms) & (events.time_ms < until_ms)
    columns = {
        "transaction_id": events.ids,
        "event_time_ms": events.time_ms,
        "amount": events.amount,
        "currency": events.currencies,
        "then_alert": then.alert[places],
        "then_action": _actions(then.action[places]),
        "then_probability": then.probability[places],
        "probability": part.scores.probability,
        "anomaly_percentile": part.scores.anomaly_percentile,
        **judge.decided(events, part.features, part.scores, lists),
        **{name: _texts(_column(events, name)) for name in question.columns},
    }
    return _frame(columns, question).filter(pl.Series(wanted))


def _frame(columns: dict[str, Any], question: Question) -> pl.DataFrame:
    schema, rows = _schema(question), len(columns["alert"])
    return pl.DataFrame(
        {
            name: pl.Series(name, columns[name], dtype)
            if name in columns
            else pl.repeat(None, rows, dtype=dtype, eager=True)
            for name, dtype in schema.items()
        }
    )


def _schema(question: Question) -> dict[str, Any]:
    own = {"is_fraud": pl.Boolean} if question.own_labels else {}
    return SCHEMA | own | dict.fromkeys(question.columns, pl.String)


def _column(events: Any, name: str) -> Any:
    try:
        return events.column(name)
    except KeyError:
        raise AssayError(f"--by {name} is no field of these events: `assay policy columns` shows them.") from None


def _texts(values: Any) -> list[str | None]:
    return [None if value is None or value != value else str(value) for value in values]


NEEDED = ("transaction_id", "event_time_ms", "amount", "alert", "probability", "is_fraud")
"""Columns that a data set must have, beside the features."""

OWN_NAMES = {"subject": "card_id", "counterparty": "terminal_id", "id": "transaction_id", "time": "event_time_ms"}
"""Of the event's own fields, as a data set names them."""


@dataclass(frozen=True, slots=True)
class TableEvents:
    """Rows of a data set, as rules read events."""

    frame: pl.DataFrame

    @property
    def ids(self) -> list[str]:
        """Of the payments."""
        return self.frame["transaction_id"].to_list()

    @property
    def time_ms(self) -> NDArray[np.int64]:
        """int64[n]."""
        return self.frame["event_time_ms"].to_numpy()

    def column(self, name: str) -> Any:
        """A field. Raises KeyError."""
        name = OWN_NAMES.get(name, name)
        if name not in self.frame.columns:
            raise KeyError(name)
        values = self.frame[name]
        return values.to_numpy() if values.dtype.is_numeric() else values.to_list()


def answer_of_rows(data: Path, start: int, rows: int, question: Question, report: Report) -> pl.DataFrame:
    """The same of a data set's rows, whose features are in it: nothing is folded. Raises AssayError."""
    judge = _judge_for(question)
    scanned = read_rows(data)
    names = scanned.collect_schema().names()
    wanted = [f"{FEATURE_PREFIX}{name}" for name in judge.session.bundle.manifest.feature_spec.names]
    missing = [name for name in (*wanted, *NEEDED) if name not in names]
    if missing:
        raise AssayError(
            f"{data} has no column {missing[0]}: `assay dataset build --bundle` writes the features of the bundle asked about."
        )
    asked = [OWN_NAMES.get(name, name) for name in (*_read_by_rules(judge), *question.columns)]
    if absent := [name for name in asked if name not in names]:
        raise AssayError(f"{data} has no column {absent[0]}, which is asked for: give --archive, or read the topics.")
    # no other column is unpacked
    read = [name for name in names if name in (*NEEDED, "currency", *asked, *wanted)]
    whole = scanned.slice(start, rows).select(read).collect()
    time_ms = pl.col("event_time_ms")
    frame = whole.filter((time_ms >= question.cut.since_ms) & (time_ms < question.cut.until_ms))
    report(len(whole) - len(frame))
    frames = [pl.DataFrame(schema=_schema(question))]
    for part in frame.iter_slices(TABLE_ROWS):
        frames.append(_of_rows(part, wanted, judge, question))
        report(len(part))
    return pl.concat(frames)


def _read_by_rules(judge: Judge) -> Iterator[str]:
    """Fields and attributes."""
    for column in judge.program.columns.values() if judge.program is not None else ():
        if column.group in ("event", "attribute"):
            yield str(column.column)


def _of_rows(part: pl.DataFrame, wanted: Sequence[str], judge: Judge, question: Question) -> pl.DataFrame:
    features = np.ascontiguousarray(part.select(wanted).to_numpy(), np.float32)
    scores, events = judge.session.run(features), TableEvents(part)
    own = ("transaction_id", "event_time_ms", "amount", "is_fraud", "currency")
    columns = {
        **{name: part[name] for name in own if name in part.columns},
        "then_alert": part["alert"],
        "then_probability": part["probability"],
        "probability": scores.probability,
        "anomaly_percentile": scores.anomaly_percentile,
        **judge.decided(events, features, scores, ListTable()),
        **{name: _texts(_column(events, name)) for name in question.columns},
    }
    return _frame(columns, question)


def read_rows(data: Path) -> pl.LazyFrame:
    """A data set of `assay dataset build`. Raises AssayError."""
    try:
        frame = pl.scan_parquet(data)
        frame.collect_schema()
    except (PolarsError, OSError):
        raise AssayError(f"{data} cannot be read as Parquet: `assay dataset build` writes one.") from None
    return frame


async def spans_of(archive: Path) -> Spans:
    """The archive's partitions. Raises AssayError."""
    return await ArchiveLog(archive).spans()
