r"""Adam: a step of its own size for every weight.

Two running means are kept for each weight, of the gradient and of its square (t counts steps from
1, m_0 = v_0 = 0):

    m_t = β₁ m_(t−1) + (1 − β₁) g_t,      v_t = β₂ v_(t−1) + (1 − β₂) g_t².

Why they need a correction. Unrolled, m_t = (1 − β₁) Σ_(k=1..t) β₁^(t−k) g_k. If all g_k have the
mean E[g], the weights of that sum add up, by the geometric series, to

    (1 − β₁) (1 + β₁ + … + β₁^(t−1)) = 1 − β₁^t,      so E[m_t] = (1 − β₁^t) E[g]:

the start at 0 makes m too small, by a known factor. In the same way E[v_t] = (1 − β₂^t) E[g²].
Divide it out:

    m̂ = m_t / (1 − β₁^t),      v̂ = v_t / (1 − β₂^t),      w ← w − η m̂ / (√v̂ + ε).

At t = 1 this is m̂ = g, v̂ = g², a step of η sign(g) (for |g| well above ε): without the
correction, β₁ = 0.9 and β₂ = 0.999 would make it 0.1/√0.001 ≈ 3.2 times larger. And |m̂| ≤ √v̂ up
to the different memories of the two means, so η bounds the step whatever the scale of L: a loss
multiplied by 1000 moves w as before.

The two corrections are numbers, so they are pulled out of the pass over memory. With
c = √(1 − β₂^t),

    η m̂ / (√v̂ + ε) = [η c / (1 − β₁^t)] · m / (√v + ε c).

Weight decay λ adds λw to g, where √v̂ then divides it as well; `decoupled` (AdamW) shrinks w by
the factor 1 − ηλ instead. `largest` (AMSGrad) puts the largest v so far in the place of v, so
that no step size can grow again.

Shapes: w, g, m, v equal, of any shape. Cost: twelve passes over the arrays.
Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1 and the
reordering at the end of its section 2. Loshchilov and Hutter, "Decoupled Weight Decay
Regularization", 2019. Reddi, Kale and Kumar, "On the Convergence of Adam and Beyond", 2018.
Document B, 5.2 trains with Adam.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def step(
    w: Any,
    g: Any,
    m: Any,
    v: Any,
    t: int,
    scratch: Any,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    largest: Any = None,
    maximize: bool = False,
) -> None:
    """Step number t (from 1), in place: changes w, m, v, `largest` and scratch, but not g.

    Arrays of one shape and dtype.

    >>> w, m, v = np.array([1.0, 1.0]), np.zeros(2), np.zeros(2)
    >>> step(w, np.array([0.5, -200.0]), m, v, 1, np.zeros(2), lr=0.1); w
    array([0.9, 1.1])
    """
    beta1, beta2 = betas
    if maximize:
        g = np.negative(g)
    if weight_decay and decoupled:
        np.multiply(w, 1 - lr * weight_decay, out=w)
    elif weight_decay:
        g = g + weight_decay * w

    np.multiply(m, beta1, out=m)  # m = β₁ m + (1 − β₁) g
    np.multiply(g, 1 - beta1, out=scratch)
    np.add(m, scratch, out=m)

    np.multiply(v, beta2, out=v)  # v = β₂ v + (1 − β₂) g²
    np.multiply(g, g, out=scratch)
    np.multiply(scratch, 1 - beta2, out=scratch)
    np.add(v, scratch, out=v)

    if largest is not None:
        np.maximum(largest, v, out=largest)
        v = largest
    c = math.sqrt(1 - beta2**t)
    np.sqrt(v, out=scratch)  # w −= [η c / (1 − β₁^t)] m / (√v + ε c)
    np.add(scratch, eps * c, out=scratch)
    np.divide(m, scratch, out=scratch)
    np.multiply(scratch, lr * c / (1 - beta1**t), out=scratch)
    np.subtract(w, scratch, out=w)
