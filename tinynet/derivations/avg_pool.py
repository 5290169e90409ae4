r"""Average pooling: the mean of each window, and its derivative.

    y_i = (1 / c_i) Σ_{q ∈ w(i)} x_q

i numbers the windows, q the entries of the input; with several axes both are tuples of numbers,
and w(i) is a box. c_i is the number of places of the window, those in the padding included (their
entries are 0) or not (`count_include_pad`), or one number for all (`divisor`). What hangs over the
padding with `ceil_mode` is no place.

Derivation. y is linear in x: the weight of x_q in y_i is 1/c_i where q ∈ w(i), else 0. x_q touches
every y_i whose window it lies in, so

    x̄_q = Σ_{i: q ∈ w(i)} g_i / c_i,

the same weights read by columns instead of rows: if y = A x, then x̄ = Aᵀ g. Each window spreads
its g evenly over its entries; where windows overlap the shares add up. What people forget is the
1/c_i: without it the gradient is that of a sum of windows, K times too large.

Shapes: x (…, n1, n2, …), y and g (…, m1, m2, …), with m as in `windows`; all axes without a number
of their own are batch. Cost: K additions for an output, K the entries of a window; backward as
many. Saved are the shape of x, and c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.derivations.windows import along, outputs, places, strided, taps
from tinynet.errors import ArgumentError
from tinynet.op import Derivation

Sizes = tuple[int, ...]


def definition(
    x: Any,
    *,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Any:
    """Σ x_q / c_i, one axis after the other: the sum over a box is a sum of sums, and its c_i the
    product of those of its sides.

    >>> x = np.array([1.0, 3.0, 2.0, 6.0])
    >>> definition(x, kernel=(2,), stride=(2,), padding=(0,))
    array([2., 4.])
    """
    first = x.ndim - len(kernel)
    axes = strided(x.shape[first:], kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    for axis, inside in enumerate(axes, first):
        n, k, s, p = x.shape[axis], *(o[axis - first] for o in (kernel, stride, padding))
        sums = []
        for i, w in enumerate(inside):
            c = min(i * s + k, n + 2 * p) - i * s if count_include_pad else len(w)
            part = x[along(axis, slice(w.start, w.stop))]
            sums.append(np.sum(part, axis=axis) / (c if divisor is None else 1))
        x = np.stack(sums, axis=axis)
    return x if divisor is None else x / divisor


def forward(
    x: Any,
    *,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> tuple[Any, tuple[Any, ...]]:
    """Entry after entry of all windows at once."""
    if divisor == 0:
        raise ArgumentError("the divisor is not 0")
    ones, first = (1,) * len(kernel), x.ndim - len(kernel)
    sizes = x.shape[first:]
    counts = outputs(sizes, kernel, stride, padding, ones, ceil_mode)
    y = np.zeros((*x.shape[:first], *counts), dtype=x.dtype, like=x)
    for here, there in taps(sizes, counts, kernel, stride, padding, ones):
        y[here] += x[there]
    c = divisor or places(sizes, counts, kernel, stride, padding, count_include_pad)
    if not isinstance(c, int):
        c = np.array(c, dtype=x.dtype, like=x)
    return y / c, (x.shape, c)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> tuple[Any, ...]:
    """x̄_q = Σ_{i: q ∈ w(i)} g_i / c_i."""
    shape, c = saved
    sizes, counts = shape[-len(kernel) :], g.shape[-len(kernel) :]
    dx = np.zeros(shape, dtype=g.dtype, like=g)
    share = g / c
    for here, there in taps(sizes, counts, kernel, stride, padding, (1,) * len(kernel)):
        dx[there] += share[here]
    return (dx,)


op = Derivation(
    "avg_pool",
    definition,
    backward,
    forward,
    formula=r"\frac{1}{c_i} \sum_{q \in w(i)} x_q",
    promote="float",
    in_place=True,
    room="derivations",
    doc="The mean of each window.",
)
