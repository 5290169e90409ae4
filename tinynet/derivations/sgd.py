r"""Gradient descent: the step, momentum, Nesterov's look ahead, weight decay.

Why against the gradient. To first order L(w + d) = L(w) + g · d with g = ∇L(w). Among all d of
one length, g · d is smallest where d points along −g. With learning rate η:

    w ← w − η g.

How large η may be: along a direction of curvature h (an eigenvalue of the Hessian), w moves to w −
η h w, and shrinks only where |1 − η h| < 1, that is η < 2/h. The steepest direction sets the
limit, η < 2/h_max; the flattest then crawls: the price is the ratio of the two, the condition
number.

Momentum. v collects past gradients, each older one weighted by another factor μ; τ is the
dampening:

    v ← μ v + (1 − τ) g,      w ← w − η v,      on the first step v = g.

Unrolled, v = Σ_k μ^k g_(t−k) for τ = 0. A gradient that stays the same adds up to g / (1 − μ),
ten times g for μ = 0.9; one that changes sign with every step shrinks to g / (1 + μ). Flat
directions gain speed, steep ones stop swinging.

Nesterov. The gradient is wanted where momentum is about to carry w, at θ = w − η μ v:

    v⁺ = μ v + g(θ),      w⁺ = w − η v⁺.

Keep θ instead of w, so that the gradient is taken where the weights are: θ⁺ = w⁺ − η μ v⁺ = w − η
v⁺ − η μ v⁺. Put in w = θ + η μ v and μ v = v⁺ − g:

    θ⁺ = θ + η (v⁺ − g) − η v⁺ − η μ v⁺ = θ − η (g + μ v⁺).

That is the step below, with θ called w.

Weight decay λ adds λw to g, the gradient of the penalty (λ/2) ‖w‖². `maximize` steps along +g.

Shapes: w, g, v equal, of any shape. Cost: two passes over memory without momentum, four with it.
Source: document B, 3.2.7 names learning rate and momentum. Polyak 1964; Nesterov 1983; the form
above is that of Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and
momentum in deep learning", 2013, with η outside of v as in PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def step(
    w: Any,
    g: Any,
    velocity: Any,
    scratch: Any,
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
    first: bool = False,
) -> None:
    """One step, in place: changes w, velocity and scratch, but not g.

    Arrays of one shape and dtype; velocity may be None where momentum is 0. `first` says that
    velocity holds nothing.

    >>> w, v = np.array([1.0]), np.zeros(1)
    >>> step(w, np.array([2.0]), v, np.zeros(1), lr=0.1, momentum=0.9, first=True); w, v
    (array([0.8]), array([2.]))
    >>> step(w, np.array([2.0]), v, np.zeros(1), lr=0.1, momentum=0.9); w, v
    (array([0.42]), array([3.8]))
    """
    if maximize:
        g = np.negative(g)
    if weight_decay:
        g = g + weight_decay * w
    direction = g
    if momentum:
        if first:
            np.copyto(velocity, g)
        else:
            np.multiply(velocity, momentum, out=velocity)
            if dampening:
                np.multiply(g, 1 - dampening, out=scratch)
                np.add(velocity, scratch, out=velocity)
            else:
                np.add(velocity, g, out=velocity)
        direction = velocity
        if nesterov:
            np.multiply(velocity, momentum, out=scratch)
            np.add(scratch, g, out=scratch)
            direction = scratch
    np.multiply(direction, lr, out=scratch)
    np.subtract(w, scratch, out=w)
