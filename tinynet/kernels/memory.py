"""Freed memory is kept for the next step, instead of being given back to the system.

Each training step makes the same arrays again. glibc, the C library of most Linux systems, gives
freed memory back when it lies at the end of the heap, or was large, and the next step then pays a
page fault for every 4 KiB that it touches: 2000 of them, several milliseconds, in the step of a
small LSTM. Two numbers tell it not to. Elsewhere nothing happens.
"""

from __future__ import annotations

import ctypes
import os
import sys

LARGEST = 32 << 20  # bytes: larger arrays are given back all the same; glibc allows no more
KEPT = 512 << 20  # bytes that may lie free at the end of the heap

_TRIM, _MMAP = -1, -3  # glibc's names for the two: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD


def keep_freed() -> bool:
    """Tell the C library. Returns whether it listened; who has set MALLOC_TRIM_THRESHOLD_ or
    MALLOC_MMAP_THRESHOLD_ is not overruled.

    >>> keep_freed() in (True, False)
    True
    """
    told = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & os.environ.keys()
    if not sys.platform.startswith("linux") or told:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and bool(mallopt(_MMAP, LARGEST) and mallopt(_TRIM, KEPT))
