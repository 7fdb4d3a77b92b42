"""Rarity as the score: the shares that legitimate rows have, the rarer of both, and a graph that says the same."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.bundle.graph import check_graph
from models.networks.classifier import Classifier, ClassifierShape
from models.networks.encoding import Encoding, PiecewiseLinear, fit_encoding, fit_standardisation, present
from models.networks.fused import Calibration, Fused, feature_errors
from models.networks.rarity import Rarity
from models.networks.vae import VaeShape
from models.training.devices import deterministic_torch
from models.training.export import TOLERANCE, check_agreement, export, largest_difference
from models.training.fit_rarity import columns_of, fit_rarity
from models.training.fit_vae import VaeSettings, fit_percentiles, fit_vae, reconstruction_errors
from models.training.progress import silent

pytestmark = pytest.mark.train

CPU = torch.device("cpu")


def rows(count: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Residuals of two bins that go together, and of a third that hardly moves; latents of four."""
    random = np.random.default_rng(seed)
    common = random.normal(0.0, 0.3, (count, 1))
    residual = np.hstack([common, common + random.normal(0.0, 0.05, (count, 1)), random.normal(0, 1e-6, (count, 1))])
    return residual.astype(np.float32), random.normal(0.0, 0.7, (count, 4)).astype(np.float32)


def plain(features: int) -> Encoding:
    """A bin for each feature."""
    return Encoding(np.arange(features), np.zeros(features, np.float32), np.ones(features, np.float32))


def nats(scale: Rarity, residual: NDArray[np.float32], latent: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[n]."""
    found: NDArray[np.float32] = scale(torch.from_numpy(residual), torch.from_numpy(latent)).numpy()
    return found


def test_a_row_has_log_2_more_for_each_half_of_the_rows_that_are_not_as_far_out() -> None:
    """By its displacement alone, and by its latent alone, which counts log 4 less; nothing for the nearest."""
    scale = Rarity(fit_rarity(plain(3), *rows(40_000)))
    residual, latent = rows(40_000, 1)
    of_displacement, of_latent = nats(scale, residual, 0.0 * latent), nats(scale, 0.0 * residual, latent)
    for halvings in range(1, 8):
        share = float((of_displacement >= halvings * np.log(2.0)).mean())
        assert share == pytest.approx(0.5**halvings, rel=0.3)
        share = float((of_latent >= halvings * np.log(2.0)).mean())
        assert share == pytest.approx(0.5 ** (halvings + 2), rel=0.3)


def test_the_rarer_of_displacement_and_latent_counts_and_ever_farther_is_ever_rarer() -> None:
    """Against what goes together, not only far out; a direction in which nothing moves is no giant; no end above."""
    scale = Rarity(fit_rarity(plain(3), *rows(5_000)))
    asked = np.array(
        [[0.3, 0.3, 0.0], [0.3, -0.3, 0.0], [0.6, -0.6, 0.0], [0.0, 0.0, 1e-5], [0.0, 0.0, 0.0]], np.float32
    )
    near, far = np.zeros((5, 4), np.float32), np.full((5, 4), 3.0, np.float32)
    along, against, farther, still, nothing = nats(scale, asked, near)
    assert nothing == still == pytest.approx(0.0, abs=0.01)
    assert along < 2.0 < 5.0 < against < farther
    by_latent = nats(scale, asked, far)
    assert by_latent[4] > 5.0
    np.testing.assert_array_equal(by_latent, np.maximum(nats(scale, asked, near), by_latent[4]))
    assert nats(scale, asked, 2.0 * far)[4] > 2.0 * by_latent[4]


@pytest.mark.parametrize("count", [1, 2, 30])
def test_few_rows_make_a_scale_too(count: int) -> None:
    """Rising, and finite."""
    scale = fit_rarity(plain(3), *rows(count))
    assert np.all(np.diff(scale.distances, axis=1) > 0.0)
    assert np.all(np.diff(scale.nats) > 0.0)
    assert np.isfinite(nats(Rarity(scale), *rows(10, 1))).all()


def test_each_value_of_a_category_has_a_displacement_of_its_own() -> None:
    """Summed, one flag too many and one too few would be nothing."""
    features = np.random.default_rng(0).integers(1, 4, (500, 2)).astype(np.float32)
    encoding = fit_encoding(features, values=present(features, [1]))
    columns = columns_of(encoding)
    assert columns.shape == (len(encoding.feature), 4)
    assert columns.sum(axis=1).tolist() == [1.0] * len(encoding.feature)
    assert sorted(columns.sum(axis=0)) == [1.0, 1.0, 1.0, len(encoding.feature) - 3.0]


def town(rows: int) -> NDArray[np.float32]:
    """Two numbers that go together, one that does not, a flag and a count that is mostly 0."""
    random = np.random.default_rng(0)
    first = random.gamma(1.0, 50.0, rows)
    columns = (first, first * random.gamma(50.0, 0.02, rows), random.random(rows), random.random(rows) < 0.1,
               random.poisson(0.3, rows))  # fmt: skip
    return np.stack(columns, axis=1).astype(np.float32)


@pytest.mark.parametrize("codes", [(), (3,)])
def test_rarity_is_the_plain_fits_own_and_the_same_in_pytorch_and_in_onnx(codes: tuple[int, ...]) -> None:
    """The graph holds only allowed operators; strange numbers agree too; each feature's error is the plain one."""
    features = town(1_500)
    encoding = fit_encoding(features, values=present(features, codes))
    models = {}
    for score in ("mean", "rarity"):
        settings = VaeSettings(VaeShape(100, (32, 16), 4), epochs=4, score=score)
        deterministic_torch(1)
        vae = fit_vae(encoding, features[:1000], features[1000:], settings, CPU, silent)
        found = reconstruction_errors(vae, PiecewiseLinear(encoding)(torch.from_numpy(features))).numpy()
        classifier = Classifier(ClassifierShape(len(encoding.feature) + features.shape[1], (8,)))
        curve, standardisation = fit_percentiles(found[1000:]), fit_standardisation(features, codes)
        model = Fused(encoding, standardisation, classifier, Calibration(1.0, 0.0), vae, curve).eval()
        content = export(model, "fraud")
        check_graph(content, features.shape[1])
        strange = features.copy()
        strange[:, :] = np.array([77.0, -3.0, 1e30, 1e-30], np.float32)[np.arange(len(features)) % 4][:, None]
        for some in (features, strange):
            assert check_agreement(model, content, some) <= TOLERANCE
            assert largest_difference(model, content, some) <= 5.0 * TOLERANCE
        models[score] = model
        with torch.no_grad():
            np.testing.assert_array_equal(model(torch.from_numpy(features)).reconstruction_error.numpy(), found)
    of_plain, of_rarity = models["mean"].vae.state_dict(), models["rarity"].vae.state_dict()
    assert all(torch.equal(weight, of_rarity[name]) for name, weight in of_plain.items())
    by_feature = {name: feature_errors(model, features) for name, model in models.items()}
    np.testing.assert_array_equal(by_feature["mean"], by_feature["rarity"])
