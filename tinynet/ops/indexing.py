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

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from tinynet.arrays import (
    Array,
    device_of,
    is_array,
    on_cpu,
    repeats,
    same_device,
    to_device,
)
from tinynet.arrays import index_add as scatter_in_place
from tinynet.crossing import beside
from tinynet.dispatch import cast
from tinynet.dtypes import (
    is_floating,
)
from tinynet.errors import ArgumentError, DTypeError, ShapeError, describe
from tinynet.op import implements, primitive
from tinynet.ops.elementwise import add, maximum, minimum, mul
from tinynet.ops.public import method, public
from tinynet.ops.shape import axis_of
from tinynet.tensor import Tensor, raw

# -- the table -------------------------------------------------------------------------------------


def _add_at(y: Array, u: Array, *, index: Any) -> None:
    """y += scatter(u), in place."""
    if repeats(index):
        scatter_in_place(y, index, u)
    else:
        y[index] += u


@primitive(
    name="getitem",
    formula=r"y_k = u_{i(k)}",
    promote="none",
    view=True,
    adds=_add_at,
    rules=(lambda g, _y, _u, *, index: scatter(g, index=index, shape=_u.shape),),  # type: ignore[has-type]
)
def getitem(u: Array, *, index: Any) -> Array:
    """u[index], in all of NumPy's forms. One entry is shown too: NumPy would copy it."""
    y = u[index]
    if isinstance(y, np.generic):
        return u[(*index, ...)] if isinstance(index, tuple) else u[index, ...]
    return y


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
        scatter_in_place(y, index, u)
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


def _taken(input: Any, index: Any) -> Any:
    return getitem(beside(input, index), index=index)


def _added(source: Any, index: Any, input: Any) -> Any:
    """Zeros of the shape of input, with `source` added at the index."""
    return scatter(beside(source, index), index=index, shape=tuple(input.shape))


def _getitem(self: Any, index: Any) -> Any:
    return _taken(self, plain_index(index, self.array))


def _grid(shape: Any, axis: int, indices: Array) -> tuple[Any, ...]:
    """The index that takes x[.., indices[.., k, ..], ..] along the axis; the other axes of
    `shape` go together.
    """
    grid = [
        np.arange(n, like=indices).reshape([-1 if i == j else 1 for j in range(len(shape))])
        for i, n in enumerate(shape)
    ]
    grid[axis] = indices
    return tuple(grid)


def _whole_numbers(indices: Any, name: str) -> Array:
    array = raw(indices)
    if array.dtype.kind not in "iu":
        raise DTypeError(f"{name}: indices are whole numbers", got=describe(indices))
    return array.copy()


@public
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """y[.., k, ..] = input[.., indices[.., k, ..], ..] along `dim`; the other axes go together, and
    broadcast. Without `dim`, entries of the flattened input.

    >>> import tinynet as tn
    >>> tn.tensor([[1.0, 2.0], [3.0, 4.0]]).take_along_dim(tn.tensor([[1], [0]]), dim=1)
    tensor([[2.],
            [3.]])
    """
    indices = _whole_numbers(indices, "take_along_dim")
    if dim is None:
        return _taken(np.ravel(input), indices.reshape(-1))
    return _taken(input, _grid(input.shape, dim % input.ndim, indices))


