"""Dropout: what the mask keeps, scaled, in one pass.

    y_i = m_i x_i / (1 − p)      (`derivations/dropout.py`)

NumPy writes x / (1 − p) down first and then chooses: 17 bytes for each float32. Here 9: x and m are
read, y is written. The way back is the same function of g.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.kernels.choice import Kernel
from tinynet.kernels.jit import kernel
from tinynet.kernels.passes import dense, split


@kernel("x", "mask", "y")
def keep(x: Any, mask: Any, y: Any, scale: float) -> None:
    """y = scale · x where the mask is true, else 0: chosen, not multiplied, as 0 · inf is NaN."""
    factor, zero = x.dtype.type(scale), x.dtype.type(0)
    for i in range(y.shape[0]):
        y[i] = x[i] * factor if mask[i] else zero


def _kept(x: Any, mask: Any, p: float) -> Any:
    y = np.empty(x.shape, x.dtype)
    line, into, scale = dense(x).reshape(-1), y.reshape(-1), 1 / (1 - p) if p < 1 else 0.0
    split(line.size, 0.1, lambda a, b: keep(line[a:b], mask[a:b], into[a:b], scale))
    return y


def forward(x: Any, mask: Any, *, p: float) -> tuple[Any, Any]:
    """y, and the mask."""
    mask = dense(mask).reshape(-1)
    return _kept(x, mask, p), (mask,)


def backward(g: Any, saved: Any, *, needs: Any, p: float) -> tuple[Any, None]:
    """x̄; nothing for the mask."""
    return _kept(g, saved[0], p), None


def serves(x: Any, mask: Any, *, p: float) -> bool:
    """An entry of the mask for each number."""
    return bool(x.shape == mask.shape and mask.dtype.kind == "b" and x.dtype.kind == "f")


KERNELS = {"dropout": Kernel(forward, backward, serves=serves)}
