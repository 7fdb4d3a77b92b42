"""`assay credit batch`: judge a file of applications with the stream's own code."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import reading
from services.cli.files import needing_files
from services.cli.output import notes, print_json, results
from services.errors import AssayError

if TYPE_CHECKING:
    from models.bundle.load import Bundle
    from models.files.applications import Applications
    from models.policy.program import Program
    from schemas.policy import AttributeType
    from services.credit.offline import Judgement

EXAMPLE = "Example: assay credit batch --map LIMIT_BAL=limit applications.parquet decisions.csv"


def batch(
    source: Annotated[Path, typer.Argument(help="Applications: .csv or .tsv (also .gz, .zst) or .parquet.")],
    target: Annotated[Path, typer.Argument(help="Decisions: .csv or .parquet; written over.")],
    bundle: Annotated[Path | None, typer.Option(help="Bundle directory. Default: ASSAY_CREDIT_BUNDLE.")] = None,
    policy: Annotated[
        Path | None,
        typer.Option(help="Policy in YAML that decides behind the scores. Default: the bundle's thresholds alone."),
    ] = None,
    mapped: Annotated[
        list[str] | None, typer.Option("--map", help="ATTRIBUTE=COLUMN, where a column has another name.")
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
    """Judge a file of applications, to the same bits as the stream.

    One row out for each row in, in the file's order: probability, reconstruction_error, anomaly_percentile, outcome, reasons
    (in words, `; ` between, those of rules first); and in `rejected` why an application that the stream would refuse has none.
    """
    from rich.progress import Progress

    from services.credit.offline import judge
    from services.settings.credit import CreditSettings
    from services.settings.loading import load
    from services.swapping.loader import load_session

    with needing_files():
        from models.files.applications import mapping, read
        from models.files.table import RAGGED_WORDS
    if target.suffix not in (".csv", ".parquet"):
        raise AssayError(f"{target} ends in neither .csv nor .parquet: name it after its format.")
    options = reading.options(
        encoding, delimiter, decimal, date_order, time_unit, time_zone, time_start, without, words
    )
    settings = load(CreditSettings)
    session, _ = load_session(settings, bundle)
    program = None if policy is None else _program(policy, session.bundle)
    spec, more = session.bundle.manifest.feature_spec, {} if program is None else _attributes(program)
    applications = read(source, mapping(mapped or []), spec, options=options, more=more)
    with Progress(console=notes, disable=json) as progress:
        task = progress.add_task("judging", total=len(applications))
        judged = judge(
            session,
            applications.attributes,
            lambda done: progress.update(task, completed=done),
            dict.fromkeys(applications.ragged, RAGGED_WORDS),
            program,
        )
    _write(target, judged)
    _summary(judged, applications, session.model_name, target, json=json)


def _program(path: Path, bundle: "Bundle") -> "Program":
    """The policy, ready to run. Raises PolicyError; AssayError where it needs what a file has not."""
    from models.policy.policy_file import compile_policy, load_policy
    from services.trusted_policies import known_to

    written, text = load_policy(path)
    program = compile_policy(written, known_to(bundle, written), text, str(path))
    own = sorted(column.name for column in program.columns.values() if column.group == "event")
    if own:
        raise AssayError(f"{path} reads {own[0]}, which a file has not: judge the applications as a stream.")
    if any(rule.share < 1.0 for rule in program.rules):
        raise AssayError(
            f"{path} applies a rule to a share by the applications' ids, which a file has not: judge them as a stream."
        )
    return program


def _attributes(program: "Program") -> "dict[str, AttributeType]":
    return {column.name: column.kind for column in program.columns.values() if column.group == "attribute"}


def _summary(judged: "Judgement", applications: "Applications", model: str, target: Path, *, json: bool) -> None:
    """Their outcome. Raises AssayError where none was judged."""
    refused = [(why, line) for why, line in zip(judged.rejected, applications.lines, strict=True) if why is not None]
    found = reading.reasons(refused)
    reading.show([] if json else found, [] if json else applications.notes)
    counts = Counter(outcome or "rejected" for outcome in judged.outcome)
    if json:
        print_json(
            {
                "applications": len(applications),
                **counts,
                "model": model,
                "reasons": reading.as_json(found),
            }
        )
    else:
        words = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.most_common())
        results.print(f"{len(applications):,} applications judged by {model}: {words}; in {target}")
    if len(refused) == len(applications):
        raise AssayError(
            f"None of the {len(refused):,} applications could be judged; the commonest reason: {found[0].reason}."
        )


def _write(path: Path, judged: "Judgement") -> None:
    """At once or not at all. Raises AssayError."""
    import polars as pl

    from services.cli.frames import write_whole

    scored = pl.col("rejected").is_null()
    frame = pl.DataFrame(
        {
            **judged.scores._asdict(),
            "outcome": judged.outcome,
            "reasons": [
                "; ".join((*words, *(reason.text for reason in reasons)))
                for words, reasons in zip(judged.adverse, judged.reasons, strict=True)
            ],
            "rejected": pl.Series(judged.rejected, dtype=pl.String),
        }
    ).with_columns(pl.when(scored).then(pl.col(name)).alias(name) for name in judged.scores._fields)
    write_whole(path, frame)
