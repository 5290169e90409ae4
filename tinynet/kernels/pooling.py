r"""Pooling: windows of any kind, as a table of the entries of each.

    max    y_i = x_{q(i)},  q(i) the place of the largest entry     x̄_q = Σ_{i: q(i)=q} g_i
    mean   y_i = 1/c_i Σ_{q ∈ w(i)} x_q                             x̄_q = Σ_{i: q∈w(i)} g_i / c_i

All that stride, padding, dilation, borders and adaptive sizes do is to say which entries of a plane
are in w(i). That is written down once, in row-major order, and the loops are the formulas. (The
plane is what is pooled: one channel of one image.)

Limits. An entry is read once for each window that it is in, and compared or added: a few operations
for 4 bytes, so memory sets the pace. The reference takes one tap of all windows after the other:
then x comes from memory once for each tap, and y goes there and back as often. Here that happens to
one plane at a time, which stays in the cache meanwhile, and memory sees x and y once. The entries
of a tap are first collected side by side, a number in a cycle, as no vector instruction does it
faster; comparing or adding them is vector code then, without a branch: nobody can predict which
entry is larger.

Saved is q(i), four bytes for a window, so that backward is one addition for each.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from tinynet.kernels.choice import Kernel
from tinynet.kernels.jit import inner, kernel, put
from tinynet.kernels.passes import split
from tinynet.kernels.threads import room

Sizes = tuple[int, ...]
COST = 0.6  # nanoseconds for an entry of a window
LARGEST = 1 << 22  # numbers of a table; larger ones are left to the reference


@inner
def collect(plane: Any, entries: Any, line: Any) -> None:
    """line_i = x_q for q = entries_i."""
    for i in range(line.shape[0]):
        line[i] = plane[np.uint32(entries[i])]  # without a sign: nothing is counted from the end


# -- maxima ----------------------------------------------------------------------------------------


@kernel("x", "table", "y", "won", "line")
def largest(x: Any, table: Any, y: Any, won: Any, line: Any) -> None:
    """y_i and q(i). Of equal entries the first is taken, of NaN the last.

    x (planes, entries), table (K, windows); y, won (planes, windows); line (windows) is room.
    """
    for b in range(x.shape[0]):
        best, place = y[b], won[b]
        collect(x[b], table[0], best)
        put(place, table[0])
        for t in range(1, table.shape[0]):
            entries = table[t]
            collect(x[b], entries, line)
            for i in range(line.shape[0]):
                v, q, top, at = line[i], entries[i], best[i], place[i]
                better = (v > top) | (v != v)
                v, q = v if better else top, q if better else at
                best[i], place[i] = v, q  # both at the end: else this is no vector code


@kernel("dx")
def to_largest(g: Any, won: Any, dx: Any) -> None:
    """x̄_{q(i)} += g_i."""
    for b in range(g.shape[0]):
        line = dx[b]
        line[:] = 0
        for i in range(g.shape[1]):
            line[won[b, i]] += g[b, i]


# -- means -----------------------------------------------------------------------------------------


@kernel("x", "table", "entries", "counts", "y", "line")
def means(x: Any, table: Any, entries: Any, counts: Any, y: Any, line: Any) -> None:
    """y_i = 1/c_i Σ_{q ∈ w(i)} x_q, of whose column in the table the first entries_i count."""
    zero = x.dtype.type(0)
    for b in range(x.shape[0]):
        total = y[b]
        total[:] = 0
        for t in range(table.shape[0]):
            collect(x[b], table[t], line)
            for i in range(line.shape[0]):
                v = line[i]
                total[i] += v if t < entries[i] else zero
        for i in range(line.shape[0]):
            total[i] /= counts[i]


@kernel("table", "entries", "counts", "dx")
def from_means(g: Any, table: Any, entries: Any, counts: Any, dx: Any) -> None:
    """x̄_q += g_i / c_i for q ∈ w(i)."""
    for b in range(g.shape[0]):
        line = dx[b]
        line[:] = 0
        for i in range(table.shape[1]):
            part = g[b, i] / counts[i]
            for t in range(entries[i]):
                line[np.uint32(table[t, i])] += part


# -- which entries a window has --------------------------------------------------------------------


class Windows(NamedTuple):
    """The entries of every window, counted in its plane."""

    table: Any  # (K, windows), int32; a window that has fewer repeats its last one
    entries: Any  # (windows,): how many it has
    counts: Any  # (windows,): the c_i of a mean
    shape: Sizes  # windows along each axis


def _boxes(sizes: Sizes, axes: list[list[range]], counts: list[Any]) -> Windows | None:
    """Every window is a box: a range on each axis. None where the table would be too large."""
    if math.prod(len(ranges) * max(map(len, ranges)) for ranges in axes) > LARGEST:
        return None
    table = np.zeros((1, 1), np.int64)
    entries = np.ones(1, np.int64)
    for n, ranges in zip(sizes, axes, strict=True):
        longest = max(map(len, ranges))
        rows = np.array([[*r, *[-1] * (longest - len(r))] for r in ranges])
        wider = table[:, None, :, None] * n + rows[None, :, None, :]
        inside = (table >= 0)[:, None, :, None] & (rows >= 0)[None, :, None, :]
        table = np.where(inside, wider, -1).reshape(len(table) * len(rows), -1)
        entries = np.multiply.outer(entries, [len(r) for r in ranges]).reshape(-1)
    order = np.argsort(table < 0, axis=1, kind="stable")  # what is none, behind
    order = np.take_along_axis(
        order, np.minimum(np.arange(order.shape[1]), entries[:, None] - 1), 1
    )
    table = np.ascontiguousarray(np.take_along_axis(table, order, 1).T, np.int32)
    c = functools.reduce(np.multiply.outer, counts, np.ones((), np.float64)).reshape(-1)
    return Windows(table, entries, c, tuple(map(len, axes)))


@functools.lru_cache(maxsize=16)
def sliding(
    sizes: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Windows | None:
    """The windows of `max_pool` and `avg_pool`; None where the reference says what is wrong."""
    axes, counts = [], []
    for n, k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True):
        length = d * (k - 1) + 1
        room = n + 2 * p - length + (s - 1 if ceil_mode else 0)
        if min(n, k, s, d) < 1 or not 0 <= 2 * p <= length or room < 0:
            return None
        m = room // s + 1
        if ceil_mode and (m - 1) * s >= n + p:  # the last would begin in the padding on the right
            m -= 1
        all_taps = [range(i * s - p, i * s - p + length, d) for i in range(m)]
        inside = [range(r[max(0, -(r.start // d))], min(r.stop, n), d) for r in all_taps]
        if not all(inside):
            return None
        axes.append(inside)
        padded = [min(r.stop, n + p) - r.start for r in all_taps]
        counts.append(padded if count_include_pad else list(map(len, inside)))
    windows = _boxes(sizes, axes, counts)
    if windows is None or divisor is None:
        return windows
    return windows._replace(counts=np.full(len(windows.counts), float(divisor)))


@functools.lru_cache(maxsize=16)
def adaptive(sizes: Sizes, output_size: Sizes) -> Windows | None:
    """Those of the adaptive ones; None where there are none."""
    if min((*sizes, *output_size), default=0) < 1:
        return None
    pairs = list(zip(sizes, output_size, strict=True))
    axes = [[range(i * n // m, -(-(i + 1) * n // m)) for i in range(m)] for n, m in pairs]
    return _boxes(sizes, axes, [list(map(len, each)) for each in axes])


def _windows(x: Any, options: dict[str, Any]) -> Any:
    """Of any of the four ops, or None."""
    if "output_size" in options:
        size = options["output_size"]
        return adaptive(x.shape[x.ndim - len(size) :], size)
    axes = len(options["kernel"])
    return sliding(x.shape[x.ndim - axes :], **{"dilation": (1,) * axes, **options})


# -- as ops ----------------------------------------------------------------------------------------


def _planes(x: Any, w: Windows) -> tuple[Any, Any]:
    """x as planes, and room for y."""
    lead = x.shape[: x.ndim - len(w.shape)]
    x = np.require(x, requirements=["C", "W"]).reshape(math.prod(lead), -1)
    return x, np.empty((*lead, *w.shape), x.dtype)


def max_pool(x: Any, **options: Any) -> tuple[Any, tuple[Any, ...]]:
    """As `derivations.max_pool.forward` and `derivations.adaptive_max_pool.forward`."""
    w, shape = _windows(x, options), x.shape
    x, y = _planes(x, w)
    flat = y.reshape(len(x), -1)
    won = np.empty(flat.shape, np.int32)

    def work(first: int, last: int) -> None:
        line = room("pooling", w.table.shape[1:], x.dtype)
        largest(x[first:last], w.table, flat[first:last], won[first:last], line)

    split(len(x), COST * w.table.size, work)
    return y, (won, shape)


def max_pool_backward(
    g: Any, saved: tuple[Any, ...], *, needs: tuple[bool, ...], **_: Any
) -> tuple[Any, ...]:
    """x̄_{q(i)} += g_i."""
    won, shape = saved
    dx, g = np.empty((len(won), math.prod(shape) // len(won)), g.dtype), g.reshape(won.shape)

    def work(first: int, last: int) -> None:
        to_largest(g[first:last], won[first:last], dx[first:last])

    split(len(dx), COST * dx.shape[1], work)
    return (dx.reshape(shape),)


def avg_pool(x: Any, **options: Any) -> tuple[Any, tuple[Any, ...]]:
    """As `derivations.avg_pool.forward` and `derivations.adaptive_avg_pool.forward`."""
    w, shape = _windows(x, options), x.shape
    x, y = _planes(x, w)
    flat, counts = y.reshape(len(x), -1), w.counts.astype(x.dtype)

    def work(first: int, last: int) -> None:
        line = room("pooling", w.table.shape[1:], x.dtype)
        means(x[first:last], w.table, w.entries, counts, flat[first:last], line)

    split(len(x), COST * w.table.size, work)
    return y, (shape, w)


def avg_pool_backward(
    g: Any, saved: tuple[Any, ...], *, needs: tuple[bool, ...], **_: Any
) -> tuple[Any, ...]:
    """x̄_q = Σ g_i / c_i."""
    shape, w = saved
    g, counts = g.reshape(-1, len(w.entries)), w.counts.astype(g.dtype)
    dx = np.empty((len(g), math.prod(shape) // len(g)), g.dtype)

    def work(first: int, last: int) -> None:
        from_means(g[first:last], w.table, w.entries, counts, dx[first:last])

    split(len(dx), COST * w.table.size, work)
    return (dx.reshape(shape),)


def _serves(x: Any, **options: Any) -> bool:
    """Whether there are planes and windows; the reference says what is wrong."""
    axes = len(options["output_size" if "output_size" in options else "kernel"])
    fits = 1 <= axes <= x.ndim and x.size and options.get("divisor") != 0
    return bool(fits) and _windows(x, options) is not None


MAX = Kernel(max_pool, max_pool_backward, serves=_serves, least=512)
MEAN = Kernel(avg_pool, avg_pool_backward, serves=_serves, least=512)

KERNELS = {
    "adaptive_avg_pool": MEAN,
    "adaptive_max_pool": MAX,
    "avg_pool": MEAN,
    "max_pool": MAX,
}