@implements(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    return take_along_dim(np.ravel(arr) if axis is None else arr, indices, axis or 0)


def _corner(input: Any, dim: int, index: Any, name: str) -> tuple[Any, ...]:
    """The index of PyTorch's gather and scatter: no broadcasting, `index` may be smaller."""
    indices, axis = _whole_numbers(index, name), axis_of(dim, input.ndim)
    fits = indices.ndim == input.ndim and all(
        n <= m for i, (n, m) in enumerate(zip(indices.shape, input.shape, strict=True)) if i != axis
    )
    if not fits:
        raise ShapeError(
            f"{name}: index has the axes of input, none longer (but for dim)",
            got=f"input {describe(input)}, index {describe(index)}",
        )
    return _grid(indices.shape, axis, indices)


def _also_of_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of (input, dim, index, ...) take a number for a vector of one, as PyTorch."""

    @wraps(function)
    def counted(input: Any, dim: int, index: Any, *args: Any, **options: Any) -> Any:
        if input.ndim:
            return function(input, dim, index, *args, **options)
        x, *rest = (_vector(v) for v in (input, *args))
        y = function(x, dim, _vector(index), *rest, **{k: _vector(v) for k, v in options.items()})
        # what is gathered has the shape of the index, all else that of the input
        return np.reshape(y, index.shape if function.__name__ == "gather" else ())

    return counted


def _vector(x: Any) -> Any:
    return np.reshape(x, (1,)) if isinstance(x, Tensor) and x.ndim == 0 else x


@public
@_also_of_numbers
def gather(input: Any, dim: int, index: Any) -> Any:
    """y[i, k] = input[i, index[i, k]] for dim 1: for each place of `index`, one entry along `dim`.

    >>> import tinynet as tn
    >>> scores = tn.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> scores.gather(1, tn.tensor([[1], [0]]))
    tensor([[2.],
            [3.]])
    """
    return _taken(input, _corner(input, dim, index, "gather"))


def _source(src: Any, index: tuple[Any, ...], axis: int) -> Any:
    """The part of `src` that goes with the index; a number goes everywhere."""
    if not isinstance(src, Tensor):
        return src
    shape = index[axis].shape
    if any(n > m for n, m in zip(shape, src.shape, strict=True)):
        raise ShapeError("src is smaller than index", got=f"{describe(src)}, index {shape}")
    return src[tuple(slice(n) for n in shape)]


@_also_of_numbers
def _scatter(
    input: Any,
    dim: int,
    index: Any,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Any:
    """A copy of input in which y[i, index[i, k]] = src[i, k] for dim 1; `src` may be a number. With
    `reduce` "add" or "multiply", src is added to what stands there, or multiplied with it.

    >>> import tinynet as tn
    >>> tn.zeros(2, 3).scatter(1, tn.tensor([[2], [0]]), 1.0)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    places = _corner(input, dim, index, "scatter")
    source = _source(value if src is None else src, places, axis_of(dim, input.ndim))
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise ArgumentError("scatter: no such reduce", expected="add, multiply", got=reduce)
        source = source if isinstance(source, Tensor) else np.zeros_like(index) + source
        return _gathered(input, places, source, add if reduce == "add" else mul, True)
    return _kept(put(beside(input, places), source, index=places), input, source)


def _kept(y: Any, input: Any, value: Any) -> Any:
    """y in the dtype of input, into which the value was put."""
    if isinstance(value, float) and not math.isfinite(value) and not is_floating(input.dtype):
        raise DTypeError(
            "whole numbers are neither infinite nor NaN",
            got=f"{value} for {describe(input)}",
            hint="x.float()",
        )
    return cast(y, input.dtype)


@public
@_also_of_numbers
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy of input to which y[i, index[i, k]] += src[i, k] for dim 1: equal places add up.

    >>> import tinynet as tn
    >>> tn.zeros(2).scatter_add(0, tn.tensor([0, 0, 1]), tn.tensor([1.0, 2.0, 3.0]))
    tensor([3., 3.])
    """
    places = _corner(input, dim, index, "scatter_add")
    source = _source(src, places, axis_of(dim, input.ndim))
    return input + _added(source, places, input)


def _gathered(input: Any, places: Any, source: Any, step: Any, include_self: bool) -> Any:
    """y = step(y, source) at the places, one by one where several have the same target: first all
    sources that come first at their target, then all that come second, and so on.
    """
    flat = np.ravel_multi_index(np.broadcast_arrays(*map(_on_cpu, places)), input.shape).ravel()
    order = np.argsort(flat, kind="stable")
    first = np.searchsorted(flat[order], flat[order])  # where the run of equal targets begins
    turn = np.empty_like(order)
    turn[order] = np.arange(len(flat)) - first
    y: Any = np.ravel(input)
    source = np.ravel(source)
    for k in range(int(turn.max(initial=-1)) + 1):
        now = np.flatnonzero(turn == k)
        new = _getitem(source, now)
        here = flat[now]
        start = k == 0 and not include_self
        y = put(y, new if start else step(_getitem(y, here), new), index=plain_index(here, y.array))
    return cast(np.reshape(y, input.shape), input.dtype)


def _on_cpu(x: Array) -> Array:
    return to_device(x, "cpu")


@public
@_also_of_numbers
def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """A copy of input in which y[i, index[i, k]] is the sum, product, mean, largest or smallest of
    all src[i, k] that go there, for dim 1, and of what stood there unless `include_self` is False.

    reduce    "sum", "prod", "mean", "amax" or "amin"; of equal ones two share the gradient evenly

    >>> import tinynet as tn
    >>> x, ids = tn.tensor([1.0, 5.0, 2.0]), tn.tensor([0, 0, 1])
    >>> tn.zeros(2).scatter_reduce(0, ids, x, "mean", include_self=False)
    tensor([3., 2.])
    """
    steps = {"sum": add, "mean": add, "prod": mul, "amax": maximum, "amin": minimum}
    if reduce not in steps:
        raise ArgumentError("scatter_reduce: no such reduce", expected=", ".join(steps), got=reduce)
    places = _corner(input, dim, index, "scatter_reduce")
    source = _source(src, places, axis_of(dim, input.ndim))
    y = _gathered(input, places, source, steps[reduce], include_self)
    if reduce != "mean":
        return y
    one = np.zeros_like(source.detach()) + 1
    count = scatter(one, index=places, shape=tuple(input.shape)) + int(include_self)
    return y / np.maximum(count, 1) if is_floating(input.dtype) else y // np.maximum(count, 1)


def _rows(input: Any, dim: int, index: Any, name: str) -> tuple[Any, ...]:
    indices = _whole_numbers(index, name)
    if indices.ndim > 1:
        raise ShapeError(f"{name} needs a vector of indices", got=describe(index))
    return (slice(None),) * axis_of(dim, input.ndim) + (np.atleast_1d(indices),)


@public
@_also_of_numbers
def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices along `dim` that `index` names, in its order.

    >>> import tinynet as tn
    >>> tn.tensor([[1, 2], [3, 4]]).index_select(1, tn.tensor([1, 1]))
    tensor([[2, 2],
            [4, 4]])
    """
    return _taken(input, _rows(input, dim, index, "index_select"))


@public
@_also_of_numbers
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """A copy of input with alpha · source added to the slices along `dim` that `index` names."""
    places = _rows(input, dim, index, "index_add")
    added = source if alpha == 1 else source * alpha
    return input + _added(added, places, input)


@public
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy of input in which the slices along `dim` that `index` names are `value`.

    >>> import tinynet as tn
    >>> tn.ones(3).index_fill(0, tn.tensor([0, 2]), 5.0)
    tensor([5., 1., 5.])
    """
    x = input if input.ndim else np.reshape(input, (1,))
    named = np.zeros(x.shape, bool, like=raw(x))
    named[_rows(x, dim, index, "index_fill")] = True
    return masked_fill(input, Tensor(named.reshape(input.shape)), value)


@public
@_also_of_numbers
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy of input in which slice `index[k]` along `dim` is slice k of source."""
    return put(input, source, index=_rows(input, dim, index, "index_copy"))


@public
def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """A copy of input in which input[indices] is `values`; with `accumulate`, they are added.

    >>> import tinynet as tn
    >>> tn.zeros(3).index_put((tn.tensor([1, 1]),), tn.tensor([2.0, 3.0]), accumulate=True)
    tensor([0., 5., 0.])
    """
    places = plain_index(tuple(slice(None) if i is None else i for i in indices), input.array)
    if not accumulate:
        return put(input, values, index=places)
    picked = getitem(input.detach(), index=places).shape
    added = np.broadcast_to(values, picked)
    return input + scatter(added, index=places, shape=tuple(input.shape))


@public
def take(input: Any, index: Any) -> Any:
    """The entries at `index`, counted through the flattened tensor; shaped like `index`."""
    return _taken(np.ravel(input), _whole_numbers(index, "take"))


@implements(np.take)
def _np_take(a: Any, indices: Any, axis: int | None = None) -> Any:
    if axis is None:
        a, axis = np.ravel(a), 0
    return _getitem(a, (slice(None),) * axis_of(axis, a.ndim) + (np.asarray(raw(indices)),))


@public
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """input where the mask is false, `value` (a number or a 0-d Tensor) where it is true.

    >>> import tinynet as tn
    >>> x = tn.tensor([1.0, 2.0])
    >>> x.masked_fill(x > 1, 0.0)
    tensor([1., 0.])
    """
    if getattr(value, "ndim", 0):
        raise ShapeError("masked_fill: the value is one number", got=describe(value))
    return _kept(np.where(_mask(mask), value, input), input, value)


@public
def masked_select(input: Any, mask: Any) -> Any:
    """The entries where the mask is true, in a row; input and mask broadcast."""
    mask = raw(_mask(mask))
    shape = np.broadcast_shapes(input.shape, mask.shape)
    return getitem(np.broadcast_to(input, shape), index=np.broadcast_to(mask, shape).copy())


def _mask(mask: Any) -> Any:
    if mask.dtype.kind != "b":
        raise DTypeError("a mask is made of booleans", got=describe(mask), hint="mask != 0")
    return mask


@public
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """Where the entries are not 0: one row of indices for each, or with `as_tuple` one vector for
    each axis.

    >>> import tinynet as tn
    >>> tn.nonzero(tn.tensor([0, 5, 0, 7]))
    tensor([[1],
            [3]])
    """
    found = np.nonzero(np.atleast_1d(raw(input)))
    if as_tuple:
        return tuple(Tensor(i) for i in found)
    return Tensor(np.stack(found, axis=1)[:, : input.ndim])  # a number has no place to name


public(lambda input: nonzero(input), name="argwhere")
implements(np.nonzero)(lambda a: nonzero(a, as_tuple=True))
implements(np.argwhere)(lambda a: nonzero(a))
public(_scatter, name="scatter")
method("__getitem__", _getitem)
