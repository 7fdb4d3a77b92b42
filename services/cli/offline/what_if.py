"""`assay what-if`: what another bundle, policy or thresholds would have decided, in frauds caught and good payments stopped."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.files import needing_files
from services.cli.offline.read_back import progress_bar
from services.cli.output import logs_to_stderr, notes, print_json
from services.cli.people.label import moment_ms
from services.errors import AssayError

if TYPE_CHECKING:
    import polars as pl

    from services.replay.figures import Costs
    from services.replay.what_if import Question
    from services.verification.read import Progress

EXAMPLE = "Example: assay what-if --from 2026-11-01 --to 2026-11-08 --thresholds probability=0.8 --by terminal_id"

PIECE_ROWS_MAX = 500_000
"""Rows of a data set in one process at a time, with their features."""

THRESHOLDS = {"probability": 1.0, "anomaly_percentile": 100.0}


def what_if(
    since: Annotated[datetime | None, typer.Option("--from", help="Payments from this time on, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="Payments before this time, UTC.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Bundle that would score. Default: the one that scores.")] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Policy in YAML that would decide. Default: thresholds alone.")
    ] = None,
    thresholds: Annotated[
        str | None, typer.Option(help="probability=0.8,anomaly_percentile=99.9: one or both, in place of the others'.")
    ] = None,
    archive: Annotated[
        Path | None, typer.Option(help="Read this directory of `assay archive` in place of the topics.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Read this file of `assay dataset build`: its features are not computed again.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="File of labels, as `assay label --file` reads it. Default: the topic's.")
    ] = None,
    as_of: Annotated[datetime | None, typer.Option(help="Labels said by then count, UTC. Default: now.")] = None,
    maturity_days: Annotated[
        float, typer.Option(min=0, help="Payments younger than this at --as-of are left out: their labels are to come.")
    ] = 0.0,
    costs: Annotated[
        str | None,
        typer.Option(help="missed_share=1,missed=0,stopped_share=0,stopped=12,alert=5, or a YAML file of these."),
    ] = None,
    by: Annotated[list[str] | None, typer.Option(help="Also by each value of this field; may be given again.")] = None,
    changes: Annotated[
        Path | None, typer.Option(help="Write the payments decided otherwise: .parquet or .csv.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Write a page for people: .html.")] = None,
    group: Annotated[str | None, typer.Option(help="The scorer's consumer group. Default: ASSAY_GROUP.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. Default: one a core.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Judge payments of the past again, and compare with what was decided then, by the labels known.

    The first line has the two numbers that matter. A payment is stopped where there is an alert; one that no label says is
    fraud is good. Nothing is written to a topic. Set ASSAY_* as the scorer has them.
    """
    from services.clock import wall_ms

    with needing_files():
        from services.replay.dataset import Cut
        from services.replay.figures import changed, with_labels
        from services.replay.what_if import Question, judge_of
    if archive is not None and data is not None:
        raise AssayError("--archive and --data both say what to read: leave one out.")
    _check_targets(changes, page)
    logs_to_stderr()
    cut = Cut(
        wall_ms() if as_of is None else moment_ms(as_of),
        int(maturity_days * 86_400_000),
        0 if since is None else moment_ms(since),
        1 << 62 if until is None else moment_ms(until),
    )
    question = Question(cut, bundle, policy, _numbers(thresholds, THRESHOLDS, "--thresholds"), tuple(by or ()))
    costs_found = _costs(costs)
    judge = judge_of(question)
    if data is not None and judge.program is not None and judge.program.policy.lists:
        raise AssayError("A data set has no lists, which this policy asks: give --archive, or read the topics.")
    question = replace(question, own_labels=data is not None and labels is None)
    frauds = [] if question.own_labels else _frauds(labels, cut.as_of_ms)
    with progress_bar(hidden=json) as progress:
        frame = _answer(question, archive, data, group, workers or os.cpu_count() or 1, progress)
    if frame.is_empty():
        raise AssayError(
            "No payment is left: check --from, --to and --maturity-days, and that their scores are still there."
        )
    if not question.own_labels:
        frame = with_labels(frame, frauds)
    found = _figures(frame, question, costs_found, judge)
    other = changed(frame)
    if changes is not None:
        _write_changes(changes, other)
    if page is not None:
        from services.cli.offline.what_if_page import write_page

        write_page(page, found, other)
    if json:
        print_json(found)
    else:
        from services.cli.offline.what_if_page import show

        show(found, other)


