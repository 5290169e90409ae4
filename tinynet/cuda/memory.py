"""How much of a GPU's memory tensors hold, and how much CuPy's pool keeps for the next ones.

What a tensor gives back stays in the pool, because asking the GPU for memory is slow. So
*allocated* is what arrays hold now, *reserved* is what the pool has of the GPU; the difference is
free for new tensors, but not for other programs, until `empty_cache`. All numbers are bytes, and 0
without a GPU.
"""

from __future__ import annotations

from typing import Any

from tinynet import arrays


def _ask(device: Any, method: str) -> int:
    """A number of CuPy's pool, on one GPU."""
    if not arrays.gpus():
        return 0
    with arrays.place(_device(device)):
        return int(getattr(arrays.cupy().get_default_memory_pool(), method)())


def _device(device: Any) -> arrays.Device:
    return arrays.Device("cuda" if device is None else device)


def memory_allocated(device: Any = None) -> int:
    """Bytes that arrays hold now; each takes a multiple of 512."""
    return _ask(device, "used_bytes")


def memory_reserved(device: Any = None) -> int:
    """Bytes that the pool has of the GPU."""
    return _ask(device, "total_bytes")


def max_memory_reserved(device: Any = None) -> int:
    """The most that it had since the last `empty_cache`: until then the pool only grows."""
    return memory_reserved(device)


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """(free, total) bytes of the GPU itself, with what other programs use."""
    free, total = arrays.gpu(_device(device).index or 0).mem_info
    return int(free), int(total)


def empty_cache() -> None:
    """Give memory that no tensor holds back to the GPUs."""
    for number in range(arrays.gpus()):
        with arrays.gpu(number):
            arrays.cupy().get_default_memory_pool().free_all_blocks()


# -- the peak --------------------------------------------------------------------------------------

_peaks: dict[int, int] = {}  # of the GPUs that are watched
_watching: list[Any] = []


def reset_peak_memory_stats(device: Any = None) -> None:
    """Look for the peak of `memory_allocated` from here on.

    The first call sets up a hook that sees every allocation of this thread, at about a microsecond
    each. Allocations of other threads are missed.
    """
    if not arrays.gpus():
        return
    _peaks[_device(device).index or 0] = memory_allocated(device)
    if not _watching:
        hook = _hook()
        hook.__enter__()
        _watching.append(hook)


def _hook() -> Any:
    pool = arrays.cupy().get_default_memory_pool()

    class Peak(arrays.cupy().cuda.MemoryHook):  # type: ignore[misc]
        """Compares what is used after each allocation with the most so far."""

        name = "tinynet's peak"

        def malloc_postprocess(self, **about: Any) -> None:
            number = about["device_id"]
            if number in _peaks:
                _peaks[number] = max(_peaks[number], pool.used_bytes())

    return Peak()


def max_memory_allocated(device: Any = None) -> int:
    """The peak of `memory_allocated` since `reset_peak_memory_stats`.

    Where nobody has called that, an upper bound: `memory_reserved`, as the pool never needed more.
    """
    number = _device(device).index or 0
    return _peaks[number] if number in _peaks else memory_reserved(device)


def memory_stats(device: Any = None) -> dict[str, int]:
    """These numbers under PyTorch's keys."""
    return {
        "allocated_bytes.all.current": memory_allocated(device),
        "allocated_bytes.all.peak": max_memory_allocated(device),
        "reserved_bytes.all.current": memory_reserved(device),
        "reserved_bytes.all.peak": max_memory_reserved(device),
    }


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """These numbers as a text.

    >>> print(memory_summary())
    allocated   ... MiB   (peak ... MiB)
    reserved    ... MiB
    """
    used, peak, total = (
        f(device) / 2**20 for f in (memory_allocated, max_memory_allocated, memory_reserved)
    )
    return f"allocated {used:10.1f} MiB   (peak {peak:.1f} MiB)\nreserved  {total:10.1f} MiB"
