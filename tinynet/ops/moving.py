"""Another dtype, another device: the same values elsewhere, and their gradients back again."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.arrays import Array
from tinynet.dispatch import cast
from tinynet.errors import ArgumentError
from tinynet.op import primitive
from tinynet.ops.public import method, public
from tinynet.tensor import Tensor


@primitive(
    name="to_device",
    formula="u",
    promote="none",
    rules=(lambda g, _y, _u, *, device, source: to_device(g, device=source, source=device),),  # type: ignore[has-type]
)
def to_device(u: Array, *, device: str, source: str) -> Array:
    """u, copied from the device `source` to another."""
    return arrays.to_device(u, device)


@public
def to(input: Tensor, *args: Any, dtype: Any = None, device: Any = None) -> Any:
    """The same values with another dtype, on another device, or both; `x.to(y)` takes both from a
    Tensor.

    Returns the tensor itself where nothing changes.

    >>> import tinynet as tn
    >>> tn.ones(2).to(tn.float64).dtype, tn.ones(2).to("cpu").device
    (dtype('float64'), 'cpu')
    """
    for arg in args:
        if isinstance(arg, Tensor):
            dtype, device = arg.dtype, arg.device
        elif isinstance(arg, str) and arg.partition(":")[0] in ("cpu", "cuda"):
            device = arg
        else:
            try:
                dtype = np.dtype(arg)
            except TypeError:
                raise ArgumentError(
                    "to() takes a dtype, a device or a tensor", got=repr(arg)
                ) from None
    if device is not None and arrays.canonical_device(device) != input.device:
        input = to_device(input, device=arrays.canonical_device(device), source=input.device)
    return input if dtype is None else cast(input, np.dtype(dtype))


@public
def cpu(input: Tensor) -> Any:
    """On the CPU."""
    return to(input, device="cpu")


@public
def cuda(input: Tensor, device: int | None = None) -> Any:
    """On the GPU; needs CuPy."""
    return to(input, device=f"cuda:{device or 0}")


@public
def type_as(input: Tensor, other: Tensor) -> Any:
    """With the dtype of another Tensor."""
    return cast(input, other.dtype)


def _shorthand(name: str, dtype: np.dtype[Any]) -> None:
    def function(input: Tensor) -> Any:
        return cast(input, dtype)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The same values as {dtype}."
    method(name, function)


_SHORTHANDS: dict[str, np.dtype[Any]] = {
    "half": arrays.float16,
    "float": arrays.float32,
    "double": arrays.float64,
    "int": arrays.int32,
    "long": arrays.int64,
    "bool": arrays.bool_,
}
for _name, _dtype in _SHORTHANDS.items():
    _shorthand(_name, _dtype)
