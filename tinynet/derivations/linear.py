r"""The affine layer, and its three derivatives.

    y_bo = Σ_i x_bi W_oi + b_o            in matrices  Y = X Wᵀ + b

b runs over the batch (all leading axes of x, flattened), i over inputs, o over outputs.

Derivation. L depends on each quantity through every y that it touches, so its derivative is a sum
over those y:

    x_bi touches y_bo for every o, with factor W_oi:   x̄_bi = Σ_o g_bo W_oi     X̄ = G W
    W_oi touches y_bo for every b, with factor x_bi:   W̄_oi = Σ_b g_bo x_bi     W̄ = Gᵀ X
    b_o  touches y_bo for every b, with factor 1:      b̄_o  = Σ_b g_bo

The sums over b are why the gradients of a batch add up: no sample overwrites another. Check by
shape: G W is (n, out)(out, in) = (n, in), Gᵀ X is (out, n)(n, in) = (out, in); no other product
of the two fits.

Shapes: x (…, in), W (out, in), b (out,) or left out, y and g (…, out). Cost: 2·n·in·out flops
forward, twice that backward, or as much as forward in a first layer, whose X̄ nobody wants.
Source: document C, 4.1.1 and 4.2.1 (z = W a + b, one sample as a column; its backward pass is
left out there). Document B, 4.1 has the neuron without b: all its lines pass through the origin.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.errors import ShapeError
from tinynet.op import Derivation


def definition(x: Any, W: Any, *b: Any) -> Any:
    """y = x Wᵀ + b, or y = x Wᵀ.

    >>> definition(np.array([1.0, 2.0]), np.array([[3.0, 4.0]]), np.array([0.5]))
    array([11.5])
    """
    y = np.matmul(x, np.swapaxes(W, 0, 1))
    return y + b[0] if b else y


def forward(x: Any, W: Any, *b: Any) -> tuple[Any, tuple[Any, ...]]:
    """The definition with all leading axes made one: one large product, not many small ones."""
    if W.ndim != 2 or x.ndim == 0 or x.shape[-1] != W.shape[1] or (b and b[0].shape != W.shape[:1]):
        raise ShapeError("the sizes do not fit", expected="x (…, in), W (out, in), b (out,)")
    y = np.matmul(_rows(x), np.swapaxes(W, 0, 1))
    if b:
        y = y + b[0]
    return np.reshape(y, (*x.shape[:-1], W.shape[0])), (x, W, *b)


def backward(
    g: Any, saved: tuple[Any, ...], *, needs: tuple[bool, ...] = (True, True, True)
) -> tuple[Any, ...]:
    """X̄ = G W, W̄ = Gᵀ X, b̄_o = Σ_b g_bo; each only where it is needed."""
    x, W, *b = saved
    rows = _rows(g)
    dx = np.reshape(np.matmul(rows, W), x.shape) if needs[0] else None
    dW = np.matmul(np.swapaxes(rows, 0, 1), _rows(x)) if needs[1] else None
    if not b:
        return dx, dW
    return dx, dW, np.sum(rows, axis=0) if needs[2] else None


def _rows(x: Any) -> Any:
    """All leading axes made one."""
    return x if x.ndim == 2 else np.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


op = Derivation(
    "linear",
    definition,
    backward,
    forward,
    formula=r"x W^\top + b",
    variadic=True,  # with or without b
    room="derivations",
    doc="Every output is a weighted sum of all inputs, plus a bias.",
)
