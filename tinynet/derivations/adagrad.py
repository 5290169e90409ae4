r"""Adagrad: each weight's step shrinks with all the gradient that it has seen.

    s ← s + g²,      w ← w − η_t g / (√s + ε),      η_t = η / (1 + (t − 1) δ),

with s_0 = `initial_accumulator_value` and δ = `lr_decay`, both 0 as a rule.

Why the root of the sum. Take one weight, convex losses, and steps η_t that do not grow. Measure
the regret: how much worse all steps together were than the best fixed point w*. Write e_t for
w_t − w*, and let |e_t| ≤ D. From e_(t+1)² = e_t² − 2 η_t g_t e_t + η_t² g_t², summed over t,

    regret ≤ Σ_t g_t e_t ≤ D² / (2 η_T) + ½ Σ_t η_t g_t².

A constant η is best at η = D / √s_T, where the bound is D √s_T; but s_T = Σ g_t² is known only at
the end. So use what is known so far, η_t = η / √s_t. The last sum is then under control, because

    √s_t − √s_(t−1) = g_t² / (√s_t + √s_(t−1)) ≥ g_t² / (2 √s_t),

and adding up, Σ_t g_t² / √s_t ≤ 2 √s_T. The bound becomes (D² / (2η) + η) √s_T, and with
η = D / √2 it is √2 · D √s_T: only √2 worse than the best step chosen in hindsight, for each weight
by itself. A weight whose gradient is rare, such as a rare word's, keeps long steps.

What it costs: s only grows, so steps on gradients of one size shrink like 1 / √t and in the end
stop. RMSprop and Adadelta forget, in order not to.

Weight decay λ adds λw to g. `maximize` steps along +g.

Shapes: w, g, s equal, of any shape. Cost: seven passes over memory.
Source: Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic
Optimization", 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def step(
    w: Any,
    g: Any,
    s: Any,
    t: int,
    scratch: Any,
    *,
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    eps: float = 1e-10,
    maximize: bool = False,
) -> None:
    """Step number t (from 1), in place: changes w, s and scratch, but not g.

    Arrays of one shape and dtype.

    >>> w, s = np.array([1.0, 1.0]), np.zeros(2)
    >>> step(w, np.array([0.5, -200.0]), s, 1, np.zeros(2), lr=0.1); w
    array([0.9, 1.1])
    >>> step(w, np.array([0.5, 0.0]), s, 2, np.zeros(2), lr=0.1); w
    array([0.829, 1.1  ])
    """
    if maximize:
        g = np.negative(g)
    if weight_decay:
        g = g + weight_decay * w
    np.multiply(g, g, out=scratch)  # s = s + g²
    np.add(s, scratch, out=s)
    np.sqrt(s, out=scratch)  # w −= η_t g / (√s + ε)
    np.add(scratch, eps, out=scratch)
    np.divide(g, scratch, out=scratch)
    np.multiply(scratch, lr / (1 + (t - 1) * lr_decay), out=scratch)
    np.subtract(w, scratch, out=w)
