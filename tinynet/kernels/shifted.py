"""The innermost steps of a convolution: products with rows that are read where the image lies.

Laid out in one dimension, an image that is moved by a tap of the filter is the same array, begun at
another place: row p of the matrix X of `convolution` is x[taps[p]], x[taps[p] + 1], … So X need
not be written down. Two products are taken with it, both in blocks that stay in registers:

    c[i+r, j+s] = Σ_p a[p, r] x[at + j + taps[p] + s]             `set_windows`
    c[i+r, j+s] += Σ_t g[rows[r] + t] x[taps[s] + t]              `add_dots`

In the first the lanes of a vector are places s: for each p the block, R rows of three vectors,
takes R + 3 loads for 3R fused products. In the second, a sum over places, the lanes are t: each of
the R × 6 sums is a vector, whose lanes are added up at the end; R + 6 loads for 6R products. As
many sums are held as there are registers: R = 8 and R = 4 with 32 of them (AVX-512), 4 and 2 with
16. One fused product of vectors in a cycle is all that a core does, so neither waits for memory.

`copy_row` moves a row of an image. All three are `@intrinsic`s, as in `tile`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.kernels.jit import COMPILES, vector_bytes

VECTORS = 3  # of places, in a block of `set_windows`
COLUMNS = 6  # of a block of `add_dots`


def lanes(dtype: Any) -> int:
    """How many numbers a vector holds."""
    return int(vector_bytes() // np.dtype(dtype).itemsize)


def windows_shape(dtype: Any) -> tuple[int, int]:
    """Rows and columns of the block of `set_windows`."""
    return 8 if vector_bytes() == 64 else 4, VECTORS * lanes(dtype)


def dots_shape() -> tuple[int, int]:
    """Rows and columns of the block of `add_dots`."""
    return 4 if vector_bytes() == 64 else 2, COLUMNS


def set_windows(a: Any, x: Any, taps: Any, at: int, c: Any, i: int, j: int, count: int) -> None:
    """c[i+r, j+s] = Σ_p a[p, r] x[at + taps[p] + s] for s < count, and for what else its last
    vector holds. a (k, R), taps (k,); none has gaps.
    """
    columns = min(count, windows_shape(c.dtype)[1])
    b = x[np.add.outer(taps + at, np.arange(columns))]
    c[i : i + a.shape[1], j : j + columns] = a.T @ b


def add_dots(
    g: Any, x: Any, rows: Any, taps: Any, at: int, how: Any, c: Any, i: int, j: int
) -> None:
    """c[i+r, j+s] += Σ_n Σ_t g[at + rows[r] + n·how[0] + t] x[at + taps[s] + n·how[1] + t],

    over how[2] images n and how[3] whole vectors t.
    """
    high, wide = dots_shape()
    t = np.arange(at, at + how[3] * lanes(c.dtype))
    for n in range(how[2]):
        left = g[np.add.outer(rows[:high] + n * how[0], t)]
        right = x[np.add.outer(taps[:wide] + n * how[1], t)]
        c[i : i + high, j : j + wide] += left @ right.T


def copy_row(x: Any, at: int, more: Any, y: Any, to: int, count: int) -> None:
    """y[to + t] = x[at + t] + more for t < count. What is left behind the last whole vector is
    moved as half a vector, a quarter and so on: images are narrow, most of a row is such a rest.
    """
    y[to : to + count] = x[at : at + count] + more


if COMPILES:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic
    from numba.np.numpy_support import as_dtype

    _INDEX, _LANE = ir.IntType(64), ir.IntType(32)

    class _Writer:
        """Writes code for vectors of one dtype with an LLVM builder."""

        def __init__(self, context: Any, builder: Any, kind: Any) -> None:
            self.builder, self.number = builder, context.get_value_type(kind)
            self.bytes = as_dtype(kind).itemsize
            self.lanes = lanes(as_dtype(kind))

        def vector(self, width: int = 0) -> Any:
            return ir.VectorType(self.number, width or self.lanes)

        def at(self, pointer: Any, *steps: Any) -> Any:
            for step in steps:
                pointer = self.builder.gep(pointer, [step])
            return pointer

        def load(self, pointer: Any, width: int = 0) -> Any:
            pointer = self.builder.bitcast(pointer, self.vector(width).as_pointer())
            return self.builder.load(pointer, align=self.bytes)

        def store(self, value: Any, pointer: Any) -> None:
            pointer = self.builder.bitcast(pointer, value.type.as_pointer())
            self.builder.store(value, pointer, align=self.bytes)

        def spread(self, one: Any, width: int = 0) -> Any:
            """One number in every lane of a vector."""
            kind = self.vector(width)
            vector = self.builder.insert_element(ir.Constant(kind, None), one, _LANE(0))
            places = ir.Constant(ir.VectorType(_LANE, kind.count), None)
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
            name = f"{name}.v{self.lanes}f{8 * self.bytes}"
            return cgutils.get_or_insert_function(self.builder.module, kind, name)

    def _start(context: Any, builder: Any, kinds: Any, values: Any) -> list[Any]:
        """For arrays where they start, numbers as they are."""
        return [
            context.make_array(kind)(context, builder, value).data
            if isinstance(kind, types.Array)
            else value
            for kind, value in zip(kinds, values, strict=True)
        ]

    def _width(context: Any, builder: Any, kind: Any, array: Any) -> tuple[Any, ...]:
        """Rows and columns of a matrix."""
        return tuple(
            cgutils.unpack_tuple(builder, context.make_array(kind)(context, builder, array).shape)
        )

    @intrinsic
    def set_windows(
        _context: Any, a: Any, x: Any, taps: Any, at: Any, c: Any, i: Any, j: Any, count: Any
    ) -> Any:
        high, _ = windows_shape(as_dtype(c.dtype))

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, x, taps, at, c, i, j, count = _start(context, builder, signature.args, arguments)
            k, _ = _width(context, builder, signature.args[0], arguments[0])
            _, wide = _width(context, builder, signature.args[4], arguments[4])
            write = _Writer(context, builder, signature.args[4].dtype)
            start, into = write.at(x, at), write.at(c, builder.mul(i, wide), j)

            def block(vectors: int) -> None:
                sums = write.zeros(high * vectors)
                steps = [_INDEX(v * write.lanes) for v in range(vectors)]
                with cgutils.for_range(builder, k) as loop:
                    row = write.at(start, builder.load(write.at(taps, loop.index)))
                    right = [write.load(write.at(row, step)) for step in steps]
                    left = write.at(a, builder.mul(loop.index, _INDEX(high)))
                    for r in range(high):
                        one = write.spread(builder.load(write.at(left, _INDEX(r))))
                        for v in range(vectors):
                            write.add_product(one, right[v], sums[r * vectors + v])
                for r in range(high):
                    line = write.at(into, builder.mul(wide, _INDEX(r)))
                    for v in range(vectors):
                        write.store(builder.load(sums[r * vectors + v]), write.at(line, steps[v]))

            def block_of(vectors: int) -> None:
                """As many vectors as there are places for, at most these."""
                fewer = builder.icmp_signed("<=", count, _INDEX((vectors - 1) * write.lanes))
                if vectors == 1:
                    return block(1)
                with builder.if_else(fewer) as (then, otherwise):
                    with then:
                        block_of(vectors - 1)
                    with otherwise:
                        block(vectors)

            block_of(VECTORS)
            return context.get_dummy_value()

        return types.void(a, x, taps, types.intp, c, types.intp, types.intp, types.intp), generate

    @intrinsic
    def add_dots(
        _context: Any,
        g: Any,
        x: Any,
        rows: Any,
        taps: Any,
        at: Any,
        how: Any,
        c: Any,
        i: Any,
        j: Any,
    ) -> Any:
        high, wide = dots_shape()

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            g, x, rows, taps, at, how, c, i, j = _start(context, builder, signature.args, arguments)
            _, columns = _width(context, builder, signature.args[6], arguments[6])
            write = _Writer(context, builder, signature.args[6].dtype)
            sums = write.zeros(high * wide)
            first, second, images, steps = (
                builder.load(write.at(how, _INDEX(q))) for q in range(4)
            )
            left = [write.at(g, at, builder.load(write.at(rows, _INDEX(r)))) for r in range(high)]
            right = [write.at(x, at, builder.load(write.at(taps, _INDEX(s)))) for s in range(wide)]
            with cgutils.for_range(builder, images) as image:
                g_image = builder.mul(image.index, first)
                x_image = builder.mul(image.index, second)
                with cgutils.for_range(builder, steps) as step:
                    t = builder.mul(step.index, _INDEX(write.lanes))
                    ours = [write.load(write.at(one, g_image, t)) for one in left]
                    for s in range(wide):
                        theirs = write.load(write.at(right[s], x_image, t))
                        for r in range(high):
                            write.add_product(ours[r], theirs, sums[r * wide + s])
            for r in range(high):
                line = write.at(c, builder.mul(builder.add(i, _INDEX(r)), columns), j)
                for s in range(wide):
                    place = write.at(line, _INDEX(s))
                    total = write.total(builder.load(sums[r * wide + s]))
                    builder.store(builder.fadd(builder.load(place), total), place)
            return context.get_dummy_value()

        return types.void(g, x, rows, taps, types.intp, how, c, types.intp, types.intp), generate

    @intrinsic
    def copy_row(_context: Any, x: Any, at: Any, more: Any, y: Any, to: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x, at, more, y, to, count = _start(context, builder, signature.args, arguments)
            write = _Writer(context, builder, signature.args[3].dtype)
            x, y, width = write.at(x, at), write.at(y, to), write.lanes

            def move(t: Any, width: int) -> None:
                value = write.load(write.at(x, t), width)
                write.store(builder.fadd(value, write.spread(more, width)), write.at(y, t))

            whole = builder.and_(count, _INDEX(-width))
            with cgutils.for_range_slice(builder, _INDEX(0), whole, _INDEX(width), inc=True) as (
                t,
                _,
            ):
                move(t, width)
            while width > 1:
                done = builder.and_(count, _INDEX(-width))
                width //= 2
                more_left = builder.icmp_signed("!=", builder.and_(count, _INDEX(width)), _INDEX(0))
                with builder.if_then(more_left):
                    move(done, width)
            return context.get_dummy_value()

        return types.void(x, types.intp, x.dtype, y, types.intp, types.intp), generate
