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
from tinynet.kernels.vectors import lanes

VECTORS = 3  # of places, in a block of `set_windows`
COLUMNS = 6  # of a block of `add_dots`


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
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic
    from numba.np.numpy_support import as_dtype

    from tinynet.kernels.vectors import INDEX, Writer, sizes, starts

    @intrinsic
    def set_windows(
        _context: Any, a: Any, x: Any, taps: Any, at: Any, c: Any, i: Any, j: Any, count: Any
    ) -> Any:
        high, _ = windows_shape(as_dtype(c.dtype))

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            a, x, taps, at, c, i, j, count = starts(context, builder, signature.args, arguments)
            k, _ = sizes(context, builder, signature.args[0], arguments[0])
            _, wide = sizes(context, builder, signature.args[4], arguments[4])
            write = Writer(context, builder, signature.args[4].dtype)
            start, into = write.at(x, at), write.at(c, builder.mul(i, wide), j)

            def block(vectors: int) -> None:
                sums = write.zeros(high * vectors)
                steps = [INDEX(v * write.lanes) for v in range(vectors)]
                with cgutils.for_range(builder, k) as loop:
                    row = write.at(start, builder.load(write.at(taps, loop.index)))
                    right = [write.load(write.at(row, step)) for step in steps]
                    left = write.at(a, builder.mul(loop.index, INDEX(high)))
                    for r in range(high):
                        one = write.spread(builder.load(write.at(left, INDEX(r))))
                        for v in range(vectors):
                            write.add_product(one, right[v], sums[r * vectors + v])
                for r in range(high):
                    line = write.at(into, builder.mul(wide, INDEX(r)))
                    for v in range(vectors):
                        write.store(builder.load(sums[r * vectors + v]), write.at(line, steps[v]))

            def block_of(vectors: int) -> None:
                """As many vectors as there are places for, at most these."""
                fewer = builder.icmp_signed("<=", count, INDEX((vectors - 1) * write.lanes))
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
            g, x, rows, taps, at, how, c, i, j = starts(context, builder, signature.args, arguments)
            _, columns = sizes(context, builder, signature.args[6], arguments[6])
            write = Writer(context, builder, signature.args[6].dtype)
            sums = write.zeros(high * wide)
            first, second, images, steps = (builder.load(write.at(how, INDEX(q))) for q in range(4))
            left = [write.at(g, at, builder.load(write.at(rows, INDEX(r)))) for r in range(high)]
            right = [write.at(x, at, builder.load(write.at(taps, INDEX(s)))) for s in range(wide)]
            with cgutils.for_range(builder, images) as image:
                g_image = builder.mul(image.index, first)
                x_image = builder.mul(image.index, second)
                with cgutils.for_range(builder, steps) as step:
                    t = builder.mul(step.index, INDEX(write.lanes))
                    ours = [write.load(write.at(one, g_image, t)) for one in left]
                    for s in range(wide):
                        theirs = write.load(write.at(right[s], x_image, t))
                        for r in range(high):
                            write.add_product(ours[r], theirs, sums[r * wide + s])
            for r in range(high):
                line = write.at(c, builder.mul(builder.add(i, INDEX(r)), columns), j)
                for s in range(wide):
                    place = write.at(line, INDEX(s))
                    total = write.total(builder.load(sums[r * wide + s]))
                    builder.store(builder.fadd(builder.load(place), total), place)
            return context.get_dummy_value()

        return types.void(g, x, rows, taps, types.intp, how, c, types.intp, types.intp), generate

    @intrinsic
    def copy_row(_context: Any, x: Any, at: Any, more: Any, y: Any, to: Any, count: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x, at, more, y, to, count = starts(context, builder, signature.args, arguments)
            write = Writer(context, builder, signature.args[3].dtype)
            x, y, width = write.at(x, at), write.at(y, to), write.lanes

            def move(t: Any, width: int) -> None:
                value = write.load(write.at(x, t), width)
                write.store(builder.fadd(value, write.spread(more, width)), write.at(y, t))

            whole = builder.and_(count, INDEX(-width))
            with cgutils.for_range_slice(builder, INDEX(0), whole, INDEX(width), inc=True) as (
                t,
                _,
            ):
                move(t, width)
            while width > 1:
                done = builder.and_(count, INDEX(-width))
                width //= 2
                more_left = builder.icmp_signed("!=", builder.and_(count, INDEX(width)), INDEX(0))
                with builder.if_then(more_left):
                    move(done, width)
            return context.get_dummy_value()

        return types.void(x, types.intp, x.dtype, y, types.intp, types.intp), generate
