"""The innermost step of every product of matrices: a block of C that stays in registers.

    C[r, s] += Σ_p a[r, p] b[p, s]        r < R rows, s < S columns

For each p the processor loads one row of b (S numbers, two vectors) and, one by one, R numbers of
a; each of these is multiplied with the whole row and added to an accumulator. The R·S accumulators
never leave the registers, so 2·R·S flops cost R + 2 loads: with 14 × 32 it is 56 flops per load,
and arithmetic, not memory, sets the pace. That is why the block is as large as the registers allow.
AVX-512 has 32 of them with 16 float32 each: 14 × 2 for the block, 2 for the row of b, and 1 for the
number of a. AVX2 has 16 with 8 each: 6 × 2 for the block.

At the borders of C blocks are smaller. Rows that are missing are computed all the same, as
repetitions of the last one: each then stores the same numbers in the same place. A second, lower
block keeps that waste small. Columns that are missing are masked: not read, not written.

No compiler finds this form by itself in three nested loops. Numba lets us say it: an `@intrinsic`
is a function of which we write the assembly, in LLVM's machine-independent form. Where nothing is
compiled, the same block is one line of NumPy.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tinynet.kernels.jit import COMPILES, vector_bytes

VECTORS = 2  # how many make a row of the block


@functools.cache
def tile_shape(dtype: Any) -> tuple[int, int]:
    """Rows and columns of the block for a dtype, on this computer."""
    width = vector_bytes()
    return 14 if width == 64 else 6, VECTORS * width // np.dtype(dtype).itemsize


def set_block(a: Any, b: Any, c: Any, keep: int) -> None:
    """c[:R, :S] = a[:R] b[:k, :S], plus what was there if `keep` is 1; cut at the borders of c.

    a (m, k) may have any strides; the rows of b and of c have no gaps. b may have more than k rows.
    """
    rows, columns = tile_shape(c.dtype)
    into = c[:rows, :columns]
    total = a[: into.shape[0]] @ b[: a.shape[1], : into.shape[1]]
    into[:] = total + into if keep else total


if COMPILES:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic
    from numba.np.numpy_support import as_dtype

    @intrinsic
    def set_block(_context: Any, a: Any, b: Any, c: Any, keep: Any) -> Any:
        dtype = as_dtype(c.dtype)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            panel_a, panel_b, into = (
                context.make_array(kind)(context, builder, value)
                for kind, value in zip(signature.args[:3], arguments, strict=False)
            )
            row_a, next_a = cgutils.unpack_tuple(builder, panel_a.strides)
            next_b, _ = cgutils.unpack_tuple(builder, panel_b.strides)
            row_c, _ = cgutils.unpack_tuple(builder, into.strides)
            high, wide = cgutils.unpack_tuple(builder, into.shape)
            k = builder.extract_value(panel_a.shape, 1)
            starts = [builder.ptrtoint(x.data, _SIZE) for x in (panel_a, panel_b, into)]
            block = _block(builder.module, dtype, context.get_value_type(c.dtype))
            strides = (next_a, row_a, next_b, row_c)
            builder.call(block, [*starts, *strides, k, high, wide, arguments[3]])
            return context.get_dummy_value()

        return types.void(a, b, c, types.intp), generate

    _SIZE = ir.IntType(64)

    def _block(module: Any, dtype: np.dtype[Any], number: Any) -> Any:
        """The machine code of the block: one function, whatever the layout of the arrays."""
        name = f"tinynet_block_{dtype.name}"
        if name in module.globals:
            return module.globals[name]
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_SIZE] * 11), name)
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block())
        _Block(builder, dtype, number, function.args).write()
        builder.ret_void()
        return function

    class _Block:
        """Writes the block's code with an LLVM builder."""

        def __init__(self, builder: Any, dtype: np.dtype[Any], number: Any, args: Any) -> None:
            self.builder, self.number, self.bytes = builder, number, dtype.itemsize
            self.rows, self.columns = tile_shape(dtype)
            self.lanes = self.columns // VECTORS
            self.vector = ir.VectorType(number, self.lanes)
            self.floating = dtype.kind == "f"
            self.letter = "f" if self.floating else "i"
            self.alignment = ir.Constant(ir.IntType(32), self.bytes)
            self.a, self.b, self.c, self.next_a, self.row_a, self.next_b, self.row_c = args[:7]
            self.k, self.high, self.wide, self.keep = args[7:]

        def write(self) -> None:
            """A high block or a low one."""
            low = self.rows // 2 + 1
            is_low = self.builder.icmp_signed("<=", self.high, self.size(low))
            with self.builder.if_else(is_low) as (yes, no):
                for arm, rows in ((yes, low), (no, self.rows)):
                    with arm:
                        self.write_rows(rows)

        def write_rows(self, rows: int) -> None:
            """Whole rows; or what there is of them, one vector after the other."""
            builder = self.builder
            is_wide = builder.icmp_signed(">=", self.wide, self.size(self.columns))
            with builder.if_else(is_wide) as (yes, no):
                with yes:
                    self.run(rows, VECTORS, self.b, self.c, None)
                with no:
                    lanes = self.size(self.lanes)
                    start = self.size(0)
                    with cgutils.for_range_slice(builder, start, self.wide, lanes) as (j, _):
                        mask = self.mask(builder.sub(self.wide, j))
                        by = builder.mul(j, self.size(self.bytes))
                        self.run(rows, 1, builder.add(self.b, by), builder.add(self.c, by), mask)

        def run(self, rows: int, vectors: int, b: Any, c: Any, mask: Any) -> None:
            """The loop over p, then the sum into c. LLVM keeps `block`, whose places are all known
            constants, in registers.
            """
            builder, zero = self.builder, ir.Constant(self.vector, None)
            cells = [(r, v) for r in range(rows) for v in range(vectors)]
            block = {cell: cgutils.alloca_once_value(builder, zero) for cell in cells}
            row_of = [self.existing(r) for r in range(rows)]
            offset = [builder.mul(r, self.row_a) for r in row_of]
            with cgutils.for_range(builder, self.k) as loop:
                at_a = builder.add(self.a, builder.mul(loop.index, self.next_a))
                at_b = builder.add(b, builder.mul(loop.index, self.next_b))
                row = [self.load(at_b, v, mask) for v in range(vectors)]
                for r in range(rows):
                    at = builder.inttoptr(builder.add(at_a, offset[r]), self.number.as_pointer())
                    one = self.spread(builder.load(at))
                    for v in range(vectors):
                        total = self.multiply_add(one, row[v], builder.load(block[r, v]))
                        builder.store(total, block[r, v])
            place = [builder.add(c, builder.mul(r, self.row_c)) for r in row_of]
            with builder.if_then(builder.trunc(self.keep, ir.IntType(1))):
                for r, v in cells:  # all are read before one is written: rows may repeat
                    total = self.add(self.load(place[r], v, mask), builder.load(block[r, v]))
                    builder.store(total, block[r, v])
            for r, v in cells:
                self.store(builder.load(block[r, v]), place[r], v, mask)

        def existing(self, r: int) -> Any:
            """Row r of the block, or the last one that c has."""
            last = self.builder.sub(self.high, self.size(1))
            is_there = self.builder.icmp_signed("<", self.size(r), last)
            return self.builder.select(is_there, self.size(r), last)

        def size(self, n: int) -> Any:
            return ir.Constant(_SIZE, n)

        def pointer(self, at: Any, v: int) -> Any:
            moved = self.builder.add(at, self.size(v * self.lanes * self.bytes))
            return self.builder.inttoptr(moved, self.vector.as_pointer())

        def mask(self, wide: Any) -> Any:
            """True in the lanes below `wide`."""
            lanes = ir.VectorType(_SIZE, self.lanes)
            numbers = ir.Constant(lanes, [ir.Constant(_SIZE, n) for n in range(self.lanes)])
            return self.builder.icmp_signed("<", numbers, self.spread(wide, _SIZE))

        def load(self, at: Any, v: int, mask: Any) -> Any:
            place = self.pointer(at, v)
            if mask is None:
                return self.builder.load(place, align=self.bytes)
            zero = ir.Constant(self.vector, None)
            return self.masked("load", self.vector, place, self.alignment, mask, zero)

        def store(self, value: Any, at: Any, v: int, mask: Any) -> None:
            place = self.pointer(at, v)
            if mask is None:
                self.builder.store(value, place, align=self.bytes)
            else:
                self.masked("store", ir.VoidType(), value, place, self.alignment, mask)

        def masked(self, what: str, result: Any, *arguments: Any) -> Any:
            """LLVM's load or store of those lanes where a mask is true."""
            kind = ir.FunctionType(result, [x.type for x in arguments])
            name = f"llvm.masked.{what}.v{self.lanes}{self.letter}{8 * self.bytes}.p0"
            function = cgutils.get_or_insert_function(self.builder.module, kind, name)
            return self.builder.call(function, arguments)

        def spread(self, one: Any, kind: Any = None) -> Any:
            """One number in every lane of a vector."""
            vector = ir.VectorType(kind or self.number, self.lanes)
            first = ir.Constant(ir.IntType(32), 0)
            places = ir.VectorType(ir.IntType(32), self.lanes)
            single = self.builder.insert_element(ir.Constant(vector, None), one, first)
            return self.builder.shuffle_vector(single, single, ir.Constant(places, None))

        def add(self, u: Any, v: Any) -> Any:
            return (self.builder.fadd if self.floating else self.builder.add)(u, v)

        def multiply_add(self, u: Any, v: Any, w: Any) -> Any:
            if not self.floating:
                return self.builder.add(self.builder.mul(u, v), w)
            name = f"llvm.fma.v{self.lanes}f{8 * self.bytes}"
            kind = ir.FunctionType(self.vector, [self.vector] * 3)
            fma = cgutils.get_or_insert_function(self.builder.module, kind, name)
            return self.builder.call(fma, [u, v, w])
