r"""Max pooling: the largest entry of each window, and its derivative.

    y_i = max_{q ∈ w(i)} x_q

i numbers the windows, q the entries of the input; with several axes both are tuples of numbers,
and w(i) is a box. Places in the padding hold −∞: they never win.

Derivation. Let q(i) be the place of the maximum of window i. A small change of x does not move it,
so near x the window is not a maximum at all but a choice, y_i = x_q(i), and

    ∂y_i/∂x_q = 1 where q = q(i), else 0.

An entry may be the largest of several windows that overlap. It touches all their outputs, so its
gradient is the sum over them:

    x̄_q = Σ_{i: q(i) = q} g_i.

Every g_i goes to exactly one place: Σ_q x̄_q = Σ_i g_i, nothing is lost or made. What people forget
is the sum: they write dx[q(i)] = g_i, which is right only for windows that do not overlap.

Ties. Where several entries are largest there is no derivative; as in PyTorch the first of them, in
row-major order, takes it all (`amax` shares evenly). A NaN counts as larger than anything, the
last NaN of a window wins.

Shapes: x (…, n1, n2, …), y and g (…, m1, m2, …), with m as in `windows`; all axes without a number
of their own are batch. Cost: K comparisons for an output, K the entries of a window; backward as
many. Saved is which entry of its window won, one byte for each window, not the input.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.windows import entries, outputs, strided, taps
from tinynet.op import Derivation

Sizes = tuple[int, ...]


def definition(
    x: Any,
    *,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool = False,
) -> Any:
    """y_i = max of x_q over the window: a later entry wins where it is larger, or NaN.

    >>> x = np.array([1.0, 3.0, 2.0, 5.0])
    >>> definition(x, kernel=(2,), stride=(2,), padding=(0,), dilation=(1,))
    array([3., 5.])
    """
    sizes = x.shape[-len(kernel) :]
    axes = strided(sizes, kernel, stride, padding, dilation, ceil_mode)
    y, *later = entries(x, axes)
    for v in later:
        y = np.where((v > y) | (v != v), v, y)
    return y


def forward(
    x: Any,
    *,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool = False,
) -> tuple[Any, tuple[Any, ...]]:
    """Entry after entry of all windows at once. `won` is the number of the largest so far, from 1;
    0: none was inside the input yet.
    """
    sizes = x.shape[-len(kernel) :]
    counts = outputs(sizes, kernel, stride, padding, dilation, ceil_mode)
    shape = (*x.shape[: -len(kernel)], *counts)
    lowest = -math.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    y = np.zeros(shape, dtype=x.dtype, like=x) + lowest
    won = np.zeros(shape, dtype=np.min_scalar_type(math.prod(kernel)), like=x)
    each = taps(sizes, counts, kernel, stride, padding, dilation)
    for number, (here, there) in enumerate(each, 1):
        v, best, by = x[there].copy(), y[here], won[here]  # a copy lies side by side in memory
        better = (v > best) | (v != v) | (by == 0)
        np.maximum(by, better * won.dtype.type(number), out=by)
        np.maximum(best, v, out=best)
    return y, (won, x.shape)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool = False,
) -> tuple[Any, ...]:
    """x̄_q = Σ_{i: q(i) = q} g_i."""
    won, shape = saved
    sizes, counts = shape[-len(kernel) :], g.shape[-len(kernel) :]
    dx = np.zeros(shape, dtype=g.dtype, like=g)
    each = taps(sizes, counts, kernel, stride, padding, dilation)
    for number, (here, there) in enumerate(each, 1):
        dx[there] += np.where(won[here] == number, g[here], 0)
    return (dx,)


def indices(
    x: Any,
    *,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool = False,
) -> Any:
    """q(i), the axes n1, n2, … counted as one: what `max_unpool` wants to know. An array, int64.

    >>> x = np.array([[1.0, 3.0], [2.0, 5.0]])
    >>> indices(x, kernel=(1, 2), stride=(1, 2), padding=(0, 0), dilation=(1, 1))
    array([[1],
           [3]])
    """
    _, (won, _) = forward(
        x, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    number = won.astype(np.int64) - 1
    q, behind, step = 0, 1, 1  # from the last axis to the first
    for axis in range(-1, -len(kernel) - 1, -1):
        window = np.arange(won.shape[axis], like=won) * stride[axis] - padding[axis]
        window = np.reshape(window, (-1,) + (1,) * (-1 - axis))
        q = q + step * (window + number // behind % kernel[axis] * dilation[axis])
        behind, step = behind * kernel[axis], step * x.shape[axis]
    return q


op = Derivation(
    "max_pool",
    definition,
    backward,
    forward,
    formula=r"\max_{q \in w(i)} x_q",
    domain="no two entries equal",
    promote="none",
    in_place=True,
    room="derivations",
    doc="The largest entry of each window.",
)
