"""The classifier: a multilayer perceptron with one sigmoid output, the probability of fraud or default."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class ClassifierShape:
    """Widths: `inputs`, then each hidden layer (ReLU), then one output."""

    inputs: int
    hidden: tuple[int, ...]


REFERENCE = ClassifierShape(inputs=8, hidden=(10,))
"""The reference network: 8 -> 10 ReLU -> 1 sigmoid."""


class Classifier(nn.Module):
    """A binary multilayer perceptron. `forward` gives logits, which is what the loss is stable on.

    dropout: share of each hidden layer's outputs left out while it is trained; the exported graph has none.
    """

    def __init__(self, shape: ClassifierShape = REFERENCE, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.shape = shape
        widths = (shape.inputs, *shape.hidden)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.output = nn.Linear(widths[-1], 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """float32[n, inputs] to float32[n] logits."""
        for layer in self.hidden:
            inputs = functional.dropout(torch.relu(layer(inputs)), self.dropout, self.training)
        logits: Tensor = self.output(inputs)
        return logits.squeeze(1)

    def probability(self, inputs: Tensor) -> Tensor:
        """float32[n, inputs] to float32[n] in [0, 1]."""
        return torch.sigmoid(self(inputs))
