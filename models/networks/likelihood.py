"""Mixed likelihoods of a row's features: how unexpected each of them is to the autoencoder, in nats, whatever its kind.

Ma, Tschiatschek, Turner, Hernandez-Lobato, Zhang, "VAEM: a Deep Generative Model for Heterogeneous Mixed Type Data", 2020: a
squared error makes a category's surprise one flag among a hundred inputs. Here a category has a softmax over its values, a flag
Bernoulli's likelihood, and a number a Gaussian's with a variance of its own (Rybkin, Daniilidis, Levine, "Simple and Effective
VAE Training with Calibrated Decoders", 2021). A number with a share of rows at its lowest value (a count that is mostly 0) has
both: whether it is there, and if it is above, how far (zero-inflated).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.networks.encoding import Encoding, PiecewiseLinear

INFLATED_SHARE = 0.1
"""A number of which so many rows have the lowest value is inflated there."""

PROBABILITY_MIN = 1e-4
"""What a value of a category that never came, or a flag that never was, is taken to have: none is more than 9.2 nats."""

LOGIT_MAX = 20.0
"""Logits of categories are cut off here: so every value's share is far above what a float32 can hold."""

STEP_MAX = 1e4
"""A number counts as above its lowest value from the smallest hundredth of those that are, or from this part of a bin."""

