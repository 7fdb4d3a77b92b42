"""Credit bundles to test with: versions of the committed one, whose reference is of everyone whom the simulator lets apply."""

import functools
from pathlib import Path

import numpy as np

from models.bundle.load import Bundle, load_bundle
from models.bundle.pack import pack_bundle, stated
from models.features.attributes import AttributeMapping
from models.scoring.golden import golden_of, spread_rows
from models.scoring.session import ModelSession
from models.simulation.applications import drawn
from models.training.reference import build_reference
from schemas.manifest import Manifest
from schemas.reference import Reference
from tests.models.bundle.making import signed
from tests.services.harness import BASE_TIME_MS, ROOT

COMMITTED = ROOT / "deploy/bundles/credit"
APPLICANTS = 4_000


@functools.cache
def committed() -> Bundle:
    """The demo's bundle."""
    return load_bundle(COMMITTED)


@functools.cache
def reference() -> Reference:
    """Of simulated applicants, as training makes it of a validation cut."""
    bundle = committed()
    spec = bundle.manifest.feature_spec
    rows, problems = AttributeMapping(spec).matrix(drawn(APPLICANTS, seed=91, start_ms=BASE_TIME_MS).rows())
    assert not problems
    everyone = build_reference(spec, rows, ModelSession(bundle, "cpu").run(rows))
    background = bundle.reference.background
    return everyone.model_copy(update={"background": background, "of_everyone": True})


def version_of(path: Path, version: int, manifest: Manifest | None = None, *, of_everyone: bool = True) -> Bundle:
    """Write version `version` to `path`, signed with the tests' key; what was written.

    manifest: this one in place of the committed bundle's. of_everyone: else the reference does not
    say of whom it is, as in earlier versions.
    """
    old, known = committed(), reference().model_copy(update={"of_everyone": of_everyone or None})
    manifest = (manifest or old.manifest).model_copy(update={"version": version})
    named = zip(known.features, manifest.feature_spec.names, strict=True)
    features = tuple(histogram.model_copy(update={"name": name}) for histogram, name in named)
    known = known.model_copy(update={"features": features})
    rows = spread_rows(known)
    session = ModelSession(Bundle(manifest, old.model, known, ""), "cpu")
    golden = golden_of(np.asarray(rows), session.run(rows), session.feature_errors)
    pack_bundle(path, stated(manifest, old.model, known), old.model, known, None, golden)
    signed(path)
    return load_bundle(path)
