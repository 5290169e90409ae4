"""Where a token stands. Formulas: `tinynet/derivations/sinusoidal.py` and `rotary.py`.

Positions that are learnt need no layer of their own: `Embedding(longest, d)(tn.arange(T))`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations import rotary, sinusoidal
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.nn.module import Module
from tinynet.tensor import Tensor


class _Positions(Module):
    """A width, which is even, and the base of the speeds; no parameters."""

    def __init__(self, dim: int, base: float = 10000.0) -> None:
        super().__init__()
        if dim <= 0 or dim % 2:
            raise ArgumentError(f"{type(self).__name__}: dim is positive and even", got=f"{dim}")
        self.dim, self.base = dim, base

    def _positions(self, input: Any, offset: int) -> Any:
        """The positions of a sequence (…, T, dim), whose first token stands at `offset`."""
        if input.ndim < 2 or input.shape[-1] != self.dim:
            raise ShapeError(
                f"{type(self).__name__}: the sizes do not fit",
                expected=f"(…, T, {self.dim})",
                got=describe(input),
            )
        return np.arange(offset, offset + input.shape[-2], like=input.array)

    def extra_repr(self) -> str:
        return f"{self.dim}, base={self.base:g}"


class SinusoidalPositions(_Positions):
    """y_p = x_p + PE(p), the sines and cosines of the position. Shapes: x, y (…, T, dim).

    `offset` is the position of the first token.

    >>> import tinynet as tn
    >>> SinusoidalPositions(2)(tn.zeros(2, 2))
    tensor([[0.0000, 1.0000],
            [0.8415, 0.5403]])
    """

    def forward(self, input: Any, offset: int = 0) -> Any:
        table = sinusoidal.table(self._positions(input, offset), self.dim, self.base)
        return input + Tensor(table.astype(input.dtype))


class RotaryPositions(_Positions):
    """Queries or keys turned by their position, pair by pair of neighbouring entries, so that
    scores depend on distances. Shapes: x, y (…, T, dim).

    `offset` is the position of the first token: `len(cache)` where a `KeyValueCache` decodes.

    >>> import tinynet as tn
    >>> RotaryPositions(2)(tn.tensor([[1.0, 0.0], [1.0, 0.0]]))
    tensor([[1.0000, 0.0000],
            [0.5403, 0.8415]])
    """

    def forward(self, input: Any, offset: int = 0) -> Any:
        theta = sinusoidal.angles(self._positions(input, offset), self.dim, self.base)
        theta = theta % (2 * math.pi)  # in float64: far positions would lose digits in float32
        return rotary.op(input, Tensor(theta.astype(input.dtype)))
