"""`assay train credit`: train the credit bundle."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from models.installation import DEPLOY
from services.cli import reading
from services.cli.bundles.bundle import faults_of
from services.cli.files import needing_files
from services.cli.output import print_json, results
from services.cli.training import card, train_view
from services.cli.training.train import Accepted, needing_trainer
from services.errors import AssayError

if TYPE_CHECKING:
    from models.files.applications import Applications
    from models.files.options import ReadOptions
    from schemas.feature_spec import FeatureSpec

EXAMPLE = "Example: assay train credit --data applications.csv --label default --features spec.yaml --out bundle"

SIMULATED = 20_000
SIMULATED_FROM_MS = 1_767_225_600_000
"""2026-01-01."""

Data = Annotated[
    Path | None,
    typer.Option(
        help="Applications and what became of them: .csv or .tsv (also .gz, .zst) or .parquet. Default: simulated ones."
    ),
]
DataSet = Literal["german", "taiwan"]
Fetch = Annotated[DataSet | None, typer.Option(help="In place of a file: a public data set, from UCI.")]
Mapped = Annotated[list[str] | None, typer.Option("--map", help="ATTRIBUTE=COLUMN, where a column has another name.")]
Label = Annotated[str, typer.Option(help="Column that says who defaulted.")]
Spec = Annotated[Path, typer.Option(help="Feature spec of applications.", show_default="the public data set's")]
Classifier = Annotated[
    Literal["reference", "wide"],
    typer.Option(help="reference: 8 inputs -> 10 -> 1. wide: any inputs -> 64 -> 32 -> 1."),
]
Vae = Annotated[
    Literal["reference", "rarity", "mixed"],
    typer.Option(
        help="reference: squared errors. rarity: each input's error by how rarely those who repaid have one as large. "
        "mixed: a likelihood of each input's kind, categories among them."
    ),
]
Objective = Annotated[
    str, typer.Option(help="From where on to decline: cost:FN=A,FP=B, precision:FLOOR or budget:SHARE.")
]
Refer = Annotated[float, typer.Option(min=0.0, max=0.5, help="Share of the others to refer to a person, as unusual.")]
Choose = Annotated[
    int | None, typer.Option(min=1, help="Train nothing: print so many inputs, chosen among the spec's.")
]


def credit(
    data: Data = None,
    fetch: Fetch = None,
    mapped: Mapped = None,
    label: Label = "default",
    encoding: reading.Encoding = None,
    delimiter: reading.Delimiter = None,
    decimal: reading.Decimal = None,
    date_order: reading.DateOrder = None,
    time_unit: reading.TimeUnit = None,
    time_zone: reading.TimeZone = None,
    time_start: reading.TimeStart = None,
    without: reading.Without = None,
    words: reading.Words = None,
    features: Spec = DEPLOY / "features" / "credit-taiwan.yaml",
    out: Annotated[Path, typer.Option(help="Bundle directory.")] = Path("bundles/credit"),
    classifier: Classifier = "reference",
    vae: Vae = "reference",
    objective: Objective = "cost:FN=5,FP=1",
    refer_share: Refer = 0.01,
    choose: Choose = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random draw.")] = 1,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data, at most, for each network.")] = None,
    version: Annotated[int, typer.Option(min=1, help="Version of the bundle; grows with each release.")] = 1,
    source: Annotated[str | None, typer.Option(help="The data in words, with their licence, for the manifest.")] = None,
    owner: card.Owner = None,
    licence: card.Licence = None,
    permitted_use: card.PermittedUse = None,
    accept: Accepted = None,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest as one line of JSON, nothing else.")] = False,
) -> None:
    """Train the credit bundle: classifier of default, autoencoder of those who repaid, thresholds, one ONNX graph.

    60 % of the applications train, 20 % stop, calibrate and set the thresholds, 20 % test: drawn by seed, with equal shares of
    defaults, since such data have no time.
    """
    from models.features.spec_file import load_spec

    with needing_trainer():
        from models.training.credit.train import (
            OWN_CARD,
            PUBLIC_CARD,
            CreditSettings,
            CreditSource,
            network,
            train_credit,
        )
        from models.training.thresholds import parse_objective
    spec = load_spec(features, may_learn=True)
    options = reading.options(
        encoding, delimiter, decimal, date_order, time_unit, time_zone, time_start, without, words
    )
    applications, in_words = _applications(data, fetch, mapped or [], label, spec, options)
    if choose is not None:
        _show_choice(spec, applications, choose, seed, json)
        return
    settings = CreditSettings(
        spec=spec,
        seed=seed,
        version=version,
        **network(classifier, epochs, vae),
        objective=parse_objective(objective),
        refer_share=refer_share,
        accepted=faults_of(accept),
    )
    with train_view.bars(quiet=json) as shown:
        answers = card.told(OWN_CARD if data else PUBLIC_CARD, owner, licence, permitted_use)
        about = CreditSource(source or in_words, answers, SIMULATED_FROM_MS)
        manifest = train_credit(settings, applications, about, out, train_view.reporter(shown))
    train_view.show(manifest, out, json)


def _applications(
    data: Path | None,
    fetch: DataSet | None,
    mapped: list[str],
    label: str,
    spec: "FeatureSpec",
    options: "ReadOptions",
) -> "tuple[Applications, str]":
    """Labelled applications, and what they are in words."""
    with needing_files():
        from models.files.applications import Applications, mapping, read
    if data is not None and fetch is not None:
        raise AssayError("--data and --fetch both name the data: leave one out.")
    if data is not None:
        found = read(data, mapping(mapped), spec, label, options)
        reading.show([], found.notes)
        return found, f"Applications of the file {data.name}."
    if fetch is not None:
        from models.files.uci import UCI
        from models.files.uci import fetch as fetch_uci

        return fetch_uci(fetch), f"UCI data set {UCI[fetch].number}, CC BY 4.0."
    from models.simulation.applications import drawn

    batch = drawn(SIMULATED, seed=1, start_ms=SIMULATED_FROM_MS)
    return Applications(batch.rows(), batch.defaulted), "Simulated applications: the project's own generator."


def _show_choice(spec: "FeatureSpec", applications: "Applications", count: int, seed: int, json: bool) -> None:
    from models.training.credit.train import chosen_names

    names = chosen_names(spec, applications, count, seed)
    if json:
        print_json(names)
    else:
        results.print("\n".join(names))
