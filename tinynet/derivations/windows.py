"""Windows that slide over the last axes of an array: where they lie. Whole numbers only.

A window has K places, its taps, and moves over the axis. Tap u of window i looks at entry

    i s + u d − P          i = 0 … m − 1,  u = 0 … K − 1

with stride s (how far the window moves), dilation d (how far its taps lie apart) and P entries of
padding at both ends. Five entries, P = 1, K = 3, s = 2, d = 1:

    padded input    ·   0   1   2   3   4   ·
    window 0       u=0 u=1 u=2
    window 1               u=0 u=1 u=2
    window 2                       u=0 u=1 u=2

The last tap of the last window must not leave the padded axis of n + 2P entries: (m − 1) s +
d (K − 1) + 1 ≤ n + 2P. Solved for m,

    m = ⌊(n + 2P − d (K − 1) − 1) / s⌋ + 1.

With `ceil_mode` the quotient is rounded up, and the last window may hang over the end; but one that
would begin behind the input, in the padding on the right, is left out. Every axis has numbers of
its own: sizes, kernel, stride, padding and dilation are tuples.

Adaptive windows are given by their number m: window i goes from ⌊i n / m⌋ to ⌈(i + 1) n / m⌉. They
cover the axis, overlap in at most one entry each, and where m divides n they are the windows with
k = s = n / m. m = 1 is the whole axis: global pooling needs no rule of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, ShapeError

Sizes = tuple[int, ...]


def per_axis(name: str, value: Any, axes: int, least: int) -> tuple[int, ...]:
    """One whole number for each axis; a single one serves them all.

    Raises ArgumentError for another count, and for numbers below `least`.

    >>> per_axis("stride", 2, axes=3, least=1)
    (2, 2, 2)
    """
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    given = given * axes if len(given) == 1 else given
    if len(given) != axes or not all(hasattr(v, "__index__") and v >= least for v in given):
        each = f", or one for each of {axes} axes" if axes > 1 else ""
        raise ArgumentError(
            f"{name} is a whole number{each}, from {least} on",
            got=f"{name}={value!r}",
        )
    return given


def geometry(
    axes: int, stride: Any, padding: Any, dilation: Any
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Stride, padding and dilation, each with a number for every axis.

    >>> geometry(2, 1, (0, 2), 1)
    ((1, 1), (0, 2), (1, 1))
    """
    return (
        per_axis("stride", stride, axes, 1),
        per_axis("padding", padding, axes, 0),
        per_axis("dilation", dilation, axes, 1),
    )


