"""Waiting with open eyes, for a short time.

A thread that sleeps is woken by the operating system, which takes 30 to 60 µs and costs the one who
wakes it 10 to 30: as long as a product of 256 × 256 matrices. Parallel parts of a training step
follow each other within that time. So a thread that has nothing to do first watches a number in
memory for a while.
"""

from __future__ import annotations

from typing import Any

from tinynet.kernels.jit import COMPILES, inner, kernel


def seen(x: Any) -> int:
    """x[0] as it is in memory now: the compiler may not remember what it was."""
    return int(x[0])


if COMPILES:
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def seen(_context: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(x)(context, builder, arguments[0])
            return builder.load_atomic(array.data, "monotonic", 8)

        return types.int64(x), generate


@inner
def pause(x: float) -> float:
    """About 35 ns, in divisions that wait for each other: the core's other users are not slowed."""
    for _ in range(8):
        x = 1.0 / (1.0 + x)
    return x


@kernel("bell")
def linger(bell: Any, last: int, looks: int, more: int) -> float:
    """Until bell[0] is not `last` any more, but at most so many looks long; then `more` pauses."""
    x = 1.0
    while looks > 0 and seen(bell) == last:
        x = pause(x)
        looks -= 1
    if looks > 0:
        for _ in range(more):
            x = pause(x)
    return x  # so that it is computed
