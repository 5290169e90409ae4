r"""Rotary positions (RoPE): queries and keys are turned by their position, and its derivatives.

    y_2i   = x_2i cos θ_i − x_2i+1 sin θ_i
    y_2i+1 = x_2i sin θ_i + x_2i+1 cos θ_i        for each pair i, in short y = R(θ) x

At position p the angles are θ_i = p / 10000^(2i/d), those of `sinusoidal`. Turns add up, so that
R(θ)ᵀ R(φ) = R(φ − θ): the score of a query at position p and a key at position r is

    (R_p q) · (R_r k) = qᵀ R_pᵀ R_r k = q · R_(r−p) k,

which depends on the distance r − p only. The position stands in the score itself, and not in the
values; a cache of turned keys stays right when the text goes on.

Derivation. For given angles y is linear in x with the matrix R(θ), so its transpose carries the
gradient, and the transpose of a turn is the turn back:

    x̄ = R(θ)ᵀ g = R(−θ) g:      x̄_2i = g_2i cos θ_i + g_2i+1 sin θ_i
                                 x̄_2i+1 = −g_2i sin θ_i + g_2i+1 cos θ_i.

By θ_i, y_2i has the derivative −x_2i sin θ_i − x_2i+1 cos θ_i = −y_2i+1, and y_2i+1 has y_2i: a
point on a circle moves at a right angle to its radius. Summed over all vectors that are turned by
the same angle (in index b),

    θ̄_i = Σ_b (g_b,2i+1 y_b,2i − g_b,2i y_b,2i+1).

What people forget: the minus in x̄ moves. With the forward's signs the gradient is turned on, and
not back; at θ = 0, where many test, both are right.

Shapes: x, y, g (…, T, d), d even; θ (T, d/2), or with leading axes of x. Cost: 3·T·d flops.
Source: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021. Some
models pair x_i with x_i+d/2 instead of neighbours: the same, up to the order of the entries.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.errors import DTypeError, ShapeError
from tinynet.op import Derivation


def definition(x: Any, theta: Any) -> Any:
    """y = R(θ) x.

    >>> definition(np.array([[1.0, 0.0]]), np.array([[np.pi / 2]]))
    array([[0., 1.]])
    """
    a, b = x[..., 0::2], x[..., 1::2]
    cos, sin = np.cos(theta), np.sin(theta)
    return np.reshape(np.stack([a * cos - b * sin, a * sin + b * cos], axis=-1), x.shape)


def forward(x: Any, theta: Any) -> tuple[Any, tuple[Any, ...]]:
    """The definition; y, cos θ and sin θ are saved."""
    if x.ndim == 0 or x.shape[-1] % 2:
        raise ShapeError("pairs are turned: the last axis is even", expected="x (…, T, d)")
    if theta.shape != (*x.shape[x.ndim - theta.ndim : -1], x.shape[-1] // 2):
        raise ShapeError("an angle for each pair is expected", expected="x (…, T, d), θ (T, d/2)")
    if x.dtype != theta.dtype or x.dtype.kind != "f":
        raise DTypeError("vectors and angles are floats of one dtype")
    cos, sin = np.cos(theta), np.sin(theta)
    y = _turned(x, cos, sin)
    return y, (y, cos, sin)


def backward(g: Any, saved: tuple[Any, ...]) -> tuple[Any, ...]:
    """x̄ = R(−θ) g, θ̄_i = Σ_b (g_2i+1 y_2i − g_2i y_2i+1)."""
    y, cos, sin = saved
    dtheta = g[..., 1::2] * y[..., 0::2] - g[..., 0::2] * y[..., 1::2]
    return _turned(g, cos, -sin), np.sum(dtheta, axis=tuple(range(g.ndim - cos.ndim)))


def _turned(x: Any, cos: Any, sin: Any) -> Any:
    y = np.zeros(x.shape, dtype=x.dtype, like=x)
    a, b = x[..., 0::2], x[..., 1::2]
    y[..., 0::2] = a * cos - b * sin
    y[..., 1::2] = a * sin + b * cos
    return y


op = Derivation(
    "rotary",
    definition,
    backward,
    forward,
    formula=r"R(\theta)\, x",
    promote="none",
    room="derivations",
    doc="Each pair of neighbouring entries, turned by its angle.",
)
