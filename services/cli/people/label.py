"""`assay label`: says what payments turned out to be, one or a file of them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import reading
from services.cli.files import needing_files
from services.cli.output import notes, print_json, results

if TYPE_CHECKING:
    from models.files.options import ReadOptions
    from schemas.label import Label

EXAMPLE = "Example: assay label tx-000001042 fraud --source chargeback --terminal t000017 --paid 2026-11-02T14:05"

DAY_MS = 86_400_000


class Verdict(StrEnum):
    """What a payment was."""

    FRAUD = "fraud"
    LEGITIMATE = "legitimate"


class Source(StrEnum):
    """The source of a label."""

    CHARGEBACK = "chargeback"
    ANALYST = "analyst"
    CUSTOMER = "customer"


def label(
    transaction: Annotated[str | None, typer.Argument(help="Id of the payment.")] = None,
    verdict: Annotated[Verdict | None, typer.Argument(help="What it was.")] = None,
    source: Annotated[Source, typer.Option(help="Who says so.")] = Source.ANALYST,
    at: Annotated[datetime | None, typer.Option(help="When it was said, UTC. Default: now.")] = None,
    terminal: Annotated[str | None, typer.Option(help="Where it was paid: for the terminal's fraud rate.")] = None,
    paid: Annotated[datetime | None, typer.Option(help="When it was paid, UTC: for the same.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Instead of one: .csv, .tsv (also .gz, .zst) or .parquet with transaction_id and verdict."),
    ] = None,
    mapped: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help="FIELD=COLUMN, where a column has another name; ids.device_id=COLUMN for further ids."
        ),
    ] = None,
    encoding: reading.Encoding = None,
    delimiter: reading.Delimiter = None,
    date_order: reading.DateOrder = None,
    time_unit: reading.TimeUnit = None,
    time_zone: reading.TimeZone = None,
    time_start: reading.TimeStart = None,
    words: reading.Words = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Write labels to `labels`. Of several labels of one payment the last written counts.

    A file may also hold source, labelled_at_ms, card_id, terminal_id, event_time_ms, and further ids (ids.device_id); times are
    ms since 1970 or dates.
    Labels more than 180 days after their payment are left out, and counted.
    """
    from services.clock import wall_ms
    from services.errors import AssayError

    at_ms = wall_ms() if at is None else moment_ms(at)
    refused: list[tuple[str, int]] = []
    if file is not None and transaction is None:
        options = reading.options(encoding, delimiter, None, date_order, time_unit, time_zone, time_start, None, words)
        labels, refused = _of_file(file, mapped or [], source, at_ms, options)
    elif file is None and transaction is not None and verdict is not None:
        labels = [_one(transaction, verdict, source, at_ms, terminal, None if paid is None else moment_ms(paid))]
    else:
        raise AssayError("Give a transaction and a verdict, or --file: see `assay label --help`.")
    if not labels:
        first = reading.reasons(refused)[0]
        raise AssayError(
            f"No label could be read; the commonest reason (first in line {first.first_line}): {first.reason}."
        )
    asyncio.run(_send(labels, hidden=json))
    found = reading.reasons(refused)
    if json:
        by_reason = {each.reason: each.rows for each in found}
        print_json({"labels": len(labels), "refused": by_reason, "reasons": reading.as_json(found)})
        return
    reading.show(found, [])
    left_out = f", {len(refused):,} rows left out" if refused else ""
    results.print(f"{len(labels):,} {'label' if len(labels) == 1 else 'labels'} written{left_out}")


def moment_ms(moment: datetime) -> int:
    """ms since 1970 UTC; what names no zone is UTC."""
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _one(
    transaction: str, verdict: Verdict, source: Source, at_ms: int, terminal: str | None, paid_ms: int | None
) -> "Label":
    from pydantic import ValidationError

    from schemas.label import LABEL_AGE_DAYS_MAX, Label
    from services.errors import AssayError

    if paid_ms is not None and at_ms - paid_ms > LABEL_AGE_DAYS_MAX * DAY_MS:
        raise AssayError(f"The payment is more than {LABEL_AGE_DAYS_MAX} days older than its label: nothing reads it.")
    try:
        return Label(
            transaction_id=transaction,
            verdict=verdict.value,
            source=source.value,
            labelled_at_ms=at_ms,
            terminal_id=terminal,
            event_time_ms=paid_ms,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise AssayError(f"{'.'.join(map(str, first['loc']))} is not usable: {first['msg']}.") from None


def _of_file(
    path: Path, pairs: Sequence[str], source: Source, at_ms: int, options: "ReadOptions"
) -> tuple[list["Label"], list[tuple[str, int]]]:
    with needing_files():
        from services.cli.offline.label_file import read_labels
    return read_labels(path, pairs, source.value, at_ms, options)


async def _send(labels: Sequence["Label"], *, hidden: bool) -> None:
    """Keyed by payment, so that all labels of one stay in order."""
    from rich.progress import Progress

    from schemas import codec
    from schemas.topics import LABELS
    from services.cli.sending import sending

    with Progress(console=notes, disable=hidden or len(labels) < 1000, transient=True) as progress:
        task = progress.add_task("writing", total=len(labels))
        async with sending(LABELS) as send:
            for label in labels:
                await send(label.transaction_id.encode(), codec.write(label))
                progress.advance(task)
