"""What a tensor tells about itself. Nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tinynet import arrays
from tinynet.ops.public import exports, method, public
from tinynet.ops.shape import axis_of
from tinynet.tensor import Tensor


def is_tensor(obj: Any) -> bool:
    """Whether it is a Tensor.

    >>> import tinynet as tn
    >>> tn.is_tensor(tn.ones(2)), tn.is_tensor([1.0, 1.0])
    (True, False)
    """
    return isinstance(obj, Tensor)


@public
def is_floating_point(input: Tensor) -> bool:
    """Whether the entries are real floating-point numbers."""
    return input.dtype.kind == "f"


@public
def is_complex(input: Tensor) -> bool:
    """Whether the entries are complex numbers."""
    return input.dtype.kind == "c"


def _stride(self: Tensor, dim: int | None = None) -> Any:
    """By how many entries one steps through memory to the next place along each axis, or along
    `dim`.

    >>> import tinynet as tn
    >>> tn.ones(2, 3).stride(), tn.ones(2, 3).T.stride(0)
    ((3, 1), 1)
    """
    steps = tuple(step // self.array.itemsize for step in self.array.strides)
    return steps if dim is None else steps[axis_of(dim, self.ndim)]


def _is_contiguous(self: Tensor) -> bool:
    """Whether the entries lie in memory in row-major order.

    >>> import tinynet as tn
    >>> tn.ones(2, 3).is_contiguous(), tn.ones(2, 3).T.is_contiguous()
    (True, False)
    """
    return bool(self.array.flags.c_contiguous)


def _element_size(self: Tensor) -> int:
    """The bytes of one entry."""
    return int(self.array.itemsize)


def _data_ptr(self: Tensor) -> int:
    """The address of the first entry: views of one memory have one."""
    array = self.array
    return int(array.ctypes.data if arrays.on_cpu(array) else array.data.ptr)


def _is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape."""
    return self.shape == other.shape


_METHODS: tuple[Callable[..., Any], ...] = (_stride, _is_contiguous, _element_size, _data_ptr)
for _function in (*_METHODS, _is_same_size):
    method(_function.__name__[1:], _function)
method("ndimension", exports["dim"])
method("nelement", exports["numel"])
_PROPERTIES: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "is_cuda": (lambda self: self.device.type == "cuda", "Whether it lives on a GPU."),
    "is_cpu": (lambda self: self.device.type == "cpu", "Whether it lives on the CPU."),
    "itemsize": (_element_size, "The bytes of one entry."),
    "nbytes": (lambda self: math.prod(self.shape) * _element_size(self), "The bytes of all."),
}
for _name, (_get, _doc) in _PROPERTIES.items():
    method(_name, property(_get, doc=_doc))
public(is_tensor, as_method=False)
