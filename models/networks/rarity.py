"""How rarely legitimate traffic has as large an error of a feature: in nats, whatever the size of the errors is.

A mean of errors is a mean of what the autoencoder reconstructs badly anyway. On the scale of rarity a feature's error counts by
the share of legitimate rows that have one as large. ECOD asks that of the features themselves (Li et al., "ECOD: Unsupervised
Outlier Detection Using Empirical Cumulative Distribution Functions", 2022).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class RarityCurves:
    """For each of F features its error to nats, linear between K knots.

    errors: float32[F, K], rising in each row; nats: float32[K], rising from 0, the same for all.
    """

    errors: NDArray[np.float32]
    nats: NDArray[np.float32]


class Rarity(nn.Module):
    """The curves as a layer without parameters, to float32[n, F] nats.

    share: float32[B, F], where errors are of bins: the matrix that takes them to their mean per feature.
    """

    def __init__(self, curves: RarityCurves, share: NDArray[np.float32] | None = None) -> None:
        super().__init__()
        features, knots = curves.errors.shape
        errors = torch.from_numpy(curves.errors)
        step = torch.from_numpy(np.diff(curves.nats)).repeat(features)
        of = torch.arange(features).repeat_interleave(knots - 1)
        self.register_buffer("share", None if share is None else torch.from_numpy(share))
        self.register_buffer("feature", of)
        self.register_buffer("knots", errors[:, :-1].reshape(-1))
        self.register_buffer("inverse_step", (1.0 / (errors[:, 1:] - errors[:, :-1])).reshape(-1))
        self.register_buffer("nats", nn.functional.one_hot(of, features).float() * step[:, None])

    def forward(self, errors: Tensor) -> Tensor:
        """Of float32[n, B] or float32[n, F]: how far each knot is passed, times what it adds."""
        errors = errors if self.share is None else errors @ self.share
        passed = ((errors[:, self.feature] - self.knots) * self.inverse_step).clamp(0.0, 1.0)
        return passed @ self.nats
