r"""Keeping weights small: L2, L1 and decay, and why two of them part ways under Adam.

    L2       P(w) = (λ/2) Σ_i w_i²      ∂P/∂w_i = λ w_i
    L1       P(w) = λ Σ_i |w_i|         ∂P/∂w_i = λ sign(w_i), where w_i ≠ 0
    decay    w ← (1 − η λ) w            with every step; no penalty is mentioned

At w_i = 0 the slope of |w_i| is −1 from the left and 1 from the right; every number between is a
subgradient, and 0 is the one used here and in the engine. −log of a prior density gives the same
two penalties: normal with variance 1/λ for L2, Laplace with scale 1/λ for L1.

Derivation.
1. Under plain gradient descent L2 and decay are one: w − η (g + λ w) = (1 − η λ) w − η g.
2. With momentum they are not: λ w goes into the velocity and counts on in later steps.
3. Under Adam they are far apart. Adam divides g + λ w by √v̂, its own running size: the pull of λ
   w_i becomes λ w_i / √v̂_i. Weights with large gradients are hardly held, and where g is small
   against λ w the step is η sign(w_i) for *every* λ. AdamW is Adam with decay in the place of L2:
   all weights shrink by the same factor.
4. What each does to the best weight. Near a minimum a of the loss, one direction of curvature h
   has L = (h/2) (w − a)². With L2, h (w − a) + λ w = 0:

       w = a h / (h + λ):      never 0; flat directions (h ≪ λ) shrink most.

   With L1, for w > 0: h (w − a) + λ = 0, so w = a − λ/h, which is > 0 only for a > λ/h. In the
   same way w = a + λ/h for a < −λ/h. Between, w = 0: there the slope λ − h a on the right is not
   negative and −λ − h a on the left is not positive. Together, the soft threshold

       w = sign(a) max(|a| − λ/h, 0):      exact zeros, and a bias of λ/h in all others.

5. Steps along a subgradient of L1 do not come to rest at 0: sign(w) jumps there, and w hops by η
   λ. The proximal step takes the loss by its gradient and the penalty exactly: minimise P(w) + (w
   − u)²/(2η) with u = w − η g, which is case 4 with h = 1/η:

       w ← soft_threshold(w − η g, η λ).

Shapes: w and what is returned are equal, of any shape. Cost: one pass over memory.
Source: document B, 3.3 and 9.4 (L1 and L2 named). Krogh and Hertz, "A Simple Weight Decay Can
Improve Generalization", 1991; Tibshirani, "Regression Shrinkage and Selection via the Lasso",
1996; Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def penalty(w: Any, *, l1: float = 0.0, l2: float = 0.0) -> Any:
    """l1 Σ |w| + (l2/2) Σ w².

    >>> float(penalty(np.array([3.0, -4.0]), l1=0.1, l2=2.0))
    25.7
    """
    return l1 * np.sum(np.abs(w)) + l2 / 2 * np.sum(w * w)


def gradient(w: Any, *, l1: float = 0.0, l2: float = 0.0) -> Any:
    """l1 sign(w) + l2 w; 0 where w = 0.

    >>> gradient(np.array([3.0, 0.0, -4.0]), l1=0.5, l2=1.0)
    array([ 3.5,  0. , -4.5])
    """
    return l1 * np.sign(w) + l2 * w


def soft_threshold(w: Any, amount: float) -> Any:
    """sign(w) max(|w| − amount, 0): what minimises amount · |v| + (v − w)²/2.

    >>> soft_threshold(np.array([3.0, 0.2, -4.0]), 0.5)
    array([ 2.5,  0. , -3.5])
    """
    return np.sign(w) * np.maximum(np.abs(w) - amount, 0)
