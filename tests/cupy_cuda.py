"""cupy.cuda in the double: devices' facts, the memory pool's bookkeeping, events and pinned memory.

Every call is done when it returns, as on a GPU that is waited for each time. Members are those of
the real classes (`test_fake_cupy_cuda.py`).
"""

from __future__ import annotations

import math
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
from cupy_facts import DEVICES, Device, current

GIB = 2**30


class CUDARuntimeError(RuntimeError):
    """cupy.cuda.runtime.CUDARuntimeError."""


runtime = SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError,
    getDeviceCount=lambda: DEVICES,
    getDevice=lambda: current[-1],
    getDeviceProperties=lambda number: {
        "name": b"Double of a GPU",
        "totalGlobalMem": 8 * GIB,
        "major": 9,
        "minor": 0,
        "multiProcessorCount": 132,
    },
)


class GPU(Device):
    """cupy.cuda.Device (device.pyx)."""

    @property
    def mem_info(self) -> tuple[int, int]:
        return 8 * GIB - pool.all_total(self.id), 8 * GIB

    @property
    def compute_capability(self) -> str:
        return "90"

    def synchronize(self) -> None:
        pass

    def use(self) -> GPU:
        with self:
            pass  # raises for a device that there is not
        current[-1] = self.id
        return self


# -- memory ----------------------------------------------------------------------------------------

_hooks: list[MemoryHook] = []


class MemoryHook:
    """memory_hook.pyx; registered in its thread."""

    name = "MemoryHook"

    def __enter__(self) -> MemoryHook:
        if self in _hooks:
            raise RuntimeError(f"memory hook {self.name} already exists")
        _hooks.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _hooks.remove(self)

    def alloc_preprocess(self, **kwargs: Any) -> None:
        pass

    def alloc_postprocess(self, **kwargs: Any) -> None:
        pass

    def malloc_preprocess(self, **kwargs: Any) -> None:
        pass

    def malloc_postprocess(self, **kwargs: Any) -> None:
        pass

    def free_preprocess(self, **kwargs: Any) -> None:
        pass

    def free_postprocess(self, **kwargs: Any) -> None:
        pass


class MemoryPointer:
    """memory.pyx: memory of the pool, which gets it back when nobody holds this."""

    def __init__(self, size: int) -> None:
        self._size, self._device = -(-size // 512) * 512, current[-1]  # memory.pyx, _round_size
        pool._move(self._device, self._size, "malloc")

    def __del__(self) -> None:
        pool._move(self._device, -self._size, "free")


class MemoryPool:
    """memory.pyx: its numbers are those of the current device; what is freed stays in it."""

    def __init__(self) -> None:
        self._used, self._total = [0] * DEVICES, [0] * DEVICES

    def malloc(self, size: int) -> MemoryPointer:
        return MemoryPointer(size)

    def _move(self, device: int, size: int, what: str) -> None:
        self._used[device] += size
        self._total[device] = max(self._total[device], self._used[device])
        for hook in _hooks:
            getattr(hook, f"{what}_postprocess")(device_id=device, mem_size=abs(size))

    def all_total(self, device: int) -> int:
        return self._total[device]

    def used_bytes(self) -> int:
        return self._used[current[-1]]

    def total_bytes(self) -> int:
        return self._total[current[-1]]

    def free_bytes(self) -> int:
        return self.total_bytes() - self.used_bytes()

    def free_all_blocks(self, stream: Any = None) -> None:
        self._total[current[-1]] = self._used[current[-1]]


pool = MemoryPool()


class PinnedMemoryPointer(bytearray):
    """pinned_memory.pyx: a buffer for NumPy."""


def alloc_pinned_memory(size: int) -> PinnedMemoryPointer:
    """pinned_memory.pyx: the pool gives a power of 2, at least 512 bytes."""
    return PinnedMemoryPointer(max(512, 1 << (size - 1).bit_length()))


def empty_pinned(shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray[Any, Any]:
    """cupyx/_pinned_array.py: an array of NumPy's; one without entries has no pinned memory."""
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    if not nbytes:
        return np.empty(shape, dtype, order)
    return np.ndarray(shape, dtype, buffer=alloc_pinned_memory(nbytes), order=order)


# -- time ------------------------------------------------------------------------------------------


class Event:
    """stream.pyx, class Event."""

    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        self._timed, self._at = not disable_timing, None

    @property
    def done(self) -> bool:
        return True  # also of an event that was not recorded (cudaEventQuery)

    def record(self, stream: Any = None) -> None:
        self._at = time.perf_counter()

    def synchronize(self) -> None:
        pass


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """stream.pyx: milliseconds."""
    if None in (start_event._at, end_event._at) or not (start_event._timed and end_event._timed):
        raise CUDARuntimeError("cudaErrorInvalidResourceHandle: invalid resource handle")
    return (end_event._at - start_event._at) * 1e3


class Stream:
    """stream.pyx: work that is done in order."""

    null: Stream

    def __init__(
        self,
        null: bool = False,
        non_blocking: bool = False,
        ptds: bool = False,
        priority: Any = None,
    ) -> None:
        self._before: list[Stream] = []

    def __enter__(self) -> Stream:
        self._before.append(_current_stream[0])
        _current_stream[0] = self
        return self

    def __exit__(self, *_: object) -> None:
        _current_stream[0] = self._before.pop()

    @property
    def done(self) -> bool:
        return True

    def record(self, event: Any = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def synchronize(self) -> None:
        pass

    def wait_event(self, event: Event) -> None:
        pass


Stream.null = Stream(null=True)
_current_stream = [Stream.null]


def get_current_stream(device_id: int | None = None) -> Stream:
    """stream.pyx: of this thread."""
    return _current_stream[0]
