r"""Layer normalisation: each sample standardised by itself, and the derivatives.

    y_bi = γ_i x̂_bi + β_i,      x̂_bi = (x_bi − m_b) / √(v_b + ε)

b runs over the samples (all leading axes), i over the n entries of the last axes, all of them; m_b
and v_b are mean and variance of row b. No row sees another, so it does the same for a batch of one,
for every position of a sequence, in training and in evaluation.

Derivation. x̂ and its derivative stand in `standardise.py`; S is a row. γ_i and β_i serve all rows,
so their gradients sum over b:

    β̄_i = Σ_b g_bi      γ̄_i = Σ_b g_bi x̂_bi
    x̄_bi = s_b (h_bi − mean(h_b) − x̂_bi mean(h_b x̂_b)),      h_bi = g_bi γ_i,

with s_b = (v_b + ε)^(−1/2).

γ varies inside of a row: it must be multiplied in *before* the two means are taken. What people
forget is that; in batch norm, where γ is constant in S, it can be taken out.

Shapes: x, y, g all (…, d1, …, dk), k = `dims`; γ, β (d1, …, dk), left out or γ alone. Cost: 8
flops an entry forward, 13 backward.
Source: Ba, Kiros and Hinton, "Layer Normalization", 2016.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.derivations.standardise import (
    by_row,
    check_affine,
    scaled_and_shifted,
    scaled_then_shifted,
    x_bar,
    x_hat,
    x_hat_and_scale,
)
from tinynet.op import Derivation


def definition(x: Any, *affine: Any, dims: int = 1, eps: float = 1e-5) -> Any:
    """y = γ x̂ + β, x standardised over its last `dims` axes.

    >>> definition(np.array([[1.0, 3.0], [0.0, 100.0]]), np.array([1.0, 10.0]), eps=0.0)
    array([[-1., 10.],
           [-1., 10.]])
    """
    standard = x_hat(x, tuple(range(x.ndim - dims, x.ndim)), eps)
    return scaled_and_shifted(standard, affine, x.shape[x.ndim - dims :])


def forward(x: Any, *affine: Any, dims: int = 1, eps: float = 1e-5) -> tuple[Any, tuple[Any, ...]]:
    """The definition with x read as rows (b, n). x̂ and s are kept, not x."""
    check_affine(affine, x.shape[x.ndim - dims :])
    standard, s = x_hat_and_scale(by_row(x, dims), (1,), eps)
    y = scaled_then_shifted(standard, affine, (1, standard.shape[1]))
    return np.reshape(y, x.shape), (standard, s, *affine)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    dims: int = 1,
    eps: float = 1e-5,
    needs: tuple[bool, ...] = (True, True, True),
) -> tuple[Any, ...]:
    """x̄ = s (h − mean(h) − x̂ mean(h x̂)) with h = g γ; γ̄ = Σ_b g x̂; β̄ = Σ_b g."""
    standard, s, *affine = saved
    rows, dx, dw, db = by_row(g, dims), None, None, None
    if needs[0]:
        h = rows * np.reshape(affine[0], (1, rows.shape[1])) if affine else rows
        dx = np.reshape(x_bar(h, standard, s, (1,)), g.shape)
    if affine and needs[1]:
        dw = np.reshape(np.einsum("bi,bi->i", rows, standard), affine[0].shape)
    if affine[1:] and needs[2]:
        db = np.reshape(np.sum(rows, axis=0), affine[1].shape)
    return (dx, dw, db)[: 1 + len(affine)]


op = Derivation(
    "layer_norm",
    definition,
    backward,
    forward,
    formula=r"\gamma \odot \frac{x - m}{\sqrt{v + \varepsilon}} + \beta",
    promote="float",
    variadic=True,  # with weight and bias, with weight alone, or without
    in_place=True,
    room="derivations",
    doc="Each sample with mean 0 and variance 1 over its last axes, then scaled and shifted.",
)
