"""Raw features to the classifier's logit: a network's, trees', or the weighted sum of both."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.networks.classifier import Network
from models.networks.encoding import ClassifierInputs
from models.networks.trees import Trees


@dataclass(frozen=True, slots=True)
class Mix:
    """What the logits of network and trees are multiplied with, and what is added."""

    network: float = 1.0
    trees: float = 1.0
    intercept: float = 0.0


class Logit(nn.Module):
    """mix.network * network(inputs(features)) + mix.trees * trees(features) + mix.intercept; of either, where there is one."""

    def __init__(
        self, inputs: ClassifierInputs, network: Network | None, trees: Trees | None = None, mix: Mix | None = None
    ) -> None:
        super().__init__()
        if network is None and trees is None:
            raise ValueError("a classifier has a network, trees or both")
        self.inputs, self.network, self.trees, self.mix = inputs, network, trees, mix or Mix()

    def forward(self, features: Tensor) -> Tensor:
        """float32[n, F] to float[n] logits."""
        logit = torch.full((len(features),), self.mix.intercept, dtype=features.dtype, device=features.device)
        if self.network is not None:
            logit = logit + self.mix.network * self.network(self.inputs(features))
        if self.trees is not None:
            logit = logit + self.mix.trees * self.trees(features)
        return logit
