r"""Convolution as a product of matrices, of which one is never written down.

    y_{n,i,p} = b_i + Σ_k Σ_u W_{i,k,u} x_{n,k,ps+ud−P} = b_i + Σ_{(k,u)} W_{i,(k,u)} X_{(k,u),p}

X, the windows as columns (im2col), holds each entry of x K times, K the taps of a filter: to write
it and read it again takes longer than the product wherever there are few filters. But lay an
image, padded with zeros, out in one dimension, and moving it by a tap is to begin it somewhere
else. With three places in a row and rows of pitch five (o is padding),

    x   o o o o o o a b c o o d e f o ···         X, tap (0, 1):  o o o o o a b ···
                                                     tap (1, 2):  b c o o d e f ···

row (k, u) of X is the image k itself, from the address of tap u on. `shifted` multiplies with such
rows where they lie. The price are the products at the end of each row of places, here two of five,
which belong to no window; for a 3 × 3 filter on 28 columns it is a fifteenth.

A stride s takes every s-th entry of an axis. So the image is laid out in s images for each axis
(its phases), of the entries with the same remainder by s: then the places of every tap lie side by
side again. An axis is described by one record, `Axis`; everything below is for any three of them.

x̄ is such a product too. Entry m is touched by window p through tap u where m + P = ps + ud, so with
m + P = ts + φ it is

    x̄_{k,ts+φ−P} = Σ_i Σ_{u: ud ≡ φ} W_{i,k,u} g_{i,t−(ud−φ)/s},

for each remainder φ a convolution of g, with those taps that meet it, and stride 1. Nothing is
scattered, so any thread may compute any part. W̄_{i,(k,u)} = Σ_{n,p} g_{n,i,p} X_{(k,u),p} is a sum
over places; g is laid out as the places are, with zeros where there is no window.

The ladder: `plain` and `plain_weights`, the formulas as loops over addresses; `multiply` and
`accumulate`, the same in blocks. Limits: 2nOC(K/G)·out flops for each of y, x̄ and W̄, at one fused
product of vectors in a cycle of a core; and memory sees x, y, g and x̄ once or twice, not X.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.kernels.choice import Kernel
from tinynet.kernels.grid import Grid, Sizes, grids
from tinynet.kernels.jit import kernel
from tinynet.kernels.shifted import (
    add_dots,
    copy_row,
    dots_shape,
    set_windows,
    windows_shape,
)
from tinynet.kernels.threads import get_num_threads, room, share
from tinynet.kernels.vectors import lanes

ACROSS = 4  # strips of places that are computed before they are copied to where they belong
SPAN = 2048  # places that W̄ sums over at a time
PIECE = 1e8  # flops of a piece of work, unless the batch is small
SMALL = 2e6  # flops below which a second thread costs more than it brings


# -- plain loops -----------------------------------------------------------------------------------


@kernel("y")
def plain(x: Any, at: Any, pitch: int, taps: Any, W: Any, y: Any) -> None:
    """y_{n,i,p} = Σ_k W_{i,k} x[n·pitch + at_p + taps_k]. W (G, O/G, k), taps (G, k)."""
    for n in range(y.shape[0]):
        for i in range(y.shape[1]):
            group, o = i // W.shape[1], i % W.shape[1]
            for p in range(y.shape[2]):
                for k in range(W.shape[2]):
                    y[n, i, p] += W[group, o, k] * x[n * pitch + at[p] + taps[group, k]]


@kernel("x")
def plain_adjoint(g: Any, at: Any, pitch: int, taps: Any, W: Any, x: Any) -> None:
    """x̄[n·pitch + at_p + taps_k] += Σ_i W_{i,k} g_{n,i,p}."""
    for n in range(g.shape[0]):
        for i in range(g.shape[1]):
            group, o = i // W.shape[1], i % W.shape[1]
            for p in range(g.shape[2]):
                for k in range(W.shape[2]):
                    x[n * pitch + at[p] + taps[group, k]] += W[group, o, k] * g[n, i, p]


@kernel("W")
def plain_weights(g: Any, x: Any, at: Any, pitch: int, taps: Any, W: Any) -> None:
    """W̄_{i,k} += Σ_{n,p} g_{n,i,p} x[n·pitch + at_p + taps_k]."""
    for n in range(g.shape[0]):
        for i in range(g.shape[1]):
            group, o = i // W.shape[1], i % W.shape[1]
            for p in range(g.shape[2]):
                for k in range(W.shape[2]):
                    W[group, o, k] += g[n, i, p] * x[n * pitch + at[p] + taps[group, k]]


# -- blocks ----------------------------------------------------------------------------------------


@kernel("x", "y")
def spread(x: Any, starts: Any, pitch: int, y: Any) -> None:
    """y[i·pitch + starts[r]:] = x[i, r]: the rows of images, x (images, rows, columns)."""
    flat, rows, wide = x.reshape(-1), x.shape[1], x.shape[2]
    for i in range(x.shape[0]):
        for r in range(rows):
            at = (i * rows + r) * wide
            copy_row(flat, at, x.dtype.type(0), y, i * pitch + starts[r], wide)


@kernel("x", "taps", "panels", "block", "y")
def multiply(
    x: Any,
    first: int,
    pitch: int,
    taps: Any,
    panels: Any,
    bias: Any,
    block: Any,
    starts: Any,
    extent: int,
    y: Any,
    begin: int,
    end: int,
) -> None:
    """y_{n,i,p} = b_i + Σ_k W_{i,k} x[n·pitch + first + p + taps_k], p in the strips begin … end.

    panels (G, O/G/R, k, R) is W, block what is computed before it is copied; y (n, O, rows, wide).
    """
    groups, strips, _, high = panels.shape
    wide, filters, plane = block.shape[1] // ACROSS, y.shape[1] // groups, y.shape[2] * y.shape[3]
    lines, flat = block.reshape(-1), y.reshape(-1)
    for n in range(y.shape[0]):
        for group in range(groups):
            for t0 in range(begin, end, ACROSS):
                across, p0 = min(ACROSS, end - t0), t0 * wide
                for i in range(strips):
                    for t in range(across):
                        p, left = p0 + t * wide, panels[group, i]
                        at, to = n * pitch + first + p, t * wide
                        set_windows(left, x, taps[group], at, block, i * high, to, extent - p)
                low = np.searchsorted(starts, p0 - y.shape[3], "right")
                last = np.searchsorted(starts, p0 + across * wide)
                for r in range(low, last):
                    a = max(starts[r], p0)
                    count = min(starts[r] + y.shape[3], p0 + across * wide) - a
                    at, to = a - p0, (n * y.shape[1] * y.shape[2] + r) * y.shape[3] + a - starts[r]
                    for o in range(group * filters, (group + 1) * filters):
                        copy_row(lines, at, bias[o], flat, to + o * plane, count)
                        at += block.shape[1]


@kernel("g", "x", "rows", "taps", "how", "W")
def accumulate(
    g: Any, x: Any, rows: Any, taps: Any, how: Any, extent: int, W: Any, begin: int, end: int
) -> None:
    """W̄_{i,k} += Σ_{n,p} g[rows_i + p + …] x[taps_k + p + …] for the filters begin … end of each
    group; `how` as in `add_dots`, with the block's rows and columns and the lanes behind.
    """
    high, wide, lane, span = how[4], how[5], how[6], how[7]
    for group in range(W.shape[0]):
        for p in range(0, extent, span):
            how[3] = (min(extent, p + span) - p) // lane
            for i in range(begin, end, high):
                for k in range(0, W.shape[2], wide):
                    add_dots(g, x, rows[group, i:], taps[group, k:], p, how, W[group], i, k)


# -- whole batches, all cores ----------------------------------------------------------------------


def laid_out(x: Any, grid: Grid) -> Any:
    """The images of x (n, C, …), one behind the other, as the grid has them; zeros around."""
    beyond = max(windows_shape(x.dtype)[1], lanes(x.dtype))  # blocks read on behind the end
    flat = room("image", (x.shape[0] * x.shape[1] * grid.size + beyond,), x.dtype)
    flat[...] = 0
    for here, starts in grid.parts:
        part = np.require(x[:, :, *here], requirements=["C", "W"])
        if part.size:
            spread(part.reshape(-1, len(starts), part.shape[4]), starts, grid.size, flat)
    return flat


def _taps(grid: Grid, channels: int, groups: int) -> Any:
    """The addresses of all taps of all channels of each group, for the first image."""
    return np.add.outer(np.arange(channels) * grid.size, grid.taps).reshape(groups, -1)


def _pieces(n: int, flops: float) -> tuple[int, int, int, int]:
    """Images in a piece of work, pieces, how many threads share them and how many share one."""
    threads = get_num_threads() if flops > SMALL else 1
    images = max(1, min(int(PIECE * n / flops), -(-n // (2 * threads))))
    pieces = -(-n // images)
    return images, pieces, *((threads, 1) if pieces >= threads else (1, threads))


def correlate(x: Any, W: Any, bias: Any, grid: Grid) -> Any:
    """y = W X + b. Shapes: x (n, C, …), W (G, O/G, C/G·K), bias (O,), y (n, O, …)."""
    (n, C), (groups, filters, depth) = x.shape[:2], W.shape
    y = np.empty((n, groups * filters, *grid.counts), x.dtype)
    high, wide = windows_shape(x.dtype)
    strips = -(-filters // high)
    panels = np.zeros((groups, strips * high, depth), x.dtype)
    panels[:, :filters] = W
    panels = np.ascontiguousarray(panels.reshape(groups, strips, high, depth).swapaxes(2, 3))
    taps, pitch = _taps(grid, C, groups), C * grid.size
    images, pieces, outer, within = _pieces(n, 2 * y.size * max(depth, 1))
    across = -(-grid.extent // wide)
    each = across if within == 1 else -(-across // (2 * within))
    lines = y.reshape(n, y.shape[1], -1, grid.counts[2])

    def piece(number: int) -> None:
        part = slice(number * images, (number + 1) * images)
        flat, into = laid_out(x[part], grid), lines[part]

        def some(number: int) -> None:
            begin, end = number * each, min((number + 1) * each, across)
            block = room("block", (strips * high, ACROSS * wide), x.dtype)
            how = grid.first, pitch, taps, panels, bias, block, grid.starts, grid.extent
            multiply(flat, *how, into, begin, end)

        share(-(-across // each), some, within)

    share(pieces, piece, outer)
    return y


def adjoint(
    g: Any, W: Any, bias: Any, grid: Grid, back: list[Grid], groups: int, sizes: Sizes
) -> Any:
    """x̄, plus a bias for each channel. Shapes: g (n, O, …), W (O, C/G, K…), x̄ (n, C, sizes…)."""
    C, K = W.shape[1], W.shape[2:]
    x = np.empty((g.shape[0], groups * C, *sizes), g.dtype)
    W = W.reshape(groups, W.shape[0] // groups, C, *K)
    if not np.isfinite(W).all():
        return _careful_adjoint(g, W, bias, grid, x)
    for part in back:
        turned = W[:, :, :, *part.which].swapaxes(1, 2).reshape(groups, C, -1)
        y = correlate(g, turned, bias, part)
        if len(back) == 1:
            return y
        x[:, :, *part.into] = y
    return x


def weights(x: Any, g: Any, grid: Grid, groups: int) -> tuple[Any, Any]:
    """W̄ = Σ_n g Xᵀ and b̄ = Σ_{n,p} g. Shapes: x (n, C, …), g (n, O, …), W̄ (G, O/G, C/G·K), b̄
    (O,).
    """
    (n, all_filters), channels = g.shape[:2], x.shape[1]
    (high, wide), lane, filters = dots_shape(), lanes(x.dtype), all_filters // groups
    extent = -(-grid.extent // lane) * lane
    taps = _taps(grid, channels, groups) + grid.first
    depth = taps.shape[1]
    rows = (np.arange(all_filters) * extent).reshape(groups, filters)
    # what has no row or tap of its own repeats the last one, and is dropped at the end
    taps = taps.take(np.arange(-(-depth // wide) * wide), 1, mode="clip")
    rows = rows.take(np.arange(-(-filters // high) * high), 1, mode="clip")
    images, pieces, outer, within = _pieces(n, 2 * g.size * depth)
    parts = min(pieces, 2 * outer) if outer > 1 else 1  # that are summed on their own
    each = rows.shape[1] if within == 1 else -(-rows.shape[1] // (2 * within * high)) * high
    W, b = (
        np.zeros((parts, *rows.shape, taps.shape[1]), x.dtype),
        np.zeros((parts, all_filters), x.dtype),
    )

    def part(number: int) -> None:
        for i in range(number, pieces, parts):
            some = slice(i * images, (i + 1) * images)
            dy = np.require(g[some], requirements=["C", "W"])
            add(x[some], dy, W[number])
            b[number] += np.sum(dy, axis=(0, 2, 3, 4))  # while it is near

    def add(x: Any, g: Any, W: Any) -> None:
        flat = laid_out(x, grid)
        dy = room("places", (g.shape[0] * g.shape[1] * extent,), g.dtype)
        dy[...] = 0
        spread(g.reshape(-1, len(grid.starts), g.shape[4]), grid.starts, extent, dy)
        span = max(1, SPAN // len(g) // lane) * lane

        def some(number: int) -> None:
            how = np.array(
                [all_filters * extent, channels * grid.size, len(g), 0, high, wide, lane, span]
            )
            begin, end = number * each, min((number + 1) * each, rows.shape[1])
            accumulate(dy, flat, rows, taps, how, extent, W, begin, end)

        share(-(-rows.shape[1] // each), some, within)

    share(parts, part, outer)
    total = np.sum(W, axis=0)[:, :filters, :depth]
    if not np.isfinite(total).all():
        total = _careful_weights(x, g, grid, groups)
    return total, np.sum(b, axis=0)


# Blocks multiply with the zeros around an image too, and 0·∞ is NaN where no window is. Where a
# number is not finite the plain loops, which know windows alone, take over.


def _places(grid: Grid) -> Any:
    """The addresses of all places."""
    return grid.first + np.add.outer(grid.starts, np.arange(grid.counts[2])).reshape(-1)


def _careful_weights(x: Any, g: Any, grid: Grid, groups: int) -> Any:
    taps = _taps(grid, x.shape[1], groups)
    W = np.zeros((groups, g.shape[1] // groups, taps.shape[1]), x.dtype)
    g = g.reshape(*g.shape[:2], -1)
    plain_weights(g, laid_out(x, grid), _places(grid), x.shape[1] * grid.size, taps, W)
    return W


def _careful_adjoint(g: Any, W: Any, bias: Any, grid: Grid, x: Any) -> Any:
    groups, filters, C = W.shape[:3]
    g, W = g.reshape(*g.shape[:2], -1), W.reshape(groups, filters, -1)
    flat = np.zeros(len(g) * groups * C * grid.size, x.dtype)
    taps = _taps(grid, groups * C, groups)
    plain_adjoint(g, _places(grid), groups * C * grid.size, taps, W, flat)
    images = flat.reshape(len(g), groups * C, grid.size)
    for here, starts in grid.parts:
        part = x[:, :, *here]
        rows = np.add.outer(starts, np.arange(part.shape[4]))
        part[...] = images[:, :, rows].reshape(part.shape) + bias[:, None, None, None]
    return x


# -- as ops ----------------------------------------------------------------------------------------


def _three(values: Any, axes: int, fill: int) -> Sizes:
    """A number for each of three axes, of which the first may be missing."""
    given = tuple(values) if isinstance(values, list | tuple) else (values,)
    return (fill,) * (3 - axes) + (given * axes if len(given) == 1 else given)


def _images(x: Any) -> Any:
    """(n, C, …) with three axes of places."""
    return x.reshape(*x.shape[:2], *(1,) * (5 - x.ndim), *x.shape[2:])


def _grids(sizes: Sizes, W: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    axes = W.ndim - 2
    numbers = ((stride, 1), (padding, 0), (dilation, 1))
    sizes, kernel = _three(sizes, axes, 1), _three(W.shape[2:], axes, 1)
    return grids(sizes, kernel, *(_three(v, axes, fill) for v, fill in numbers))


def conv2d(
    x: Any, W: Any, *b: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> tuple[Any, tuple[Any, ...]]:
    """As `derivations.conv2d.forward`."""
    grid, _ = _grids(x.shape[2:], W, stride, padding, dilation)
    bias = b[0] if b else np.zeros(len(W), x.dtype)
    y = correlate(_images(x), W.reshape(groups, len(W) // groups, -1), bias, grid)
    return y.reshape(*y.shape[:2], *grid.counts[5 - x.ndim :]), (x, W, *b)


def conv2d_backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    needs: tuple[bool, ...],
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Any, ...]:
    """As `derivations.conv2d.backward`."""
    x, W, *b = saved
    grid, back = _grids(x.shape[2:], W, stride, padding, dilation)
    dx = dW = db = None
    if needs[0]:
        none, sizes = np.zeros(x.shape[1], x.dtype), _images(x).shape[2:]
        dx = adjoint(_images(g), _images(W), none, grid, back, groups, sizes).reshape(x.shape)
    if needs[1]:
        dW, db = weights(_images(x), _images(g), grid, groups)
        dW = dW.reshape(W.shape)
    elif b and needs[2]:
        db = np.sum(g, axis=(0, *range(2, g.ndim)))
    return (dx, dW, db if needs[2] else None) if b else (dx, dW)


def conv_transpose2d(
    x: Any,
    W: Any,
    *b: Any,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Any, tuple[Any, ...]]:
    """As `derivations.conv_transpose2d.forward`: the x̄ of a convolution, plus the bias."""
    sizes = _stamped(x, W, stride, padding, output_padding, dilation)
    grid, back = _grids(sizes, W, stride, padding, dilation)
    bias = b[0] if b else np.zeros(groups * W.shape[1], x.dtype)
    three = _three(sizes, W.ndim - 2, 1)
    y = adjoint(_images(x), _images(W), bias, grid, back, groups, three)
    return y.reshape(*y.shape[:2], *sizes), (x, W, *b)


def conv_transpose2d_backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    needs: tuple[bool, ...],
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Any, ...]:
    """As `derivations.conv_transpose2d.backward`: the y of a convolution, and its W̄."""
    x, W, *b = saved
    grid, _ = _grids(g.shape[2:], W, stride, padding, dilation)
    dx = dW = db = None
    if needs[0]:
        none = np.zeros(x.shape[1], x.dtype)
        dx = correlate(_images(g), W.reshape(groups, len(W) // groups, -1), none, grid)
        dx = dx.reshape(x.shape)
    if needs[1]:
        dW = weights(_images(g), _images(x), grid, groups)[0].reshape(W.shape)
    if b and needs[2]:
        db = np.sum(g, axis=(0, *range(2, g.ndim)))
    return (dx, dW, db) if b else (dx, dW)


def _stamped(
    x: Any, W: Any, stride: Any, padding: Any, output_padding: Any, dilation: Any
) -> Sizes:
    """The sizes of a transposed convolution's output."""
    axes = x.ndim - 2
    given = (_three(v, axes, 1)[3 - axes :] for v in (stride, padding, output_padding, dilation))
    each = zip(x.shape[2:], W.shape[2:], *given, strict=True)
    return tuple((n - 1) * s + d * (K - 1) + 1 - 2 * P + r for n, K, s, P, r, d in each)


