"""`assay bundle thresholds`: a bundle's next version with other thresholds, and a report that is its own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.installation import lacking
from services.cli.output import notes, print_json, results
from services.errors import AssayError

if TYPE_CHECKING:
    from models.training.thresholds import Objective
    from schemas.manifest import Manifest
    from schemas.manifest import Thresholds as Chosen

EXAMPLE = "Example: assay bundle thresholds bundles/fraud --out bundles/fraud-2 --objective alerts:20"

SHOWN = ("alert_share_combined", "precision_combined", "recall_combined")


def thresholds(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle: a directory or a container.")],
    out: Annotated[Path, typer.Option(help="Directory of the new version; not the old one's.")],
    objective: Annotated[
        str | None,
        typer.Option(
            help="alerts:A_DAY, budget:SHARE, precision:FLOOR, recall:FLOOR or cost:FN=A,FP=B (FN=amount: its own), "
            "on validation."
        ),
    ] = None,
    probability: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Alert from here on.")] = None,
    anomaly_percentile: Annotated[float | None, typer.Option(min=0.0, max=100.0, help="Alert from here on.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Default: the next.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Write a bundle's next version with other thresholds: numbers, or what they are to reach on its validation payments.

    Figures and report are measured again on its test payments, whose scores it carries. The new version is unsigned: look at
    its report, then `assay bundle sign`. The way back is the old version, which stays as it is.
    """
    from models.bundle.load import load_bundle
    from models.bundle.trust import Trust
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.trusted_bundles import find_seal_key

    try:
        from models.training.fraud.new_thresholds import with_thresholds
    except ModuleNotFoundError as error:
        raise AssayError(lacking("Measuring needs", error, "train")) from None
    if out.resolve() == bundle.resolve():
        raise AssayError(f"{out} is the bundle itself, which is the way back: name another directory with --out.")
    if out.exists():
        raise AssayError(f"{out} is there already: name a directory that is not.")
    old = load_bundle(bundle, Trust(allow_unsigned=True, seal_key=lambda: find_seal_key(load(BundleSettings))))
    asked = _asked(old.manifest, objective, probability, anomaly_percentile)
    number = old.manifest.version + 1 if version is None else version
    if number <= old.manifest.version:
        raise AssayError(
            f"--version {number} is not above {old.manifest.version}, the bundle's own: give a higher one."
        )
    _show(old.manifest, with_thresholds(old, number, asked, out), out, json)


def _asked(
    manifest: "Manifest", objective: str | None, probability: float | None, percentile: float | None
) -> "Objective | Chosen":
    from models.training.thresholds import parse_objective

    numbers = {
        name: v for name, v in (("probability", probability), ("anomaly_percentile", percentile)) if v is not None
    }
    if (objective is None) == (not numbers):
        raise AssayError("Give either --objective, or --probability and --anomaly-percentile, or one of these two.")
    if objective is not None:
        return parse_objective(objective)
    return manifest.thresholds.model_copy(update={**numbers, "objective": "given as numbers, by a person"})


def _show(old: "Manifest", new: "Manifest", out: Path, json: bool) -> None:
    from rich.table import Table

    if json:
        print_json({"bundle": f"{new.name}/{new.version}", "directory": str(out), "thresholds": new.thresholds.model_dump(),
                    "metrics": {name: new.metrics[name] for name in SHOWN}})  # fmt: skip
        return
    table = Table("on the test payments", f"{old.name}/{old.version}", f"{new.name}/{new.version}")
    for name in ("probability", "anomaly_percentile"):
        before, after = (f"{getattr(each.thresholds, name):.6g}" for each in (old, new))
        table.add_row(f"alert from this {name.replace('_', ' ')} on", before, after)
    for name in SHOWN:
        table.add_row(
            name.removesuffix("_combined").replace("_", " "), *(f"{each.metrics[name]:.2%}" for each in (old, new))
        )
    results.print(table)
    if not new.metrics["alert_share_combined"]:
        notes.print("It raises no alert on the test payments: ask for more of them.")
    results.print(
        f"{new.name}/{new.version} is in {out}, unsigned: look at its report.html, then `assay bundle sign {out}`."
    )
