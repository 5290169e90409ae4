"""Another dtype, another device: the same values elsewhere, and their gradients back again."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet import arrays, dtypes
from tinynet.arrays import Array
from tinynet.dispatch import cast
from tinynet.errors import ArgumentError, DeviceError
from tinynet.op import primitive
from tinynet.ops.kinds import TYPES
from tinynet.ops.public import method, public
from tinynet.ops.shape import clone
from tinynet.tensor import Tensor


@primitive(
    name="to_device",
    formula="u",
    promote="none",
    rules=(
        lambda g, _y, _u, *, device, source, non_blocking: to_device(  # type: ignore[has-type]
            g, device=source, source=device
        ),
    ),
)
def to_device(u: Array, *, device: str, source: str, non_blocking: bool = False) -> Array:
    """u, copied from the device `source` to another."""
    return arrays.to_device(u, device, non_blocking=non_blocking)


def destination(args: tuple[Any, ...], dtype: Any, device: Any) -> tuple[Any, Any, bool]:
    """What the arguments of `to()` say: the dtype and the device, None where nothing is said, and
    whether a copy is wanted.

    As in PyTorch a Tensor stands for both, and a last True or False for `copy`, after that for
    `non_blocking`.
    """
    flags = [arg for arg in args if isinstance(arg, bool)]
    for arg in args:
        if isinstance(arg, Tensor):
            dtype, device = arg.dtype, arg.device
        elif isinstance(arg, str) and arg.partition(":")[0] in ("cpu", "cuda"):
            device = arg
        elif arg is not None and not isinstance(arg, bool):
            dtype = arg
    try:
        dtype = None if dtype is None else np.dtype(getattr(dtype, "dtype", dtype))
    except TypeError:
        raise ArgumentError("to() takes a dtype, a device or a tensor", got=repr(dtype)) from None
    return dtype, None if device is None else arrays.Device(device), flags[1:2] == [True]


@public
def to(
    input: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
) -> Any:
    """The same values with another dtype, on another device, or both; `x.to(y)` takes both from a
    Tensor.

    Returns the tensor itself where nothing changes, unless a `copy` is wanted. With `non_blocking`
    a tensor in pinned memory is on its way to the GPU when `to` returns: do not change it before
    `tn.cuda.synchronize()`. From other memory, and to the CPU, the values have arrived.

    >>> import tinynet as tn
    >>> tn.ones(2).to(tn.float64).dtype, tn.ones(2).to("cpu").device
    (dtype('float64'), device(type='cpu'))
    """
    dtype, device, flagged = destination(args, dtype, device)
    output: Any = input
    if device is not None and device != input.device:
        output = to_device(output, device=device, source=input.device, non_blocking=non_blocking)
    if dtype is not None:
        output = cast(output, dtype)
    return clone(output) if output is input and (copy or flagged) else output


def _cpu(input: Tensor) -> Any:
    """On the CPU."""
    return to(input, device="cpu")


def _cuda(input: Tensor, device: Any = None, non_blocking: bool = False) -> Any:
    """On the GPU; needs CuPy. `device` is its number or its name; the current one if left out."""
    return to(input, device=_gpu(device), non_blocking=non_blocking)


def _gpu(device: Any) -> arrays.Device:
    """A GPU by its number or its name; the current one if left out."""
    return arrays.Device("cuda" if device is None else device)


@public
def pin_memory(input: Tensor, device: Any = None) -> Any:
    """A copy in page-locked memory of the CPU, which a GPU can read by itself, so that
    `x.to("cuda", non_blocking=True)` need not wait; the tensor itself if it lies there already.

    For data: no gradient passes. Raises DeviceError without a GPU, and for tensors on one.
    """
    if not arrays.on_cpu(input.array):
        raise DeviceError("only tensors of the CPU can be pinned", got=f"one on {input.device}")
    return input if arrays.is_pinned(input.array) else Tensor(arrays.pinned(input.array))


@public
def is_pinned(input: Tensor, device: Any = None) -> bool:
    """Whether the values lie in page-locked memory of the CPU."""
    return arrays.is_pinned(input.array)


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


def _type(input: Tensor, dtype: Any = None) -> Any:
    """The name of the tensor's type, such as 'tinynet.FloatTensor'; with `dtype`, the same values
    in that dtype, which may be such a name or such a type too.

    >>> import tinynet as tn
    >>> tn.ones(2).type(), tn.ones(2).type(tn.LongTensor), tn.ones(2).type(tn.float64).dtype
    ('tinynet.FloatTensor', tensor([1, 1]), dtype('float64'))
    """
    if dtype is None:
        return f"tinynet.{TYPES.get(input.dtype, 'Tensor')}"
    if isinstance(dtype, str):
        named = {name: kind for kind, name in TYPES.items()}
        dtype = named.get(dtype.rpartition(".")[2], dtype)
    return to(input, dtype=dtype)


for _function in (_cpu, _cuda, _type):
    method(_function.__name__[1:], _function)
_SHORTHANDS: dict[str, np.dtype[Any]] = {
    "byte": dtypes.uint8,
    "char": dtypes.int8,
    "short": dtypes.int16,
    "half": dtypes.float16,
    "float": dtypes.float32,
    "double": dtypes.float64,
    "int": dtypes.int32,
    "long": dtypes.int64,
    "bool": dtypes.bool_,
}
for _name, _dtype in _SHORTHANDS.items():
    _shorthand(_name, _dtype)
