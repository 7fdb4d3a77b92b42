"""A second version of a bundle: other weights, so that every score differs, and the same features."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from models.bundle.load import load_bundle
from models.bundle.pack import pack_bundle
from tests.services.harness import ROOT

FRAUD = ROOT / "deploy" / "bundles" / "fraud"


def next_version(path: Path, source: Path = FRAUD) -> Path:
    """`source` with its first weights grown by a thousandth, one version up, packed at `path`."""
    bundle = load_bundle(source)
    model = onnx.load_from_string(bundle.model)
    tensor = next(t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 2)
    weights = (numpy_helper.to_array(tensor) * np.float32(1.001)).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    manifest = bundle.manifest.model_copy(update={"version": bundle.manifest.version + 1})
    pack_bundle(path, manifest, model.SerializeToString(), bundle.reference)
    return path
