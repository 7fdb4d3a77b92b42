"""`assay batch`: score a file of payments with the stream's own code."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import reading
from services.cli.files import needing_files
from services.cli.output import notes, print_json, results
from services.errors import AssayError

if TYPE_CHECKING:
    from services.scorer.offline import Judged

EXAMPLE = "Example: assay batch --map card_id=CUSTOMER_ID --map amount=TX_AMOUNT payments.parquet scores.parquet"


def batch(
    source: Annotated[Path, typer.Argument(help="Payments: .csv or .tsv (also .gz, .zst) or .parquet.")],
    target: Annotated[Path, typer.Argument(help="Scores: .csv or .parquet; written over.")],
    bundle: Annotated[Path | None, typer.Option(help="Bundle. Default: the one that scores.")] = None,
    mapped: Annotated[
        list[str] | None, typer.Option("--map", help="FIELD=COLUMN, where a column has another name.")
    ] = None,
    source_file: reading.SourceFile = None,
    label: Annotated[
        str | None, typer.Option(help="Column that says which payments were frauds: for fraud rates.")
    ] = None,
    label_delay_days: Annotated[
        int | None, typer.Option(min=0, help="Days until a label is known. Default: the bundle's label delay.")
    ] = None,
    encoding: reading.Encoding = None,
    delimiter: reading.Delimiter = None,
    decimal: reading.Decimal = None,
    date_order: reading.DateOrder = None,
    time_unit: reading.TimeUnit = None,
    time_zone: reading.TimeZone = None,
    time_start: reading.TimeStart = None,
    without: reading.Without = None,
    words: reading.Words = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON, and no progress.")] = False,
) -> None:
    """Score a file of payments in order of their time, from an empty history, for back-fills and evaluation.

    One row out for each row in, in the file's order: transaction_id, probability, reconstruction_error,
    anomaly_percentile, alert; and in `rejected` and `detail` why a payment that the stream would refuse has no scores. A
    payment sees of its terminal what the file's earlier days and the labels that were known by then say.
    """
    from rich.progress import Progress

    from services.scorer.offline import judge
    from services.settings.loading import load
    from services.settings.processing import RuntimeSettings
    from services.settings.scorer import ScorerSettings
    from services.swapping.loader import load_session

    with needing_files():
        from models.files import payments
        from services.cli import tables
    tables.check_target(target)
    options = reading.options(
        encoding, delimiter, decimal, date_order, time_unit, time_zone, time_start, without, words
    )
    session, resolved = load_session(load(ScorerSettings), bundle)
    spec, told = session.bundle.manifest.feature_spec, list[str]()
    own = reading.source_of(session.bundle.manifest, reading.source_spec(source_file, mapped))
    fields = tables.read(source, own, mapped, label, options, spec, told)
    with Progress(console=notes, disable=json) as progress:
        task = progress.add_task("scoring", total=len(fields))
        judged = judge(
            session,
            payments.payloads(fields),
            lambda done: progress.update(task, completed=done),
            bytes_max=load(RuntimeSettings).message_bytes_max,
            cards_max=tables.ids_max(fields, spec),
            is_fraud=fields["is_fraud"].to_numpy(),
            known_after_days=label_delay_days,
            source=own,
        )
    tables.write(target, fields, judged)
    found = reading.reasons(tables.refused(fields, judged))
    _summary(judged, session.model_name, resolved.why, target, found, told, json)


def _summary(
    judged: "Judged", model: str, why: str, target: Path, found: list[reading.Reason], told: list[str], json: bool
) -> None:
    rows, rejected = len(judged.alert), sum(reason is not None for reason in judged.rejected)
    scored, alerts = rows - rejected, int(judged.alert.sum())
    if json:
        counts = {"rows": rows, "scored": scored, "rejected": rejected, "alerts": alerts, "model": model, "why": why}
        print_json({**counts, "reasons": reading.as_json(found)})
    else:
        reading.show(found, told)
        results.print(
            f"{scored:,} of {rows:,} payments scored by {model} ({why}), {alerts:,} alerts, {rejected:,} rejected: {target}"
        )
    if not scored:
        raise AssayError(f"None of the {rows:,} payments could be scored; the commonest reason: {found[0].reason}.")
