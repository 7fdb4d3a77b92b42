"""`assay monitor`: runs the monitor, and shows what it found."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models.installation import lacking
from services.cli.output import print_json, results, shown
from services.cli.products import Product

if TYPE_CHECKING:
    from schemas.monitor import MonitorReport

app = typer.Typer(
    help="Drift and delayed quality of the models that score.",
    no_args_is_help=True,
    epilog="Example: assay monitor show",
)


OfProduct = Annotated[Product, typer.Option("--product", help="Whose models: of payments, or of credit applications.")]


@app.command(epilog="Example: ASSAY_KAFKA_BOOTSTRAP=broker:9092 assay monitor run")
def run(product: OfProduct = Product.FRAUD) -> None:
    """Watch the models until Ctrl-C or SIGTERM. Settings: the environment; a second process takes over when one dies."""
    from services.errors import AssayError

    try:
        from services.credit_monitor.__main__ import start as start_of_credit
        from services.faust_runtime.run import main
        from services.monitor.__main__ import start
    except ModuleNotFoundError as error:
        raise AssayError(lacking("The monitor needs", error, "side")) from None
    main(start_of_credit if product is Product.CREDIT else start)


@app.command(epilog="Example: assay monitor show --json")
def show(
    product: OfProduct = Product.FRAUD,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON for each report.")] = False,
) -> None:
    """Show the newest reports of each model: what drifted, and what labels say by the payments' (applications') age."""
    reports = asyncio.run(_newest(product))
    if json:
        for report in reports:
            print_json(report.model_dump(mode="json", exclude_none=True))
        return
    if not reports:
        results.print("Nothing reported yet: the monitor waits for a full window of scores, or for labels.")
    for report in reports:
        results.print(shown(_line(report, product)))


async def _newest(product: Product) -> list["MonitorReport"]:
    """The newest drift report of each model, and the newest quality report of each model and age."""
    from schemas.topics import CREDIT_MONITOR, MONITOR
    from services.cli.sending import records, usable

    found: dict[tuple[object, ...], MonitorReport] = {}
    async for record in records(CREDIT_MONITOR if product is Product.CREDIT else MONITOR):
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


def _line(report: "MonitorReport", product: Product = Product.FRAUD) -> str:
    credit = product is Product.CREDIT
    many, alerted = ("applications", "not approved") if credit else ("payments", "alert rate")
    if report.drift is not None:
        drift = report.drift
        names = ", ".join(f"{d.name} (PSI {d.psi:.2f}, KS {d.ks:.2f})" for d in drift.distributions if d.drifted)
        return f"{report.model} drift over {drift.scored:,} {many}: {names or 'none'}; {alerted} {drift.alert_rate:.2%}"
    quality = report.quality
    assert quality is not None
    age = (
        f"{quality.age_days_min} days and older"
        if quality.mature
        else f"{quality.age_days_min} to {quality.age_days_max} days"
    )
    named = (
        ("precision", quality.precision),
        ("recall", quality.recall),
        ("AP", quality.average_precision),
        ("calibration error", quality.calibration_error),
    )
    of_credit = (
        ("defaults of approved", quality.passed_bad_rate),
        ("of not approved", quality.precision),
        ("AUC", quality.roc_auc),
        ("calibration error", quality.calibration_error),
    )
    said = ", ".join(
        f"{name} {'-' if value is None else f'{value:.3f}'}" for name, value in (of_credit if credit else named)
    )
    return f"{report.model} {many} of {age}{'' if quality.mature else ' (so far)'}: {said}; {quality.labelled:,} labels"
