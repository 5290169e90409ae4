"""What this computer can do at most, and how near the rungs of a ladder come.

A kernel does some flops on some bytes. The cores compute at most `peak` flops a second and memory
brings at most `bandwidth` bytes a second, so with intensity = flops / bytes

    flops a second ≤ min(peak, intensity · bandwidth).

Drawn over the intensity this is a roof: a slope, where memory is the limit, and a flat part, where
arithmetic is. Both limits are measured, the first with the innermost block of `kernels.gemm` on
numbers that stay in the first-level cache.

Source: S. Williams, A. Waterman and D. Patterson, "Roofline: An Insightful Visual Performance Model
for Multicore Architectures", Communications of the ACM, 2009.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinynet.kernels import gemm
from tinynet.kernels.jit import COMPILES
from tinynet.kernels.threads import get_num_threads, share
from tinynet.kernels.tile import tile_shape

SIZE = 512 if COMPILES else 64  # loops that Python runs take a thousand times as long


class Point(NamedTuple):
    """A kernel: the flops that it does, the bytes that must at least be moved, and its seconds."""

    name: str
    flops: float
    bytes: float
    seconds: float

    @property
    def intensity(self) -> float:
        """Flops for each byte."""
        return self.flops / self.bytes

    @property
    def speed(self) -> float:
        """Flops a second."""
        return self.flops / self.seconds


class Roof(NamedTuple):
    """The limits, in flops and bytes a second, of one core and of `threads`; and the kernels."""

    peak_of_one: float
    peak: float
    bandwidth: float
    threads: int
    points: list[Point]

    def limit(self, intensity: float) -> float:
        """The most flops a second at this intensity.

        >>> Roof(50.0, 100.0, 10.0, 2, []).limit(2.0)
        20.0
        """
        return min(self.peak, intensity * self.bandwidth)


def roof(size: int = SIZE) -> Roof:
    """Measure the limits and, with float32 matrices size × size, every rung of `kernels.gemm`; and
    two kernels for which memory is the limit: the sum of two arrays, and a matrix times a vector.
    """
    threads = get_num_threads()
    bandwidth = _add_bandwidth(threads)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, size, size), np.float32)
    c = np.zeros_like(a)
    flops, moved = 2.0 * size**3, 3.0 * a.nbytes
    points = [
        Point("sum of two arrays", 1.0, 16.0, 16.0 / bandwidth),
        _vector_point(rng),
    ]
    for rung in (gemm.naive, gemm.reordered, gemm.blocked):
        seconds = _seconds(functools.partial(rung, a, b, c))
        points.append(Point(rung.__name__, flops, moved, seconds))
    points.append(Point("matmul", flops, moved, _seconds(lambda: gemm.matmul(a, b))))
    return Roof(_peak(1), _peak(threads), bandwidth, threads, points)


def _peak(threads: int) -> float:
    """Flops a second of the tile on blocks that stay in the first-level cache."""
    rows, columns = tile_shape("f4")
    depth, times = 256, 400
    a, b = np.ones((1, rows, depth), np.float32), np.ones((1, depth, columns), np.float32)
    same, part = np.zeros(times, int), (0, times, 0, rows, 0, columns)
    results = [np.empty((times, rows, columns), np.float32) for _ in range(threads)]

    def work(piece: int) -> None:
        c = results[piece]
        gemm.unpacked(a, b, c, same, same, part, c[:0], c[:0], (rows, columns))

    seconds = _seconds(lambda: share(threads, work, threads))
    return 2.0 * rows * columns * depth * times * threads / seconds


def _add_bandwidth(threads: int) -> float:
    """Bytes a second of x + y into z, arrays of 128 MiB. z counts twice: a line of it is read
    before it is written.
    """
    x, y, z = (np.ones(2**25, np.float32) for _ in range(3))
    size = -(-len(x) // threads)

    def work(piece: int) -> None:
        part = slice(piece * size, (piece + 1) * size)
        np.add(x[part], y[part], out=z[part])

    return 4.0 * x.nbytes / _seconds(lambda: share(threads, work, threads))


def _vector_point(rng: Any) -> Point:
    W, x = rng.standard_normal((4096, 4096), np.float32), rng.standard_normal((4096, 1), np.float32)
    return Point("matrix × vector", 2.0 * W.size, W.nbytes, _seconds(lambda: np.matmul(W, x)))


def _seconds(call: Callable[[], Any]) -> float:
    """The shortest of three to some hundred calls: nothing is faster than the machine allows."""
    call()
    found: list[float] = []
    until = time.perf_counter() + 0.3
    while len(found) < 3 or time.perf_counter() < until:
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)
