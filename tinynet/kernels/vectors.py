"""Writing machine code for vectors, in LLVM's machine-independent form: what `strips` and `shifted`
have in common.

Numba compiles loops; which numbers stay in registers is the compiler's choice. Where that choice
decides the speed, an `@intrinsic` says it: a function of which we write the code ourselves. A
`Writer` holds the few steps that such a function is made of.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.kernels.jit import COMPILES, vector_bytes


def lanes(dtype: Any) -> int:
    """How many numbers a vector register holds."""
    return int(vector_bytes() // np.dtype(dtype).itemsize)


if COMPILES:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.np.numpy_support import as_dtype

    INDEX, LANE = ir.IntType(64), ir.IntType(32)

    class Writer:
        """Writes code for vectors of one dtype with an LLVM builder."""

        def __init__(self, context: Any, builder: Any, kind: Any) -> None:
            self.builder, self.number = builder, context.get_value_type(kind)
            self.bytes = as_dtype(kind).itemsize
            self.lanes = lanes(as_dtype(kind))

        def vector(self, width: int = 0) -> Any:
            """A vector of `width` numbers, by default as many as a register holds."""
            return ir.VectorType(self.number, width or self.lanes)

        def at(self, pointer: Any, *steps: Any) -> Any:
            """The place so many numbers further on."""
            for step in steps:
                pointer = self.builder.gep(pointer, [step])
            return pointer

        def load(self, pointer: Any, width: int = 0) -> Any:
            """The numbers from there on, as a vector."""
            pointer = self.builder.bitcast(pointer, self.vector(width).as_pointer())
            return self.builder.load(pointer, align=self.bytes)

        def store(self, value: Any, pointer: Any) -> None:
            """Put a vector there."""
            pointer = self.builder.bitcast(pointer, value.type.as_pointer())
            self.builder.store(value, pointer, align=self.bytes)

        def spread(self, one: Any, width: int = 0) -> Any:
            """One number in every lane of a vector."""
            kind = self.vector(width)
            vector = self.builder.insert_element(ir.Constant(kind, None), one, LANE(0))
            places = ir.Constant(ir.VectorType(LANE, kind.count), None)
            return self.builder.shuffle_vector(vector, vector, places)

        def zeros(self, count: int) -> list[Any]:
            """Vectors that LLVM keeps in registers: all their places are known constants."""
            zero = ir.Constant(self.vector(), None)
            sums = [cgutils.alloca_once(self.builder, zero.type) for _ in range(count)]
            for one in sums:
                self.builder.store(zero, one)
            return sums

        def add_product(self, u: Any, v: Any, into: Any) -> None:
            """into += u v, rounded once."""
            kind = ir.FunctionType(self.vector(), [self.vector()] * 3)
            fma = self.named("llvm.fma", kind)
            self.builder.store(self.builder.call(fma, [u, v, self.builder.load(into)]), into)

        def total(self, vector: Any) -> Any:
            """The sum of the lanes."""
            kind = ir.FunctionType(self.number, [self.number, self.vector()])
            reduce, zero = (
                self.named("llvm.vector.reduce.fadd", kind),
                ir.Constant(self.number, 0.0),
            )
            return self.builder.call(reduce, [zero, vector], fastmath=("reassoc",))

        def named(self, name: str, kind: Any) -> Any:
            """A function of LLVM for these vectors."""
            name = f"{name}.v{self.lanes}f{8 * self.bytes}"
            return cgutils.get_or_insert_function(self.builder.module, kind, name)

    def starts(context: Any, builder: Any, kinds: Any, values: Any) -> list[Any]:
        """For arrays where they start, numbers as they are."""
        return [
            context.make_array(kind)(context, builder, value).data
            if isinstance(kind, types.Array)
            else value
            for kind, value in zip(kinds, values, strict=True)
        ]

    def sizes(context: Any, builder: Any, kind: Any, array: Any) -> tuple[Any, ...]:
        """Rows and columns of a matrix."""
        made = context.make_array(kind)(context, builder, array)
        return tuple(cgutils.unpack_tuple(builder, made.shape))

    def strides(context: Any, builder: Any, kind: Any, array: Any) -> tuple[Any, ...]:
        """How many numbers lie from one row, and from one column, of a matrix to the next."""
        made = context.make_array(kind)(context, builder, array)
        size = INDEX(as_dtype(kind.dtype).itemsize)
        return tuple(builder.sdiv(s, size) for s in cgutils.unpack_tuple(builder, made.strides))
