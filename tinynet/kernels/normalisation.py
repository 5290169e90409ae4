"""Layer, RMS, batch and group normalisation: one reading of x, one writing of y.

    y = γ x̂ + β      x̂ = (x − m) s      s = (v + ε)^(−1/2)      (`derivations/standardise.py`)

Written with NumPy, each sign of that is a pass over memory: x is read for m, again for x − m, and
that array for its squares, for the product with s, for γ, for β. The arithmetic is 8 flops for each
number, which a core does in the time in which it fetches one. But m and v belong to a small set of
numbers, a row or a channel, that fits the nearest cache. So everything is done to one set before
the next is touched: the passes stay, but only the first reads from memory.

    forward     reads x, writes y               8 bytes for each float32
    backward    reads g and x, writes x̄        12 bytes

Nothing else is kept than x itself, m and s: x̂ is one product away. γ̄ and β̄ are sums over all rows:
each block of ROWS rows has a sum of its own, and these are added last, so that the result does not
depend on which thread did which block.

m and v are taken in two passes as in the proof, never as mean(x²) − m². In the second, the mean of
x − m is summed too: 0, but for the rounding of m, which it corrects. A row is summed in x's dtype,
with as many partial sums as vectors have places; sums over rows of a channel are float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.kernels.choice import Kernel
from tinynet.kernels.jit import inner, kernel
from tinynet.kernels.passes import dense, split

ROWS = 64  # rows whose parts of γ̄ and β̄ are summed together


@inner
def total(x: Any) -> Any:
    """Σ x."""
    result = x.dtype.type(0)
    for i in range(x.shape[0]):
        result += x[i]
    return result


@inner
def deviations(x: Any, m: Any) -> Any:
    """Σ (x − m) and Σ (x − m)²."""
    first, second = x.dtype.type(0), x.dtype.type(0)
    for i in range(x.shape[0]):
        c = x[i] - m
        first += c
        second += c * c
    return first, second


@inner
def total_product(g: Any, x: Any, m: Any) -> Any:
    """Σ g (x − m)."""
    result = x.dtype.type(0)
    for i in range(x.shape[0]):
        result += g[i] * (x[i] - m)
    return result


# -- rows: γ and β differ inside of a set ----------------------------------------------------------


@kernel("x", "gamma", "beta", "y", "mean", "scale")
def forward_rows(
    x: Any, gamma: Any, beta: Any, y: Any, mean: Any, scale: Any, eps: float, centred: int
) -> None:
    """y, m and s of each row of x (b, n). Not centred: m = 0."""
    n, zero, one = x.shape[1], x.dtype.type(0), x.dtype.type(1)
    share, plus = x.dtype.type(1 / n), x.dtype.type(eps)
    for b in range(x.shape[0]):
        row, out = x[b], y[b]
        m = total(row) * share if centred else zero
        c, cc = deviations(row, m)
        m += c * share if centred else zero
        s = one / math.sqrt(cc * share + plus)
        for i in range(n):
            out[i] = gamma[i] * ((row[i] - m) * s) + beta[i]
        mean[b], scale[b] = m, s


@kernel("g", "x", "gamma", "mean", "scale", "dx", "dw", "db")
def backward_rows(
    g: Any, x: Any, gamma: Any, mean: Any, scale: Any, dx: Any, dw: Any, db: Any, centred: int
) -> None:
    """x̄ = s (h − mean(h) − x̂ mean(h x̂)) with h = g γ; to each block's parts of γ̄ = Σ_b g x̂ and
    β̄ = Σ_b g its rows are added. Not centred: without mean(h).
    """
    n, zero = x.shape[1], x.dtype.type(0)
    share = x.dtype.type(1 / n)
    for b in range(x.shape[0]):
        upstream, row, out = g[b], x[b], dx[b]
        m, s, to_w, to_b = mean[b], scale[b], dw[b // ROWS], db[b // ROWS]
        mean_h, mean_hx = zero, zero
        for i in range(n):
            h = upstream[i] * gamma[i]
            out[i] = h  # rounded, so that rows of one number have h − mean(h) = 0 exactly
            mean_h += h
            mean_hx += h * ((row[i] - m) * s)
        mean_h, mean_hx = mean_h * share if centred else zero, mean_hx * share
        for i in range(n):
            x_hat = (row[i] - m) * s
            out[i] = s * (out[i] - mean_h - x_hat * mean_hx)
            to_w[i] += upstream[i] * x_hat
            to_b[i] += upstream[i]


def _forward(
    x: Any, affine: tuple[Any, ...], dims: int, eps: float, centred: int
) -> tuple[Any, Any]:
    """y, and what the backward pass reads: x as rows, m, s, and γ as one row."""
    shape = x.shape
    x = dense(x).reshape(-1, math.prod(shape[x.ndim - dims :]))
    rows, n = x.shape
    gamma = dense(affine[0]).reshape(n) if affine else np.ones(n, x.dtype)
    beta = dense(affine[1]).reshape(n) if affine[1:] else np.zeros(n, x.dtype)
    y, mean, scale = np.empty(shape, x.dtype), np.empty(rows, x.dtype), np.empty(rows, x.dtype)
    into = y.reshape(rows, n)

    def some(first: int, last: int) -> None:
        part = slice(first, last)
        forward_rows(x[part], gamma, beta, into[part], mean[part], scale[part], eps, centred)

    split(rows, 0.3 * n, some)
    return y, (x, mean, scale, gamma, affine)


def _backward(g: Any, saved: Any, centred: int) -> tuple[Any, ...]:
    x, mean, scale, gamma, affine = saved
    (rows, n), dx = x.shape, np.empty(g.shape, x.dtype)
    g, into, blocks = dense(g).reshape(rows, n), dx.reshape(rows, n), -(-rows // ROWS)
    dw, db = np.zeros((2, blocks, n), x.dtype)

    def some(first: int, last: int) -> None:
        part, own = slice(first * ROWS, last * ROWS), slice(first, last)
        backward_rows(
            *(g[part], x[part], gamma, mean[part], scale[part]),
            *(into[part], dw[own], db[own], centred),
        )

    split(blocks, 0.5 * n * ROWS, some)
    sums = (part.sum(0).reshape(affine[0].shape) if affine else None for part in (dw, db))
    return dx, *sums


def _serves_rows(x: Any, *affine: Any, dims: int, eps: float) -> bool:
    return x.size > 0 and all(p.shape == x.shape[x.ndim - dims :] for p in affine)


def layer_norm(x: Any, *affine: Any, dims: int, eps: float) -> tuple[Any, Any]:
    """y = γ x̂ + β over the last `dims` axes."""
    return _forward(x, affine, dims, eps, 1)


def layer_norm_backward(g: Any, saved: Any, *, needs: Any, dims: int, eps: float) -> Any:
    """x̄, γ̄ and β̄."""
    return _backward(g, saved, 1)[: 1 + len(saved[-1])]


def rms_norm(x: Any, *affine: Any, dims: int, eps: float) -> tuple[Any, Any]:
    """y = γ x / r over the last `dims` axes."""
    return _forward(x, affine, dims, eps, 0)


def rms_norm_backward(g: Any, saved: Any, *, needs: Any, dims: int, eps: float) -> Any:
    """x̄ and γ̄."""
    return _backward(g, saved, 0)[: 1 + len(saved[-1])]


# -- sets of runs: γ and β are the same all along a run --------------------------------------------
#
# x (p, q, r, m): a set is all q and all m. Batch norm: (1, batch, channel, places). Group norm:
# (batch and group, channel of the group, 1, places).


@inner
def moments(x: Any, p: int, r: int) -> Any:
    """m and v of a set."""
    n = x.shape[1] * x.shape[3]
    total_x, total_c, total_cc = 0.0, 0.0, 0.0
    for q in range(x.shape[1]):
        total_x += total(x[p, q, r])
    m = x.dtype.type(total_x / n)
    for q in range(x.shape[1]):
        c, cc = deviations(x[p, q, r], m)
        total_c += c
        total_cc += cc
    return m + x.dtype.type(total_c / n), total_cc / n


@kernel("x", "mean", "variance")
def moments_of_sets(x: Any, mean: Any, variance: Any, first: int, last: int) -> None:
    """m and v of the sets first … last."""
    for k in range(first, last):
        mean[k], variance[k] = moments(x, k // x.shape[2], k % x.shape[2])


@kernel("x", "gamma", "beta", "y", "mean", "scale")
def forward_sets(
    x: Any, gamma: Any, beta: Any, y: Any, mean: Any, scale: Any, eps: float, first: int, last: int
) -> None:
    """y, m and s of the sets first … last, numbered (p, r); γ and β (p, q, r)."""
    runs, width = x.shape[1], x.shape[2]
    for k in range(first, last):
        p, r = k // width, k % width
        m, v = moments(x, p, r)
        s = x.dtype.type(1 / math.sqrt(v + eps))
        for q in range(runs):
            run, out = x[p, q, r], y[p, q, r]
            factor, shift = gamma[p, q, r] * s, beta[p, q, r]
            for i in range(run.shape[0]):
                out[i] = (run[i] - m) * factor + shift
        mean[k], scale[k] = m, s


@kernel("g", "x", "gamma", "mean", "scale", "dx", "dw", "db")
def backward_sets(
    g: Any,
    x: Any,
    gamma: Any,
    mean: Any,
    scale: Any,
    dx: Any,
    dw: Any,
    db: Any,
    first: int,
    last: int,
) -> None:
    """x̄, and each run's parts of γ̄ and β̄ (p, q, r)."""
    runs, width = x.shape[1], x.shape[2]
    n = runs * x.shape[3]
    for k in range(first, last):
        p, r, m, s = k // width, k % width, mean[k], scale[k]
        sum_h, sum_hx = 0.0, 0.0
        for q in range(runs):
            upstream, run = g[p, q, r], x[p, q, r]
            sum_g = total(upstream)
            sum_gx = total_product(upstream, run, m) * s
            db[p, q, r], dw[p, q, r] = sum_g, sum_gx
            sum_h += gamma[p, q, r] * sum_g
            sum_hx += gamma[p, q, r] * sum_gx
        slope, shift = x.dtype.type(s * s * sum_hx / n), x.dtype.type(s * sum_h / n)
        for q in range(runs):
            upstream, run, out = g[p, q, r], x[p, q, r], dx[p, q, r]
            factor = gamma[p, q, r] * s
            for i in range(run.shape[0]):
                out[i] = upstream[i] * factor - (run[i] - m) * slope - shift


