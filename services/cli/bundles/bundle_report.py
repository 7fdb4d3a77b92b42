"""`assay bundle report`: where a bundle's page is, or a copy of it."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.output import print_json, results
from services.errors import AssayError

EXAMPLE = "Example: assay bundle report bundles/fraud --open"


class ReportError(AssayError):
    """There is no report to show, or no place for it."""


def report(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle: a directory or a container.")],
    out: Annotated[Path | None, typer.Option(help="Write a copy to this HTML file.")] = None,
    browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON.")] = False,
) -> None:
    """Say where a bundle's report is: measured quality, limits and origin of the model, in one HTML page to read or print.

    The bundle is checked first, so what is shown is what its manifest lists; `assay bundle verify` names the signer.
    """
    from models.bundle.files import REPORT
    from models.bundle.load import load_bundle
    from models.bundle.trust import Trust
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.trusted_bundles import find_seal_key

    trust = Trust(allow_unsigned=True, seal_key=lambda: find_seal_key(load(BundleSettings)))
    page = load_bundle(bundle, trust).report
    if page is None:
        raise ReportError(f"Bundle {bundle} has no report: train it again with `assay train`, which writes one.")
    if out is None and not bundle.is_dir():
        raise ReportError(f"Bundle {bundle} is one file: say with --out where to write its report.")
    place = out or bundle / REPORT
    if out is not None:
        try:
            out.write_bytes(page)
        except OSError as error:
            raise ReportError(f"{out} cannot be written: {error.strerror}.") from None
    if json:
        print_json({"report": str(place), "bytes": len(page)})
    else:
        results.print(str(place))
    if browser:
        typer.launch(place.resolve().as_uri())
