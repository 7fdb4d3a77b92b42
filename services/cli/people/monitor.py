"""`assay monitor`: runs the monitor, and shows what it found."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models.installation import lacking
from services.cli.output import print_json, results, shown

if TYPE_CHECKING:
    from schemas.monitor import MonitorReport

app = typer.Typer(
    help="Drift and delayed quality of the models that score.",
    no_args_is_help=True,
    epilog="Example: assay monitor show",
)


@app.command(epilog="Example: ASSAY_KAFKA_BOOTSTRAP=broker:9092 assay monitor run")
def run() -> None:
    """Watch the models until Ctrl-C or SIGTERM. Settings: the environment; a second process takes over when one dies."""
    from services.errors import AssayError

    try:
        from services.faust_runtime.run import main
        from services.monitor.__main__ import start
    except ModuleNotFoundError as error:
        raise AssayError(lacking("The monitor needs", error, "side")) from None
    main(start)


@app.command(epilog="Example: assay monitor show --json")
def show(json: Annotated[bool, typer.Option("--json", help="One line of JSON for each report.")] = False) -> None:
    """Show the newest reports of each model: what drifted, and what labels say by the payments' age."""
    reports = asyncio.run(_newest())
    if json:
        for report in reports:
            print_json(report.model_dump(mode="json", exclude_none=True))
        return
    if not reports:
        results.print("Nothing reported yet: the monitor waits for a full window of scores, or for labels.")
    for report in reports:
        results.print(shown(_line(report)))


async def _newest() -> list["MonitorReport"]:
    """The newest drift report of each model, and the newest quality report of each model and age."""
    from schemas.topics import MONITOR
    from services.cli.sending import records, usable

    found: dict[tuple[object, ...], MonitorReport] = {}
    async for record in records(MONITOR):
        report = usable(record, _report_of)
        if report is None:
            continue
        age = report.quality.age_days_min if report.quality else None
        found[report.model, report.kind, age] = report
    return [found[key] for key in sorted(found, key=str)]


def _report_of(record: Any) -> "MonitorReport":
    from schemas import codec
    from schemas.monitor import MonitorReport

    return codec.read(MonitorReport, record.value or b"")


def _line(report: "MonitorReport") -> str:
    if report.drift is not None:
        drift = report.drift
        names = ", ".join(f"{d.name} (PSI {d.psi:.2f}, KS {d.ks:.2f})" for d in drift.distributions if d.drifted)
        return (
            f"{report.model} drift over {drift.scored:,} payments: {names or 'none'}; alert rate {drift.alert_rate:.2%}"
        )
    quality = report.quality
    assert quality is not None
    age = (
        f"{quality.age_days_min} days and older"
        if quality.mature
        else f"{quality.age_days_min} to {quality.age_days_max} days"
    )
    figures = (
        ("precision", quality.precision),
        ("recall", quality.recall),
        ("AP", quality.average_precision),
        ("calibration error", quality.calibration_error),
    )
    said = ", ".join(f"{name} {'-' if value is None else f'{value:.3f}'}" for name, value in figures)
    return (
        f"{report.model} payments of {age}{'' if quality.mature else ' (so far)'}: {said}; {quality.labelled:,} labels"
    )