def _numbers(x: Any, W: Any, least: dict[int, Any]) -> bool:
    """Whether options are a whole number, not below the least, for each axis, or one for all."""
    axes = x.ndim - 2
    if x.ndim != W.ndim or not 1 <= axes <= 3 or min((*x.shape, *W.shape)) < 1:
        return False
    for bound, values in least.items():
        for value in values:
            given = _three(value, axes, 1)
            if len(given) != 3 or any(type(v) is not int or v < bound for v in given):
                return False
    return True


def _serves(
    x: Any, W: Any, *b: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: Any = 1
) -> bool:
    """Whether the sizes fit and there is something to do; the reference says what is wrong."""
    if type(groups) is not int or not _numbers(
        x, W, {1: (stride, dilation, groups), 0: (padding,)}
    ):
        return False
    if x.shape[1] != groups * W.shape[1] or len(W) % groups or (b and b[0].shape != W.shape[:1]):
        return False
    numbers = (_three(v, x.ndim - 2, 1)[5 - x.ndim :] for v in (padding, dilation))
    each = zip(x.shape[2:], W.shape[2:], *numbers, strict=True)
    return all(n + 2 * P >= d * (K - 1) + 1 for n, K, P, d in each)


def _serves_transposed(
    x: Any,
    W: Any,
    *b: Any,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
) -> bool:
    """The same for the transposed one. An `output_padding` that adds windows is left to the
    reference.
    """
    least = {1: (stride, dilation, groups), 0: (padding, output_padding)}
    if type(groups) is not int or not _numbers(x, W, least):
        return False
    if x.shape[1] != len(W) or len(W) % groups:
        return False
    if b and b[0].shape != (groups * W.shape[1],):
        return False
    s, r = (_three(v, x.ndim - 2, 1)[5 - x.ndim :] for v in (stride, output_padding))
    sizes = _stamped(x, W, stride, padding, output_padding, dilation)
    return min(sizes) > 0 and all(more < step for more, step in zip(r, s, strict=True))


KERNELS = {
    "conv2d": Kernel(conv2d, conv2d_backward, serves=_serves, least=512),
    "conv_transpose2d": Kernel(
        conv_transpose2d, conv_transpose2d_backward, serves=_serves_transposed, least=512
    ),
}
