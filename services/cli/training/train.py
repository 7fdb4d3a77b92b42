"""`assay train`: train a bundle. The only commands that need PyTorch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from models.installation import DEPLOY, lacking
from services.cli import reading
from services.cli.bundles.bundle import faults_of
from services.cli.files import needing_files
from services.cli.training import card, train_view
from services.errors import AssayError

if TYPE_CHECKING:
    from models.files.options import ReadOptions
    from models.training.fraud.history import History
    from models.training.fraud.train import FraudSettings
    from models.training.progress import Progress

app = typer.Typer(help="Train a bundle.", no_args_is_help=True, epilog="Example: assay train fraud")

FRAUD_EXAMPLE = (
    "Example: assay train fraud --data payments.parquet --map card_id=CUSTOMER_ID --label TX_FRAUD --out bundle"
)


class TrainError(AssayError):
    """Training is not possible as asked."""


Out = Annotated[Path, typer.Option(help="Bundle directory.")]
Spec = Annotated[Path | None, typer.Option(help="Feature spec. Default: the demo's.")]
Results = Annotated[Path | None, typer.Option(help="Also write the table of results to this Markdown file.")]
Data = Annotated[
    Path | None,
    typer.Option(help="Labelled payments: .csv or .tsv (also .gz, .zst) or .parquet. Default: simulated ones."),
]
Mapped = Annotated[list[str] | None, typer.Option("--map", help="FIELD=COLUMN, where a column has another name.")]
Label = Annotated[
    str | None,
    typer.Option(
        help="Column that says which payments were frauds. Default: the source spec's `label`, else is_fraud."
    ),
]
Scenario = Annotated[str | None, typer.Option(help="Column that numbers the kinds of fraud, for figures of each.")]
From = Annotated[str | None, typer.Option("--from", help="First day of the training cut, such as 2018-07-25.")]
Cut = Annotated[int | None, typer.Option(min=1)]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of every random draw. Default: 1.")]
Rings = Annotated[
    bool,
    typer.Option(
        "--rings", help="Simulate frauds of many cards at once, too. --features and --source: by default those for it."
    ),
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Passes over the data, at most, for each network.")]
Version = Annotated[int, typer.Option(min=1, help="Version of the bundle; grows with each release.")]
LineName = Annotated[str | None, typer.Option("--name", help="Of the model line, a product's name. Default: fraud.")]
Classifier = Annotated[
    Literal["reference", "wide", "ensemble", "xgboost", "lightgbm", "blend"],
    typer.Option(
        help="reference: 8 chosen features -> 10 -> 1. wide: all features. ensemble: 8 of these over shared weights. "
        "xgboost, lightgbm: trees. blend: wide and xgboost."
    ),
]
Vae = Annotated[
    Literal["reference", "rarity", "mixed"],
    typer.Option(
        help="reference: 100 -> 256 -> 128 -> 64 -> 32 and back, mean squared error. rarity: the same network, scored by how "
        "few legitimate rows are as far out. mixed: with a likelihood of each feature's kind, where frauds show in categories."
    ),
]
Calibration = Annotated[Literal["platt", "temperature", "isotonic"], typer.Option(help="Of the probability.")]
Objective = Annotated[
    str,
    typer.Option(
        help="Of the thresholds: budget:SHARE, alerts:A_DAY, precision:P, recall:R, cost:FN=A,FP=B (FN=amount: what it took)."
    ),
]
Compared = Annotated[bool, typer.Option(help="Fit the baselines and the unseen kinds of fraud too.")]
Gan = Annotated[bool, typer.Option(help="Try synthetic frauds; they ship only if they are shown to help.")]
Described = Annotated[
    str | None, typer.Option("--described-as", help="The data of --data in words, for manifest and report.")
]
Accepted = Annotated[
    list[str] | None,
    typer.Option(
        "--accept",
        metavar="FAULT",
        help="Write it in spite of: constant (no better), logistic (far below a logistic regression on the same inputs).",
    ),
]
Tune = Annotated[
    str | None,
    typer.Option(
        metavar="BUDGET",
        help="Choose the classifier's settings first, in 10m, 90s, 1h or so many trials (20), on days of the training cut.",
    ),
]
PartRows = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Read a Parquet file so many rows at a time, for payments that do not fit into memory: in order of days, typed.",
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Fits at once, where one needs none of the others; any number gives the same bundle. Default: one a core.",
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with a training that did not end: its folder is OUT.training.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the manifest as one line of JSON, nothing else.")]


@app.callback()
def train() -> None:
    """Train a bundle: classifier, autoencoder, thresholds, one ONNX graph."""


@app.command(epilog=FRAUD_EXAMPLE)
def fraud(
    data: Data = None,
    mapped: Mapped = None,
    source_file: reading.SourceFile = None,
    label: Label = None,
    scenario: Scenario = None,
    out: Out = Path("bundles/fraud"),
    features: Spec = None,
    encoding: reading.Encoding = None,
    delimiter: reading.Delimiter = None,
    decimal: reading.Decimal = None,
    date_order: reading.DateOrder = None,
    time_unit: reading.TimeUnit = None,
    time_zone: reading.TimeZone = None,
    time_start: reading.TimeStart = None,
    without: reading.Without = None,
    words: reading.Words = None,
    results: Results = None,
    from_day: From = None,
    train_days: Cut = None,
    validation_days: Cut = None,
    delay_days: Cut = None,
    test_days: Cut = None,
    classifier: Classifier = "wide",
    vae: Vae = "rarity",
    calibration: Calibration = "platt",
    objective: Objective = "budget:0.005",
    seed: Seed = None,
    days: Annotated[int | None, typer.Option(min=1, help="Simulated days. Default: 100.")] = None,
    customers: Annotated[int | None, typer.Option(min=3, help="Simulated customers. Default: 5000.")] = None,
    rings: Rings = False,
    epochs: Epochs = None,
    compared: Compared = True,
    gan: Gan = True,
    described: Described = None,
    owner: card.Owner = None,
    licence: card.Licence = None,
    permitted_use: card.PermittedUse = None,
    version: Version = 1,
    name: LineName = None,
    accept: Accepted = None,
    tune: Tune = None,
    part_rows: PartRows = None,
    processes: Processes = None,
    resume: Resume = False,
    json: Json = False,
) -> None:
    """Train the fraud bundle on labelled payments of a file, or on simulated ones.

    The cuts follow each other in time: --train-days, --validation-days, --delay-days (labels not known yet), --test-days; by
    default everything, less 10, 7 and 7 days. Payments before the training cut still fill the histories.
    """
    with needing_trainer():
        from models.training.checkpoints import checkpoints
        from models.training.fraud import requests, train
        from models.training.fraud.outlook import usual_s
        from models.training.fraud.tuning import parse_budget
        from models.training.progress import Outlook
    if part_rows and (source_file or not data):
        raise TrainError("--part-rows reads the payments of --data by their columns: leave it out here.")
    if rings and data:
        raise TrainError("--rings is of simulated payments, and --data gives others: leave one out.")
    own = reading.source_spec(source_file or (DEPLOY / "sources" / "rings.yaml" if rings else None), mapped)
    settings = requests.fraud_settings(
        features or DEPLOY / "features" / ("rings.yaml" if rings else "fraud.yaml"),
        requests.Names(classifier, vae, calibration, objective),
        cuts=requests.cuts_of(train_days, validation_days, delay_days, test_days),
        epochs=epochs,
        numbers=dict(
            _card(data, owner, licence, permitted_use),
            source=own,
            seed=seed,
            days=days,
            customers=customers,
            from_date=from_day,
            name=name,
            accepted=faults_of(accept) or None,
            rings=rings or None,
        ),
        version=version,
        compared=compared,
        gan=gan,
    )
    options = reading.options(
        encoding, delimiter, decimal, date_order, time_unit, time_zone, time_start, without, words
    )
    budget = parse_budget(tune) if tune else None
    label = label or (own.label if own is not None else None) or "is_fraud"
    with (
        checkpoints(Path(f"{out.absolute()}.training"), resume=resume) as kept,
        train_view.run_shown(Outlook(usual_s(settings, processes, budget)), quiet=json) as report,
    ):
        history = None
        if data:
            files = Files(kept.directory, part_rows)
            history = _history(data, mapped or [], label, scenario, settings, report, options, described, files)
        manifest = train.train_fraud(settings, out, report, results, history, processes, kept, budget)
    train_view.show(manifest, out, json)


class Files(NamedTuple):
    """Where features lie, and how many rows of payments are in memory at once; None for all."""

    directory: Path | None
    part_rows: int | None


@contextmanager
def needing_trainer() -> Iterator[None]:
    """Around an import that needs the extra `train`."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise TrainError(lacking("Training needs", error, "train")) from None


