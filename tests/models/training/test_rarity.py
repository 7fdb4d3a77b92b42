"""Errors on the scale of rarity: the shares that legitimate rows have, floors, and a graph that says the same."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.bundle.graph import check_graph
from models.networks.classifier import Classifier, ClassifierShape
from models.networks.encoding import Encoding, PiecewiseLinear, fit_encoding, fit_standardisation
from models.networks.fused import Calibration, Fused
from models.networks.rarity import Rarity
from models.networks.vae import VaeShape
from models.training.devices import deterministic_torch
from models.training.export import TOLERANCE, check_agreement, export, largest_difference
from models.training.fit_rarity import ROOT_RISE, fit_rarity
from models.training.fit_vae import VaeSettings, fit_percentiles, fit_vae, reconstruction_errors
from models.training.progress import silent

pytestmark = pytest.mark.train

CPU = torch.device("cpu")


def errors(rows: int) -> NDArray[np.float32]:
    """Large ones, small ones of the same shape, and ones of a hundred-thousandth."""
    drawn = np.random.default_rng(0).gamma(1.0, 1.0, (rows, 1))
    return (drawn * np.array([1.0, 0.04, 1e-9])).astype(np.float32)


def nats(curves: Rarity, of: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[n, F] of errors."""
    found: NDArray[np.float32] = curves(torch.from_numpy(of)).numpy()
    return found


def test_a_feature_counts_log_2_more_for_each_half_of_the_rows_that_have_no_error_as_large() -> None:
    """Whatever the errors' size; nothing up to the median."""
    fitted, unseen = errors(40_000), np.random.default_rng(1).gamma(1.0, 1.0, 40_000).astype(np.float32)
    curves = Rarity(fit_rarity(fitted))
    found = nats(curves, unseen[:, None] * np.array([1.0, 0.04, 1e-9], np.float32))
    for halvings in range(1, 10):
        share = float((found[:, 0] >= halvings * np.log(2.0)).mean())
        assert share == pytest.approx(0.5 ** (halvings + 1), rel=0.25)
    assert float((found[:, 0] == 0.0).mean()) == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(found[:, 0], found[:, 1], atol=0.3)


def test_an_error_that_says_nothing_counts_nothing_however_rare_it_is() -> None:
    """A float32's last digits would decide else. What is worse than all that was seen still ranks."""
    fitted = errors(5_000)
    curves = Rarity(fit_rarity(fitted))
    assert float(nats(curves, fitted)[:, 2].max()) < 2e-5 / ROOT_RISE**2
    largest = fitted.max(axis=0)
    worse = np.stack([largest, 2.0 * largest, 3.0 * largest, 1e3 * largest])
    found = nats(curves, worse)[:, 0]
    assert found[0] == pytest.approx(np.log(2_500.0), rel=1e-5)
    assert found[0] < found[1] < found[2]
    assert found[3] == found[2]


@pytest.mark.parametrize("rows", [1, 2, 30])
def test_few_rows_make_a_curve_too(rows: int) -> None:
    """Rising, and finite."""
    curves = fit_rarity(errors(rows))
    assert np.all(np.diff(curves.errors, axis=1) > 0.0)
    assert np.all(np.diff(curves.nats) > 0.0)
    assert np.isfinite(nats(Rarity(curves), errors(10))).all()


def town(rows: int) -> tuple[Encoding, NDArray[np.float32]]:
    """Two numbers that go together, one that does not, a flag and a count that is mostly 0."""
    random = np.random.default_rng(0)
    first = random.gamma(1.0, 50.0, rows)
    columns = (first, first * random.gamma(50.0, 0.02, rows), random.random(rows), random.random(rows) < 0.1,
               random.poisson(0.3, rows))  # fmt: skip
    features = np.stack(columns, axis=1).astype(np.float32)
    return fit_encoding(features), features


@pytest.mark.parametrize("likelihood", ["squared", "mixed"])
def test_the_row_error_is_the_mean_of_its_features_nats_in_pytorch_and_in_onnx(likelihood: str) -> None:
    """The graph holds only allowed operators; strange numbers agree too, and the weights are the plain fit's."""
    encoding, features = town(1_500)
    settings = VaeSettings(VaeShape(100, (32, 16), 4), epochs=4, likelihood=likelihood, scale="rarity")  # type: ignore[arg-type]
    deterministic_torch(1)
    vae = fit_vae(encoding, features[:1000], features[1000:], settings, CPU, silent)
    found = reconstruction_errors(vae, PiecewiseLinear(encoding)(torch.from_numpy(features))).numpy()
    curve = fit_percentiles(found[1000:])
    classifier = Classifier(ClassifierShape(len(encoding.feature) + features.shape[1], (8,)))
    model = Fused(encoding, fit_standardisation(features), classifier, Calibration(1.0, 0.0), vae, curve).eval()
    content = export(model, "fraud")
    check_graph(content, features.shape[1])
    strange = features.copy()
    strange[:, :] = np.array([77.0, -3.0, 1e30, 1e-30], np.float32)[np.arange(len(features)) % 4][:, None]
    for some in (features, strange):
        assert check_agreement(model, content, some) <= TOLERANCE
        assert largest_difference(model, content, some) <= 10.0 * TOLERANCE
    with torch.no_grad():
        outputs = model(torch.from_numpy(features))
    np.testing.assert_array_equal(outputs.reconstruction_error.numpy(), found)
    torch.testing.assert_close(outputs.reconstruction_error, outputs.feature_errors.mean(dim=1))
    assert float(outputs.feature_errors.min()) >= 0.0
    deterministic_torch(1)
    plain = fit_vae(
        encoding, features[:1000], features[1000:], VaeSettings(settings.shape, epochs=4, likelihood=settings.likelihood),
        CPU, silent,
    )  # fmt: skip
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, vae.state_dict()[name])
