"""The multilayer perceptron: an affine map, a bend, an affine map.

    a = relu(W1 x + b1)        ŷ = W2 a + b2        (scores of the classes, one row for each input)

Source: document C, 4.1.1 and 4.2.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import tinynet as tn
from tinynet import nn
from tinynet.models.pretrained import Pretrained


@dataclass(frozen=True)
class MLPConfig:
    """inputs (pixels) → hidden neurons → classes."""

    inputs: int = 64
    hidden: int = 128
    classes: int = 10
    dropout: float = 0.2


class MLP(nn.Module, Pretrained):
    """x (n, …) of `inputs` numbers each → scores (n, classes).

    Dropout on the neurons, half as much on the pixels, keeps it from leaning on single ones.

    >>> import tinynet as tn
    >>> MLP(MLPConfig())(tn.zeros(5, 8, 8)).shape
    (5, 10)
    """

    Config = MLPConfig

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.config = config
        self.drop_pixels = nn.Dropout(config.dropout / 2)
        self.hidden = nn.Linear(config.inputs, config.hidden)
        self.drop = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden, config.classes)

    def forward(self, x: tn.Tensor) -> tn.Tensor:
        x = self.drop_pixels(x.flatten(1))  # (n, inputs)
        a = self.drop(self.hidden(x).relu())  # (n, hidden)
        scores: tn.Tensor = self.output(a)  # (n, classes)
        return scores
