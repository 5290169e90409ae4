"""Cross-entropy of class scores: softmax, logarithm, choice and gradient in one reading each way.

    ℓ_b = log Σ_k exp(x_bk − m_b) + (m_b − x_bt)
    x̄_bc = w_b (p_bc − δ_ct)      p_bc = exp(x_bc − m_b) / Σ_k exp(x_bk − m_b)

(`derivations/cross_entropy.py`; t is the class of sample b, w_b what arrives for it: g, over n for
the mean, 0 where it does not count.) log_softmax and then the choice of one entry write n C numbers
of which n are read; and on the way back they write n C zeros, put in n numbers, and read them all
again. Here the forward pass writes n numbers, and keeps two for each sample, m and 1/Σ. The way
back computes the exponentials a second time: 20 flops, cheaper than to store them and fetch them.

    forward     reads x                   4 bytes for each float32
    backward    reads x, writes x̄         8 bytes
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.kernels.choice import Kernel
from tinynet.kernels.elementary import exp
from tinynet.kernels.jit import kernel
from tinynet.kernels.passes import dense, split
from tinynet.kernels.softmax import integers, largest, total_exp


@kernel("x", "bits", "t", "top", "top_bits", "per_total", "losses")
def forward_rows(
    x: Any,
    bits: Any,
    t: Any,
    top: Any,
    top_bits: Any,
    per_total: Any,
    losses: Any,
    first: int,
    last: int,
    ignore_index: int,
) -> int:
    """ℓ, m and 1/Σ of these rows of x; returns how many of them count."""
    one, counted = x.dtype.type(1), 0
    for b in range(first, last):
        top_bits[b] = largest(bits[b])
        total = total_exp(x[b], top[b])
        per_total[b] = one / total
        if t[b] == ignore_index:
            losses[b] = 0
        else:
            losses[b] = np.log(total) + (top[b] - x[b, t[b]])
            counted += 1
    return counted


@kernel("x", "t", "top", "per_total", "weight", "dx")
def backward_rows(
    x: Any,
    t: Any,
    top: Any,
    per_total: Any,
    weight: Any,
    dx: Any,
    first: int,
    last: int,
    ignore_index: int,
) -> None:
    """x̄_c = w (p_c − δ_ct) for these rows of x."""
    zero = x.dtype.type(0)
    for b in range(first, last):
        w = zero if t[b] == ignore_index else weight[b]
        row, out, m, factor = x[b], dx[b], top[b], per_total[b] * w
        for c in range(row.shape[0]):
            out[c] = exp(row[c] - m) * factor
        if t[b] != ignore_index:
            out[t[b]] -= w


def forward(x: Any, t: Any, *, reduction: str, ignore_index: int) -> tuple[Any, Any]:
    """The losses, or their sum or mean, and what the backward pass reads."""
    shape, classes = t.shape, dense(t.astype(np.int64, copy=False)).reshape(-1)
    axis = min(1, x.ndim - 1)
    moved = dense(x if axis == x.ndim - 1 else np.moveaxis(x, axis, -1))
    x = moved.reshape(-1, moved.shape[-1])
    top, per_total, losses = np.empty((3, classes.size), x.dtype)
    arrays = (x, integers(x), classes, top, integers(top), per_total, losses)
    counted: list[int] = []

    def some(first: int, last: int) -> None:
        counted.append(forward_rows(*arrays, first, last, ignore_index))

    split(classes.size, 0.4 * x.shape[1], some)
    n = sum(counted)
    factor = 1.0 if reduction != "mean" else 1 / n if n else math.nan
    y = losses.reshape(shape) if reduction == "none" else np.add.reduce(losses) * factor
    return y, (x, classes, top, per_total, factor, axis, moved.shape)


def backward(g: Any, saved: Any, *, needs: Any, reduction: str, ignore_index: int) -> Any:
    """x̄; nothing for t."""
    x, classes, top, per_total, factor, axis, shape = saved
    weight = np.empty(classes.shape, x.dtype)
    weight[:] = g.reshape(-1) * factor
    dx = np.empty(shape, x.dtype)
    arrays = (x, classes, top, per_total, weight, dx.reshape(x.shape))

    def some(first: int, last: int) -> None:
        backward_rows(*arrays, first, last, ignore_index)

    split(len(x), 0.4 * x.shape[1], some)
    return dx if axis == dx.ndim - 1 else np.moveaxis(dx, -1, axis), None


def serves(x: Any, t: Any, *, reduction: str, ignore_index: int) -> bool:
    """Classes that there are, or are to be ignored."""
    axis = min(1, x.ndim - 1)
    if not x.size or t.shape != x.shape[:axis] + x.shape[axis + 1 :]:
        return False
    if t.dtype.kind not in "iu" or x.dtype.kind != "f" or reduction not in ("none", "sum", "mean"):
        return False
    if t.min() >= 0 and t.max() < x.shape[axis]:
        return True
    return bool(np.all((t == ignore_index) | ((t >= 0) & (t < x.shape[axis]))))


KERNELS = {"cross_entropy": Kernel(forward, backward, serves=serves, least=512)}
