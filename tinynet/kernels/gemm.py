"""The product of two matrices, from three loops to the speed of the machine.

    c_ij = Σ_p a_ip b_pj            A (m, k), B (k, n), C (m, n): 2·m·k·n flops

Every rung computes the same sum; what changes is the order, and with it how far each number has to
travel. A core multiplies and adds 32 float32 pairs in a cycle (AVX-512), but memory brings it about
one number in that time. The only way out is reuse: each number that is fetched must be used many
times before it is thrown out, m·k·n products with m·k + k·n + m·n numbers.

1. `naive`      i, j, p: reads a column of B for every entry of C, a cache line for each number.
2. `reordered`  i, p, j: the inner loop runs along rows of B and C, so a line is used whole, and
                the compiler can use vectors. Every product still loads and stores C.
3. `blocked`    the same on blocks that fit the cache: a block of B serves many rows of A.
4. `packed`     blocks of A and B are copied into the order in which they are read, and the
                innermost block of C stays in registers (`tile.py`).
5. `matmul`     the same on all cores, for stacks of matrices, with bias and activation applied
                while C is still in the cache.

Where the blocks stay: a panel of A (tile rows × DEPTH), used against every panel of B, stays in the
first-level cache; ROWS × DEPTH numbers of A in the second; B's panels pass by from the third.

Sources: K. Goto and R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, DTypeError, ShapeError, describe
from tinynet.kernels.jit import inner, kernel
from tinynet.kernels.threads import get_num_threads, room, share
from tinynet.kernels.tile import set_block, tile_shape

DEPTH = 512  # how much of the sum over p is done at a time
ROWS = 32  # how many panels of A are held at a time
LINES = 16  # of memory that packing reads side by side
BLOCK = 64  # of rung 3
SMALL = 2e6  # flops below which a second thread costs more than it brings

# -- the first rungs: one core, nothing copied -----------------------------------------------------


@kernel("c")
def naive(a: Any, b: Any, c: Any) -> None:
    """c += a b, as the formula reads."""
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for p in range(a.shape[1]):
                c[i, j] += a[i, p] * b[p, j]


@kernel("c")
def reordered(a: Any, b: Any, c: Any) -> None:
    """c += a b, row by row of b."""
    for i in range(a.shape[0]):
        for p in range(a.shape[1]):
            for j in range(b.shape[1]):
                c[i, j] += a[i, p] * b[p, j]


@kernel("c")
def blocked(a: Any, b: Any, c: Any) -> None:
    """c += a b, one block of b after the other, each against all rows of a."""
    k, n = b.shape
    for p0 in range(0, k, BLOCK):
        for j0 in range(0, n, BLOCK):
            for i in range(a.shape[0]):
                for p in range(p0, min(p0 + BLOCK, k)):
                    for j in range(j0, min(j0 + BLOCK, n)):
                        c[i, j] += a[i, p] * b[p, j]


# -- packing ---------------------------------------------------------------------------------------


@inner
def pack(x: Any, panels: Any) -> None:
    """panels[q, p, r] = x[q·R + r, p], 0 where x has no such row: R rows side by side."""
    depth, width = x.shape[1], panels.shape[2]
    rest = x.shape[0] % width
    if rest:
        panels[panels.shape[0] - 1, :depth, rest:] = 0
    if x.strides[0] < x.strides[1]:  # read along the shorter stride, a few lines at a time
        for p0 in range(0, depth, LINES):
            for q in range(panels.shape[0]):
                part = x[q * width : (q + 1) * width, p0 : p0 + LINES]
                panel = panels[q, p0 : p0 + LINES]
                for p in range(part.shape[1]):
                    for r in range(part.shape[0]):
                        panel[p, r] = part[r, p]
    else:
        for q in range(panels.shape[0]):
            part, panel = x[q * width : (q + 1) * width], panels[q]
            for r in range(part.shape[0]):
                for p in range(depth):
                    panel[p, r] = part[r, p]


@kernel("panels")
def pack_right(b: Any, panels: Any, q: int, first: int, last: int) -> None:
    """panels[q], strips first … last: DEPTH rows of B from q·DEPTH, cut as wide as the tile."""
    width = panels.shape[3]
    part = b[q * DEPTH : (q + 1) * DEPTH, first * width : last * width]
    pack(part.T, panels[q, first:last])


# -- the product of packed blocks ------------------------------------------------------------------


@inner
def times_panels(a: Any, panels: Any, left: Any, c: Any, bias: Any, activation: int) -> None:
    """c = activation(a b + bias) for the b that was packed into panels."""
    m, k = a.shape
    if k == 0:
        c[:] = 0
    n, columns, rows = c.shape[1], panels.shape[3], left.shape[2]
    edge = np.empty((rows, columns), c.dtype)
    for i0 in range(0, m, ROWS * rows):
        i1 = min(i0 + ROWS * rows, m)
        for q in range(panels.shape[0]):
            depth = min(DEPTH, k - q * DEPTH)
            count = (i1 - i0 + rows - 1) // rows
            pack(a[i0:i1, q * DEPTH : q * DEPTH + depth], left[:count])
            for j in range(0, n, columns):
                right = panels[q, j // columns, :depth]
                for i in range(i0, i1, rows):
                    block = left[(i - i0) // rows, :depth]
                    if i + rows <= i1 and j + columns <= n:
                        set_block(block, right, c, i, j, int(q > 0))
                    else:  # the block hangs over the border of c
                        set_block(block, right, edge, 0, 0, 0)
                        for r in range(min(rows, i1 - i)):
                            line, part = c[i + r, j : min(j + columns, n)], edge[r]
                            for s in range(line.shape[0]):
                                line[s] = part[s] + (line[s] if q > 0 else 0)
        finish(c[i0:i1], bias, activation)


@kernel("panels", "left", "c")
def packed(a: Any, panels: Any, left: Any, c: Any, bias: Any, activation: int) -> None:
    """The same, to be called from Python."""
    times_panels(a, panels, left, c, bias, activation)


@kernel("panels", "left", "c")
def packed_stack(
    a: Any, b: Any, c: Any, pairs: Any, panels: Any, left: Any, bias: Any, activation: int
) -> None:
    """The same for a stack: c_t from a_u and b_v, where (u, v) = pairs[t]."""
    for t in range(c.shape[0]):
        if t == 0 or pairs[t, 1] != pairs[t - 1, 1]:
            for q in range(panels.shape[0]):
                pack(b[pairs[t, 1], q * DEPTH : (q + 1) * DEPTH].T, panels[q])
        times_panels(a[pairs[t, 0]], panels, left, c[t], bias, activation)


ACTIVATIONS = ("identity", "relu", "sigmoid", "tanh", "gelu")


@inner
def finish(c: Any, bias: Any, activation: int) -> None:
    """c = activation(c + bias), row by row, while c is near."""
    if bias.shape[0] == 0 and activation == 0:
        return
    for i in range(c.shape[0]):
        for j in range(bias.shape[0]):
            c[i, j] += bias[j]
        if activation == 1:
            for j in range(c.shape[1]):
                c[i, j] = max(c[i, j], 0)
        elif activation == 2:
            for j in range(c.shape[1]):
                c[i, j] = 1 / (1 + math.exp(-c[i, j]))
        elif activation == 3:
            for j in range(c.shape[1]):
                c[i, j] = math.tanh(c[i, j])
        elif activation == 4:
            for j in range(c.shape[1]):
                c[i, j] *= (1 + math.erf(c[i, j] / math.sqrt(2.0))) / 2


# -- for everybody ---------------------------------------------------------------------------------


def matmul(a: Any, b: Any, *, bias: Any = None, activation: str = "identity") -> Any:
    """activation(A B + bias), as `np.matmul` would have it, for arrays of any layout and dtype.

    a (…, m, k), b (…, k, n), leading axes broadcast; bias (n,) or none; the result (…, m, n).
    Floats and integers; float16 is summed in float32; integers wrap around as NumPy's do.
    Raises ShapeError where the sizes do not fit, DTypeError for other dtypes, ArgumentError for an
    unknown activation ("identity", "relu", "sigmoid", "tanh", "gelu") or one of integers.

    >>> matmul(np.array([[1, 2]]), np.array([[3], [4]]))
    array([[11]])
    """
    a, b = np.asarray(a), np.asarray(b)
    shape = _shape(a, b, bias)
    result, work = _dtypes(a, b, activation)
    a, b = (np.require(x, work, "A") for x in (a, b))
    offset = np.zeros(0, work) if bias is None else np.asarray(bias, work)
    c = np.empty(shape, work)
    if c.size:
        _multiply(a, b, c, offset, ACTIVATIONS.index(activation))
    return c != 0 if result.kind == "b" else c.astype(result, copy=False)


def _shape(a: Any, b: Any, bias: Any) -> tuple[int, ...]:
    """The shape of the result, if there is one."""
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            "matmul: the sizes do not fit",
            expected="a (…, m, k), b (…, k, n)",
            got=f"{describe(a)}, {describe(b)}",
        )
    if bias is not None and np.shape(bias) != b.shape[-1:]:
        raise ShapeError(
            "matmul: bias (n,) has an entry for each column of b",
            expected=str(b.shape[-1:]),
            got=str(np.shape(bias)),
        )
    try:
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError(
            "matmul: the stacks do not broadcast", got=f"{describe(a)}, {describe(b)}"
        ) from None
    return (*stack, a.shape[-2], b.shape[-1])


def _dtypes(a: Any, b: Any, activation: str) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """The dtype of the result, and that of the sums."""
    result = np.result_type(a, b)
    if result.kind not in "fiub" or result.itemsize > 8:
        raise DTypeError("matmul: floats or integers are multiplied", got=result.name)
    if activation not in ACTIVATIONS:
        raise ArgumentError(f"matmul: one of {', '.join(ACTIVATIONS)}", got=activation)
    if activation != "identity" and result.kind != "f":
        raise ArgumentError(f"matmul: {activation} needs floats", got=result.name)
    if result.kind == "f":
        return result, np.dtype("f8" if result.itemsize == 8 else "f4")
    return result, np.dtype("i8" if result.itemsize == 8 else "i4")


def _multiply(a: Any, b: Any, c: Any, bias: Any, activation: int) -> None:
    """c = activation(a b + bias). A stack of many products is split among the threads by products,
    a single one by its rows.
    """
    flops = 2 * c.size * a.shape[-1]
    threads = get_num_threads() if flops > SMALL else 1
    if c.ndim == 2:
        return _one(a, b, c, bias, activation, threads)
    pairs = np.empty((math.prod(c.shape[:-2]), 2), np.int64)  # which a and which b make which c
    for side, x in enumerate((a, b)):
        numbers = np.arange(math.prod(x.shape[:-2])).reshape(x.shape[:-2])
        pairs[:, side] = np.broadcast_to(numbers, c.shape[:-2]).reshape(-1)
    a, b, c = (x.reshape(-1, *x.shape[-2:]) for x in (a, b, c))
    if len(c) < threads:
        for (u, v), into in zip(pairs.tolist(), c, strict=True):
            _one(a[u], b[v], into, bias, activation, threads)
        return
    left, right = _sizes(a[0], b[0], c[0])
    each = -(-len(c) // (4 * threads)) if threads > 1 else len(c)

    def some(piece: int) -> None:
        part = slice(piece * each, (piece + 1) * each)
        panels, blocks = room("panels", right, c.dtype), room("left", left, c.dtype)
        packed_stack(a, b, c[part], pairs[part], panels, blocks, bias, activation)

    share(-(-len(c) // each), some, threads)


def _one(a: Any, b: Any, c: Any, bias: Any, activation: int, threads: int) -> None:
    """One product: all threads pack B, then each takes rows of C."""
    left, right = _sizes(a, b, c)
    panels = room("panels", right, c.dtype)
    strips = -(-right[1] // threads)  # that one thread packs at a time

    def strip(piece: int) -> None:
        q, first = piece // threads, piece % threads * strips
        pack_right(b, panels, q, first, min(first + strips, right[1]))

    share(len(panels) * threads, strip, threads)
    many = -(-len(c) // (left[2] * 4 * threads)) if threads > 1 else ROWS
    high = left[2] * min(ROWS, many)

    def stripe(piece: int) -> None:
        part = slice(piece * high, (piece + 1) * high)
        packed(a[part], panels, room("left", left, c.dtype), c[part], bias, activation)

    share(-(-len(c) // high), stripe, threads)


def _sizes(a: Any, b: Any, c: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of the packed blocks of A (strips, depth, R) and B (k/depth, strips, depth, S)."""
    (m, k), n = a.shape, b.shape[1]
    rows, columns = tile_shape(c.dtype)
    depth = min(k, DEPTH)
    return (min(ROWS, -(-m // rows)), depth, rows), (
        -(-k // DEPTH),
        -(-n // columns),
        depth,
        columns,
    )
