r"""Cross-entropy of class scores (softmax and negative log-likelihood in one), and its derivative.

The model gives scores x_c; p_c = exp(x_c) / Σ_k exp(x_k) is the probability that it gives to
class c. The loss of one sample whose class is t is the negative logarithm of the probability that
the truth received:

    ℓ = −log p_t = log Σ_k exp(x_k) − x_t.

Derivation. The first term is differentiated by x_c to exp(x_c) / Σ_k exp(x_k) = p_c. The second
gives −1 where c = t. So, with δ_ct = 1 where c = t and 0 elsewhere,

    ∂ℓ/∂x_c = p_c − δ_ct:

what the model says minus what is true. The gradients of softmax (a Jacobian) and of −log (1/p_t,
which explodes as p_t → 0) have cancelled into a difference that lies between −1 and 1. Over a
batch of n samples with the mean,

    x̄_bc = g (p_bc − δ_c,t_b) / n.

The collapse needs Σ_c y_c = 1. For a general target y, −Σ_c y_c log p_c has the gradient p_c Σ_k
y_k − y_c, which is p_c − y_c only where the targets sum to 1, as one-hot and probabilities do
(`soft_cross_entropy`).

Shapes: x (C,), (n, C) or (n, C, d1, …); t whole numbers of x's shape without the axis C; ℓ of t's
shape. Samples whose t is `ignore_index` count nothing, neither in the sum nor in n.
Source: document B, 4.1 (right for one-hot y); document D, 4.2, L = −log P(y given x), there for
one sample: the likelihood of independent samples is a product, so its −log is the sum over them,
and maximum likelihood is minimum cross-entropy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.reduction import check_classes, classes_of, reduce, sizes_of, weight
from tinynet.op import Derivation
from tinynet.ops.reductions import logsumexp


def definition(x: Any, t: Any, *, reduction: str = "mean", ignore_index: int = -100) -> Any:
    """ℓ = log Σ_k exp(x_k) − x_t, reduced.

    >>> float(definition(np.array([[0.0, 0.0], [0.0, np.log(3.0)]]), np.array([0, 1])))
    0.4904
    """
    axis = min(1, x.ndim - 1)
    counted, classes, n = classes_of(t, ignore_index)
    score = np.squeeze(np.take_along_axis(x, np.expand_dims(classes, axis), axis=axis), axis=axis)
    losses = logsumexp(x, axis) - score
    return reduce(losses if n == math.prod(t.shape) else np.where(counted, losses, 0), n, reduction)


def forward(
    x: Any, t: Any, *, reduction: str = "mean", ignore_index: int = -100
) -> tuple[Any, tuple[Any, ...]]:
    """The definition, x read as (n, C, d). e = exp(x − max x) serves the loss and p = e / Σ e."""
    sizes = sizes_of(x, t, "scores")
    counted, classes, n = classes_of(np.reshape(t, (sizes[0], sizes[2])), ignore_index)
    check_classes(classes, sizes[1])
    scores = np.reshape(x, sizes)
    top = np.max(scores, axis=1, keepdims=True)
    e = np.exp(scores - top)
    total = np.sum(e, axis=1, keepdims=True)
    rows, columns = np.arange(sizes[0], like=t)[:, None], np.arange(sizes[2], like=t)
    losses = np.log(total[:, 0]) + (top[:, 0] - scores[rows, classes, columns])
    losses = np.reshape(losses if counted is None else np.where(counted, losses, 0), t.shape)
    return reduce(losses, n, reduction), (x.shape, e, total, counted, classes, n)


def backward(
    g: Any, saved: tuple[Any, ...], *, reduction: str = "mean", ignore_index: int = -100
) -> tuple[Any, ...]:
    """x̄_c = g (p_c − δ_ct), over n for the mean; nothing for t, which are names, not quantities."""
    shape, e, total, counted, classes, n = saved
    names = np.arange(e.shape[1], like=classes)[:, None]
    scale = g * weight(n, reduction)
    if counted is not None:
        scale = np.where(counted, np.reshape(scale, classes.shape if g.ndim else ()), 0)
    if scale.ndim:
        scale = np.reshape(scale, total.shape)
    return np.reshape(scale * (e / total - (classes[:, None] == names)), shape), None


op = Derivation(
    "cross_entropy",
    definition,
    backward,
    forward,
    formula=r"\ln \sum_k e^{x_k} - x_t",
    promote="none",
    room="derivations",
    doc="−log of the probability that softmax of the scores gives to the true class.",
)