VARIANCE_MIN = 1e-2
"""Of a number's bins, which are 0 to 1: what the decoder knows exactly must not outweigh everything else."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """What the likelihoods are of. F features, B bins of the encoding, G features with a gate, C with categories.

    share: float32[B, F], the mean over a number's bins; 0 for what is no number. gate: float32[B, G], a row's bins to whether
    each is above its lowest value (1), at it (0), or on the way. gate_place: int64[G], each one's logit among the decoder's
    outputs; from B on they are outputs of their own. gated: float32[G, F], which feature each is of. always: float32[F], 1 for
    numbers that are judged in every row. value: int64[V], bins of categories, group: float32[V, C], of which category, and
    of_category: float32[C, F]. variance: float32[F], of each number's bins, where nothing is known of a row.
    """

    share: NDArray[np.float32]
    gate: NDArray[np.float32]
    gate_place: NDArray[np.int64]
    gated: NDArray[np.float32]
    always: NDArray[np.float32]
    value: NDArray[np.int64]
    group: NDArray[np.float32]
    of_category: NDArray[np.float32]
    variance: NDArray[np.float32]

    @property
    def outputs(self) -> int:
        """How many the decoder has: one for each bin, and one for each inflated number."""
        bins = len(self.share)
        return bins + int((self.gate_place >= bins).sum())


def kinds_of(encoding: Encoding, rows: NDArray[np.float32]) -> Kinds:
    """The kind of each feature, as float32[n, F] shows it: legitimate rows of the training cut."""
    bins, features = len(encoding.feature), encoding.features
    one_hot = np.eye(features, dtype=np.float32)[encoding.feature]
    of_value = np.zeros(bins, np.bool_) if encoding.of_value is None else encoding.of_value
    category = np.unique(encoding.feature[of_value])
    with torch.no_grad():
        encoded = PiecewiseLinear(encoding)(torch.from_numpy(rows)).numpy()
    flag, inflated, steps = [], [], {}
    for feature in np.setdiff1d(np.arange(features), category):
        total = encoded[:, encoding.feature == feature].sum(axis=1, dtype=np.float64)
        above = total[total > 0.0]
        if (encoding.feature == feature).sum() == 1 and len(np.unique(rows[:, feature])) <= 2:
            flag.append(feature)
        elif len(above) and 1.0 - len(above) / len(total) >= INFLATED_SHARE:
            inflated.append(feature)
            steps[feature] = min(STEP_MAX, 1.0 / np.quantile(above, 0.01))
    gated = np.array([*flag, *inflated], np.int64)
    gate = one_hot[:, gated] * np.array([steps.get(feature, 1.0) for feature in gated], np.float32)
    first_bin = np.searchsorted(encoding.feature, flag)
    number = np.setdiff1d(np.arange(features), [*category, *flag])
    of_number = np.isin(np.arange(features), number)
    share = np.where(of_number, one_hot / one_hot.sum(axis=0), 0.0).astype(np.float32)
    return Kinds(
        share=share,
        gate=gate.astype(np.float32),
        gate_place=np.concatenate([first_bin, bins + np.arange(len(inflated))]).astype(np.int64),
        gated=np.eye(features, dtype=np.float32)[gated],
        always=(of_number & ~np.isin(np.arange(features), inflated)).astype(np.float32),
        value=np.flatnonzero(of_value),
        group=(encoding.feature[of_value][:, None] == category).astype(np.float32),
        of_category=np.eye(features, dtype=np.float32)[category],
        variance=np.maximum(encoded.var(axis=0) @ share, VARIANCE_MIN).astype(np.float32),
    )


class MixedLikelihood(nn.Module):
    """Encoded rows and the decoder's outputs to nats of each feature. Its one weight is the logarithm of the variances."""

    def __init__(self, kinds: Kinds) -> None:
        super().__init__()
        self.outputs = kinds.outputs
        for name in ("share", "gate", "gate_place", "gated", "always", "value", "group", "of_category"):
            self.register_buffer(name, torch.from_numpy(getattr(kinds, name)))
        self.log_variance = nn.Parameter(torch.from_numpy(kinds.variance).log())

    @property
    def precision(self) -> Tensor:
        """float32[F]: half the inverse of each number's variance."""
        return 0.5 / self.log_variance.exp().clamp(min=VARIANCE_MIN)

    def judged(self, encoded: Tensor) -> Tensor:
        """float32[n, F]: 1 for numbers that are above their lowest value, or have none that stands apart; 0 for all else."""
        return self.always + self.gates(encoded) @ self.gated_numbers

    @property
    def gated_numbers(self) -> Tensor:
        """float32[G, F]: of those gates that are of a number, which."""
        return self.gated * (self.share > 0).any(dim=0)

    def gates(self, encoded: Tensor) -> Tensor:
        """float32[n, G]: 1 above the lowest value, 0 at it."""
        return (encoded @ self.gate).clamp(0.0, 1.0)

    def forward(self, encoded: Tensor, outputs: Tensor) -> Tensor:
        """float32[n, B] and float32[n, outputs] to float32[n, F], 0 or more: nats beyond the likeliest value's.

        Of a number, half its squared error in variances, without the density's constant, which no row differs in.
        """
        residual = torch.sigmoid(outputs[:, : len(self.share)]) - encoded
        nats = ((residual**2) @ (self.share * self.precision)) * self.judged(encoded)
        if self.gate.shape[1]:
            nats = nats + self._of_gates(encoded, outputs) @ self.gated
        if len(self.value):
            nats = nats + self._of_categories(encoded, outputs) @ self.of_category
        return torch.relu(nats)

    def loss(self, encoded: Tensor, outputs: Tensor) -> Tensor:
        """float32[n]: negative log likelihood, up to a constant: the nats and the variances' own part."""
        spread = 0.5 * self.log_variance.exp().clamp(min=VARIANCE_MIN).log()
        return (self(encoded, outputs) + self.judged(encoded) * spread).sum(dim=1)

    def _of_gates(self, encoded: Tensor, outputs: Tensor) -> Tensor:
        """float32[n, G]: of which side of its logit each gate is, from the sigmoid's accurate end."""
        side = 2.0 * self.gates(encoded) - 1.0
        probability = torch.sigmoid(side * outputs[:, self.gate_place])
        return -(probability * (1.0 - PROBABILITY_MIN) + PROBABILITY_MIN).log()

    def _of_categories(self, encoded: Tensor, outputs: Tensor) -> Tensor:
        """float32[n, C], by one softmax over all categories: a category's values divided by their sum are its own softmax.

        A value that never came has no bin, so its share is 0.
        """
        shares = torch.softmax(outputs[:, self.value].clamp(-LOGIT_MAX, LOGIT_MAX), dim=1)
        whole = shares @ self.group
        own = (shares * encoded[:, self.value]) @ self.group
        return whole.log() - (own * (1.0 - PROBABILITY_MIN) + whole * PROBABILITY_MIN).log()
