r"""Adaptive max pooling: a given number of maxima, whatever the size; and its derivative.

    y_i = max_{q ∈ w(i)} x_q,      w(i) = {⌊i n / m⌋, …, ⌈(i + 1) n / m⌉ − 1}

n entries become m; with several axes w(i) is a box, and the maximum over a box is a maximum of the
maxima of its rows. m = 1 is the maximum of all: global max pooling.

Derivation. As in `max_pool`: with q(i) the place of the maximum, y_i = x_q(i), and so

    x̄_q = Σ_{i: q(i) = q} g_i.

Neighbouring windows share an entry where m does not divide n, so the sum may have several terms.
Of several largest entries the first in row-major order takes all; the last NaN comes before them.
The rows keep both rules: the first of the largest rows has the first of the largest entries.

Shapes: x (…, n1, n2, …), y and g (…, m1, m2, …). Cost: fewer than n + m comparisons along an axis.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.windows import adaptive, along, entries
from tinynet.op import Derivation


def definition(x: Any, *, output_size: tuple[int, ...]) -> Any:
    """y_i = max of x_q over the window: a later entry wins where it is larger, or NaN.

    >>> definition(np.array([1.0, 3.0, 2.0, 6.0, 5.0]), output_size=(2,))
    array([3., 6.])
    """
    sizes = x.shape[-len(output_size) :]
    axes = [adaptive(n, m) for n, m in zip(sizes, output_size, strict=True)]
    if 0 in output_size:
        return np.zeros((*x.shape[: -len(axes)], *output_size), dtype=x.dtype, like=x)
    y, *later = entries(x, axes)
    for v in later:
        y = np.where((v > y) | (v != v), v, y)
    return y


def forward(x: Any, *, output_size: tuple[int, ...]) -> tuple[Any, tuple[Any, ...]]:
    """The maximum along the last axis, then along the one before it, with the places q(i), all
    pooled axes counted as one.
    """
    shape, first = x.shape, x.ndim - len(output_size)
    plane = np.arange(math.prod(shape[first:]), like=x)
    q = np.broadcast_to(np.reshape(plane, shape[first:]), shape)
    for axis in range(x.ndim - 1, first - 1, -1):
        m = output_size[axis - first]
        largest = np.zeros((*x.shape[:axis], m, *x.shape[axis + 1 :]), dtype=q.dtype, like=x)
        for i, w in enumerate(adaptive(x.shape[axis], m)):
            part = x[along(axis, slice(w.start, w.stop))]
            largest[along(axis, i)] = w.start + _place_of_largest(part, axis)
        x, q = np.take_along_axis(x, largest, axis), np.take_along_axis(q, largest, axis)
    return x, (q, shape)


def _place_of_largest(x: Any, axis: int) -> Any:
    """The first of the largest along an axis, but the last NaN where there is one."""
    first, nan = np.argmax(x, axis=axis), x != x
    if not np.any(nan):
        return first
    last_nan = x.shape[axis] - 1 - np.argmax(np.flip(nan, axis), axis=axis)
    return np.where(np.any(nan, axis=axis), last_nan, first)


def backward(g: Any, saved: tuple[Any, ...], *, output_size: tuple[int, ...]) -> tuple[Any, ...]:
    """x̄_q = Σ_{i: q(i) = q} g_i: bincount adds up the weights of equal numbers."""
    q, shape = saved
    size = math.prod(shape[-len(output_size) :])
    batch = math.prod(shape) // size
    q = np.reshape(q, (batch, math.prod(output_size)))
    q = q + np.arange(batch, like=q)[:, None] * size
    dx = np.bincount(np.ravel(q), weights=np.ravel(g), minlength=batch * size)
    return (np.reshape(dx, shape).astype(g.dtype),)


def indices(x: Any, *, output_size: tuple[int, ...]) -> Any:
    """q(i), the pooled axes counted as one. An array, int64.

    >>> indices(np.array([[1.0, 3.0], [2.0, 5.0]]), output_size=(1, 1))
    array([[3]])
    """
    return forward(x, output_size=output_size)[1][0]


op = Derivation(
    "adaptive_max_pool",
    definition,
    backward,
    forward,
    formula=r"\max_{q \in w(i)} x_q",
    domain="no two entries equal",
    promote="none",
    room="derivations",
    doc="A given number of maxima over windows that cover the input.",
)
