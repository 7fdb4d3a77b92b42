"""`assay bundle build`: a bundle from a classifier of another library, as ONNX."""

from pathlib import Path
from typing import Annotated

import typer

from models.installation import lacking
from services.cli.output import print_json, results
from services.errors import AssayError

EXAMPLE = "Example: assay bundle build model.onnx --features spec.yaml --reference labelled.parquet --out bundle"


class BuildError(AssayError):
    """A bundle cannot be built here."""


ReferenceRows = Annotated[
    Path,
    typer.Option(help="Labelled rows that it was not trained on, with a column for each feature: .parquet, .csv."),
]
Expected = Annotated[
    str | None, typer.Option(help="Column of --reference with the library's own probabilities, to compare with.")
]
Source = Annotated[
    Path | None, typer.Option(help="Source spec of the events that the features are of. Default: `transactions`.")
]
AnomalyFrom = Annotated[
    Path | None, typer.Option(help="Bundle of the same features whose anomaly score is taken. Default: there is none.")
]
Described = Annotated[
    str | None, typer.Option("--described-as", help="What it was trained on, in words, for manifest and report.")
]
Objective = Annotated[
    str,
    typer.Option(help="Of the threshold: budget:SHARE, alerts:A_DAY, precision:FLOOR, recall:FLOOR or cost:FN=A,FP=B."),
]


def build(
    model: Annotated[Path, typer.Argument(help="ONNX file, as the library's converter writes it.")],
    features: Annotated[Path, typer.Option(help="Feature spec of the model's inputs, in their order.")],
    reference: ReferenceRows,
    out: Annotated[Path, typer.Option(help="Bundle directory.")],
    source: Source = None,
    label: Annotated[str, typer.Option(help="Column of --reference that says what was fraud.")] = "is_fraud",
    positive: Annotated[str | None, typer.Option(help="The class that is fraud. Default: 1 of 0 and 1.")] = None,
    output: Annotated[str | None, typer.Option(help="The output with probabilities, where there are several.")] = None,
    expected: Expected = None,
    objective: Objective = "budget:0.005",
    name: Annotated[str, typer.Option(help="Name of the model line.")] = "fraud",
    version: Annotated[int, typer.Option(min=1, help="Version of the bundle; grows with each release.")] = 1,
    anomaly_from: AnomalyFrom = None,
    described: Described = None,
    owner: Annotated[str | None, typer.Option(help="Who answers for the bundle.")] = None,
    licence: Annotated[str | None, typer.Option(help="Of the bundle.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the manifest as one line of JSON, nothing else.")] = False,
) -> None:
    """Build an unsigned bundle from a model of scikit-learn, XGBoost, LightGBM or PyTorch, exported as ONNX.

    The rows of --reference, in order of time: the threshold is chosen on the first half, the figures are of the second. The
    model's graph and the bundle's are run on all of them, and must say the same.
    """
    try:
        from models.bundle.load import load_bundle
        from models.features.spec_file import load_spec
        from models.foreign.build import BuildSettings, build_bundle, parse_objective
        from models.sources.spec_file import load_source
    except ModuleNotFoundError as error:
        raise BuildError(lacking("Building needs", error, "cpu,files,train")) from None
    given = {"owner": owner, "licence": licence, "described": described}
    settings = BuildSettings(
        spec=load_spec(features),
        source=load_source(source) if source else None,
        anomaly=load_bundle(anomaly_from) if anomaly_from else None,
        objective=parse_objective(objective),
        label=label,
        positive=positive,
        output=output,
        expected=expected,
        name=name,
        version=version,
        **{field: value for field, value in given.items() if value is not None},
    )
    manifest = build_bundle(model, reference, out, settings)
    if json:
        print_json(manifest.model_dump(mode="json", exclude_none=True))
        return
    figures, threshold = manifest.metrics, manifest.thresholds.probability
    results.print(f"{manifest.name}/{manifest.version}, unsigned: {out}", markup=False)
    results.print(
        f"ROC AUC {figures['roc_auc']:.3f}, average precision {figures['average_precision']:.3f}; alerts from probability "
        f"{threshold:.4f} on: {figures['precision_classifier']:.0%} right, {figures['recall_classifier']:.0%} of the frauds "
        "found. Next: assay bundle report, then assay bundle sign."
    )
