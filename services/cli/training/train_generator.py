"""`assay train generator`: train what `assay simulate --from gan` streams."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from services.cli import reading
from services.cli.files import needing_files
from services.cli.output import print_json
from services.cli.training import train_view
from services.cli.training.train import Json, Seed, Version, needing_trainer

if TYPE_CHECKING:
    from models.files.options import ReadOptions
    from models.training.generator.payment_rows import PaymentRows

EXAMPLE = "Example: assay train generator --data payments.parquet --map card_id=CUSTOMER_ID --out generator"

Data = Annotated[
    Path | None, typer.Option(help="Payments: .csv or .tsv (also .gz, .zst) or .parquet. Default: simulated ones.")
]
Mapped = Annotated[list[str] | None, typer.Option("--map", help="FIELD=COLUMN, where a column has another name.")]
Label = Annotated[str | None, typer.Option(help="Column that says which payments were frauds; they are left out.")]
Out = Annotated[Path, typer.Option(help="Directory of the generator.")]
Days = Annotated[int, typer.Option(min=1, help="Simulated days.")]
Customers = Annotated[int, typer.Option(min=100, help="Simulated customers.")]
Network = Annotated[Literal["reference"], typer.Option(help="100 -> 256 -> 512 -> 1000 -> columns.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps of the fit. Default: 2000.")]


def generator(
    data: Data = None,
    mapped: Mapped = None,
    label: Label = None,
    encoding: reading.Encoding = None,
    delimiter: reading.Delimiter = None,
    decimal: reading.Decimal = None,
    date_order: reading.DateOrder = None,
    time_unit: reading.TimeUnit = None,
    time_zone: reading.TimeZone = None,
    time_start: reading.TimeStart = None,
    words: reading.Words = None,
    out: Out = Path("generators/payments"),
    seed: Seed = None,
    days: Days = 28,
    customers: Customers = 2_000,
    network: Network = "reference",
    steps: Steps = None,
    version: Version = 1,
    json: Json = False,
) -> None:
    """Train the generator of payments that `assay simulate --from gan` streams."""
    with needing_trainer():
        from models.networks.gan import PRESETS
        from models.training.generator.fit_gan import GanSettings
        from models.training.generator.train import GeneratorSettings, train_generator
    gan = GanSettings(shape=PRESETS[network])
    settings = GeneratorSettings(
        seed=1 if seed is None else seed,
        version=version,
        customers=customers,
        days=days,
        gan=gan if steps is None else replace(gan, steps=steps),
    )
    options = reading.options(encoding, delimiter, decimal, date_order, time_unit, time_zone, time_start, None, words)
    payments = _payments(data, mapped or [], label, options) if data else None
    with train_view.bars(quiet=json) as shown:
        manifest = train_generator(settings, out, train_view.reporter(shown), payments)
    if json:
        print_json(manifest.model_dump(mode="json"))
    else:
        title = f"{manifest.name}/{manifest.version} in {out}"
        train_view.figures_table(title, "synthetic payments beside real ones", manifest.quality)


def _payments(path: Path, mapped: list[str], label: str | None, options: "ReadOptions") -> "PaymentRows":
    with needing_files():
        from models.files.payments import mapping
        from models.training.generator.payment_rows import file_rows
    told: list[str] = []
    rows = file_rows(path, mapping(mapped), label, options, told)
    reading.show([], told)
    return rows
