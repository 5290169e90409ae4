"""The product of two matrices, from three loops to the speed of the machine.

    c_ij = Σ_p a_ip b_pj            A (m, k), B (k, n), C (m, n): 2·m·k·n flops

Every rung computes the same sum; what changes is the order, and with it how far each number has to
travel. A core multiplies and adds 32 float32 pairs in a cycle (AVX-512), but memory brings it about
one number in that time. The only way out is reuse: each number that is fetched must be used many
times before it is thrown out, m·k·n products with m·k + k·n + m·n numbers.

1. `naive`      i, j, p: reads a column of B for every entry of C, a cache line for each number.
2. `reordered`  i, p, j: the inner loop runs along rows of B and C, so a line is used whole, and
                the compiler can use vectors. Every product still loads and stores C.
3. `blocked`    the same on blocks that fit the cache: a block of B serves many rows of A. It pays
                where B is larger than the last cache; c still goes to and fro.
4. `unpacked`   the innermost block of C stays in registers (`tile.py`), and A and B are read where
                they lie, unless they lie badly: all that a product needs whose B fits the
                second-level cache.
5. `packed`     large ones: blocks of A and B are copied into the order in which they are read
                (`packing.py`).
6. `matmul`     the same on all cores, for stacks of matrices, with bias and activation applied
                while C is still near.

Where the blocks stay: a strip of B, as deep as the sum goes at a time and as wide as the tile, and
ROWS panels of A stay in the second-level cache; the next strip comes from the third. The sum goes
deep, DEPTH bytes of a row of A: to bring a block of C and to start anew takes as long as 20 steps.

Sources: K. Goto and R. van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, DTypeError, ShapeError, describe
from tinynet.kernels.elementary import erfc, sigmoid, tanh
from tinynet.kernels.jit import inner, kernel
from tinynet.kernels.packing import pack, panel_width
from tinynet.kernels.passes import dense
from tinynet.kernels.threads import get_num_threads, room, share
from tinynet.kernels.tile import set_block, tile_shape

DEPTH = 6144  # bytes of a row of A that are summed over at a time
ROWS = 4  # how many panels of A are held at a time
BLOCK = 256  # of rung 3
NEAR = 2**21  # bytes of B that need not be packed to be read fast
WIDTH = 128  # columns of it that are read again and again where it is larger
FEW = 150  # rows of A for which packing a large B does not pay
MANY = 128  # columns of C for which packing A pays whose rows or columns lie so far apart:
PAGE = 4096  # bytes, or a multiple; they all want the same few places of the first-level cache
SQRT_HALF = math.sqrt(0.5)
SMALL = 5e6  # flops that one thread has done before a second one is awake
PIECE = 2e7  # flops that a thread takes at a time, where there are enough of them

# -- the first rungs: one core, nothing copied -----------------------------------------------------


@kernel("c")
def naive(a: Any, b: Any, c: Any) -> None:
    """c += a b, as the formula reads."""
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for p in range(a.shape[1]):
                c[i, j] += a[i, p] * b[p, j]


@kernel("b", "c")  # b has no gaps: only then can the inner loop be vector code
def reordered(a: Any, b: Any, c: Any) -> None:
    """c += a b, row by row of b."""
    for i in range(a.shape[0]):
        for p in range(a.shape[1]):
            for j in range(b.shape[1]):
                c[i, j] += a[i, p] * b[p, j]


@kernel("b", "c")
def blocked(a: Any, b: Any, c: Any) -> None:
    """c += a b, one block of b after the other, each against all rows of a."""
    k, n = b.shape
    for p0 in range(0, k, BLOCK):
        for j0 in range(0, n, BLOCK):
            for i in range(a.shape[0]):
                line = c[i, j0 : j0 + BLOCK]
                for p in range(p0, min(p0 + BLOCK, k)):
                    row = b[p, j0 : j0 + BLOCK]
                    for j in range(row.shape[0]):
                        line[j] += a[i, p] * row[j]


# -- packing ---------------------------------------------------------------------------------------


@kernel("panels")
def pack_right(b: Any, panels: Any, q: int, first: int, last: int) -> None:
    """panels[q], strips first … last, from the rows of B that belong there."""
    depth, width = panels.shape[2:]
    part = b[q * depth : (q + 1) * depth, first * width : last * width]
    pack(part.T, panels[q, first:last], width)


@kernel("panels", "left", "c")
def packed(a: Any, panels: Any, left: Any, c: Any, rows: int) -> None:
    """c = a b for the b that was packed into panels."""
    m, (depth, columns) = a.shape[0], panels.shape[2:]
    for i0 in range(0, m, ROWS * rows):
        i1 = min(i0 + ROWS * rows, m)
        for q in range(panels.shape[0]):
            part = a[i0:i1, q * depth : (q + 1) * depth]
            pack(part, left, rows)
            for j in range(0, c.shape[1], columns):
                right = panels[q, j // columns]
                for i in range(i0, i1, rows):
                    block = left[(i - i0) // rows, : part.shape[1]].T
                    set_block(block, right, c[i:i1, j:], int(q > 0))


# -- small products: nothing is copied that can be read where it lies -----------------------------


@inner
def blocks(a: Any, strips: Any, p: int, c: Any, first: int, last: int, columns: int) -> None:
    """c = a b in columns first … last, for the rows of one block; with rows of b from p on, and
    added to what is there where those are not the first.
    """
    wide = strips.shape[2]
    for j in range(first, last, columns):
        right = strips[j // wide, p : p + a.shape[1], j % wide :]
        set_block(a, right, c[:, j:], int(p > 0))


@inner
def times(a: Any, strips: Any, c: Any, left: Any, rows: int, columns: int) -> None:
    """c = a b for a b that is cut into strips; their rows and those of c have no gaps. Where b is
    larger than the second-level cache, a piece of it after the other meets all rows of a.
    """
    (m, n), k = c.shape, strips.shape[1]
    if k == 0:
        c[:] = 0
    far = k * n * c.itemsize > NEAR
    depth, width = (DEPTH // c.itemsize, WIDTH) if far else (max(k, 1), n)
    for j in range(0, n, width):
        last = min(j + width, n)
        for p in range(0, k, depth):
            for i in range(0, m, rows):
                panel, into = a[i : i + rows, p : p + depth], c[i : i + rows]
                if left.size == 0:
                    blocks(panel, strips, p, into, j, last, columns)
                else:
                    pack(panel, left, rows)
                    blocks(left[0, : panel.shape[1]].T, strips, p, into, j, last, columns)


@kernel("c", "left", "lines")
def unpacked(
    a: Any, b: Any, c: Any, u: Any, v: Any, part: Any, left: Any, lines: Any, tile: Any
) -> None:
    """c_t = a_u b_v where u = u[t] and v = v[t], for t, rows and columns in `part`, in blocks of
    the size of a tile. `left` is room for the rows of a block, if they are to be packed; `lines`
    for the columns, cut into strips, of a b whose rows have gaps.
    """
    t0, t1, i0, i1, j0, j1 = part
    for t in range(t0, t1):
        above, into = a[u[t], i0:i1], c[t, i0:i1, j0:j1]
        right = b[v[t] : v[t] + 1, :, j0:j1]  # one strip
        if lines.size == 0:
            times(above, right, into, left, *tile)
        else:
            if t == t0 or v[t] != v[t - 1]:
                pack(right[0].T, lines, tile[1])
            times(above, lines, into, left, *tile)


# -- what follows a product ------------------------------------------------------------------------

ACTIVATIONS = ("identity", "relu", "sigmoid", "tanh", "gelu")


@kernel("c", "bias")  # without gaps, or the loop over it is no vector code
def finish(
    c: Any, first_row: int, last_row: int, first: int, last: int, bias: Any, activation: int
) -> None:
    """c = activation(c + bias) in these rows and columns of each product, while they are near."""
    half, offset = c.dtype.type(0.5), bias[first:last]
    for t in range(c.shape[0]):
        for i in range(first_row, last_row):
            row = c[t, i, first:last]
            for j in range(offset.shape[0]):
                row[j] += offset[j]
            if activation == 1:
                for j in range(row.shape[0]):
                    row[j] = max(row[j], 0)
            elif activation == 2:
                for j in range(row.shape[0]):
                    row[j] = sigmoid(row[j])
            elif activation == 3:
                for j in range(row.shape[0]):
                    row[j] = tanh(row[j])
            elif activation == 4:
                for j in range(row.shape[0]):
                    row[j] *= half * erfc(-row[j] * SQRT_HALF)


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
    result, work = _dtypes(a.dtype, b.dtype, activation)
    a, b = _required(a, work), _required(b, work)
    offset = np.zeros(0, work) if bias is None else dense(np.asarray(bias, work))
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
        left, right = a.shape[:-2], b.shape[:-2]
        stack = left if left == right else np.broadcast_shapes(left, right)
    except ValueError:
        raise ShapeError(
            "matmul: the stacks do not broadcast", got=f"{describe(a)}, {describe(b)}"
        ) from None
    return (*stack, a.shape[-2], b.shape[-1])


def _required(x: Any, dtype: Any) -> Any:
    """x with this dtype, aligned."""
    return x if x.dtype == dtype and x.flags.aligned else np.require(x, dtype, "A")


@functools.cache
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
    """c = activation(a b + bias), on all threads where that pays."""
    flops, (k, n) = 2 * c.size * a.shape[-1], b.shape[-2:]
    threads = get_num_threads() if flops > SMALL else 1
    stack = c.shape[:-2]
    (a, u), (b, v) = _in_a_row(a, stack), _in_a_row(b, stack)
    c = c.reshape(math.prod(stack), *c.shape[-2:])
    gaps = n > 1 and b.strides[2] != c.itemsize
    crowds = n >= MANY and 0 in (a.strides[1] % PAGE, a.strides[2] % PAGE)
    both = gaps and crowds and len(c) < max(threads, 2)  # each thread would pack one of them whole
    pieces = threads * min(max(int(flops / PIECE) // threads, 1), 4)
    if c.shape[1] > FEW and (both or k * n * c.itemsize > NEAR):
        for i, j, into in zip(u, v, c, strict=True):
            _large(a[i], b[j], into, bias, activation, threads, pieces)
    else:
        _small(a, b, c, (u, v), bias, activation, gaps, crowds, threads, pieces)


def _in_a_row(x: Any, stack: tuple[int, ...]) -> tuple[Any, Any]:
    """All leading axes made one, without a copy, and which matrix of that row belongs to each of
    the result. The row has a place wherever a matrix could begin; at some there is none.
    """
    if x.ndim == 2:
        return x[None], _numbers((), (), stack)
    strides = x.strides[:-2]
    place = math.gcd(*strides) or x.itemsize
    numbers = _numbers(x.shape[:-2], tuple(s // place for s in strides), stack)
    if x.ndim == 3:
        return x if x.strides[0] >= 0 else x[::-1], numbers
    first = x[tuple(-1 if s < 0 else 0 for s in strides)]
    shape = (int(numbers.max()) + 1, *x.shape[-2:])
    row = np.lib.stride_tricks.as_strided(first, shape, (place, *x.strides[-2:]))
    return row, numbers


@functools.lru_cache(maxsize=16)
def _numbers(lead: tuple[int, ...], steps: tuple[int, ...], stack: tuple[int, ...]) -> Any:
    """Which matrix of the row belongs to each of the result."""
    numbers = np.zeros((), np.int64)
    for n, step in zip(lead, steps, strict=True):
        numbers = numbers[..., None] + step * np.arange(n)
    return np.broadcast_to(numbers - numbers.min(), stack).flatten()


def _cuts(whole: int, unit: int, pieces: int) -> list[int]:
    """Where to cut so many rows or columns, between whole tiles, so that pieces are of one size."""
    units = -(-whole // unit)
    pieces = min(pieces, units)
    return [units * i // pieces * unit for i in range(pieces)] + [whole]


def _small(
    a: Any,
    b: Any,
    c: Any,
    which: tuple[Any, Any],
    bias: Any,
    activation: int,
    gaps: bool,
    crowds: bool,
    threads: int,
    pieces: int,
) -> None:
    """The stack is split among the threads; or, if it holds too few products, the rows of each, or
    its columns.
    """
    (count, m, n), k, tile = c.shape, b.shape[1], tile_shape(c.dtype)
    # Each thread closes the gaps of its own columns, or packs its own rows.
    by_columns = n * (4 if gaps else 1) > m * (4 if crowds else 1)
    axis = 0 if count >= threads else 2 if by_columns else 1
    cuts = _cuts(c.shape[axis], (1, *tile)[axis], pieces)
    whole = 0, count, 0, m, 0, n

    def some(piece: int) -> None:
        ends = cuts[piece : piece + 2]
        part = (*whole[: 2 * axis], *ends, *whole[2 * axis + 2 :])
        lines, left = c[:0], c[:0]
        if gaps:
            strips = -(-(part[5] - part[4]) // tile[1])
            lines = room("lines", (strips, k, tile[1]), c.dtype)
        if crowds:
            left = room("left", (1, k, panel_width(tile[0], c.dtype)), c.dtype)
        unpacked(a, b, c, *which, part, left, lines, tile)
        if len(bias) or activation:
            finish(c[part[0] : part[1]], *part[2:], bias, activation)

    share(len(cuts) - 1, some, threads)


def _large(a: Any, b: Any, c: Any, bias: Any, activation: int, threads: int, pieces: int) -> None:
    """One product: all threads pack B, then each takes rows of C."""
    (m, k), n = a.shape, b.shape[1]
    rows, columns = tile_shape(c.dtype)
    slabs, strips = -(-k * c.itemsize // DEPTH), -(-n // columns)
    depth = -(-k // slabs)
    panels = room("panels", (slabs, strips, depth, columns), c.dtype)
    ends = _cuts(strips, 1, threads)  # of what one thread packs at a time

    def strip(piece: int) -> None:
        q, which = divmod(piece, len(ends) - 1)
        pack_right(b, panels, q, *ends[which : which + 2])

    share(slabs * (len(ends) - 1), strip, threads)
    cuts = _cuts(m, rows, pieces)

    def stripe(piece: int) -> None:
        part = slice(*cuts[piece : piece + 2])
        left = room("left", (ROWS, depth, panel_width(rows, c.dtype)), c.dtype)
        packed(a[part], panels, left, c[part], rows)
        if len(bias) or activation:
            finish(c[None, part], 0, len(c[part]), 0, n, bias, activation)

    share(len(cuts) - 1, stripe, threads)
