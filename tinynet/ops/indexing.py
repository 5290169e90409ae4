r"""Taking entries out, and the gradient that puts them back.

`x[index]` picks; its gradient *scatters*: zeros of x's shape, with g added at the same places. An
entry that was picked twice receives both gradients, which is why scatter adds where assignment
would overwrite. That is also the whole backward pass of an embedding, whose forward pass is
`weight[ids]`.

Index arrays are copied when they are recorded: a batch of ids whose memory is used again for the
next batch must not change the gradient of the last one.

On a GPU two things differ, because checking would make it wait: a number in an index array that
is out of range wraps around instead of raising, and of an entry that is assigned twice either
value may stay.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.arrays import (
    Array,
    device_of,
    index_add,
    is_array,
    on_cpu,
    repeats,
    same_device,
    to_device,
)
from tinynet.errors import DTypeError, describe
from tinynet.op import implements, primitive
from tinynet.ops.public import method, public
from tinynet.tensor import Tensor, raw

# -- the table -------------------------------------------------------------------------------------


@primitive(
    name="getitem",
    formula=r"y_k = u_{i(k)}",
    promote="none",
    view=True,
    rules=(lambda g, _y, _u, *, index: scatter(g, index=index, shape=_u.shape),),  # type: ignore[has-type]
)
def getitem(u: Array, *, index: Any) -> Array:
    """u[index], in all of NumPy's forms."""
    return u[index]


@primitive(
    name="scatter",
    formula=r"y_j = \sum_{k:\, i(k) = j} u_k",
    promote="none",
    rules=(lambda g, _y, _u, *, index, shape: getitem(g, index=index),),
)
def scatter(u: Array, *, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of the given shape with u added at index: the adjoint of u[index]."""
    y = np.zeros(shape, dtype=u.dtype, like=u)
    if repeats(index):
        index_add(y, index, u)
    else:
        y[index] = u
    return y


def _without(g: Any, index: Any) -> Any:
    """g with zeros at index: what was overwritten no longer counts."""
    return put(g, np.zeros((), dtype=g.dtype, like=g), index=index)


@primitive(
    name="put",
    formula=r"y = u \text{ but } y_{i(k)} = v_k",
    rules=(
        lambda g, _y, _u, _v, *, index: _without(g, index),
        lambda g, _y, _u, _v, *, index: getitem(g, index=index),
    ),
    broadcasts=True,
)
def put(u: Array, v: Array, *, index: Any) -> Array:
    """A copy of u in which u[index] is v. Of an entry that is set twice the last value stays."""
    y = u.copy()
    y[index] = v
    return y


# -- what users write ------------------------------------------------------------------------------


def plain_index(index: Any, of: Array) -> Any:
    """An index of the array `of`, without Tensors and lists; its arrays copied, to where `of` is.

    Only an index of the CPU may travel: the way back would make the GPU wait unseen.
    """
    if isinstance(index, tuple):
        return tuple(_plain(part, of) for part in index)
    return _plain(index, of)


def _plain(part: Any, of: Array) -> Any:
    if isinstance(part, Tensor) or is_array(part):
        array = raw(part)
        if array.dtype.kind not in "biu":
            raise DTypeError(
                "an index is made of whole numbers or booleans",
                got=describe(part),
                hint="index.long() if the values are whole numbers",
            )
        if not on_cpu(array):
            same_device((of, array), ("the tensor", "its index"))
        if device_of(array) == device_of(of):
            return array.copy()
        return to_device(array, device_of(of)) if array.ndim else array.item()
    if isinstance(part, list):
        return to_device(np.asarray(part, dtype=None if part else np.intp), device_of(of))
    return part


def _getitem(self: Any, index: Any) -> Any:
    return getitem(self, index=plain_index(index, self.array))


@public
def take_along_dim(input: Any, indices: Any, dim: int) -> Any:
    """y[.., k, ..] = input[.., indices[.., k, ..], ..] along `dim`; the other axes go together, and
    broadcast.

    >>> import tinynet as tn
    >>> tn.tensor([[1.0, 2.0], [3.0, 4.0]]).take_along_dim(tn.tensor([[1], [0]]), dim=1)
    tensor([[2.],
            [3.]])
    """
    indices = raw(indices)
    axis = dim % input.ndim
    grid = [
        np.arange(n, like=indices).reshape([-1 if i == j else 1 for j in range(input.ndim)])
        for i, n in enumerate(input.shape)
    ]
    grid[axis] = indices
    return _getitem(input, tuple(grid))


@implements(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: int = -1) -> Any:
    return take_along_dim(arr, indices, axis)


method("__getitem__", _getitem)