def _forward_sets(
    x: Any, affine: tuple[Any, ...], sizes: tuple[int, ...], eps: float
) -> tuple[Any, Any]:
    """y, and what the backward pass reads, of x read as `sizes` (p, q, r, m)."""
    shape, x = x.shape, dense(x).reshape(sizes)
    gamma = _by_run(affine[0] if affine else np.ones(1, x.dtype), shape, sizes)
    beta = _by_run(affine[1] if affine[1:] else np.zeros(1, x.dtype), shape, sizes)
    sets = sizes[0] * sizes[2]
    y, mean, scale = np.empty(shape, x.dtype), np.empty(sets, x.dtype), np.empty(sets, x.dtype)
    into = y.reshape(sizes)

    def some(first: int, last: int) -> None:
        forward_sets(x, gamma, beta, into, mean, scale, eps, first, last)

    split(sets, 0.3 * x.size / sets, some)
    return y, (x, mean, scale, gamma, affine)


def _by_run(p: Any, shape: tuple[int, ...], sizes: tuple[int, ...]) -> Any:
    """γ or β (c,), one for each run."""
    return dense(np.broadcast_to(p, shape[:2]).reshape(sizes[:3]))


def _backward_sets(g: Any, saved: Any) -> Any:
    x, mean, scale, gamma, affine = saved
    dx = np.empty(g.shape, x.dtype)
    g, into = dense(g).reshape(x.shape), dx.reshape(x.shape)
    dw, db = np.empty((2, *gamma.shape), x.dtype)

    def some(first: int, last: int) -> None:
        backward_sets(g, x, gamma, mean, scale, into, dw, db, first, last)

    split(len(mean), 0.5 * x.size / len(mean), some)
    sums = [part.reshape(dx.shape[:2]).sum(0) for part in (dw, db)]
    return dx, *sums[: len(affine)]


