"""The dtypes, under PyTorch's names: which there are, what holds two of them, and their limits."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from tinynet.errors import DTypeError

Number: TypeAlias = bool | int | float | complex
DTypeLike: TypeAlias = Any

float16, float32, float64 = np.dtype("f2"), np.dtype("f4"), np.dtype("f8")
complex64, complex128 = np.dtype("c8"), np.dtype("c16")
uint8, int8, int16, int32, int64 = map(np.dtype, ("u1", "i1", "i2", "i4", "i8"))
bool_ = np.dtype("?")

_default_dtype: np.dtype[Any] = float32


def get_default_dtype() -> np.dtype[Any]:
    """The dtype of new floating-point tensors: float32 unless it was changed."""
    return _default_dtype


def set_default_dtype(dtype: DTypeLike) -> None:
    """Make `dtype` (float16, float32 or float64) the dtype of new floating-point tensors."""
    global _default_dtype
    if np.dtype(dtype).kind != "f":
        raise DTypeError("the default dtype must be a floating-point one", got=np.dtype(dtype).name)
    _default_dtype = np.dtype(dtype)


def is_floating(dtype: Any) -> bool:
    """Real or complex floating point: the dtypes that can carry a gradient."""
    return bool(dtype.kind in "fc")


def promote_types(a: DTypeLike, b: DTypeLike) -> np.dtype[Any]:
    """The dtype that holds both, by PyTorch's table: an integer never widens a float.

    >>> promote_types("int64", "float32"), promote_types("uint8", "int8")
    (dtype('float32'), dtype('int16'))
    """
    first, second = np.dtype(a), np.dtype(b)
    if is_floating(first) != is_floating(second):
        return first if is_floating(first) else second
    return np.promote_types(first, second)


class finfo:
    """The limits of a floating-point dtype, as Python numbers, under PyTorch's names.

    >>> finfo(float32).eps, finfo(float16).max
    (1.1920928955078125e-07, 65504.0)
    """

    def __init__(self, dtype: DTypeLike = None) -> None:
        info: Any = np.finfo(np.dtype(dtype or _default_dtype))
        self.dtype, self.bits = str(info.dtype), int(info.bits)
        self.eps, self.resolution = float(info.eps), float(info.resolution)
        self.min, self.max = float(info.min), float(info.max)
        self.tiny = self.smallest_normal = float(info.smallest_normal)


class iinfo:
    """The limits of a whole-number dtype, under PyTorch's names.

    >>> iinfo("int8").min, iinfo(uint8).max
    (-128, 255)
    """

    def __init__(self, dtype: DTypeLike) -> None:
        info: Any = np.iinfo(np.dtype(dtype).name)
        self.dtype, self.bits = str(info.dtype), int(info.bits)
        self.min, self.max = int(info.min), int(info.max)
