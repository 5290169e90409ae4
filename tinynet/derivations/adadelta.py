r"""Adadelta: a step in the units of the weight, with no rate to choose.

    v ← ρ v + (1 − ρ) g²                    running size of the gradient
    d = g √(u + ε) / √(v + ε)               the step
    u ← ρ u + (1 − ρ) d²                    running size of the steps
    w ← w − η d,                            v_0 = u_0 = 0, η = 1.

Where it comes from: units. Let w be in metres and L a plain number. Then g = ∂L/∂w is in 1/metre,
and gradient descent subtracts 1/metres from metres: η has to carry the unit, and is wrong again
when w is measured in feet. g / √v has no unit at all, so RMSprop's η is a length. Newton's step is
right by itself, g / (∂²L/∂w²): (1/metre) / (1/metre²). Read Newton's step as d, then 1 / curvature
= d / g: a step over a gradient. Put running sizes for both, and d = g · RMS(d) / RMS(g) is in
metres again. RMS(d) is of the steps *before* this one, since d is not yet known.

The start. At t = 1, u = 0 and d = g √ε / √((1 − ρ) g² + ε) ≈ √(ε / (1 − ρ)), 0.003 for the
defaults: ε is the seed from which steps grow, and larger ε mean a quicker start.

Weight decay λ adds λw to g. `maximize` steps along +g.

Shapes: w, g, v, u, d equal, of any shape. Cost: sixteen passes over memory.
Source: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, algorithm 1; η is PyTorch's.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def step(
    w: Any,
    g: Any,
    v: Any,
    u: Any,
    scratch: Any,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> None:
    """One step, in place: changes w, v, u and scratch, but not g.

    Arrays of one shape and dtype; scratch is a pair of them.

    >>> w, v, u = np.array([1.0, 1.0]), np.zeros(2), np.zeros(2)
    >>> step(w, np.array([0.5, -200.0]), v, u, (np.zeros(2), np.zeros(2))); w
    array([0.99684, 1.00316])
    """
    d, size = scratch
    if maximize:
        g = np.negative(g)
    if weight_decay:
        g = g + weight_decay * w

    np.multiply(v, rho, out=v)  # v = ρ v + (1 − ρ) g²
    np.multiply(g, g, out=d)
    np.multiply(d, 1 - rho, out=d)
    np.add(v, d, out=v)

    np.add(v, eps, out=size)  # d = √(u + ε) / √(v + ε) · g
    np.sqrt(size, out=size)
    np.add(u, eps, out=d)
    np.sqrt(d, out=d)
    np.divide(d, size, out=d)
    np.multiply(d, g, out=d)

    np.multiply(u, rho, out=u)  # u = ρ u + (1 − ρ) d²
    np.multiply(d, d, out=size)
    np.multiply(size, 1 - rho, out=size)
    np.add(u, size, out=u)

    np.multiply(d, lr, out=d)
    np.subtract(w, d, out=w)
