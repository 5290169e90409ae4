r"""Cross-entropy where the truth is itself a distribution, with label smoothing; its derivatives.

The model gives scores x_c, p_c = exp(x_c) / Σ_k exp(x_k). The target gives every class c a
probability y_c, and the classes may have weights w_c (1 unless given). Label smoothing trusts the
target only to 1 − ε and spreads the rest evenly over the C classes:

    t_c = (1 − ε) y_c + ε / C,      ℓ = −Σ_c w_c t_c log p_c.

One-hot y with ε = 0 leaves the one term of `cross_entropy`.

Derivation. log p_c = x_c − log Σ_k exp(x_k), so ∂ log p_k / ∂x_c = δ_kc − p_c. Hence

    ∂ℓ/∂x_c = −Σ_k w_k t_k (δ_kc − p_c) = p_c Σ_k w_k t_k − w_c t_c,
    ∂ℓ/∂y_c = −(1 − ε) w_c log p_c,

over n for the mean, n the number of samples. Without weights and with Σ_c y_c = 1 also Σ_c t_c =
(1 − ε) + C · ε/C = 1, and the first is p_c − t_c, what the model says minus what is true. What
people forget is the factor Σ_k w_k t_k: it is 1 only there.

What smoothing does: the gradient is 0 at p = t, so the largest probability asked for is 1 − ε +
ε/C, and the scores that give it differ by log((1 − ε) C/ε + 1), a finite number. One-hot targets
ask for infinitely large scores. In terms of losses, ℓ_ε = (1 − ε) ℓ(y) + ε ℓ(even): linear in t.

The mean divides by n, not by the weights of the classes: a soft target has no class of its own.

Shapes: x and y are equal, (C,), (n, C) or (n, C, d1, …); w (C,); ℓ has that shape without C.
Source: document B, 4.1 (−(1/n) Σ y log ŷ, right for any y that sums to 1). Szegedy, Vanhoucke,
Ioffe, Shlens and Wojna, "Rethinking the Inception Architecture for Computer Vision", 2016, for
smoothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.reduction import reduce
from tinynet.derivations.reduction import weight as factor
from tinynet.errors import ShapeError
from tinynet.op import Derivation
from tinynet.ops.reductions import logsumexp


def definition(
    x: Any,
    y: Any,
    *,
    weight: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """−Σ_c w_c t_c log p_c, t = (1 − ε) y + ε/C, reduced.

    >>> x, y = np.log(np.array([0.5, 0.25, 0.25])), np.array([0.5, 0.5, 0.0])
    >>> float(definition(x, y))  # (log 2 + log 4) / 2
    1.0397
    """
    axis = min(1, x.ndim - 1)
    t = _smoothed(y, axis, label_smoothing)
    log_p = x - logsumexp(x, axis, keepdim=True)
    losses = -np.sum(_of_classes(weight, x, axis) * t * log_p, axis=axis)
    return reduce(losses, math.prod(losses.shape), reduction)


def forward(
    x: Any,
    y: Any,
    *,
    weight: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> tuple[Any, tuple[Any, ...]]:
    """The definition; w t and log p are kept."""
    axis = min(1, x.ndim - 1)
    if x.ndim == 0 or x.shape != y.shape or x.shape[axis] == 0:
        raise ShapeError(
            "probabilities of the classes have the shape of the scores",
            expected="x and y (C,), (n, C) or (n, C, …), with at least one class",
        )
    if weight is not None and weight.shape != x.shape[axis : axis + 1]:
        raise ShapeError("one weight for each class is expected", expected=f"({x.shape[axis]},)")
    wt = _of_classes(weight, x, axis) * _smoothed(y, axis, label_smoothing)
    shifted = x - np.max(x, axis=axis, keepdims=True)
    log_p = shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    losses = -np.sum(wt * log_p, axis=axis)
    return reduce(losses, math.prod(losses.shape), reduction), (wt, log_p)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    weight: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    needs: tuple[bool, ...] = (True, True),
) -> tuple[Any, ...]:
    """g (p_c Σ_k w_k t_k − w_c t_c) and −g (1 − ε) w_c log p_c, over n for the mean."""
    wt, log_p = saved
    axis = min(1, wt.ndim - 1)
    g = g * factor(math.prod(wt.shape[:axis] + wt.shape[axis + 1 :]), reduction)
    g = np.expand_dims(g, axis) if g.ndim else g
    dx = g * (np.exp(log_p) * np.sum(wt, axis=axis, keepdims=True) - wt)
    if not needs[1]:
        return dx, None
    return dx, -g * (1 - label_smoothing) * _of_classes(weight, wt, axis) * log_p


def _smoothed(y: Any, axis: int, epsilon: float) -> Any:
    """t = (1 − ε) y + ε/C."""
    return (1 - epsilon) * y + epsilon / max(y.shape[axis], 1)


def _of_classes(weight: Any, like: Any, axis: int) -> Any:
    """w with the shape (C, 1, …) that meets the axis of the classes; 1 where there are none."""
    if weight is None:
        return 1
    return np.reshape(weight.astype(like.dtype), (-1, *(1,) * (like.ndim - 1 - axis)))


op = Derivation(
    "soft_cross_entropy",
    definition,
    backward,
    forward,
    formula=r"-\sum_c w_c t_c \ln \frac{e^{x_c}}{\sum_k e^{x_k}}",
    promote="float",
    room="derivations",
    doc="Cross-entropy of scores with a target that gives every class a probability.",
)
