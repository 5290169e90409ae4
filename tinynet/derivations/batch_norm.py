r"""Batch normalisation: each channel standardised over the whole batch, and the derivatives.

    y_bcp = γ_c x̂_bcp + β_c,      x̂_bcp = (x_bcp − m_c) / √(v_c + ε)

b runs over the batch, c over channels, p over positions, if there are any. m_c and v_c are mean and
variance of channel c over all b and p. Nothing is averaged over c.

Derivation. x̂ and its derivative stand in `standardise.py`; S is a channel, n the number of its
entries. γ_c and β_c are constant in S, so γ_c may be taken out of the two means of h = g γ_c, and
what stays in them are the sums that γ̄ and β̄ need anyway:

    β̄_c = Σ_bp g_bcp      γ̄_c = Σ_bp g_bcp x̂_bcp
    x̄_bcp = γ_c s_c (g_bcp − β̄_c / n − x̂_bcp γ̄_c / n),      s_c = (v_c + ε)^(−1/2).

So two sums over the data serve all three gradients.

Training and evaluation. A single sample has no batch to be compared with. While training, averages
of m and v are kept, and evaluation puts these in (`with_statistics`, the same line): they are
constants, y is an affine map of x, and of x̄ only γ s g is left. The samples of a training batch,
however, depend on each other: x̄_b is not zero where only y_a with a ≠ b matters.

The average is r ← (1 − momentum) r + momentum · (the batch's value): here `momentum` weighs the
*new* value. The variance that is averaged is the unbiased one, n/(n − 1) v, since it shall estimate
that of all data (`statistics`); the batch itself is divided by its own, biased v.

Shapes: x, y, g all (n, c) or (n, c, …); γ, β (c,), left out or γ alone. Cost: 8 flops an entry
forward, 8 backward.
Source: Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing
Internal Covariate Shift", 2015.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.standardise import (
    by_channel,
    check_affine,
    mean,
    mean_of_product,
    scaled_and_shifted,
    scaled_then_shifted,
    x_hat_and_scale,
)
from tinynet.op import Derivation


def definition(x: Any, *affine: Any, eps: float = 1e-5) -> Any:
    """y = γ x̂ + β, with the mean and the variance of each channel of this batch.

    >>> definition(np.array([[1.0, 0.0], [3.0, 100.0]]), np.array([1.0, 10.0]), eps=0.0)
    array([[ -1., -10.],
           [  1.,  10.]])
    """
    axis = (0, *range(2, x.ndim))
    m = mean(x, axis)
    return with_statistics(x, m, mean(np.square(x - m), axis), *affine, eps=eps)


def with_statistics(x: Any, m: Any, v: Any, *affine: Any, eps: float = 1e-5) -> Any:
    """y = γ (x − m) / √(v + ε) + β with the given mean and variance (c,) of each channel.

    >>> one = np.array([1.0])
    >>> with_statistics(np.array([[7.0]]), 5 * one, 4 * one, 3 * one, one, eps=0.0)
    array([[4.]])
    """
    shape = (1, x.shape[1], *(1,) * (x.ndim - 2))
    s = 1 / np.sqrt(np.reshape(v, shape) + eps)
    scale = np.reshape(affine[0], shape) * s if affine else s
    return scaled_and_shifted(x - np.reshape(m, shape), (scale, *affine[1:]), shape)


def statistics(x: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
    """Mean and unbiased variance Σ (x − m)² / (n − 1) over the axes, for the running averages.

    >>> statistics(np.array([[1.0], [3.0]]), (0,))
    (array([2.]), array([2.]))
    """
    n = math.prod(x.shape[a] for a in axis)
    m = mean(x, axis)
    c = x - m
    v = mean_of_product(c, c, axis) * (n / (n - 1))
    return np.squeeze(m, axis), np.squeeze(v, axis)


def forward(x: Any, *affine: Any, eps: float = 1e-5) -> tuple[Any, tuple[Any, ...]]:
    """The definition with x read as (n, c, m). x̂ and s are kept, not x."""
    check_affine(affine, x.shape[1:2])
    standard, s = x_hat_and_scale(by_channel(x), (0, 2), eps)
    y = scaled_then_shifted(standard, affine, s.shape)
    return np.reshape(y, x.shape), (standard, s, *affine)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    eps: float = 1e-5,
    needs: tuple[bool, ...] = (True, True, True),
) -> tuple[Any, ...]:
    """β̄ = Σ g, γ̄ = Σ g x̂, x̄ = γ s (g − β̄/n − x̂ γ̄/n)."""
    standard, s, *affine = saved
    by_c = np.reshape(g, standard.shape)
    db = np.sum(by_c, axis=(0, 2))
    dw = np.einsum("bcp,bcp->c", by_c, standard)
    dx = None
    if needs[0]:
        n = max(standard.shape[0] * standard.shape[2], 1)
        mean_g, mean_gx = np.reshape(db / n, s.shape), np.reshape(dw / n, s.shape)
        scale = s * np.reshape(affine[0], s.shape) if affine else s
        dx = np.reshape(scale * (by_c - mean_g - standard * mean_gx), g.shape)
    return (dx, dw, db)[: 1 + len(affine)]


op = Derivation(
    "batch_norm",
    definition,
    backward,
    forward,
    formula=r"\gamma_c \frac{x_c - m_c}{\sqrt{v_c + \varepsilon}} + \beta_c",
    promote="float",
    variadic=True,  # with weight and bias, with weight alone, or without
    in_place=True,
    room="derivations",
    doc="Each channel with mean 0 and variance 1 over the batch, then scaled and shifted.",
)