def _history(
    path: Path,
    mapped: list[str],
    label: str,
    scenario: str | None,
    settings: "FraudSettings",
    report: "Progress",
    options: "ReadOptions",
    source: str | None,
    files: Files,
) -> "History":
    with needing_files():
        from models.files.payments import mapping
        from models.training.data import train_days
        from models.training.fraud.file_history import read_history
        from models.training.fraud.parted_history import PartedFile, parted_history
        from models.training.fraud.train import cuts_from
    told: list[str] = []
    if files.part_rows:
        file = PartedFile(path, mapping(mapped), label, scenario, options, settings.spec, files.part_rows)
        history = parted_history(file, files.directory, report, told)
    else:
        history = read_history(
            path,
            mapping(mapped),
            label,
            settings.spec,
            scenario,
            report,
            options,
            told,
            settings.source,
            lambda first_day, days: train_days(days, cuts_from(settings, first_day, days)),
            files.directory,
        )
    reading.show([], told)
    return replace(history, source=f"{source} {history.source}") if source else history


def _card(data: Path | None, *words: str | None) -> dict[str, Any]:
    """The bundle's owner, licence and permitted use, where one is given."""
    from models.training.fraud.train import OWN_CARD, SIMULATED_CARD

    return {"card": card.told(OWN_CARD if data else SIMULATED_CARD, *words)} if any(words) else {}
