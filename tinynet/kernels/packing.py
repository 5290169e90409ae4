"""Copying a matrix into the order in which a product reads it.

    panels[q, p, r] = x[q·R + r, p]        r < R

A tile (`tile`) reads R rows of A, or R columns of B, at a time, one p after the other. A panel has
them side by side, so that memory is read in order, whatever strides x has.

Where x's numbers with neighbouring p are neighbours in memory, which is A as it is mostly laid out
and Bᵀ, this is a transposition, and number by number it takes a load and a store each. But V rows
of V numbers fit V vector registers, and there whole blocks change places: the two beside the
diagonal of 2 × 2 blocks, of V/2 × V/2 numbers, then of V/4 × V/4 in each block, and so on,

    A B    →    A C
    C D         B D

log₂ V times, V instructions each time. With V = 16 (float32, AVX-512) that is 64 instructions, 16
loads and 16 stores for 256 numbers. So a panel's width is a whole number of vectors.
"""

from __future__ import annotations

from typing import Any

from tinynet.kernels.jit import COMPILES, inner, put
from tinynet.kernels.strips import lanes, row
from tinynet.kernels.vectors import lanes as lanes_of

LINES = 16  # of memory that are read side by side


def panel_width(rows: int, dtype: Any) -> int:
    """A whole number of vectors that hold so many numbers."""
    return -(-rows // lanes_of(dtype)) * lanes_of(dtype)


def turn(x: Any, panel: Any) -> None:
    """panel[:V, :V] = x[:V, :V]ᵀ for V numbers in a vector, where the rows of x have no gaps. If it
    has fewer than V, the last is repeated.
    """
    count = lanes(x)
    for r in range(count):
        panel[:count, r] = x[min(r, len(x) - 1), :count]


if COMPILES:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    from tinynet.kernels.vectors import INDEX, LANE, Writer, sizes, starts, strides

    @intrinsic
    def turn(_context: Any, x: Any, panel: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kinds = signature.args
            write = Writer(context, builder, kinds[1].dtype)
            source, target = starts(context, builder, kinds, arguments)
            (down, _), (pitch, _) = (
                strides(context, builder, kind, array)
                for kind, array in zip(kinds, arguments, strict=True)
            )
            last = builder.sub(sizes(context, builder, kinds[0], arguments[0])[0], INDEX(1))
            rows = []
            for r in range(write.lanes):
                exists = builder.icmp_signed("<", INDEX(r), last)
                row = builder.select(exists, INDEX(r), last)
                rows.append(write.load(write.at(source, builder.mul(row, down))))
            size = write.lanes // 2
            while size:
                _exchange(builder, rows, size)
                size //= 2
            for p, row in enumerate(rows):
                write.store(row, write.at(target, builder.mul(INDEX(p), pitch)))
            return context.get_dummy_value()

        return types.void(x, panel), generate

    def _exchange(builder: Any, rows: list[Any], size: int) -> None:
        """In all blocks of 2 × 2 blocks of that size: the two beside the diagonal."""
        every = range(len(rows))
        above = [s if not s & size else len(rows) + s - size for s in every]
        below = [s + size if not s & size else len(rows) + s for s in every]
        kind = ir.VectorType(LANE, len(rows))
        for r in every:
            if not r & size:
                pair = rows[r], rows[r + size]
                rows[r] = builder.shuffle_vector(*pair, ir.Constant(kind, above))
                rows[r + size] = builder.shuffle_vector(*pair, ir.Constant(kind, below))


@inner
def pack(x: Any, panels: Any, width: int) -> None:
    """Panels of `width` rows of x; what else they have room for holds anything."""
    depth, first, one = x.shape[1], 0, lanes(panels)
    if x.strides[1] == x.itemsize:
        first = depth - depth % one
        for q in range(panels.shape[0]):
            part = x[q * width : (q + 1) * width]
            for r in range(0, part.shape[0], one):
                for p in range(0, first, one):
                    turn(part[r:, p:], panels[q, p:, r:])
    if x.strides[0] == x.itemsize:
        for p0 in range(first, depth, LINES):
            for q in range(panels.shape[0]):
                part = x[q * width : q * width + panels.shape[2]].T
                for p in range(p0, min(p0 + LINES, depth)):
                    put(panels[q, p], row(part, p))
    elif abs(x.strides[0]) < abs(x.strides[1]):  # along the shorter stride, a few lines at a time
        for p0 in range(first, depth, LINES):
            for q in range(panels.shape[0]):
                part = x[q * width : (q + 1) * width, p0 : p0 + LINES]
                panel = panels[q, p0 : p0 + LINES]
                for p in range(part.shape[1]):
                    for r in range(part.shape[0]):
                        panel[p, r] = part[r, p]
    else:
        for q in range(panels.shape[0]):
            for p0 in range(first, depth, LINES):
                part = x[q * width : (q + 1) * width, p0 : p0 + LINES]
                panel = panels[q, p0 : p0 + LINES]
                for r in range(part.shape[0]):
                    for p in range(part.shape[1]):
                        panel[p, r] = part[r, p]
