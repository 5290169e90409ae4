"""Products of small packed matrices, between which a kernel has something else to do.

    C[m, n] = Σ_p A[p, m] B[p, n]

`gemm` multiplies large matrices and packs them on the way. Inside a kernel such as attention the
factors are pieces that are in the cache already, and the result is wanted there. B and C have rows
without gaps, of a whole number of vectors; A lies in any way, so that a matrix and its transpose
serve alike: a number of A is loaded by itself and spread over a vector wherever it lies. The block
in the registers is `tile`'s, with fewer rows: each row of A needs a pointer of its own, and heads
of 32, 48, 64 or 80 numbers are multiples of 8, not of 14.
"""

from __future__ import annotations

from typing import Any

from tinynet.kernels import tile
from tinynet.kernels.jit import COMPILES, inner, vector_bytes

ROWS = 8 if vector_bytes() == 64 else 4  # of the block; its accumulators fill the registers


def lanes(x: Any) -> int:
    """How many numbers of x a vector holds. In kernels a constant."""
    return vector_bytes() // int(x.dtype.itemsize)


def row(x: Any, i: int) -> Any:
    """x[i], of which the compiler then knows that its numbers lie side by side."""
    return x[i]


def wide(a: Any, b: Any, c: Any, m: int, n: int, keep: int) -> None:
    """ROWS × 2 vectors of C from (m, n) on, plus what was there if `keep` is 1."""
    _block(a, b, c, m, n, keep, 2)


def narrow(a: Any, b: Any, c: Any, m: int, n: int, keep: int) -> None:
    """The same for one vector."""
    _block(a, b, c, m, n, keep, 1)


def _block(a: Any, b: Any, c: Any, m: int, n: int, keep: int, vectors: int) -> None:
    columns = slice(n, n + vectors * lanes(c))
    into = c[m : m + ROWS, columns]
    into[:] = a[:, m : m + ROWS].T @ b[:, columns] + (into if keep else 0)


if COMPILES:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic, overload
    from numba.np.numpy_support import as_dtype

    @overload(lanes, jit_options={"forceinline": True})
    def _lanes(x):  # type: ignore[no-untyped-def]  # Numba compares this line with the lambda
        count = vector_bytes() // as_dtype(x.dtype).itemsize
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

    class _Strip(tile._Block):
        """Writes the code of a block of ROWS × `vectors`."""

        def __init__(self, builder: Any, dtype: Any, number: Any, vectors: int) -> None:
            super().__init__(builder, dtype, number)
            self.rows, self.vectors = ROWS, vectors

        def run(self, a: Any, b: Any, c: Any, m: Any, n: Any, keep: Any) -> None:
            builder, zero = self.builder, ir.Constant(self.vector, None)
            cells = [(r, v) for r in range(self.rows) for v in range(self.vectors)]
            block = {cell: cgutils.alloca_once_value(builder, zero) for cell in cells}
            depth = builder.extract_value(a.shape, 0)
            down, across = (self.step(a, axis) for axis in (0, 1))
            rows = [
                self.moved(a.data, builder.mul(builder.add(m, self.size(r)), across))
                for r in range(self.rows)
            ]
            first, pitch = self.moved(b.data, n), self.step(b, 0)
            with cgutils.for_range(builder, depth) as loop:
                at_b = self.moved(first, builder.mul(loop.index, pitch))
                line = [self.load(at_b, v) for v in range(self.vectors)]
                offset = builder.mul(loop.index, down)
                for r in range(self.rows):
                    one = self.spread(builder.load(self.moved(rows[r], offset)))
                    for v in range(self.vectors):
                        total = self.multiply_add(one, line[v], builder.load(block[r, v]))
                        builder.store(total, block[r, v])
            kept = builder.trunc(keep, ir.IntType(1))
            for r, v in cells:
                at_row = builder.mul(builder.add(m, self.size(r)), self.step(c, 0))
                at = self.moved(c.data, builder.add(at_row, n))
                old = builder.select(kept, self.load(at, v), zero)
                total = self.add(old, builder.load(block[r, v]))
                builder.store(total, self.place(at, v), align=self.bytes)

        def step(self, x: Any, axis: int) -> Any:
            """How many numbers lie from one row, or column, of x to the next."""
            stride = self.builder.extract_value(x.strides, axis)
            return self.builder.sdiv(stride, self.size(self.bytes))

    def _strip(vectors: int) -> Any:
        @intrinsic
        def block(_context: Any, a: Any, b: Any, c: Any, m: Any, n: Any, keep: Any) -> Any:
            dtype = as_dtype(c.dtype)

            def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                number = context.get_value_type(c.dtype)
                a, b, into = (
                    context.make_array(kind)(context, builder, value)
                    for kind, value in zip(signature.args[:3], arguments, strict=False)
                )
                _Strip(builder, dtype, number, vectors).run(a, b, into, *arguments[3:])
                return context.get_dummy_value()

            return types.void(a, b, c, types.intp, types.intp, types.intp), generate

        return block

    wide, narrow = _strip(2), _strip(1)


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
