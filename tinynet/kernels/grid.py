"""Where the windows of a convolution lie on an image that is laid out in one dimension.

Numbers only, computed once for a geometry. An axis with stride s is laid out in s phases, the
entries with the same remainder by s, so that for each tap the places lie side by side; addresses on
three axes are sums of those on each. `convolution` says what it is for.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, NamedTuple

import numpy as np

Sizes = tuple[int, ...]


class Axis(NamedTuple):
    """Windows along one axis, in the coordinates of the padded input.

    Place p and tap u meet at (first + p)·phases + taps[u].
    """

    size: int  # of the input
    before: int  # zeros in front of it
    length: int  # of one phase, with the zeros
    phases: int
    first: int
    places: int
    taps: Any
    which: Any  # the numbers of the taps among those of the filter
    into: slice  # where the places belong in the output


def _seen(n: int, K: int, s: int, P: int, d: int) -> Axis:
    """What y sees of x."""
    places = (n + 2 * P - d * (K - 1) - 1) // s + 1
    taps = np.arange(K) * d
    return Axis(n, P, -(-(n + 2 * P) // s), s, 0, places, taps, np.arange(K), slice(None))


def _seen_back(n: int, K: int, s: int, P: int, d: int) -> list[Axis]:
    """What x̄ sees of g: one for each remainder φ that has entries."""
    size, found = (n + 2 * P - d * (K - 1) - 1) // s + 1, []
    for phi in range(s):
        which = np.array([u for u in range(K) if (u * d - phi) % s == 0], np.int64)
        shift = (which * d - phi) // s
        low, high = -((phi - P) // s), (n - 1 + P - phi) // s  # the t of entries 0 … n − 1
        if low <= high:
            before = max(0, max(shift, default=0) - low)
            after = max(0, high - min(shift, default=0) - (size - 1))
            into = slice(low * s + phi - P, None, s)
            first, places = low + before, high - low + 1
            length = before + size + after
            found.append(Axis(size, before, length, 1, first, places, -shift, which, into))
    return found


class Grid(NamedTuple):
    """Three axes in one: addresses in an image that is laid out in one dimension."""

    size: int  # of the image: all its phases
    parts: list[tuple[tuple[slice, ...], Any]]  # of the input, and where their rows go
    first: int  # the address of the first place
    starts: Any  # of the rows of places, counted from there
    extent: int  # from the first place to the last, both included
    counts: Sizes  # places along each axis
    taps: Any
    which: Any
    into: tuple[slice, ...]


def _grid(axes: tuple[Axis, ...]) -> Grid:
    lengths, phases = [a.length for a in axes], [a.phases for a in axes]
    pitch = [math.prod(lengths[i + 1 :]) for i in range(3)]
    jump = [math.prod(lengths) * math.prod(phases[i + 1 :]) for i in range(3)]

    def address(i: int, at: Any) -> Any:
        return at // phases[i] * pitch[i] + at % phases[i] * jump[i]

    parts = []
    for phase in itertools.product(*map(range, phases)):
        entries = [
            slice((p - a.before) % a.phases, None, a.phases)
            for p, a in zip(phase, axes, strict=True)
        ]
        to = [
            address(i, np.arange(a.size)[here] + a.before)
            for i, (a, here) in enumerate(zip(axes, entries, strict=True))
        ]
        to[2] = to[2][:1]  # of a row it is where it starts
        parts.append((tuple(entries), _sums(to)))
    counts = tuple(a.places for a in axes)
    rows = [np.arange(m) * step for m, step in zip(counts[:2], pitch, strict=False)]
    return Grid(
        math.prod((*phases, *lengths)),
        parts,
        sum(a.first * step for a, step in zip(axes, pitch, strict=True)),
        _sums(rows),
        sum((m - 1) * step for m, step in zip(counts, pitch, strict=True)) + 1,
        counts,
        _sums([address(i, a.taps) for i, a in enumerate(axes)]),
        np.ix_(*(a.which for a in axes)),
        tuple(a.into for a in axes),
    )


def _sums(parts: list[Any]) -> Any:
    """All sums of one number of each, the last varying fastest."""
    return functools.reduce(np.add.outer, parts).reshape(-1)


@functools.lru_cache(maxsize=256)
def grids(
    sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> tuple[Grid, list[Grid]]:
    """For y, and for x̄, whose phases are computed one by one."""
    axes = list(zip(sizes, kernel, stride, padding, dilation, strict=True))
    back = itertools.product(*(_seen_back(*axis) for axis in axes))
    return _grid(tuple(_seen(*axis) for axis in axes)), [_grid(each) for each in back]
