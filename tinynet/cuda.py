"""The door to PyTorch's `cuda`: is there a GPU, and which. Tensors move by `x.to(device)`."""

from __future__ import annotations

from typing import Any

from tinynet import arrays
from tinynet.random import default_generator


def is_available() -> bool:
    """Whether there is a GPU that CuPy can use.

    >>> import tinynet as tn
    >>> device = tn.device("cuda" if tn.cuda.is_available() else "cpu")
    >>> tn.ones(2, device=device).to("cpu")
    tensor([1., 1.])
    """
    return arrays.gpus() > 0


def device_count() -> int:
    """How many GPUs there are."""
    return arrays.gpus()


def current_device() -> int:
    """The number of the GPU that 'cuda' means."""
    return 0


def get_device_name(device: Any = None) -> str:
    """What the maker calls the GPU."""
    number = arrays.Device(device or 0).index
    return str(arrays.cupy().cuda.runtime.getDeviceProperties(number)["name"].decode())


def synchronize(device: Any = None) -> None:
    """Wait until the GPU has done all that it was asked to."""
    if is_available():
        arrays.cupy().cuda.Device(arrays.Device(device or 0).index).synchronize()


def empty_cache() -> None:
    """Give memory that no tensor holds back to the GPU."""
    if is_available():
        arrays.cupy().get_default_memory_pool().free_all_blocks()


def manual_seed_all(seed: int) -> None:
    """Make what is random on the GPUs repeatable; `tn.manual_seed` does so everywhere."""
    for number in range(arrays.gpus()):
        default_generator(arrays.Device("cuda", number)).manual_seed(seed)


def manual_seed(seed: int) -> None:
    """The same for the GPU that 'cuda' means."""
    if is_available():
        default_generator("cuda").manual_seed(seed)
