"""Raw features to network inputs: piecewise-linear quantile encoding to [0, 1], and plain standardisation.

Gorishniy, Rubachev, Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning", 2022, section 3.2; here every
bin is clipped, the outer ones too, so that an extreme value cannot push an input out of [0, 1].
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

BINS = 100
"""Inputs of the reference autoencoder."""

TAIL_QUANTILES = (0.99, 0.9995)
"""The last edges. The rest is even over the lower 90 %: anomalies are above, where even bins would be too wide to show."""

WIDTH_MIN = 1e-30
"""Narrower bins become steps: their inverse would not fit a float32."""

DEVIATIONS_MAX = 10.0
"""Standardised values are cut off here, so that one absurd amount cannot drive the classifier anywhere."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """Bins over the features: bin b covers feature `feature[b]` from `lower[b]` on, over 1 / `inverse_width[b]`.

    feature: int64[B]; lower, inverse_width: float32[B], in the feature's unit and its inverse.
    """

    feature: NDArray[np.int64]
    lower: NDArray[np.float32]
    inverse_width: NDArray[np.float32]

    @property
    def features(self) -> int:
        """How many raw features go in."""
        return int(self.feature[-1]) + 1

    @property
    def bin_share(self) -> NDArray[np.float32]:
        """float32[B, F]: the matrix that takes per-bin values to their mean per feature."""
        one_hot = np.eye(self.features, dtype=np.float32)[self.feature]
        return np.asarray(one_hot / one_hot.sum(axis=0), dtype=np.float32)


def fit_encoding(features: NDArray[np.float32], bins: int = BINS) -> Encoding:
    """Edges at the quantiles of `features`, float32[n, F]: one bin for a binary feature, the rest spread evenly.

    Values beyond the range of `features` are in the outermost bins. Raises ValueError with fewer bins than features.
    """
    count = features.shape[1]
    if bins < count:
        raise ValueError(f"{bins} bins cannot encode {count} features: give at least one bin to each.")
    distinct = [np.unique(column) for column in features.T]
    wide = [f for f, values in enumerate(distinct) if len(values) > 2] or list(range(count))
    share, extra = divmod(bins - count + len(wide), len(wide))
    bins_of = [1] * count
    for rank, f in enumerate(wide):
        bins_of[f] = share + (rank < extra)
    edges = [_edges(column, values, n) for column, values, n in zip(features.T, distinct, bins_of, strict=True)]
    return Encoding(
        feature=np.repeat(np.arange(count), bins_of),
        lower=np.concatenate([e[:-1] for e in edges]).astype(np.float32),
        inverse_width=np.concatenate([1.0 / np.maximum(np.diff(e), WIDTH_MIN) for e in edges]).astype(np.float32),
    )


def _edges(column: NDArray[np.float32], distinct: NDArray[np.float32], bins: int) -> NDArray[np.float64]:
    """`bins` + 1 rising edges: the quantiles; where ties make some fall together, the widest bins are halved instead."""
    if len(distinct) == 1:
        return np.asarray(distinct[0] + np.arange(bins + 1, dtype=np.float64))
    if bins == 1:
        return np.asarray([distinct[0], distinct[-1]], dtype=np.float64)
    levels = [*np.linspace(0.0, 0.9, bins - 1), *TAIL_QUANTILES]
    edges = np.unique(np.quantile(column.astype(np.float64), levels))
    if len(edges) == 1:
        edges = np.asarray([distinct[0], distinct[-1]], dtype=np.float64)
    while len(edges) <= bins:
        widest = int(np.argmax(np.diff(edges)))
        edges = np.insert(edges, widest + 1, (edges[widest] + edges[widest + 1]) / 2)
    return edges


class PiecewiseLinear(nn.Module):
    """The encoding as a layer without parameters: float32[n, F] raw features to float32[n, B] in [0, 1]."""

    def __init__(self, encoding: Encoding) -> None:
        super().__init__()
        self.register_buffer("feature", torch.from_numpy(encoding.feature))
        self.register_buffer("lower", torch.from_numpy(encoding.lower))
        self.register_buffer("inverse_width", torch.from_numpy(encoding.inverse_width))

    def forward(self, features: Tensor) -> Tensor:
        """Encode a batch."""
        encoded = (features[:, self.feature] - self.lower) * self.inverse_width
        return encoded.clamp(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Standardisation:
    """mean, inverse_deviation: float32[F], in the feature's unit and its inverse."""

    mean: NDArray[np.float32]
    inverse_deviation: NDArray[np.float32]


def fit_standardisation(features: NDArray[np.float32]) -> Standardisation:
    """Mean and standard deviation of float32[n, F]; a constant feature is left as it is, less its mean."""
    deviation = features.std(axis=0, dtype=np.float64)
    deviation[deviation == 0.0] = 1.0
    mean = features.mean(axis=0, dtype=np.float64)
    return Standardisation(mean.astype(np.float32), (1.0 / deviation).astype(np.float32))


class Standardise(nn.Module):
    """(feature - mean) / standard deviation, cut off at DEVIATIONS_MAX: float32[n, F] to float32[n, F]."""

    def __init__(self, standardisation: Standardisation) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(standardisation.mean))
        self.register_buffer("inverse_deviation", torch.from_numpy(standardisation.inverse_deviation))

    def forward(self, features: Tensor) -> Tensor:
        """Standardise a batch."""
        scaled = (features - self.mean) * self.inverse_deviation
        return scaled.clamp(-DEVIATIONS_MAX, DEVIATIONS_MAX)


class ClassifierInputs(nn.Module):
    """What the classifier reads of float32[n, F]: the encoding and the standardised features, float32[n, B + F].

    The two together beat either alone on the simulator (docs/decisions). With `chosen`, the features of a reference network,
    it reads those alone, standardised: float32[n, len(chosen)].
    """

    def __init__(self, encoding: Encoding, standardisation: Standardisation, chosen: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.encode = PiecewiseLinear(encoding)
        self.standardise = Standardise(standardisation)
        self.register_buffer("chosen", torch.tensor(chosen, dtype=torch.int64))

    def forward(self, features: Tensor) -> Tensor:
        """The classifier's inputs."""
        standardised = self.standardise(features)
        return standardised[:, self.chosen] if len(self.chosen) else torch.cat([self.encode(features), standardised], 1)
