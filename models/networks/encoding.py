"""Raw features to network inputs: piecewise-linear quantile encoding to [0, 1], and plain standardisation.

Gorishniy, Rubachev, Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning", 2022, section 3.2; here every
bin is clipped, the outer ones too, so that an extreme value cannot push an input out of [0, 1].
"""

from collections.abc import Callable, Mapping, Sequence
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

ROWS = 8192
"""In double at once."""

DEVIATIONS_MAX = 10.0
"""Standardised values are cut off here, so that one absurd amount cannot drive the classifier anywhere."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """Bins over the features: bin b covers feature `feature[b]` from `lower[b]` on, over 1 / `inverse_width[b]`.

    feature: int64[B]; lower, inverse_width: float32[B], in the feature's unit and its inverse. of_value: bool[B], where a bin
    stands for one value of a category, coded `lower` + 1: 1 at this code and 0 at every other. None where no bin does.
    """

    feature: NDArray[np.int64]
    lower: NDArray[np.float32]
    inverse_width: NDArray[np.float32]
    of_value: NDArray[np.bool_] | None = None

    @property
    def features(self) -> int:
        """How many raw features go in."""
        return int(self.feature[-1]) + 1

    @property
    def bin_share(self) -> NDArray[np.float32]:
        """float32[B, F]: the matrix that takes per-bin values to their mean per feature; of a category, half their sum.

        Of squared errors that is half the Brier score, 0 to 1: a mean over fifty values would hide that one was unexpected.
        """
        one_hot = np.eye(self.features, dtype=np.float32)[self.feature]
        share = one_hot / one_hot.sum(axis=0)
        if self.of_value is not None:
            share[self.of_value] = 0.5 * one_hot[self.of_value]
        return np.asarray(share, dtype=np.float32)


Values = Mapping[int, Sequence[int]]
"""Codes of a category, by column."""


def present(features: NDArray[np.float32], columns: Sequence[int]) -> Values:
    """The codes that columns of float32[n, F] hold, rising: what never came has no weights that mean anything."""
    return {column: np.unique(features[:, column]).astype(np.int64).tolist() for column in columns}


def with_flags(features: NDArray[np.float32], values: Values) -> NDArray[np.float32]:
    """float32[n, F] with a column for each value, 1 or 0, behind the others, in place of columns of codes."""
    if not values:
        return features
    flags = [features[:, [column]] == np.array(codes, np.float32) for column, codes in values.items()]
    others = np.setdiff1d(np.arange(features.shape[1]), list(values))
    return np.concatenate([features[:, others], *flags], axis=1).astype(np.float32)


def fit_encoding(features: NDArray[np.float32], bins: int = BINS, values: Values | None = None) -> Encoding:
    """Edges at the quantiles of `features`, float32[n, F]: one bin for a binary feature, the rest spread evenly.

    Values beyond the range of `features` are in the outermost bins. values: columns of codes, each of which gets a bin beside
    those `bins`. Raises ValueError with fewer bins than other features.
    """
    values = values or {}
    numeric = [f for f in range(features.shape[1]) if f not in values]
    count = len(numeric)
    if bins < count:
        raise ValueError(f"{bins} bins cannot encode {count} features: give at least one bin to each.")
    distinct = {f: np.unique(features[:, f]) for f in numeric}
    wide = [f for f in numeric if len(distinct[f]) > 2] or numeric
    share, extra = divmod(bins - count + len(wide), max(1, len(wide)))
    bins_of = dict.fromkeys(numeric, 1)
    for rank, f in enumerate(wide):
        bins_of[f] = share + (rank < extra)
    edges = {f: _edges(features[:, f], distinct[f], bins_of[f]) for f in numeric}
    places = range(features.shape[1])
    lower = [np.asarray(values[f], np.float64) - 1.0 if f in values else edges[f][:-1] for f in places]
    widths = [np.ones(len(values[f])) if f in values else np.diff(edges[f]) for f in places]
    feature = np.repeat(np.arange(features.shape[1]), [len(part) for part in lower])
    return Encoding(
        feature=feature,
        lower=np.concatenate(lower).astype(np.float32),
        inverse_width=np.concatenate([1.0 / np.maximum(width, WIDTH_MIN) for width in widths]).astype(np.float32),
        of_value=np.isin(feature, list(values)) if values else None,
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
        of_value = encoding.of_value
        self.register_buffer("of_value", None if of_value is None else torch.from_numpy(of_value.astype(np.float32)))

    def forward(self, features: Tensor) -> Tensor:
        """Encode a batch."""
        above = features[:, self.feature] - self.lower
        encoded = (above * self.inverse_width).clamp(0.0, 1.0)
        if self.of_value is None:
            return encoded
        # a code is a step up at its bin and a step down behind it
        return encoded - ((above - 1.0) * self.of_value).clamp(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Standardisation:
    """mean, inverse_deviation: float32[F], in the feature's unit and its inverse."""

    mean: NDArray[np.float32]
    inverse_deviation: NDArray[np.float32]


def fit_standardisation(features: NDArray[np.float32], codes: Sequence[int] = ()) -> Standardisation:
    """Mean and standard deviation of float32[n, F]; a constant feature is left as it is, less its mean.

    codes: columns that are none as numbers, and become 0.
    """
    mean = _sums(features, lambda rows: rows) / len(features)
    deviation = np.sqrt(_sums(features, lambda rows: (rows - mean) ** 2) / len(features))
    deviation[deviation == 0.0] = 1.0
    inverse = 1.0 / deviation
    mean[list(codes)], inverse[list(codes)] = 0.0, 0.0
    return Standardisation(mean.astype(np.float32), inverse.astype(np.float32))


def _sums(
    features: NDArray[np.float32], of: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """float64[F]: the sum over the rows, in their order, of a function of each; some of them in double at a time."""
    total = np.zeros((1, features.shape[1]))
    for start in range(0, len(features), ROWS):
        part = of(features[start : start + ROWS].astype(np.float64))
        total = np.add.reduce(np.concatenate([total, part]), axis=0, keepdims=True)
    return np.asarray(total[0])


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
