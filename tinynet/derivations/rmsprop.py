r"""RMSprop: each weight's gradient divided by its own running size.

    v ← α v + (1 − α) g²,      w ← w − η g / (√v + ε),      v_0 = 0.

Where it comes from. Rprop keeps only the sign, g / |g|: the step then does not depend on how steep
L is. On mini-batches that fails. Let a weight see the gradient +0.1 nine times and −0.9 once: they
sum to zero, so the weight should stay. The signs sum to nine minus one, and it runs away: |g| was
another divisor each time. Divide by a number that changes slowly, and neighbours are divided by
nearly the same one and still cancel. The root of the running mean of g² is such a number.

How long it remembers. Unrolled, v_t = (1 − α) Σ_(k≤t) α^(t−k) g_k²: a gradient's weight falls by
the factor e in 1 / (1 − α) steps, 100 for α = 0.99. The weights sum to 1 − α^t, not to 1, and no
correction is made (Adam makes it): with g of one size the first step is η / √(1 − α), 10 η for
α = 0.99.

Centered. With m ← α m + (1 − α) g the variance v − m² takes the place of v: what is noise shortens
the step, what is steady does not. It is never negative, since both sums have the same weights
a_k ≥ 0 with Σ a_k ≤ 1, and by Cauchy and Schwarz

    m² = (Σ √a_k · √a_k g_k)² ≤ (Σ a_k) (Σ a_k g_k²) ≤ v;

rounding may make it so, and is cut off at 0. A gradient that never changes has variance 0: the
step then grows towards η g / ε, which is the weakness of this form.

Momentum μ collects the scaled gradients: b ← μ b + g / (√v + ε), w ← w − η b. Weight decay λ adds
λw to g. `maximize` steps along +g.

Shapes: w, g, v, m, b equal, of any shape. Cost: nine passes over memory; centered adds
six, momentum two.
Source: Tieleman and Hinton, "Lecture 6.5 — rmsprop: divide the gradient by a running average of
its recent magnitude", Coursera, Neural Networks for Machine Learning, 2012; ε outside of the root
as in PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def step(
    w: Any,
    g: Any,
    v: Any,
    scratch: Any,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    mean: Any = None,
    velocity: Any = None,
    maximize: bool = False,
) -> None:
    """One step, in place: changes w, v, mean, velocity and scratch, but not g.

    Arrays of one shape and dtype. `mean` (m above) makes the step centered; `velocity` (b above)
    may be None where momentum is 0.

    >>> w, v = np.array([1.0, 1.0]), np.zeros(2)
    >>> step(w, np.array([5.0, -200.0]), v, np.zeros(2), lr=0.01); w
    array([0.9, 1.1])
    """
    if maximize:
        g = np.negative(g)
    if weight_decay:
        g = g + weight_decay * w

    np.multiply(v, alpha, out=v)  # v = α v + (1 − α) g²
    np.multiply(g, g, out=scratch)
    np.multiply(scratch, 1 - alpha, out=scratch)
    np.add(v, scratch, out=v)

    size = v
    if mean is not None:
        np.subtract(g, mean, out=scratch)  # m = m + (1 − α) (g − m)
        np.multiply(scratch, 1 - alpha, out=scratch)
        np.add(mean, scratch, out=mean)
        np.multiply(mean, mean, out=scratch)
        np.subtract(v, scratch, out=scratch)
        size = np.maximum(scratch, 0, out=scratch)

    np.sqrt(size, out=scratch)  # g / (√v + ε)
    np.add(scratch, eps, out=scratch)
    np.divide(g, scratch, out=scratch)
    if momentum:
        np.multiply(velocity, momentum, out=velocity)
        np.add(velocity, scratch, out=velocity)
        np.multiply(velocity, lr, out=scratch)
    else:
        np.multiply(scratch, lr, out=scratch)
    np.subtract(w, scratch, out=w)