def _serves_channels(x: Any, *affine: Any, eps: float, groups: int = 1) -> bool:
    """Channels of several places. Where a channel is one number of a sample, its numbers lie far
    apart, and NumPy's sums over whole samples are faster.
    """
    if x.ndim < 3 or groups < 1 or x.shape[1] % groups or x.size <= math.prod(x.shape[:2]):
        return False
    return all(p.shape == x.shape[1:2] for p in affine)


def batch_norm(x: Any, *affine: Any, eps: float) -> tuple[Any, Any]:
    """y = γ x̂ + β, a channel of the whole batch being a set."""
    return _forward_sets(x, affine, (1, *x.shape[:2], math.prod(x.shape[2:])), eps)


def batch_norm_backward(g: Any, saved: Any, *, needs: Any, eps: float) -> Any:
    """x̄, γ̄ and β̄."""
    return _backward_sets(g, saved)


def statistics(x: Any) -> tuple[Any, Any]:
    """Mean and unbiased variance of each channel of x (n, c, …), for the running averages."""
    n, c = x.shape[:2]
    mean, variance = np.empty((2, c), x.dtype)
    sets = dense(x).reshape(1, n, c, -1)

    def some(first: int, last: int) -> None:
        moments_of_sets(sets, mean, variance, first, last)

    split(c, 0.2 * x.size / c, some)
    count = x.size // c
    return mean, variance * (count / (count - 1))


def group_norm(x: Any, *affine: Any, groups: int, eps: float) -> tuple[Any, Any]:
    """y = γ x̂ + β, a group of a sample's channels being a set."""
    n, c = x.shape[:2]
    return _forward_sets(x, affine, (n * groups, c // groups, 1, math.prod(x.shape[2:])), eps)


def group_norm_backward(g: Any, saved: Any, *, needs: Any, groups: int, eps: float) -> Any:
    """x̄, γ̄ and β̄."""
    return _backward_sets(g, saved)


KERNELS = {
    "layer_norm": Kernel(layer_norm, layer_norm_backward, serves=_serves_rows, least=256),
    "rms_norm": Kernel(rms_norm, rms_norm_backward, serves=_serves_rows, least=256),
    "batch_norm": Kernel(batch_norm, batch_norm_backward, serves=_serves_channels, least=512),
    "group_norm": Kernel(group_norm, group_norm_backward, serves=_serves_channels, least=512),
}
