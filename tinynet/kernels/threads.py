"""All cores at once: one pool of threads, and how work is split among them.

Compiled kernels and BLAS let go of Python's lock, so plain Python threads run them side by side.
Numba's own `parallel=True` is not used: its OpenMP pool kills a process that forks after a kernel
has run, its work queue breaks when two Python threads enter, and it multiplies compile times.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError

_here = threading.local()  # whether this thread is one of the pool's, and its `room`s
_pool: ThreadPoolExecutor | None = None
_count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_num_threads() -> int:
    """How many threads kernels use: at first one for each core that the process may use."""
    return _count


def set_num_threads(count: int) -> None:
    """Let kernels use `count` threads. Raises ArgumentError where that is less than 1.

    >>> before = get_num_threads()
    >>> set_num_threads(1); get_num_threads()
    1
    >>> set_num_threads(before)
    """
    global _count
    if count < 1:
        raise ArgumentError("set_num_threads: at least one thread is needed", got=str(count))
    if _pool is not None:
        _pool.shutdown(wait=False)
    _forget()
    _count = int(count)


def _forget() -> None:
    """Let the next kernel make a new pool. A forked child too: the old one's threads stayed behind,
    and it must not be touched there.
    """
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def share(count: int, work: Callable[[int], Any], threads: int | None = None) -> None:
    """work(0), work(1), … work(count − 1), on up to `threads` threads: each takes the next piece
    when it is done with one, so that a core which is busy elsewhere holds nobody up.

    An error in one piece is raised here. Inside a piece, `share` runs on the thread it is called
    from.

    >>> done = []
    >>> share(3, done.append); sorted(done)
    [0, 1, 2]
    """
    global _pool
    helpers = min(threads or _count, _count, count) - 1
    pieces = itertools.count()  # next() is one step for all threads

    def loop() -> None:
        while (piece := next(pieces)) < count:
            work(piece)

    if helpers < 1 or getattr(_here, "inside", False):
        return loop()
    if _pool is None:
        _pool = ThreadPoolExecutor(_count - 1, "tinynet", _enter)
    others = [_pool.submit(loop) for _ in range(helpers)]
    try:
        loop()
    finally:
        for other in others:
            other.result()


def room(name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """Memory of this thread's own for a kernel to work in, kept from call to call: fresh memory
    costs a page fault every 4 KiB. What it holds is what the last one left.
    """
    kept = _here.__dict__.setdefault("rooms", {})
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if name not in kept or kept[name].size < size:
        kept[name] = np.empty(size, np.uint8)
    return kept[name][:size].view(dtype).reshape(shape)


def _enter() -> None:
    _here.inside = True
