"""The innermost step of every product of matrices: a block of C that stays in registers.

    C[i:i+R, j:j+S] += Σ_p a[p, r] b[p, s]        r < R rows, s < S columns

For each p the processor loads one row of b (S numbers, two vectors) and, one by one, R numbers of
a; each of these is multiplied with the whole row and added to an accumulator. The R·S accumulators
never leave the registers, so 2·R·S flops cost R + 2 loads: with 14 × 32 it is 56 flops per load,
and arithmetic, not memory, sets the pace. That is why the block is as large as the registers allow.
AVX-512 has 32 of them with 16 float32 each: 14 × 2 for the block, 2 for the row of b, and 1 for the
number of a. AVX2 has 16 with 8 each: 6 × 2 for the block.

`set_rows` is a lower block that reads a as it lies: for a product of few rows, most of which a high
block would waste, and which is made once, so that packing a does not pay.

No compiler finds this form by itself in three nested loops. Numba lets us say it: an `@intrinsic`
is a function of which we write the assembly, in LLVM's machine-independent form. Where nothing is
compiled, the same block is one line of NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.kernels.jit import COMPILES, vector_bytes

VECTORS = 2  # how many make a row of the block
LOW = 4  # rows of the lower block


def tile_shape(dtype: Any) -> tuple[int, int]:
    """Rows and columns of the block for a dtype, on this computer."""
    width = vector_bytes()
    return 14 if width == 64 else 6, VECTORS * width // np.dtype(dtype).itemsize


def set_block(a: Any, b: Any, c: Any, i: int, j: int, keep: int) -> None:
    """c[i:i+R, j:j+S] = aᵀ b, plus what was there if `keep` is 1; a (k, R) and b (k, S) have no
    gaps, nor have the rows of c.
    """
    into = c[i : i + a.shape[1], j : j + b.shape[1]]
    into[:] = a.T @ b + into if keep else a.T @ b


def set_rows(a: Any, b: Any, c: Any, i: int, j: int, keep: int) -> None:
    """c[i:i+LOW, j:j+S] = a[i:i+LOW] b, plus what was there if `keep` is 1; b (k, S) has no gaps,
    nor have the rows of a (m, k) and c.
    """
    into = c[i : i + LOW, j : j + b.shape[1]]
    into[:] = a[i : i + LOW] @ b + into if keep else a[i : i + LOW] @ b


if COMPILES:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic
    from numba.np.numpy_support import as_dtype

    @intrinsic
    def set_block(_context: Any, a: Any, b: Any, c: Any, i: Any, j: Any, keep: Any) -> Any:
        return types.void(a, b, c, types.intp, types.intp, types.intp), _code(c.dtype, None)

    @intrinsic
    def set_rows(_context: Any, a: Any, b: Any, c: Any, i: Any, j: Any, keep: Any) -> Any:
        return types.void(a, b, c, types.intp, types.intp, types.intp), _code(c.dtype, LOW)

    def _code(kind: Any, low: int | None) -> Any:
        """What writes the code of a block for numbers of a kind; `low` as in `set_rows`."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number = context.get_value_type(kind)
            left, right, into = (
                context.make_array(kind)(context, builder, value)
                for kind, value in zip(signature.args[:3], arguments, strict=False)
            )
            block = _Block(builder, as_dtype(kind), number, low)
            block.run(left, right, into, *arguments[3:])
            return context.get_dummy_value()

        return generate

    _INDEX = ir.IntType(32)

    class _Block:
        """Writes the block's code with an LLVM builder."""

        def __init__(
            self, builder: Any, dtype: np.dtype[Any], number: Any, low: int | None
        ) -> None:
            self.builder, self.number, self.bytes = builder, number, dtype.itemsize
            high, self.columns = tile_shape(dtype)
            self.packed, self.rows = low is None, low or high
            self.lanes = self.columns // VECTORS
            self.vector = ir.VectorType(number, self.lanes)
            self.floating = dtype.kind == "f"

        def run(self, a: Any, b: Any, c: Any, i: Any, j: Any, keep: Any) -> None:
            """The loop over p, then the sum into c. LLVM keeps `block`, whose places are all known
            constants, in registers.
            """
            builder, zero = self.builder, ir.Constant(self.vector, None)
            cells = [(r, v) for r in range(self.rows) for v in range(VECTORS)]
            block = {cell: cgutils.alloca_once_value(builder, zero) for cell in cells}
            k = builder.extract_value(b.shape, 0)
            if self.packed:  # a is (k, R)
                step, apart, start = self.size(self.rows), self.size(1), a.data
            else:  # R rows of (m, k), from row i
                step, apart = self.size(1), self.stride(a)
                start = self.moved(a.data, builder.mul(i, apart))
            with cgutils.for_range(builder, k) as loop:
                at_a = self.moved(start, builder.mul(loop.index, step))
                at_b = self.moved(b.data, builder.mul(loop.index, self.size(self.columns)))
                row = [self.load(at_b, v) for v in range(VECTORS)]
                for r in range(self.rows):
                    at = self.moved(at_a, builder.mul(self.size(r), apart))
                    one = self.spread(builder.load(at))
                    for v in range(VECTORS):
                        total = self.multiply_add(one, row[v], builder.load(block[r, v]))
                        builder.store(total, block[r, v])
            kept = builder.trunc(keep, ir.IntType(1))
            stride = self.stride(c)
            for r, v in cells:
                at_row = builder.mul(builder.add(i, self.size(r)), stride)
                place = self.moved(c.data, builder.add(at_row, j))
                old = builder.select(kept, self.load(place, v), zero)
                total = self.add(old, builder.load(block[r, v]))
                builder.store(total, self.place(place, v), align=self.bytes)

        def size(self, n: int) -> Any:
            return ir.Constant(ir.IntType(64), n)

        def stride(self, x: Any) -> Any:
            """How many numbers lie from row to row."""
            return self.builder.udiv(
                self.builder.extract_value(x.strides, 0), self.size(self.bytes)
            )

        def moved(self, pointer: Any, by: Any) -> Any:
            return self.builder.gep(pointer, [by])

        def place(self, pointer: Any, v: int) -> Any:
            moved = self.moved(pointer, self.size(v * self.lanes))
            return self.builder.bitcast(moved, self.vector.as_pointer())

        def load(self, pointer: Any, v: int) -> Any:
            return self.builder.load(self.place(pointer, v), align=self.bytes)

        def spread(self, one: Any) -> Any:
            """One number in every lane of a vector."""
            first, places = (
                ir.Constant(ir.IntType(32), 0),
                ir.VectorType(ir.IntType(32), self.lanes),
            )
            vector = self.builder.insert_element(ir.Constant(self.vector, None), one, first)
            return self.builder.shuffle_vector(vector, vector, ir.Constant(places, None))

        def add(self, u: Any, v: Any) -> Any:
            return (self.builder.fadd if self.floating else self.builder.add)(u, v)

        def multiply_add(self, u: Any, v: Any, w: Any) -> Any:
            if not self.floating:
                return self.builder.add(self.builder.mul(u, v), w)
            name = f"llvm.fma.v{self.lanes}f{8 * self.bytes}"
            kind = ir.FunctionType(self.vector, [self.vector] * 3)
            fma = cgutils.get_or_insert_function(self.builder.module, kind, name)
            return self.builder.call(fma, [u, v, w])
