"""A network that turns a picture into a unit vector, near to those of other pictures of the same
person.

    z = c / ‖c‖,  c = the scores of the convolutional network (cnn.py) for (x − mean) / deviation

Mean and deviation are those of the picture itself: light and contrast do not say who it is.
Two pictures are compared by the cosine zᵀ z′: a threshold on it says "the same" or "somebody else".
Nothing in the network is about particular persons, so it can be asked about new ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import tinynet as tn
from tinynet import nn
from tinynet.models.cnn import CNN, CNNConfig
from tinynet.models.pretrained import Pretrained
from tinynet.nn import functional as F


@dataclass(frozen=True)
class EmbedderConfig:
    """An image of 1 × side × side → a vector of `width` numbers."""

    side: int = 25
    filters: tuple[int, int] = (32, 64)
    hidden: int = 128
    width: int = 64


class Embedder(nn.Module, Pretrained):
    """x (n, 1, side, side) → z (n, width), each of length 1.

    >>> import tinynet as tn
    >>> Embedder(EmbedderConfig())(tn.rand(5, 1, 25, 25)).norm(dim=1).sum().item()
    5.0
    """

    Config = EmbedderConfig

    def __init__(self, config: EmbedderConfig) -> None:
        super().__init__()
        self.config = config
        side, filters, hidden = config.side, config.filters, config.hidden
        self.network = CNN(CNNConfig(side, 1, filters, hidden, outputs=config.width))

    def forward(self, x: tn.Tensor) -> tn.Tensor:
        x = F.layer_norm(x, (1, self.config.side, self.config.side))  # whatever the light
        z: tn.Tensor = F.normalize(self.network(x), dim=1)
        return z
