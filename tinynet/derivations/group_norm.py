r"""Group normalisation: each sample's channels standardised in groups, and the derivatives.

    y_bcp = γ_c x̂_bcp + β_c,      x̂_bcp = (x_bcp − m_bk) / √(v_bk + ε),      c in group k

b runs over the batch, c over channels, p over positions. The c channels fall into `groups` of equal
size, in order; m_bk and v_bk are mean and variance of sample b over the channels of group k and all
p. One group is layer norm over (c, p), but with γ and β for each channel; as many groups as
channels is *instance norm*, for which no other proof is needed.

Derivation. x̂ and its derivative stand in `standardise.py`; S is one sample's group. γ_c and β_c
serve the whole batch and all positions; inside of a group γ varies:

    β̄_c = Σ_bp g_bcp      γ̄_c = Σ_bp g_bcp x̂_bcp
    x̄_bcp = s_bk (h_bcp − mean(h) − x̂_bcp mean(h x̂)),      h_bcp = g_bcp γ_c,

both means over S, s_bk = (v_bk + ε)^(−1/2). What people forget: two different sets are summed over,
S for x̄, and one channel of all samples for γ̄ and β̄.

Shapes: x, y, g all (n, c) or (n, c, …), c a multiple of `groups`; γ, β (c,), left out or γ alone.
Cost: 8 flops an entry forward, 13 backward.
Source: Wu and He, "Group Normalization", 2018. Instance norm: Ulyanov, Vedaldi and Lempitsky,
"Instance Normalization: The Missing Ingredient for Fast Stylization", 2016.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.standardise import (
    by_channel,
    check_affine,
    scaled_and_shifted,
    scaled_then_shifted,
    x_bar,
    x_hat,
    x_hat_and_scale,
)
from tinynet.errors import ShapeError
from tinynet.op import Derivation


def definition(x: Any, *affine: Any, groups: int = 1, eps: float = 1e-5) -> Any:
    """y = γ x̂ + β, x standardised over each sample's groups of channels.

    >>> definition(np.array([[1.0, 3.0, 0.0, 100.0]]), groups=2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    grouped = np.reshape(x, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))
    standard = x_hat(grouped, tuple(range(2, grouped.ndim)), eps)
    shape = (1, x.shape[1], *(1,) * (x.ndim - 2))
    return scaled_and_shifted(np.reshape(standard, x.shape), affine, shape)


def forward(
    x: Any, *affine: Any, groups: int = 1, eps: float = 1e-5
) -> tuple[Any, tuple[Any, ...]]:
    """The definition with x read as rows, one for each sample's group. x̂ and s are kept, not x."""
    check_affine(affine, x.shape[1:2])
    shape = by_channel(x).shape
    if groups < 1 or shape[1] % groups:
        raise ShapeError(f"{shape[1]} channels do not fall into {groups} groups of equal size")
    standard, s = x_hat_and_scale(_rows(x, groups), (1,), eps)
    y = scaled_then_shifted(np.reshape(standard, shape), affine, (1, shape[1], 1))
    return np.reshape(y, x.shape), (standard, s, *affine)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    groups: int = 1,
    eps: float = 1e-5,
    needs: tuple[bool, ...] = (True, True, True),
) -> tuple[Any, ...]:
    """x̄ = s (h − mean(h) − x̂ mean(h x̂)) with h = g γ; γ̄ = Σ_bp g x̂; β̄ = Σ_bp g."""
    standard, s, *affine = saved
    by_c, dx, dw, db = by_channel(g), None, None, None
    if needs[0]:
        h = by_c * np.reshape(affine[0], (1, by_c.shape[1], 1)) if affine else by_c
        dx = np.reshape(x_bar(_rows(h, groups), standard, s, (1,)), g.shape)
    if affine and needs[1]:
        dw = np.einsum("bcp,bcp->c", by_c, np.reshape(standard, by_c.shape))
    if affine[1:] and needs[2]:
        db = np.sum(by_c, axis=(0, 2))
    return (dx, dw, db)[: 1 + len(affine)]


def _rows(x: Any, groups: int) -> Any:
    """A row for each sample's group."""
    return np.reshape(x, (x.shape[0] * groups, math.prod(x.shape[1:]) // groups))


op = Derivation(
    "group_norm",
    definition,
    backward,
    forward,
    formula=r"\gamma_c \frac{x_c - m_k}{\sqrt{v_k + \varepsilon}} + \beta_c",
    promote="float",
    variadic=True,  # with weight and bias, with weight alone, or without
    in_place=True,
    room="derivations",
    doc="Each sample's groups of channels with mean 0 and variance 1, then scaled and shifted.",
)
