"""The door to PyTorch's `accelerator`: the fast device, whoever made it. Here: a GPU."""

from __future__ import annotations

from tinynet import arrays
from tinynet.cuda import current_device, device_count, empty_cache, is_available, synchronize

__all__ = [
    "current_accelerator",
    "current_device",
    "device_count",
    "empty_cache",
    "is_available",
    "synchronize",
]


def current_accelerator() -> arrays.Device | None:
    """The GPU that 'cuda' means; None where there is none.

    >>> import tinynet as tn
    >>> accelerator = tn.accelerator.current_accelerator()
    >>> device = accelerator.type if accelerator else "cpu"
    >>> tn.ones(1, device=device).cpu()
    tensor([1.])
    """
    return arrays.Device("cuda") if is_available() else None
