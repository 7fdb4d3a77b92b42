"""Bundles to test with: versions of the committed one, signed with keys made for the test."""

import functools
from pathlib import Path

import numpy as np
import onnx
from cryptography.hazmat.primitives.asymmetric import ec
from onnx import TensorProto, helper, numpy_helper

from models.bundle import container
from models.bundle.files import GOLDEN, MODEL, SIGNATURE, Files
from models.bundle.keys import PrivateKey
from models.bundle.load import Bundle, load_bundle
from models.bundle.pack import pack_bundle, stated
from models.bundle.signing import sign
from models.scoring.golden import golden_of, spread_rows
from models.scoring.session import ModelSession
from schemas.manifest import Manifest

COMMITTED = Path("deploy/bundles/fraud")


@functools.cache
def signing_key() -> PrivateKey:
    """A key that signs, one for the whole run."""
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def other_graph() -> bytes:
    """The committed graph with another bias at its end: other probabilities, everything else as it was."""
    model = onnx.load_from_string((COMMITTED / MODEL).read_bytes())
    weight = next(w for w in model.graph.initializer if w.name == "logit.bias")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + np.float32(0.25), weight.name))
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def version_of(
    path: Path, version: int, *, other: bool = False, manifest: Manifest | None = None, report: bytes | None = None
) -> Bundle:
    """Write version `version` of the committed bundle to `path`, with golden rows of its own and unsigned; what was written.

    other: with `other_graph`. manifest: with this one in place of the committed bundle's.
    """
    old = load_bundle(COMMITTED)
    manifest = (manifest or old.manifest).model_copy(update={"version": version})
    model = other_graph() if other else old.model
    named = zip(old.reference.features, manifest.feature_spec.names, strict=True)
    features = tuple(histogram.model_copy(update={"name": name}) for histogram, name in named)
    reference = old.reference.model_copy(update={"features": features})
    rows = spread_rows(reference)
    session = ModelSession(Bundle(manifest, model, reference, ""), "cpu")
    golden = golden_of(rows, session.run(rows), session.feature_errors)
    pack_bundle(path, stated(manifest, model, reference), model, reference, report, golden)
    return load_bundle(path)


def read_raw(path: Path) -> Files:
    """The files of a directory, whatever they are."""
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def signed(path: Path, key: PrivateKey | None = None) -> Files:
    """Sign the directory as it is, without looking at it; its files."""
    files = read_raw(path)
    files.pop(SIGNATURE, None)
    files[SIGNATURE] = sign(files, key or signing_key(), "bundle")
    (path / SIGNATURE).write_bytes(files[SIGNATURE])
    return files


def packed(path: Path, key: PrivateKey | None = None) -> bytes:
    """The directory, signed, as a container."""
    return container.pack(signed(path, key))


def drop_golden(path: Path) -> Bundle:
    """Take the golden rows out of an unsigned bundle."""
    bundle = load_bundle(path)
    (path / GOLDEN).unlink()
    pack_bundle(path, bundle.manifest, bundle.model, bundle.reference)
    return load_bundle(path)


def external_data(model: onnx.ModelProto) -> None:
    """A weight that lies in another file."""
    weight = model.graph.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../etc/passwd")


def custom_operator(model: onnx.ModelProto) -> None:
    """An operator of a library that would be loaded."""
    model.graph.node.append(helper.make_node("Evil", ["x"], ["y"], domain="com.evil"))


def endless_loop(model: onnx.ModelProto) -> None:
    """A graph within a graph."""
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["n"], ["y"], body=body))
