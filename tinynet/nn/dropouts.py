"""Dropout of whole channels, and for SELU: a probability and a mode."""

from __future__ import annotations

from typing import Any

from tinynet.nn import functional
from tinynet.nn.layers import Dropout


class Dropout1d(Dropout):
    """While training, whole channels of (n, c, t) zero with probability p.

    >>> import tinynet as tn
    >>> Dropout1d(0.5).eval()(tn.ones(1, 2, 2))
    tensor([[[1., 1.],
             [1., 1.]]])
    """

    def forward(self, input: Any) -> Any:
        return functional.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(Dropout):
    """While training, whole channels of images (n, c, h, w) zero with probability p."""

    def forward(self, input: Any) -> Any:
        return functional.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(Dropout):
    """While training, whole channels of volumes (n, c, d, h, w) zero with probability p."""

    def forward(self, input: Any) -> Any:
        return functional.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(Dropout):
    """Dropout that keeps the mean 0 and variance 1 which `SELU` gives."""

    def forward(self, input: Any) -> Any:
        return functional.alpha_dropout(input, self.p, self.training, self.inplace)
