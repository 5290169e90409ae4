r"""L-BFGS: a direction that knows curvature, from the last few steps alone.

The aim. Newton's direction −∇²L⁻¹ g jumps to the minimum of a parabola, but n weights make a
Hessian of n² numbers. Steps and gradients tell about it for free: with

    s = w_new − w_old,      y = g_new − g_old,      y ≈ ∇²L s,

so a matrix H that stands for ∇²L⁻¹ should satisfy the *secant equation* H y = s.

The update. Change H as little as needed for that, and keep it symmetric and positive. With
ρ = 1 / (y · s) that is

    H ← (I − ρ s yᵀ) H (I − ρ y sᵀ) + ρ s sᵀ.

Check it: (I − ρ y sᵀ) y = y − y (s · y) ρ = 0, so H y = ρ s (s · y) = s. It stays positive: for any
z, zᵀ H z is a square in the old H plus ρ (s · z)², and both vanish only for z = 0, provided that
y · s > 0. So pairs with y · s ≤ 1e-10 are not taken; a line search with Wolfe's second condition
(`line_search.py`) makes y · s > 0 by itself.

Without the matrix. Write V = I − ρ y sᵀ, one for each of the last k pairs, the newest V_k. Then

    H_k = V_kᵀ H_(k−1) V_k + ρ_k s_k s_kᵀ,      H_0 = γ I.

To apply H_k to q: let a = ρ_k (s_k · q). Then V_k q = q − a y_k, which H_(k−1) turns into some r by
the same recipe, and V_kᵀ r + s_k a = r − ρ_k s_k (y_k · r) + s_k a = r + (a − b) s_k with
b = ρ_k (y_k · r). Going down the pairs, newest first, makes q; coming back, oldest first, makes r:
two loops, 4 k n multiplications, and H is never built.

γ is the size of the inverse curvature along the newest step: the number for which γ y is closest to
s is γ = (s · y) / (y · y).

Shapes: w, g, s, y, q, r (n,); H (n, n), never built; ρ, γ, a, b numbers.
Source: Nocedal, "Updating Quasi-Newton Matrices with Limited Storage", 1980; Nocedal and Wright,
"Numerical Optimization", 2nd edition, algorithm 7.4 (the two loops), equations 6.17 and 7.20.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def direction(
    g: Any, steps: Sequence[Any], changes: Sequence[Any], rhos: Sequence[float], scale: float
) -> Any:
    """−H g, from the pairs s (`steps`), y (`changes`) and ρ = 1 / (y · s), the oldest first.

    All arrays (n,); `scale` is γ above. Without pairs this is −γ g.

    On a parabola with Hessian diag(1, 4), the two pairs along the axes give Newton's direction:

    >>> s, y = [np.array([1.0, 0]), np.array([0, 1.0])], [np.array([1.0, 0]), np.array([0, 4.0])]
    >>> direction(np.array([1.0, 4.0]), s, y, [1.0, 0.25], 1.0)
    array([-1., -1.])
    """
    q = np.negative(g)
    weights = []
    for s, y, rho in zip(reversed(steps), reversed(changes), reversed(rhos), strict=True):
        weights.append(rho * float(np.dot(s, q)))
        q -= weights[-1] * y
    r = scale * q
    for s, y, rho, a in zip(steps, changes, rhos, reversed(weights), strict=True):
        r += (a - rho * float(np.dot(y, r))) * s
    return r
