r"""Negative log-likelihood of log-probabilities, with weights for the classes, and its derivative.

The model gives x_c = log p_c for every class c. A sample whose class is t costs

    ℓ = −w_t x_t,

w_t = 1 unless classes are weighted, to let a rare one count for more. The mean of a weighted batch
is the weighted mean, L = Σ_b ℓ_b / Σ_b w_(t_b): doubling all weights changes nothing.

Derivation. x_c occurs only where c = t, and there linearly. With δ_ct = 1 for c = t, else 0,

    ∂L/∂x_bc = −w_c δ_(c,t_b) / Σ_b w_(t_b).

Only the true class's own logarithm gets a gradient. That the others must fall comes from log
softmax before it, whose backward pass subtracts p_c Σ_k g_k: together they are `cross_entropy`.

Three names for one aim. Let samples be independent and let the model give class c the probability
p_θ(c given x). Then
1. *Maximum likelihood* wants the largest Π_b p_θ(t_b given x_b). Its logarithm is a sum, so that is
   the smallest Σ_b −log p_θ(t_b given x_b): this loss with reduction 'sum', w = 1. Document D, 4.2
   writes one term; the sum over the data is not said.
2. Group equal inputs: of n_x samples with input x, the share q(c given x) has class c. The sum is
   Σ_x n_x (−Σ_c q log p_θ): the *cross-entropy* of what was seen, q, and what is said, p_θ.
3. −Σ_c q log p_θ = Σ_c q log (q / p_θ) − Σ_c q log q = KL(q ‖ p_θ) + H(q). The entropy H(q) of the
   data does not contain θ. So all three are least at the same θ, where p_θ = q if the model can
   say that; they have the same gradient everywhere; and the loss that is left there is H(q).

Shapes: x (C,), (n, C) or (n, C, d1, …); t whole numbers of x's shape without the axis C; ℓ of t's
shape; w (C,). Samples whose t is `ignore_index` count nothing, in neither sum.
Source: document D, 4.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.derivations.reduction import check_classes, classes_of, reduce, sizes_of
from tinynet.derivations.reduction import weight as factor
from tinynet.errors import ShapeError
from tinynet.op import Derivation


def definition(
    x: Any, t: Any, *, weight: Any = None, reduction: str = "mean", ignore_index: int = -100
) -> Any:
    """−w_t x_t, reduced.

    >>> x = np.log(np.array([[0.5, 0.5], [0.2, 0.8]]))
    >>> definition(x, np.array([0, 1]), reduction="none")
    array([0.6931, 0.2231])
    """
    axis = min(1, x.ndim - 1)
    counted, classes, n = classes_of(t, ignore_index)
    losses = -np.squeeze(np.take_along_axis(x, np.expand_dims(classes, axis), axis=axis), axis)
    if weight is not None:
        of_sample = weight.astype(x.dtype)[classes]
        losses = losses * of_sample
        n = float(np.sum(of_sample if counted is None else np.where(counted, of_sample, 0)))
    return reduce(losses if counted is None else np.where(counted, losses, 0), n, reduction)


def forward(
    x: Any, t: Any, *, weight: Any = None, reduction: str = "mean", ignore_index: int = -100
) -> tuple[Any, tuple[Any, ...]]:
    """The definition, x read as (n, C, d). The weight of every sample is kept, 0 if ignored."""
    sizes = sizes_of(x, t, "numbers")
    counted, classes, n = classes_of(np.reshape(t, (sizes[0], sizes[2])), ignore_index)
    check_classes(classes, sizes[1])
    w = np.zeros(classes.shape, dtype=x.dtype, like=x) + 1
    if weight is not None:
        if weight.shape != sizes[1:2]:
            raise ShapeError("one weight for each class is expected", expected=f"({sizes[1]},)")
        w = weight.astype(x.dtype)[classes]
    if counted is not None:
        w = np.where(counted, w, 0)
    total = n if weight is None else float(np.sum(w))
    rows, columns = np.arange(sizes[0], like=t)[:, None], np.arange(sizes[2], like=t)
    picked = np.where(w == 0, 0, np.reshape(x, sizes)[rows, classes, columns])
    losses = np.reshape(0 - w * picked, t.shape)
    return reduce(losses, total, reduction), (x.shape, sizes[1], w, classes, total)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int = -100,
) -> tuple[Any, ...]:
    """−g w_t at the true class and 0 elsewhere, over Σ w for the mean; nothing for t."""
    shape, count, w, classes, total = saved
    names = np.arange(count, like=classes)[:, None]
    scale = np.reshape(g, w.shape) if g.ndim else g
    scale = -scale * factor(total, reduction) * w
    return np.reshape(np.where(classes[:, None] == names, scale[:, None], 0), shape), None


op = Derivation(
    "nll",
    definition,
    backward,
    forward,
    formula=r"-w_t x_t",
    promote="none",
    room="derivations",
    doc="Minus the log-probability of the true class.",
)