def _answer(
    question: "Question", archive: Path | None, data: Path | None, group: str | None, workers: int, progress: "Progress"
) -> "pl.DataFrame":
    from services.replay.parallel import answers
    from services.replay.what_if import answer_of_partition, answer_of_rows, read_rows, spans_of
    from services.settings.loading import load
    from services.settings.processing import RuntimeSettings

    if data is not None:
        import polars as pl

        rows = int(read_rows(data).select(pl.len()).collect().item())
        step = min(max(1, -(-rows // workers)), PIECE_ROWS_MAX)
        pieces = [(data, start, step, question) for start in range(0, rows, step)]
        return answers(answer_of_rows, pieces, workers, lambda done: progress(done, rows))
    kept = None
    try:
        if archive is None:
            kept = Path(tempfile.mkdtemp(prefix="assay-what-if-"))
            archive = kept / "archive"
            asyncio.run(_keep(group or load(RuntimeSettings).group, archive, question, progress))
        spans = asyncio.run(spans_of(archive)).by_partition
        whole = sum(span.end - span.begin for span in spans.values())
        largest_first = sorted(spans, key=lambda number: spans[number].begin - spans[number].end)
        parts = [(archive, partition, question) for partition in largest_first]
        return answers(answer_of_partition, parts, workers, lambda done: progress(done, whole))
    finally:
        if kept is not None:
            shutil.rmtree(kept, ignore_errors=True)


async def _keep(group: str, directory: Path, question: "Question", progress: "Progress") -> None:
    """The topics, as an archive that every process can read."""
    from models.sources.spec_file import scorer_input
    from services.cli.offline.replay import topics_log
    from services.replay.archive import write_archive
    from services.replay.what_if import judge_of

    manifest = judge_of(question).session.bundle.manifest
    async with topics_log(group, scorer_input(manifest.source, manifest.feature_spec)) as log:
        await write_archive(log, directory, progress)


def _frauds(path: Path | None, as_of_ms: int) -> list[str]:
    """Ids of the payments that are fraud by what is known: of several labels the last counts."""
    if path is None:
        known = asyncio.run(_known(as_of_ms))
    else:
        from services.cli.offline.label_file import read_labels

        found, refused = read_labels(path, [], "analyst", as_of_ms)
        if refused:
            notes.print(
                f"{len(refused):,} rows of {path} left out; the first, in line {refused[0][1]}: {refused[0][0]}"
            )
        known = {label.transaction_id: label for label in found if label.labelled_at_ms <= as_of_ms}
    return [name for name, label in known.items() if label.verdict == "fraud"]


async def _known(as_of_ms: int) -> dict[str, Any]:
    from schemas.topics import LABELS
    from services.cli.sending import records
    from services.replay.dataset import known_labels

    return known_labels([record async for record in records(LABELS)], as_of_ms)


def _figures(frame: "pl.DataFrame", question: "Question", costs: "Costs", judge: Any) -> dict[str, Any]:
    from services.replay.figures import by_rule, by_segment, changed, days_of, figures

    days = days_of(frame)
    rules = {} if judge.program is None else {each.name: each.state for each in judge.program.policy.rules}
    currencies = frame["currency"].drop_nulls().n_unique()
    said = [f"amounts of {currencies} currencies are added as they are"] if currencies > 1 else []
    if judge.program is not None and judge.program.policy.lists:
        said.append("the lists are taken as they are now, not as they were then")
    frauds = int(frame["is_fraud"].sum())
    said += [] if frauds else ["no payment is known to be fraud: give --labels, or a later --as-of"]
    return {
        "would": figures(frame, "alert", days, costs).as_dict(),
        "then": figures(frame, "then_alert", days, costs).as_dict(),
        "changed": len(changed(frame)),
        "days": days,
        "as_of_ms": question.cut.as_of_ms,
        "bundle": str(judge.session.bundle.ref),
        "policy": judge.program.name if judge.program is not None else None,
        "thresholds": {name: getattr(judge.thresholds, name) for name in THRESHOLDS},
        "by_rule": by_rule(frame, rules),
        "by": {name: by_segment(frame, name) for name in question.columns},
        "notes": said,
    }


def _costs(text: str | None) -> "Costs":
    import yaml

    from services.replay.figures import COST_NAMES, Costs

    if text is None or "=" in text:
        return Costs(**_numbers(text, dict.fromkeys(COST_NAMES, 1e12), "--costs"))
    try:
        given = yaml.safe_load(Path(text).read_text(encoding="utf-8")).items()
        pairs = ",".join(f"{name}={value}" for name, value in given if isinstance(value, int | float | str))
        if pairs.count("=") != len(given):
            raise ValueError
    except (OSError, ValueError, TypeError, LookupError, RecursionError, yaml.YAMLError, AttributeError):
        raise AssayError(f"--costs {text} is neither NAME=NUMBER nor a YAML file of {', '.join(COST_NAMES)}.") from None
    return Costs(**_numbers(pairs, dict.fromkeys(COST_NAMES, 1e12), f"--costs {text}"))


def _numbers(text: str | None, known: dict[str, float], option: str) -> dict[str, float]:
    """NAME=NUMBER pairs, each number from 0 to the name's bound. Raises AssayError."""
    found: dict[str, float] = {}
    for pair in text.split(",") if text else ():
        name, _, number = pair.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = -1.0
        if name not in known or not 0 <= found[name] <= known[name]:
            limits = ", ".join(f"{each}=0 to {bound:g}" for each, bound in known.items())
            raise AssayError(f"{option}: {pair} is not usable; write {limits}, with commas between.")
    return found


def _check_targets(changes: Path | None, page: Path | None) -> None:
    """Before the work. Raises AssayError."""
    wanted: Sequence[tuple[str, Path | None, tuple[str, ...]]] = (
        ("--changes", changes, (".parquet", ".csv")),
        ("--page", page, (".html",)),
    )
    for option, path, suffixes in wanted:
        if path is not None and (path.suffix not in suffixes or not path.parent.is_dir()):
            raise AssayError(
                f"{option} {path} cannot be written: name a file in {' or '.join(suffixes)}, in a directory that is there."
            )


def _write_changes(path: Path, other: "pl.DataFrame") -> None:
    import polars as pl

    from services.cli.frames import write_whole

    lists = [name for name, dtype in other.schema.items() if dtype == pl.List(pl.String)]
    write_whole(path, other.with_columns(pl.col(name).list.join(",") for name in lists))
