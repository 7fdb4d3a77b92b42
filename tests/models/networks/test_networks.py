"""The networks' shapes, the encoding and the loss."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.networks import classifier, vae
from models.networks.encoding import PiecewiseLinear, Standardise, fit_encoding, fit_standardisation


def widths(module: torch.nn.Module) -> list[tuple[int, int]]:
    """(inputs, outputs) of every linear layer, in order."""
    return [(m.in_features, m.out_features) for m in module.modules() if isinstance(m, torch.nn.Linear)]


def test_the_reference_classifier_is_8_10_1() -> None:
    """The preset has the reference network's layers and gives probabilities."""
    network = classifier.Classifier(classifier.REFERENCE)
    assert widths(network) == [(8, 10), (10, 1)]
    probability = network.probability(torch.randn(50, 8))
    assert probability.shape == (50,)
    assert bool(((probability > 0) & (probability < 1)).all())


def test_an_ensemble_is_networks_over_shared_weights_and_their_mean() -> None:
    """Each member is the network that its scales make; they start apart, and share what is large."""
    torch.manual_seed(0)
    network = classifier.Ensemble(classifier.ClassifierShape(20, (16, 8)), members=5).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
        rows = torch.randn(30, 20)
        members = network.members(rows)
        assert members.shape == (30, 5)
        assert float(members.std(dim=1).min()) > 0.0
        torch.testing.assert_close(network(rows), members.mean(dim=1))
        hidden = []
        for layers in network.networks:
            values = rows
            for layer in layers:
                values = torch.relu(layer(values))
            hidden.append(values)
        torch.testing.assert_close(network.output(torch.cat(hidden, dim=1)).squeeze(1), network(rows))
    shared = sum(weight.numel() for weight in network.shared)
    assert shared == 20 * 16 + 16 * 8
    start = classifier.Ensemble(classifier.ClassifierShape(20, (16, 8)), members=5)
    assert set(start.input_scale[0].detach().flatten().tolist()) == {-1.0, 1.0}


def test_the_reference_autoencoder_is_100_256_128_64_32_and_back() -> None:
    """The preset has the reference network's layers, two heads among them."""
    expected = [(100, 256), (256, 128), (128, 64), (64, 32), (64, 32), (32, 64), (64, 128), (128, 256), (256, 100)]
    assert widths(vae.Vae(vae.REFERENCE)) == expected


def test_the_reconstruction_draws_nothing_and_the_forward_pass_draws_by_its_noise() -> None:
    """Scoring uses the mean: equal to a forward pass without noise, unequal with it."""
    torch.manual_seed(0)
    network, inputs = vae.Vae(), torch.rand(5, 100)
    without, _, _ = network(inputs, torch.zeros(5, 32))
    with_noise, _, _ = network(inputs, torch.ones(5, 32))
    assert torch.equal(network.reconstruct(inputs), without)
    assert not torch.equal(with_noise, without)


def test_the_loss_is_squared_error_plus_beta_times_the_divergence_from_a_standard_normal() -> None:
    """Against torch's own divergence of two normal distributions."""
    torch.manual_seed(0)
    inputs, reconstruction, mean, log_variance = (
        torch.rand(7, 9),
        torch.rand(7, 9),
        torch.randn(7, 4),
        torch.randn(7, 4),
    )
    posterior = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    divergence = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(dim=1)
    expected = (((inputs - reconstruction) ** 2).sum(dim=1) + 0.3 * divergence).mean()
    assert torch.allclose(vae.negative_elbo(inputs, reconstruction, mean, log_variance, 0.3), expected)


def test_a_binary_feature_has_one_bin_and_the_rest_share_the_others_evenly() -> None:
    """100 bins over three continuous and two binary features: 33, 33, 32, 1, 1."""
    random = np.random.default_rng(0)
    features = random.normal(size=(500, 5)).astype(np.float32)
    features[:, 3:] = features[:, 3:] > 0
    assert np.bincount(fit_encoding(features).feature).tolist() == [33, 33, 32, 1, 1]


def test_too_few_bins_are_refused() -> None:
    """A sentence says how many are needed."""
    with pytest.raises(ValueError, match="at least one bin"):
        fit_encoding(np.zeros((4, 101), np.float32))


@settings(max_examples=40, deadline=None)
@given(
    columns=st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=30, max_size=30), min_size=1, max_size=6),
    probe=st.floats(allow_nan=False, allow_infinity=False, width=32),
)
def test_the_encoding_is_within_0_and_1_and_never_falls(columns: list[list[float]], probe: float) -> None:
    """For any training columns, constant ones included, and any finite value."""
    features = np.array(columns, np.float32).T
    encode = PiecewiseLinear(fit_encoding(features))
    low, high = sorted([probe, 0.0])
    encoded = encode(torch.tensor([[low] * features.shape[1], [high] * features.shape[1]]))
    assert bool(((encoded >= 0) & (encoded <= 1)).all())
    assert bool((encoded[1] >= encoded[0]).all())


def test_the_standardisation_has_mean_0_and_deviation_1_and_is_cut_off() -> None:
    """A constant feature becomes 0, an absurd value 10."""
    features = np.random.default_rng(0).gamma(2.0, size=(1000, 3)).astype(np.float32)
    features[:, 2] = 7.0
    standardise = Standardise(fit_standardisation(features))
    scaled = standardise(torch.from_numpy(features))
    assert torch.allclose(scaled.mean(dim=0), torch.zeros(3), atol=1e-4)
    assert torch.allclose(scaled.std(dim=0, unbiased=False), torch.tensor([1.0, 1.0, 0.0]), atol=1e-3)
    assert float(standardise(torch.full((1, 3), 1e30)).max()) == 10.0
