r"""Adaptive average pooling: a given number of means, whatever the size; and its derivative.

    y_i = 1/|w(i)| Σ_{q ∈ w(i)} x_q,      w(i) = {⌊i n / m⌋, …, ⌈(i + 1) n / m⌉ − 1}

n entries become m; with several axes w(i) is a box, and the mean over a box is a mean of means.
m = 1 is the mean of all: global average pooling.

Derivation. As in `avg_pool`, y = A x with A_iq = 1/|w(i)| where q ∈ w(i), else 0, so x̄ = Aᵀ g:

    x̄_q = Σ_{i: q ∈ w(i)} g_i / |w(i)|.

Neighbouring windows share an entry where m does not divide n; it gets the shares of both. One axis
is A x, two are A x Bᵀ, whose transposed map is Aᵀ g B: one axis after the other, in any order.

Shapes: x (…, n1, n2, …), y and g (…, m1, m2, …). Cost: fewer than n + m additions along an axis.
Source: Lin, Chen, Yan, "Network In Network", 2014, for the mean of all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.derivations.windows import adaptive, along
from tinynet.op import Derivation


def definition(x: Any, *, output_size: tuple[int, ...]) -> Any:
    """The mean of each box.

    >>> definition(np.array([1.0, 3.0, 2.0, 6.0, 10.0]), output_size=(2,))
    array([2., 6.])
    """
    lead = x.shape[: -len(output_size)]
    sizes = x.shape[-len(output_size) :]
    axes = [adaptive(n, m) for n, m in zip(sizes, output_size, strict=True)]
    means = []
    for i in np.ndindex(*output_size):
        box = [slice(w[k].start, w[k].stop) for k, w in zip(i, axes, strict=True)]
        means.append(np.mean(x[(..., *box)], axis=tuple(range(-len(axes), 0))))
    if not means:
        return np.zeros((*lead, *output_size), dtype=x.dtype, like=x)
    return np.reshape(np.stack(means, axis=-1), (*lead, *output_size))


def forward(x: Any, *, output_size: tuple[int, ...]) -> tuple[Any, tuple[Any, ...]]:
    """A mean of means: one axis after the other, which makes the next one's work less."""
    shape, first = x.shape, x.ndim - len(output_size)
    for axis, m in enumerate(output_size, first):
        y = np.zeros((*x.shape[:axis], m, *x.shape[axis + 1 :]), dtype=x.dtype, like=x)
        for i, w in enumerate(adaptive(x.shape[axis], m)):
            y[along(axis, i)] = np.mean(x[along(axis, slice(w.start, w.stop))], axis=axis)
        x = y
    return x, (shape,)


def backward(g: Any, saved: tuple[Any, ...], *, output_size: tuple[int, ...]) -> tuple[Any, ...]:
    """x̄_q = Σ_{i: q ∈ w(i)} g_i / |w(i)|, one axis after the other."""
    (shape,) = saved
    for axis in range(g.ndim - len(output_size), g.ndim):
        n = shape[axis]
        dx = np.zeros((*g.shape[:axis], n, *g.shape[axis + 1 :]), dtype=g.dtype, like=g)
        for i, w in enumerate(adaptive(n, g.shape[axis])):
            share = g[along(axis, slice(i, i + 1))] / len(w)
            dx[along(axis, slice(w.start, w.stop))] += share
        g = dx
    return (g,)


op = Derivation(
    "adaptive_avg_pool",
    definition,
    backward,
    forward,
    formula=r"\frac{1}{|w(i)|} \sum_{q \in w(i)} x_q",
    promote="float",
    in_place=True,
    room="derivations",
    doc="A given number of means over windows that cover the input.",
)
