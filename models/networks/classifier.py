"""The classifier: a multilayer perceptron with one sigmoid output, the probability of fraud or default; or many in one."""

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

    def members(self, inputs: Tensor) -> Tensor:
        """float32[n, inputs] to float32[n, 1] logits: the one that there is."""
        logits: Tensor = self(inputs)
        return logits[:, None]

    def probability(self, inputs: Tensor) -> Tensor:
        """float32[n, inputs] to float32[n] in [0, 1]."""
        return torch.sigmoid(self(inputs))


class Ensemble(nn.Module):
    """Networks that share their weights, and differ by what scales each layer's inputs and outputs; their mean logit decides.

    Gorishniy, Kotelnikov, Babenko, "TabM: Advancing Tabular Deep Learning with Parameter-Efficient Ensembling", 2025, after
    Wen, Tran, Ba, "BatchEnsemble", 2020: only the first layer's input scales start apart, at 1 or -1; output layers are each
    member's own.
    """

    def __init__(self, shape: ClassifierShape, members: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout, self.shape = dropout, shape
        widths = tuple(pairwise((shape.inputs, *shape.hidden)))
        layers = [nn.Linear(a, b) for a, b in widths]
        self.shared = nn.ParameterList(layer.weight for layer in layers)
        self.bias = nn.ParameterList(layer.bias.detach().repeat(members, 1) for layer in layers)
        signs = 2.0 * torch.randint(2, (members, shape.inputs)) - 1.0
        self.input_scale = nn.ParameterList(
            torch.ones(members, a) if place else signs for place, (a, _) in enumerate(widths)
        )
        self.output_scale = nn.ParameterList(torch.ones(members, b) for _, b in widths)
        ends = [nn.Linear(shape.hidden[-1], 1) for _ in range(members)]
        self.end = nn.Parameter(torch.cat([end.weight.detach() for end in ends]))
        self.end_bias = nn.Parameter(torch.cat([end.bias.detach() for end in ends]))

    def members(self, inputs: Tensor) -> Tensor:
        """float32[n, inputs] to float32[n, members] logits, which the loss is of."""
        hidden = inputs[:, None, :]
        for weight, bias, before, after in zip(
            self.shared, self.bias, self.input_scale, self.output_scale, strict=True
        ):
            hidden = torch.relu(functional.linear(hidden * before, weight) * after + bias)
            hidden = functional.dropout(hidden, self.dropout, self.training)
        return (hidden * self.end).sum(-1) + self.end_bias

    def forward(self, inputs: Tensor) -> Tensor:
        """float32[n, inputs] to float32[n] logits."""
        return self.members(inputs).mean(1)

    @property
    def networks(self) -> list[nn.ModuleList]:
        """The hidden layers of each member, its scales multiplied into the weights."""
        layers = tuple(zip(self.shared, self.bias, self.input_scale, self.output_scale, strict=True))
        return [
            nn.ModuleList(
                _linear(weight * before[member] * after[member][:, None], bias[member])
                for weight, bias, before, after in layers
            )
            for member in range(len(self.end))
        ]

    @property
    def output(self) -> nn.Linear:
        """The last layer over the last hidden outputs of all members, one after the other: the mean of their logits."""
        return _linear(self.end.reshape(1, -1) / len(self.end), self.end_bias.mean().reshape(1))


Network = Classifier | Ensemble


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
    layer.weight, layer.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return layer
