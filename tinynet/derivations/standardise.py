r"""Standardising: mean 0 and variance 1 over a set S of entries, and the derivative.

The one piece of mathematics in batch, layer, group and instance normalisation. They differ in S,
and in how many entries share a factor γ and a shift β:

                    S: the entries standardised together      γ, β: one for each
    batch norm      one channel of the whole batch            channel
    layer norm      one sample's last axes                    place in these axes
    group norm      one sample's group of channels            channel
    instance norm   one sample's channel: group norm with as many groups as channels

With n entries in S, all sums over S, and ε > 0 so that nothing is divided by zero,

    m = (1/n) Σ_i x_i      c_i = x_i − m      v = (1/n) Σ_i c_i²      s = (v + ε)^(−1/2)
    x̂_i = s c_i            y_i = γ_i x̂_i + β_i.

Derivation. β_i reaches L through y_i alone, γ_i through y_i with the factor x̂_i, and so does x̂_i
with the factor γ_i. Where several y share one γ or β, their parts add up:

    β̄ = Σ g_i      γ̄ = Σ g_i x̂_i      h_i = ∂L/∂x̂_i = g_i γ_i.

For x̄ take a small change dx of all entries at once. The mean changes by dm = mean(dx), the centred
entries by dc_i = dx_i − mean(dx). In dv = (2/n) Σ c_i dc_i the part with mean(dx) is a factor of
Σ c_i = 0 and vanishes: dv = 2 mean(c dx). Then ds = −½ (v + ε)^(−3/2) dv = −s³ mean(c dx), and

    dx̂_i = s dc_i + c_i ds = s (dx_i − mean(dx)) − c_i s³ mean(c dx)
          = s (dx_i − mean(dx) − x̂_i mean(x̂ dx)).

So dx̂ = J dx with J_ij = s (δ_ij − 1/n − x̂_i x̂_j / n). J is symmetric, and the gradient x̄ = Jᵀ h
has the same form:

    x̄_i = s (h_i − mean(h) − x̂_i mean(h x̂)).

Read it: the gradient of x̂, less its component along (1, …, 1), less its component along x̂. It must
be so. To move all x_i together, or to stretch them about their mean, changes no x̂_i, so L has no
slope in these two directions. What people forget are the two subtracted sums: m and v are made of
x, and s h_i alone is the derivative of a different function, which takes them as constants (batch
norm in evaluation). And ε belongs inside of the root: then the formula is exact for every ε.

The variance is taken in two passes, first m, then the squares of x − m. In one pass, as mean(x²) −
m², two numbers of almost equal size would cancel: in float32, x = 1000 ± 0.1 has mean(x²) ≈ 10⁶,
known to ± 0.06, and v = 0.01 is lost in that.

Shapes: x, x̂, h all of one shape; m, v, s have size 1 along the axes of S. Cost: 6 flops an entry
forward, 8 backward.
Source: Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing
Internal Covariate Shift", 2015. Document B, 3.2.1 asks for normalised inputs: here every layer's
are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.errors import ShapeError

Axes = tuple[int, ...]


def mean(x: Any, axis: Axes) -> Any:
    """The mean over the axes, which stay with size 1. Of nothing it is 0, and read by nobody.

    >>> mean(np.array([[1.0, 2.0], [3.0, 8.0]]), (1,))
    array([[1.5],
           [5.5]])
    """
    if 0 in x.shape:
        return np.sum(x, axis=axis, keepdims=True)
    return np.mean(x, axis=axis, keepdims=True)


def mean_of_product(u: Any, v: Any, axis: Axes) -> Any:
    """mean(u v) over the axes, without an array for the product."""
    every = list(range(u.ndim))
    kept = [a for a in every if a not in axis]
    total = np.einsum(u, every, v, every, kept) / max(math.prod(u.shape[a] for a in axis), 1)
    return np.reshape(total, tuple(1 if a in axis else u.shape[a] for a in every))


def x_hat(x: Any, axis: Axes, eps: float) -> Any:
    """x̂ = (x − m) / √(v + ε), as it is meant: for the definitions.

    >>> x_hat(np.array([1.0, 2.0, 3.0]), (0,), 0.0)
    array([-1.2247,  0.    ,  1.2247])
    """
    c = x - mean(x, axis)
    return c / np.sqrt(mean(np.square(c), axis) + eps)


def x_hat_and_scale(x: Any, axis: Axes, eps: float) -> tuple[Any, Any]:
    """x̂ and s = (v + ε)^(−1/2): for the forward passes."""
    c = x - mean(x, axis)
    s = 1 / np.sqrt(mean_of_product(c, c, axis) + eps)
    c *= s
    return c, s


def x_bar(h: Any, x_hat: Any, s: Any, axis: Axes) -> Any:
    """x̄ = s (h − mean(h) − x̂ mean(h x̂)): for the backward passes.

    >>> h, (x, s) = np.array([1.0, 0.0, 0.0]), x_hat_and_scale(np.array([1.0, 2.0, 3.0]), (0,), 0.0)
    >>> x_bar(h, x, s, (0,))  # its sum is 0, and so is its product with (−1, 0, 1)
    array([ 0.2041, -0.4082,  0.2041])
    """
    d = x_hat * -mean_of_product(h, x_hat, axis)  # from here in place: memory is what takes time
    d += h
    d -= mean(h, axis)
    d *= s
    return d


def scaled_and_shifted(x_hat: Any, affine: tuple[Any, ...], shape: Axes) -> Any:
    """y = γ x̂ + β for (γ, β), γ x̂ for (γ,), x̂ for (); both brought to a shape that broadcasts."""
    if not affine:
        return x_hat
    y = x_hat * np.reshape(affine[0], shape)
    return y + np.reshape(affine[1], shape) if affine[1:] else y


def scaled_then_shifted(x_hat: Any, affine: tuple[Any, ...], shape: Axes) -> Any:
    """The same for the forward passes, of arrays: β is added in place."""
    y = scaled_and_shifted(x_hat, affine[:1], shape)
    if affine[1:]:
        y += np.reshape(affine[1], shape)
    return y


def check_affine(affine: tuple[Any, ...], shape: Axes) -> None:
    """Raise ShapeError unless γ and β, those that are given, have this shape."""
    for name, p in zip(("weight", "bias"), affine, strict=False):
        if p.shape != shape:
            raise ShapeError(f"the {name} does not fit", expected=f"{shape}", got=f"{p.shape}")


def by_channel(x: Any) -> Any:
    """x (n, c, …) read as (n, c, m). Raises ShapeError where there is no axis for the channels."""
    if x.ndim < 2:
        raise ShapeError("there is no axis for the channels", expected="(n, c) or (n, c, …)")
    return np.reshape(x, (*x.shape[:2], math.prod(x.shape[2:])))


def by_row(x: Any, dims: int) -> Any:
    """x (…, d1, …, dk) read as (b, n), n for the last k = `dims` axes."""
    lead = x.ndim - dims
    return np.reshape(x, (math.prod(x.shape[:lead]), math.prod(x.shape[lead:])))
