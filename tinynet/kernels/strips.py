"""Products of small packed matrices, between which a kernel has something else to do.

    C[m, n] = Σ_p A[p, m] B[p, n]

`gemm` multiplies large matrices and packs them on the way. Inside a kernel such as attention the
factors are pieces that are in the cache already, and the result is wanted there. B and C have rows
without gaps, of a whole number of vectors; A lies in any way, so that a matrix and its transpose
serve alike: a number of A is loaded by itself and spread over a vector wherever it lies. The block
in the registers is as in `tile`, with fewer rows: each row of A needs a pointer of its own, and
heads of 32, 48, 64 or 80 numbers are multiples of 8, not of 14.
"""

from __future__ import annotations

from typing import Any

from tinynet.kernels.jit import COMPILES, inner, vector_bytes
from tinynet.kernels.vectors import lanes as lanes_of

ROWS = 8 if vector_bytes() == 64 else 4  # of the block; its accumulators fill the registers


def lanes(x: Any) -> int:
    """How many numbers of x a vector holds. In kernels a constant."""
    return lanes_of(x.dtype)


def row(x: Any, i: int) -> Any:
    """x[i], of which the compiler then knows that its numbers lie side by side."""
    return x[i]


LOW = 4  # rows of the block that `low` sets


def wide(a: Any, b: Any, c: Any, m: int, n: int, keep: int) -> None:
    """ROWS × 2 vectors of C from (m, n) on, plus what was there if `keep` is 1."""
    _block(a, b, c, m, n, keep, ROWS, 2)


def narrow(a: Any, b: Any, c: Any, m: int, n: int, keep: int) -> None:
    """The same for one vector."""
    _block(a, b, c, m, n, keep, ROWS, 1)


def low(a: Any, b: Any, c: Any, m: int, n: int, keep: int) -> None:
    """The same for LOW rows of two vectors: where there are few rows."""
    _block(a, b, c, m, n, keep, LOW, 2)


def small(a: Any, b: Any, c: Any, m: int, n: int, keep: int) -> None:
    """The same for LOW rows of one vector."""
    _block(a, b, c, m, n, keep, LOW, 1)


def pair(a: Any, b: Any, c: Any, m: int, n: int, keep: int) -> None:
    """The same for two rows of two vectors."""
    _block(a, b, c, m, n, keep, 2, 2)


def _block(a: Any, b: Any, c: Any, m: int, n: int, keep: int, rows: int, vectors: int) -> None:
    columns = slice(n, n + vectors * lanes(c))
    into = c[m : m + rows, columns]
    into[:] = a[:, m : m + rows].T @ b[:, columns] + (into if keep else 0)


if COMPILES:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic, overload
    from numba.np.numpy_support import as_dtype

    from tinynet.kernels.vectors import INDEX, Writer, sizes, starts, strides

    @overload(lanes, jit_options={"forceinline": True})
    def _lanes(x):  # type: ignore[no-untyped-def]  # Numba compares this line with the lambda
        count = lanes_of(as_dtype(x.dtype))
        return lambda x: count

    @intrinsic
    def row(_context: Any, x: Any, i: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            whole = context.make_array(signature.args[0])(context, builder, arguments[0])
            made = context.make_array(signature.return_type)(context, builder)
            count = builder.extract_value(whole.shape, 1)
            offset = builder.mul(arguments[1], builder.extract_value(whole.strides, 0))
            context.populate_array(
                made,
                data=cgutils.pointer_add(builder, whole.data, offset, whole.data.type),
                shape=[count],
                strides=[whole.itemsize],
                itemsize=whole.itemsize,
                meminfo=None,
            )
            return made._getvalue()

        return types.Array(x.dtype, 1, "C", readonly=not x.mutable)(x, types.intp), generate

    def _strip(rows: int, vectors: int) -> Any:
        """The block of that many rows and vectors."""

        @intrinsic
        def block(_context: Any, a: Any, b: Any, c: Any, m: Any, n: Any, keep: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                kinds = signature.args
                write = Writer(context, builder, kinds[2].dtype)
                left, right, into, m, n, keep = starts(context, builder, kinds, arguments)
                depth, _ = sizes(context, builder, kinds[0], arguments[0])
                (down, across), (pitch, _), (line, _) = (
                    strides(context, builder, kinds[i], arguments[i]) for i in range(3)
                )
                row = [builder.add(m, INDEX(r)) for r in range(rows)]
                lefts = [write.at(left, builder.mul(r, across)) for r in row]
                steps = [INDEX(v * write.lanes) for v in range(vectors)]
                sums = write.zeros(rows * vectors)
                with cgutils.for_range(builder, depth) as loop:
                    at = write.at(right, n, builder.mul(loop.index, pitch))
                    rights = [write.load(write.at(at, step)) for step in steps]
                    offset = builder.mul(loop.index, down)
                    for r in range(rows):
                        one = write.spread(builder.load(write.at(lefts[r], offset)))
                        for v in range(vectors):
                            write.add_product(one, rights[v], sums[r * vectors + v])
                kept, zero = builder.trunc(keep, ir.IntType(1)), ir.Constant(write.vector(), None)
                for r in range(rows):
                    place = write.at(into, builder.mul(row[r], line), n)
                    for v in range(vectors):
                        there = write.at(place, steps[v])
                        old = builder.select(kept, write.load(there), zero)
                        total = builder.fadd(old, builder.load(sums[r * vectors + v]))
                        write.store(total, there)
                return context.get_dummy_value()

            return types.void(a, b, c, types.intp, types.intp, types.intp), generate

        return block

    wide, narrow = _strip(ROWS, 2), _strip(ROWS, 1)
    low, small, pair = _strip(LOW, 2), _strip(LOW, 1), _strip(2, 2)


@inner
def product(a: Any, b: Any, c: Any, keep: int) -> None:
    """c = aᵀ b, plus what was there if `keep` is 1: a (k, m), b (k, n), c (m, n); m is a multiple
    of ROWS, n of the numbers in a vector.
    """
    m, n = c.shape
    one = lanes(c)
    for j in range(0, n - one, 2 * one):
        for i in range(0, m, ROWS):
            wide(a, b, c, i, j, keep)
    if n % (2 * one):
        for i in range(0, m, ROWS):
            narrow(a, b, c, i, n - one, keep)
