r"""RMS normalisation: each sample divided by its root mean square, and the derivatives.

    y_bi = γ_i x̂_bi,      x̂_bi = x_bi / r_b,      r_b = √((1/n) Σ_i x_bi² + ε)

b runs over the samples (all leading axes), i over the n entries of the last axes. It is layer norm
without the mean: nothing is subtracted, nothing is shifted.

Derivation. γ_i serves all rows: γ̄_i = Σ_b g_bi x̂_bi. Let h_bi = g_bi γ_i = ∂L/∂x̂_bi, and leave b
out: r² is differentiated by x_j to 2 x_j / n, so ∂r/∂x_j = x_j / (n r) = x̂_j / n. By the quotient
rule

    ∂x̂_i/∂x_j = δ_ij / r − (x_i / r²) x̂_j / n = (δ_ij − x̂_i x̂_j / n) / r
    x̄_j = (h_j − x̂_j mean(h x̂)) / r.

It is the formula of `standardise.py` without mean(h): there the output ignored a shift of x and a
stretch, here it ignores the stretch alone, so the gradient loses its component along x̂ alone.

Shapes: x, y, g all (…, d1, …, dk), k = `dims`; γ (d1, …, dk), or left out. Cost: 5 flops an entry
forward, 9 backward.
Source: Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.derivations.standardise import (
    by_row,
    check_affine,
    mean,
    mean_of_product,
    scaled_and_shifted,
)
from tinynet.op import Derivation


def definition(x: Any, *weight: Any, dims: int = 1, eps: float = 1e-5) -> Any:
    """y = γ x / r, r the root mean square of x over its last `dims` axes.

    >>> definition(np.array([[3.0, 4.0, 0.0, 0.0]]), eps=0.0)
    array([[1.2, 1.6, 0. , 0. ]])
    """
    axis = tuple(range(x.ndim - dims, x.ndim))
    standard = x / np.sqrt(mean(np.square(x), axis) + eps)
    return scaled_and_shifted(standard, weight, x.shape[x.ndim - dims :])


def forward(x: Any, *weight: Any, dims: int = 1, eps: float = 1e-5) -> tuple[Any, tuple[Any, ...]]:
    """The definition with x read as rows (b, n). x̂ and 1/r are kept, not x."""
    check_affine(weight, x.shape[x.ndim - dims :])
    rows = by_row(x, dims)
    scale = 1 / np.sqrt(mean_of_product(rows, rows, (1,)) + eps)
    standard = rows * scale
    y = scaled_and_shifted(standard, weight, (1, rows.shape[1]))
    return np.reshape(y, x.shape), (standard, scale, *weight)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    dims: int = 1,
    eps: float = 1e-5,
    needs: tuple[bool, ...] = (True, True),
) -> tuple[Any, ...]:
    """x̄ = (h − x̂ mean(h x̂)) / r with h = g γ; γ̄ = Σ_b g x̂."""
    standard, scale, *weight = saved
    rows, dx, dw = by_row(g, dims), None, None
    if needs[0]:
        h = rows * np.reshape(weight[0], (1, rows.shape[1])) if weight else rows
        dx = np.reshape(scale * (h - standard * mean_of_product(h, standard, (1,))), g.shape)
    if weight and needs[1]:
        dw = np.reshape(np.einsum("bi,bi->i", rows, standard), weight[0].shape)
    return (dx, dw)[: 1 + len(weight)]


op = Derivation(
    "rms_norm",
    definition,
    backward,
    forward,
    formula=r"\gamma \odot \frac{x}{\sqrt{\frac1n \sum_i x_i^2 + \varepsilon}}",
    promote="float",
    variadic=True,  # with weight, or without
    in_place=True,
    room="derivations",
    doc="Each sample divided by its root mean square over the last axes, then scaled.",
)
