"""Passes over memory: what the kernels share that read an array once and write one.

Such a kernel does little with each number, so memory sets the pace: a core moves some 10 to 80
bytes in a nanosecond, the more the nearer they lie. Two things help: to read nothing twice, which
is what each kernel is about, and to let all cores read, which is here. But another core must be
woken first, and both take turns at Python's lock to start their pieces: about 0.1 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet.kernels.threads import get_num_threads, share

WAKING = 200_000  # nanoseconds of work for each core below which one alone is faster
PIECES = 2  # for each thread, so that one which comes late holds nobody up


def dense(x: Any) -> Any:
    """x without gaps, in the order of its axes, writable: x itself where it is so, else a copy.

    >>> x = np.arange(6.0).reshape(2, 3)
    >>> dense(x) is x, dense(x.T).strides
    (True, (16, 8))
    """
    return x if x.flags.carray else np.array(x, order="C")


def split(count: int, cost: float, work: Callable[[int, int], None]) -> None:
    """work(first, last) on parts that make up range(count), on as many threads as are worth it
    where one of `count` costs so many nanoseconds.

    >>> split(3, 1.0, lambda first, last: print(first, last))
    0 3
    """
    threads = min(get_num_threads(), count, int(count * cost / WAKING))
    if threads <= 1:
        return work(0, count)
    each = -(-count // (PIECES * threads))
    share(-(-count // each), lambda i: work(i * each, min((i + 1) * each, count)), threads)
