"""Softmax and its logarithm along the last axis, a row at a time.

    y_i = exp(x_i − m) / Σ_k exp(x_k − m),  m = max x      (`derivations/softmax.py`)

1. `three_passes`   the formula: a row is read for m, for the sum, and for the quotients, each with
                    exponentials of its own: 2n of them.
2. `online`         m and the sum in one reading. When a larger m comes, what has been summed so far
                    is multiplied by exp(m_old − m_new). This is what a row needs that is never
                    there as a whole (`attention`); one that lies in the cache gains nothing by it.
3. `forward_rows`   three passes again, over a row that is in the cache, but n exponentials, which
                    stay in y; a product with 1/Σ for the quotient; and all three loops as vectors.

The third needs a trick for m. Which of two floats is larger depends on NaN, so a maximum may not be
taken in another order, and its loop is no vector code. But the bits of floats, read as integers,
have the order of the floats: those that are not negative as they stand, the others backwards. The
maximum of integers has no such scruples (`largest`). A NaN may win or lose there; the sum is NaN
either way.

Memory: 8 bytes for each float32 forward, 12 backward. Arithmetic: an exponential is 20 flops.

Source: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018, for 2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.kernels.choice import Kernel
from tinynet.kernels.elementary import exp
from tinynet.kernels.jit import inner, kernel
from tinynet.kernels.passes import dense, split

# -- the first rungs -------------------------------------------------------------------------------


@kernel("y")
def three_passes(x: Any, y: Any) -> None:
    """y = softmax of each row of x, as the formula reads."""
    for b in range(x.shape[0]):
        m, total = x[b, 0], x.dtype.type(0)
        for i in range(x.shape[1]):
            m = max(m, x[b, i])
        for i in range(x.shape[1]):
            total += exp(x[b, i] - m)
        for i in range(x.shape[1]):
            y[b, i] = exp(x[b, i] - m) / total


@kernel("y")
def online(x: Any, y: Any) -> None:
    """The same in two passes."""
    for b in range(x.shape[0]):
        m, total = x[b, 0], x.dtype.type(0)
        for i in range(x.shape[1]):
            larger = max(m, x[b, i])
            total = total * exp(m - larger) + exp(x[b, i] - larger)
            m = larger
        for i in range(x.shape[1]):
            y[b, i] = exp(x[b, i] - m) / total


# -- with vectors ----------------------------------------------------------------------------------


@inner
def largest(bits: Any) -> Any:
    """The bits of the largest of some floats, from theirs."""
    sign = 8 * bits.itemsize - 1
    but_the_sign = bits.dtype.type((1 << sign) - 1)
    best = bits[0] ^ ((bits[0] >> sign) & but_the_sign)
    for i in range(bits.shape[0]):
        best = max(best, bits[i] ^ ((bits[i] >> sign) & but_the_sign))
    return best ^ ((best >> sign) & but_the_sign)


@inner
def total_exp(row: Any, m: Any) -> Any:
    """Σ_i exp(x_i − m)."""
    total = row.dtype.type(0)
    for i in range(row.shape[0]):
        total += exp(row[i] - m)
    return total


@kernel("x", "bits", "top", "top_bits", "y")
def forward_rows(x: Any, bits: Any, top: Any, top_bits: Any, y: Any) -> None:
    """y = softmax of each row of x. `top` gets the largest entries, `top_bits` is its memory."""
    one = x.dtype.type(1)
    for b in range(x.shape[0]):
        row, out, total = x[b], y[b], x.dtype.type(0)
        top_bits[b] = largest(bits[b])
        m = top[b]
        for i in range(row.shape[0]):
            e = exp(row[i] - m)
            out[i] = e
            total += e
        factor = one / total
        for i in range(row.shape[0]):
            out[i] *= factor


@kernel("g", "y", "dx")
def backward_rows(g: Any, y: Any, dx: Any) -> None:
    """x̄_j = y_j (g_j − Σ_i g_i y_i)."""
    for b in range(y.shape[0]):
        upstream, row, out, dot = g[b], y[b], dx[b], y.dtype.type(0)
        for i in range(row.shape[0]):
            dot += upstream[i] * row[i]
        for i in range(row.shape[0]):
            out[i] = row[i] * (upstream[i] - dot)


@kernel("x", "bits", "top", "top_bits", "y")
def log_forward_rows(x: Any, bits: Any, top: Any, top_bits: Any, y: Any) -> None:
    """y_i = (x_i − m) − log Σ_k exp(x_k − m); m = 0 where the largest entry is infinite."""
    for b in range(x.shape[0]):
        row, out = x[b], y[b]
        top_bits[b] = largest(bits[b])
        m = top[b] if math.isfinite(top[b]) else x.dtype.type(0)
        rest = np.log(total_exp(row, m))
        for i in range(row.shape[0]):
            out[i] = (row[i] - m) - rest


@kernel("g", "y", "dx")
def log_backward_rows(g: Any, y: Any, dx: Any) -> None:
    """x̄_j = g_j − exp(y_j) Σ_i g_i."""
    for b in range(y.shape[0]):
        upstream, row, out, total = g[b], y[b], dx[b], y.dtype.type(0)
        for i in range(row.shape[0]):
            total += upstream[i]
        for i in range(row.shape[0]):
            out[i] = upstream[i] - exp(row[i]) * total


# -- for the engine --------------------------------------------------------------------------------


def integers(x: Any) -> Any:
    """The bits of floats."""
    return x.view(f"i{x.itemsize}")


def _forward(run: Any, x: Any, axis: int) -> tuple[Any, Any]:
    """y, and all that the backward pass reads: y as rows."""
    moved = dense(x.swapaxes(axis, -1))
    y, rows = np.empty(moved.shape, x.dtype), moved.reshape(-1, moved.shape[-1])
    into, top = y.reshape(rows.shape), np.empty(len(rows), x.dtype)
    arrays = (rows, integers(rows), top, integers(top), into)
    split(len(rows), 0.5 * rows.shape[1], lambda a, b: run(*(each[a:b] for each in arrays)))
    return dense(y.swapaxes(axis, -1)), (into,)


def _backward(run: Any, g: Any, saved: Any, axis: int) -> tuple[Any]:
    (y,), moved = saved, dense(g.swapaxes(axis, -1))
    dx = np.empty(moved.shape, y.dtype)
    arrays = (moved.reshape(y.shape), y, dx.reshape(y.shape))
    split(len(y), 0.4 * y.shape[1], lambda a, b: run(*(each[a:b] for each in arrays)))
    return (dx if axis in (-1, g.ndim - 1) else dx.swapaxes(axis, -1),)


def softmax(x: Any, *, axis: int) -> tuple[Any, Any]:
    """y_i = exp(x_i) / Σ_k exp(x_k) along an axis."""
    return _forward(forward_rows, x, axis)


def softmax_backward(g: Any, saved: Any, *, needs: Any, axis: int) -> tuple[Any]:
    """x̄."""
    return _backward(backward_rows, g, saved, axis)


def log_softmax(x: Any, *, axis: int) -> tuple[Any, Any]:
    """y_i = x_i − log Σ_k exp(x_k) along an axis."""
    return _forward(log_forward_rows, x, axis)


def log_softmax_backward(g: Any, saved: Any, *, needs: Any, axis: int) -> tuple[Any]:
    """x̄."""
    return _backward(log_backward_rows, g, saved, axis)


def serves(x: Any, *, axis: int | None) -> bool:
    """An axis that there is."""
    return bool(x.size) and axis is not None and -x.ndim <= axis < x.ndim


KERNELS = {
    "softmax": Kernel(softmax, softmax_backward, serves=serves, least=4096),
    "log_softmax": Kernel(log_softmax, log_softmax_backward, serves=serves, least=2048),
}
