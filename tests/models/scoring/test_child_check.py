"""A graph is tried in a process of its own: what crashes, waits or is hungry there is a refusal here."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from models.bundle.files import BundleError
from models.bundle.load import Bundle, load_bundle
from models.scoring.child_check import check_in_child
from tests.models.bundle.making import COMMITTED

BUNDLE = load_bundle(COMMITTED)


def with_graph(model: onnx.ModelProto) -> Bundle:
    """The committed bundle with a graph that no walk has seen."""
    return replace(BUNDLE, model=model.SerializeToString())


@pytest.mark.parametrize("product", ["fraud", "credit"])
def test_the_committed_bundles_pass(product: str) -> None:
    """Within the limits that a scorer sets."""
    check_in_child(load_bundle(Path("deploy/bundles") / product))


def test_what_is_no_graph_is_refused_in_a_sentence() -> None:
    """ONNX Runtime's own words, cut short."""
    with pytest.raises(BundleError, match="in a process of its own") as refused:
        check_in_child(replace(BUNDLE, model=b"no graph"))
    assert refused.value.reason == "graph"
    assert "\n" not in str(refused.value)


def test_a_graph_that_takes_gigabytes_at_load_ends_a_child() -> None:
    """Eighteen times twice as long, from 4,000 numbers to a billion: refused by the walk, and here if it were not."""
    model = onnx.load_from_string(BUNDLE.model)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(4_000, np.float32), "seed"))
    name = "seed"
    for number in range(18):
        model.graph.node.append(helper.make_node("Concat", [name, name], [f"d{number}"], axis=0))
        name = f"d{number}"
    model.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    with pytest.raises(BundleError, match="is refused"):
        check_in_child(with_graph(model), memory_mib_max=2048)


def test_a_child_that_does_not_answer_in_time_is_ended() -> None:
    """No start of a process takes so little."""
    with pytest.raises(BundleError, match=r"takes more than 0\.001 s"):
        check_in_child(BUNDLE, wall_s_max=0.001)


def test_answers_that_are_no_numbers_are_refused() -> None:
    """Infinite weights, say."""
    model = onnx.load_from_string(BUNDLE.model)
    weight = next(w for w in model.graph.initializer if w.name == "logit.bias")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32("nan"), weight.name))
    with pytest.raises(BundleError, match="no number") as refused:
        check_in_child(with_graph(model))
    assert refused.value.reason == "golden"


def test_a_scorer_that_was_given_less_memory_than_the_trial_asks_for_starts_all_the_same() -> None:
    """`ulimit -v`, or LimitAS of a unit: the trial wanted to raise it, and every bundle was refused."""
    code = (
        "import resource\nfrom models.bundle.load import load_bundle\nfrom models.scoring.child_check import check_in_child\n"
        "from pathlib import Path\nresource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))\n"
        "check_in_child(load_bundle(Path('deploy/bundles/fraud')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
