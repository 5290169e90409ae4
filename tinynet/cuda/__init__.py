"""The door to PyTorch's `cuda`: which GPUs there are, which one is meant, and waiting for them.

In: devices and seeds; `memory` (how much is used), `timing` (`Event`, `Stream`). Not in: moving
tensors (`x.to("cuda")`), what computes on a GPU (`arrays`, which alone knows CuPy), and kernels.

Everything runs through CuPy. What is asked of a GPU is done later, in order, while Python goes on;
whoever takes the time must wait for it: `synchronize`, or an `Event`. Ops, backward passes, steps
of optimizers and changes in place happen on the GPU where their tensors are; new tensors on "cuda",
and all that works on bare arrays, on the current one: `with tn.cuda.device(1): ...`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tinynet import arrays
from tinynet.cuda import amp
from tinynet.cuda.memory import (
    empty_cache,
    max_memory_allocated,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_reserved,
    memory_stats,
    memory_summary,
    reset_peak_memory_stats,
)
from tinynet.cuda.timing import Event, Stream, current_stream, default_stream, stream
from tinynet.errors import DeviceError
from tinynet.random import default_generator

__all__ = [
    "Event",
    "Stream",
    "amp",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "init",
    "is_available",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "memory_summary",
    "reset_peak_memory_stats",
    "set_device",
    "stream",
    "synchronize",
]


def is_available() -> bool:
    """Whether there is a GPU that CuPy can use.

    >>> import tinynet as tn
    >>> device = tn.device("cuda" if tn.cuda.is_available() else "cpu")
    >>> tn.ones(2, device=device).to("cpu")
    tensor([1., 1.])
    """
    return arrays.gpus() > 0


def init() -> None:
    """Raise DeviceError where no GPU can be used, with what is missing."""
    arrays.gpu(0)


def device_count() -> int:
    """How many GPUs there are."""
    return arrays.gpus()


def current_device() -> int:
    """The number of the GPU that 'cuda' means, in this thread."""
    return arrays.current_gpu()


def set_device(device: Any) -> None:
    """Let 'cuda' mean this GPU from now on, in this thread. `device` is its number or its name."""
    arrays.gpu(gpu_number(device)).use()


class device:
    """Let 'cuda' mean another GPU inside a `with` block, in this thread.

    >>> import tinynet as tn
    >>> if tn.cuda.device_count() > 1:
    ...     with tn.cuda.device(1):
    ...         x = tn.zeros(3, device="cuda")        # on cuda:1
    """

    def __init__(self, device: Any) -> None:
        self.idx = gpu_number(device)
        self._open: list[Any] = []

    def __enter__(self) -> None:
        context = arrays.gpu(self.idx)
        context.__enter__()
        self._open.append(context)

    def __exit__(self, *error: object) -> None:
        self._open.pop().__exit__(*error)


def gpu_number(device: Any) -> int:
    """The number of a GPU by its number or name; the current one for None.

    >>> gpu_number("cuda:1"), gpu_number(2)
    (1, 2)
    """
    index = arrays.Device("cuda" if device is None else device).index
    if index is None:
        raise DeviceError("expected a GPU", got="cpu")
    return index


def get_device_properties(device: Any = None) -> SimpleNamespace:
    """What the maker says of the GPU: name, total_memory in bytes, major and minor of its compute
    capability, and multi_processor_count.
    """
    number = gpu_number(device)
    with arrays.gpu(number):
        found = arrays.cupy().cuda.runtime.getDeviceProperties(number)
    return SimpleNamespace(
        name=found["name"].decode(),
        total_memory=found["totalGlobalMem"],
        major=found["major"],
        minor=found["minor"],
        multi_processor_count=found["multiProcessorCount"],
    )


def get_device_name(device: Any = None) -> str:
    """What the maker calls the GPU."""
    return str(get_device_properties(device).name)


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The generation of the GPU: (9, 0) for Hopper, (8, 0) for Ampere."""
    found = get_device_properties(device)
    return found.major, found.minor


def synchronize(device: Any = None) -> None:
    """Wait until the GPU has done all that it was asked to."""
    if is_available():
        arrays.gpu(gpu_number(device)).synchronize()


def manual_seed_all(seed: int) -> None:
    """Make what is random on the GPUs repeatable; `tn.manual_seed` does so everywhere."""
    for number in range(arrays.gpus()):
        default_generator(arrays.Device("cuda", number)).manual_seed(seed)


def manual_seed(seed: int) -> None:
    """The same for the GPU that 'cuda' means."""
    if is_available():
        default_generator("cuda").manual_seed(seed)
