"""All cores at once: one pool of threads, and how work is split among them.

Compiled kernels and BLAS let go of Python's lock, so plain Python threads run them side by side.
Numba's own `parallel=True` is not used: its OpenMP pool kills a process that forks after a kernel
has run, its work queue breaks when two Python threads enter, and it multiplies compile times.

A call is posted in one queue, once for each thread that may help; the caller starts at once. Who
is free takes the next piece, until none is left. So nobody waits for a helper to wake: it finds
what is left, or nothing, and sleeps again. Waking takes 30 to 60 µs, as long as a product of two
matrices of 150 × 150, so a thread that has nothing to do watches for a moment before it sleeps.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, cast

import numpy as np

from tinynet.errors import ArgumentError

_here = threading.local()  # of each thread: whether it is inside a piece, and its `room`s
_count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_num_threads() -> int:
    """How many threads kernels use: at first one for each core that the process may use; in a piece
    of work that is shared already, 1.
    """
    return 1 if getattr(_here, "inside", False) else _count


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
    _count = int(count)


class _Job:
    """Pieces of work that several threads take in turn."""

    def __init__(self, count: int, work: Callable[[int], Any]) -> None:
        self.count, self.work = count, work
        self.taken, self.done = itertools.count(), itertools.count(1)  # next(): one step for all
        self.error: BaseException | None = None
        self.over = threading.Lock()
        self.over.acquire()
        self.bell = np.zeros(1, np.int64)  # rings when it is over

    def run(self) -> None:
        """Take pieces until none is left; whoever finishes the last one says so. After an error
        the rest are only counted.
        """
        before, _here.inside = getattr(_here, "inside", False), True
        while (piece := next(self.taken)) < self.count:
            try:
                if self.error is None:
                    self.work(piece)
            except BaseException as error:
                self.error = error
            if next(self.done) == self.count:
                self.over.release()
                self.bell[0] = 1
        _here.inside = before


def _watch(bell: Any, last: int, more: int) -> None:
    """Wait, with open eyes and at most 300 µs long, for bell[0] to change; then the time of `more`
    looks on, in which the one who rang lets go of Python's lock.
    """
    jit = sys.modules.get("tinynet.kernels.jit")
    if jit is not None and jit.COMPILES:  # nothing else can wait without that lock
        from tinynet.kernels.linger import linger

        linger(bell, last, 8000, more)


@functools.cache
def _core() -> Callable[[], int]:
    """What tells a thread the number of the core that it runs on; -1 where nothing does."""
    try:
        return cast(Callable[[], int], ctypes.CDLL(None).sched_getcpu)
    except (AttributeError, TypeError):
        return lambda: -1


class _Helper(threading.Thread):
    """A thread that does jobs, and sleeps until there is one. It never ends."""

    def __init__(self, pool: _Pool, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.pool, self.avoids = pool, -1

    def run(self) -> None:
        pool = self.pool
        while True:
            job = pool.jobs.get()
            job.run()
            del job  # while it waits, it keeps no arrays alive
            last = int(pool.bell[0])  # before it looks: a job posted meanwhile rings after this
            if pool.jobs.empty():
                _watch(pool.bell, last, 200)  # its caller then has Python's lock for as long

    def avoid(self, core: int) -> None:
        """Run on any core but this one, which its caller is on. The system likes to wake a thread
        on the core of the one who wakes it, to wait there for milliseconds while another core has
        nothing to do.
        """
        others = os.sched_getaffinity(0) - {core}
        if self.native_id and others:
            os.sched_setaffinity(self.native_id, others)
            self.avoids = core


class _Pool:
    """The helpers, made when first wanted, and the jobs that they are asked to help with."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.helpers: list[_Helper] = []
        self.lock = threading.Lock()
        self.bell = np.zeros(1, np.int64)  # rings when a job is posted

    def post(self, job: _Job, helpers: int) -> None:
        """Ask as many threads to help."""
        if len(self.helpers) < helpers:
            with self.lock:
                while len(self.helpers) < helpers:
                    self.helpers.append(_Helper(self, f"tinynet-{len(self.helpers) + 1}"))
                    self.helpers[-1].start()
        core = _core()()
        for helper in self.helpers:
            if helper.avoids != core >= 0:
                helper.avoid(core)
        for _ in range(helpers):
            self.jobs.put(job)
        self.bell[0] += 1

    def roam(self) -> None:
        """Let the helpers run on the core of a caller who now sleeps until they are done: on their
        own another program may be busy.
        """
        for helper in self.helpers:
            if helper.avoids >= 0:
                helper.avoid(-1)


_pool = _Pool()


def _forget() -> None:
    """A forked child makes its own pool: the parent's threads stayed behind."""
    global _pool
    _pool = _Pool()


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
    helpers = min(threads or _count, _count, count) - 1
    if helpers < 1 or getattr(_here, "inside", False):
        for piece in range(count):
            work(piece)
        return
    job = _Job(count, work)
    _pool.post(job, helpers)
    job.run()
    if not job.over.acquire(False):
        _watch(job.bell, 0, 150)
        if not job.over.acquire(False):
            _pool.roam()
            job.over.acquire()
    del job.work  # a helper that wakes up late finds an empty job
    if job.error is not None:
        try:
            raise job.error
        finally:
            job.error = None  # it knows this frame, which knows the job


def room(name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """Memory of this thread's own for a kernel to work in, kept from call to call: fresh memory
    costs a page fault every 4 KiB. What it holds is what the last one left.
    """
    kept = _here.__dict__.setdefault("rooms", {})
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if name not in kept or kept[name].size < size:
        kept[name] = np.empty(size, np.uint8)
    return kept[name][:size].view(dtype).reshape(shape)
