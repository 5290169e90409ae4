"""The convolutional network: filters, pooling, filters, pooling, then a multilayer perceptron.

    a₁ = pool(relu(W₁ ∗ x + b₁))        a₂ = pool(relu(W₂ ∗ a₁ + b₂))
    a₃ = relu(W₃ a₂ + b₃)               ŷ = W₄ a₃ + b₄

with ∗ the sum over window and channels that 4.1.2 leaves out, and pool the largest of 2 × 2.
Built as printed (128 × 128 × 3, filters 32 and 64 of 3 × 3, 128 neurons, one score) it has

    conv1    3 · 9 · 32 + 32               =       896      128 → 126 → 63
    conv2    32 · 9 · 64 + 64              =    18,496       63 →  61 → 30
    hidden   64 · 30 · 30 · 128 + 128      = 7,372,928      nearly all: one number for each pixel
    output   128 + 1                       =       129
                                             7,392,449 parameters

The printed network ends in a sigmoid. Here it ends in the score z before it, and the loss holds the
sigmoid: p = σ(z) is the same, and log σ(z) cannot overflow.

Source: document C, 5.2 (the network), 4.1.2 and 4.2.2 (the layer).
"""

from __future__ import annotations

from dataclasses import dataclass

import tinynet as tn
from tinynet import nn
from tinynet.models.pretrained import Pretrained


@dataclass(frozen=True)
class CNNConfig:
    """An image of channels × side × side → scores; as printed, unless told otherwise.

    padding    pixels of 0 around the input of each convolution
    dropout    of the hidden neurons
    """

    side: int = 128
    channels: int = 3
    filters: tuple[int, int] = (32, 64)
    hidden: int = 128
    outputs: int = 1
    padding: int = 0
    dropout: float = 0.0


class CNN(nn.Module, Pretrained):
    """x (n, channels, side, side) → scores (n, outputs).

    >>> import tinynet as tn
    >>> CNN(CNNConfig(side=28, channels=1, outputs=10))(tn.zeros(5, 1, 28, 28)).shape
    (5, 10)
    """

    Config = CNNConfig

    def __init__(self, config: CNNConfig) -> None:
        super().__init__()
        self.config = config
        first, second = config.filters
        side = config.side
        for _ in config.filters:
            side = (side + 2 * config.padding - 2) // 2  # a window of 3, then every second pixel
        self.conv1 = nn.Conv2d(config.channels, first, 3, padding=config.padding)
        self.conv2 = nn.Conv2d(first, second, 3, padding=config.padding)
        self.pool = nn.MaxPool2d(2)
        self.hidden = nn.Linear(second * side * side, config.hidden)
        self.drop = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden, config.outputs)

    def forward(self, x: tn.Tensor) -> tn.Tensor:
        a = self.pool(self.conv1(x).relu())  # (n, first, side / 2, side / 2), less the borders
        a = self.pool(self.conv2(a).relu())  # (n, second, side / 4, side / 4), less the borders
        a = self.drop(self.hidden(a.flatten(1)).relu())  # (n, hidden)
        scores: tn.Tensor = self.output(a)
        return scores
