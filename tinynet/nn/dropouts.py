"""Dropout as modules: in training at random, in evaluation the input. See `functional.dropouts`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinynet.errors import ArgumentError
from tinynet.nn import functional
from tinynet.nn.module import Module


class _Dropout(Module):
    """What they share: p, and the mode."""

    function: Callable[..., Any]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            name = type(self).__name__
            raise ArgumentError(f"{name}: a probability lies between 0 and 1", got=f"p = {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Any) -> Any:
        return type(self).function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """While training, zeros with probability p and the rest divided by 1 − p; else the input."""

    function = staticmethod(functional.dropout)


class Dropout1d(_Dropout):
    """`Dropout` of whole channels of (n, c, l) or (c, l)."""

    function = staticmethod(functional.dropout1d)


class Dropout2d(_Dropout):
    """`Dropout` of whole channels of (n, c, h, w)."""

    function = staticmethod(functional.dropout2d)


class Dropout3d(_Dropout):
    """`Dropout` of whole channels of (n, c, d, h, w) or (c, d, h, w)."""

    function = staticmethod(functional.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout behind selu: mean 0 and variance 1 stay."""

    function = staticmethod(functional.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels of (n, c, …)."""

    function = staticmethod(functional.feature_alpha_dropout)
