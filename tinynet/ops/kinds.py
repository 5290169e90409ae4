"""PyTorch's older names for the dtypes: `FloatTensor`, `LongTensor` and the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet import arrays, dtypes
from tinynet.ops.creation import plain
from tinynet.ops.public import exports
from tinynet.tensor import Tensor


class TensorType:
    """PyTorch's older way to a dtype: `FloatTensor(2, 3)` or `FloatTensor([1, 2])` makes a Tensor,
    and `x.type(FloatTensor)` casts to it.

    >>> import tinynet as tn
    >>> tn.LongTensor([1, 2]), tn.FloatTensor(2, 3).shape
    (tensor([1, 2]), (2, 3))
    """

    def __init__(self, name: str, dtype: np.dtype[Any]) -> None:
        self.__name__, self.dtype = name, dtype

    def __call__(self, *args: Any) -> Tensor:
        return Tensor(arrays.older(tuple(map(plain, args)), self.dtype))

    def __repr__(self) -> str:
        return f"<type {self.__name__} of {self.dtype}>"


TYPES = {
    dtypes.bool_: "BoolTensor",
    dtypes.uint8: "ByteTensor",
    dtypes.int8: "CharTensor",
    dtypes.int16: "ShortTensor",
    dtypes.int32: "IntTensor",
    dtypes.int64: "LongTensor",
    dtypes.float16: "HalfTensor",
    dtypes.float32: "FloatTensor",
    dtypes.float64: "DoubleTensor",
}
for _dtype, _name in TYPES.items():
    exports[_name] = TensorType(_name, _dtype)