def positions(
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    """How many windows there are along each axis: ⌊(n + 2P − d (K − 1) − 1) / s⌋ + 1.

    Raises ShapeError where not even one fits.

    >>> positions((5,), (3,), (2,), (1,), (1,))
    (3,)
    """
    axes = zip(sizes, kernel, stride, padding, dilation, strict=True)
    out = tuple((n + 2 * P - d * (K - 1) - 1) // s + 1 for n, K, s, P, d in axes)
    if min(out) < 1 or min(kernel) < 1:
        raise ShapeError(
            "the window does not fit into the padded input",
            expected="1 ≤ d (K − 1) + 1 ≤ n + 2P on each axis",
            got=f"n = {sizes}, K = {kernel}, P = {padding}, d = {dilation}",
        )
    return out


def outputs(
    sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Sizes:
    """How many windows there are along each axis, of those that pool: none sees padding alone.

    >>> outputs((5,), (2,), (2,), (0,), (1,), False), outputs((5,), (2,), (2,), (0,), (1,), True)
    ((2,), (3,))
    """
    if min((*kernel, *stride, *dilation)) < 1:
        raise ArgumentError(
            "a window's size, its stride and its dilation are at least 1",
            got=f"kernel {kernel}, stride {stride}, dilation {dilation}",
        )
    found = []
    for n, k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True):
        length = d * (k - 1) + 1
        if not 0 <= 2 * p <= length:
            raise ArgumentError(
                "padding is at most half of the window, so that each window sees an entry",
                expected=f"0 … {length // 2}",
                got=f"{p}",
            )
        room = n + 2 * p - length
        if n < 1 or (room < 0 and not ceil_mode) or room + s - 1 < 0:
            raise ShapeError(
                "the window is larger than the input",
                expected=f"at least {max(1, length - 2 * p)} entries",
                got=f"{n}",
            )
        m = (room + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (m - 1) * s >= n + p:  # the last would begin in the padding on the right
            m -= 1
        if d > n and not all(_inside(i * s - p, n, k, d) for i in range(m)):
            raise ShapeError(
                "a window steps over the whole input, and sees padding alone",
                expected=f"dilation at most {n}",
                got=f"{d}",
            )
        found.append(m)
    return tuple(found)


def strided(
    sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> list[list[range]]:
    """For each axis its windows: the places that lie inside the input.

    >>> strided((4,), (3,), (2,), (1,), (1,), False)
    [[range(0, 2), range(1, 4)]]
    """
    counts = outputs(sizes, kernel, stride, padding, dilation, ceil_mode)
    return [
        [_inside(i * s - p, n, k, d) for i in range(m)]
        for n, m, k, s, p, d in zip(sizes, counts, kernel, stride, padding, dilation, strict=True)
    ]


def _inside(start: int, n: int, k: int, d: int) -> range:
    """The places start, start + d, … of a window that are not left of 0 nor right of n − 1."""
    left_out = max(0, -(start // d))
    return range(start + left_out * d, min(start + d * (k - 1) + 1, n), d)


def adaptive(n: int, m: int) -> list[range]:
    """m windows that cover n entries.

    >>> adaptive(5, 3)
    [range(0, 2), range(1, 4), range(3, 5)]
    """
    if n < 1 or m < 0:
        raise ShapeError("at least 1 entry, and 0 windows, are expected", got=f"{n} and {m}")
    return [range(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


def entries(x: Any, axes: list[list[range]]) -> Iterator[Any]:
    """The first entry of every window, the second of every window, and so on in row-major order:
    arrays of the output's shape. A window that has fewer repeats its last ones.
    """
    for u in np.ndindex(*(max(map(len, axis), default=0) for axis in axes)):
        places = [[w[min(t, len(w) - 1)] for w in axis] for t, axis in zip(u, axes, strict=True)]
        yield x[(..., *np.ix_(*places))]


def along(axis: int, places: Any) -> tuple[Any, ...]:
    """The index of these places along an axis."""
    return (*(slice(None),) * axis, places)


def taps(
    sizes: Sizes, counts: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Iterator[tuple[Any, Any]]:
    """For each place of a window, in row-major order: the windows in which it lies inside the
    input, and where it lies there. Both are slices: the windows' steps are regular.
    """
    for u in np.ndindex(*kernel):
        here, there = [], []
        for n, m, t, s, p, d in zip(sizes, counts, u, stride, padding, dilation, strict=True):
            start = d * t - p  # in window 0; s further in the next one
            first, last = max(0, -(start // s)), min(m - 1, (n - 1 - start) // s)
            here.append(slice(first, max(first, last + 1)))
            there.append(slice(start + s * first, max(start + s * last + 1, 0), s))
        yield (..., *here), (..., *there)


def places(
    sizes: Sizes,
    counts: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    count_include_pad: bool,
) -> Any:
    """How many places each window has: a number where all have the same, else an array (m1, …).
    The padding's are counted or not; what hangs over it is none.
    """
    total = np.ones((), dtype=np.int64)
    for n, m, k, s, p in zip(sizes, counts, kernel, stride, padding, strict=True):
        start = np.arange(m) * s - p
        end = np.minimum(start + k, n + p)
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, n)
        total = np.multiply.outer(total, end - start)
    return int(total.flat[0]) if total.size and np.all(total == total.flat[0]) else total
