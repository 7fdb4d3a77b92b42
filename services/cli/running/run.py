"""`assay run`: everything that the bundle that scores needs, on this machine, until asked to stop."""

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from services.cli.output import notes
from services.cli.running.children import Child, run_until_asked

if TYPE_CHECKING:
    from schemas.manifest import Manifest

EXAMPLE = "Example: ASSAY_BUNDLE=bundle ASSAY_BUNDLE_PUBLIC_KEYS=release.pub assay run"
MARGIN_S = 5.0
"""How much longer than its own drain a program may take to end."""


def run() -> None:
    """Run the scorer and whatever its bundle needs beside it, until Ctrl-C or SIGTERM, then drain all of them.

    Intake where the source is routed, the stages of entities and the profiler where features read them: the same programs as
    `assay intake`, `entities`, `profile` and `score`, one of each, with the same settings. Ends with the first that fails.
    """
    from models.bundle.files import BundleError
    from services.errors import AssayError
    from services.settings.bundles import BundleSettings
    from services.settings.loading import load
    from services.settings.processing import RuntimeSettings
    from services.settings.scorer import ScorerSettings
    from services.trusted_bundles import advice, scoring_bundle

    try:
        found = scoring_bundle(load(ScorerSettings), load(BundleSettings))
    except BundleError as error:
        raise AssayError(f"{error}{advice(error)}") from None
    wanted = programs(found.bundle.manifest)
    notes.print(f"{found.ref.name}/{found.ref.version} needs {', '.join(wanted)}; Ctrl-C ends all of them.")
    failed, statuses = run_until_asked(_started(wanted), load(RuntimeSettings).drain_timeout_s + MARGIN_S)
    if failed is not None:
        notes.print(
            f"{failed.name} ended with status {failed.status}, so everything was ended; its last lines say why."
        )
        raise typer.Exit(failed.status or 1)
    raise typer.Exit(max(statuses, default=0))


def programs(manifest: "Manifest") -> list[str]:
    """What has to run, in the order of a payment's way."""
    source, spec = manifest.source, manifest.feature_spec
    needed = {
        "intake": source is not None and source.is_routed,
        "entities": bool(spec.stages),
        "profiler": spec.profiled,
        "scorer": True,
    }
    return [name for name, is_needed in needed.items() if is_needed]


def _started(wanted: list[str]) -> Iterator[Child]:
    for name in wanted:
        yield Child.start(name, (sys.executable, "-m", f"services.{name}"), dict(os.environ))
