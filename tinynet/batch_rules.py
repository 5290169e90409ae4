"""What NumPy's functions are on a Batch: the same, one axis further right.

A rule takes the arguments of NumPy's function, with a Batch for every array, and gives the data of
the result: an array with the batch axis in front. Keywords that a rule does not name are refused,
and so the loop is taken.
"""

from __future__ import annotations

import math
import string
from functools import partial
from typing import Any

import numpy as np

from tinynet.batching import Batch, align, elementwise, one_by_one, rules


def shift(axis: Any, ndim: int) -> Any:
    """Axes of an example as axes of the data; None means all.

    >>> shift(-1, 2), shift((0, 1), 2), shift(None, 3)
    (2, (1, 2), (1, 2, 3))
    """
    if axis is None:
        return tuple(range(1, ndim + 1))
    if isinstance(axis, list | tuple):
        return tuple(shift(a, ndim) for a in axis)
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return axis % ndim + 1


# -- along axes ------------------------------------------------------------------------------------


def _reduced(function: Any, a: Batch, axis: Any = None, **options: Any) -> Any:
    return function(a.data, axis=shift(axis, a.ndim), **options)


def _reduce_method(ufunc: Any, a: Batch, axis: Any = 0, **options: Any) -> Any:
    return ufunc.reduce(a.data, axis=shift(axis, a.ndim), **options)


def _along(function: Any, a: Batch, axis: Any = None, **options: Any) -> Any:
    """Functions for which axis None means: of the flattened array."""
    if axis is not None:
        return function(a.data, axis=shift(axis, a.ndim), **options)
    keep = options.pop("keepdims", False)
    y = function(_ravel(a), axis=1, **options)
    return np.reshape(y, (len(y), *(1,) * a.ndim)) if keep else y


def _roll(a: Batch, by: Any, axis: Any = None) -> Any:
    if axis is None:
        return np.reshape(np.roll(_ravel(a), by, 1), a.data.shape)
    return np.roll(a.data, by, shift(axis, a.ndim))


def _pad(array: Batch, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    pairs = np.broadcast_to(pad_width, (array.ndim, 2)).tolist()
    return np.pad(array.data, [(0, 0), *pairs], mode, **options)


def _take_along_axis(arr: Batch, indices: Batch, axis: int = -1) -> Any:
    return np.take_along_axis(arr.data, indices.data, shift(axis, arr.ndim))


def _joined(function: Any, new: int, xs: Any, axis: int = 0) -> Any:
    """concatenate and stack: an array that all share is repeated beside one that differs."""
    b = max(len(x.data) for x in xs)
    data = [np.broadcast_to(x.data, (b, *x.shape)) for x in xs]
    return function(data, axis=shift(axis, xs[0].ndim + new))


# -- moving entries --------------------------------------------------------------------------------


def _ravel(a: Batch) -> Any:
    return np.reshape(a.data, (len(a.data), a.size))


def _reshape(a: Batch, shape: Any) -> Any:
    shape = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
    if -1 in shape:  # the size of one example decides
        known = math.prod(n for n in shape if n != -1)
        shape = tuple(a.size // known if n == -1 else n for n in shape)
    return np.reshape(a.data, (len(a.data), *shape))


def _transpose(a: Batch, axes: Any = None) -> Any:
    order = tuple(reversed(range(a.ndim))) if axes is None else tuple(axes)
    return np.transpose(a.data, (0, *shift(order, a.ndim)))


def _squeeze(a: Batch, axis: Any = None) -> Any:
    axis = tuple(i for i, n in enumerate(a.shape) if n == 1) if axis is None else axis
    return np.squeeze(a.data, shift(axis, a.ndim))


def _expand_dims(a: Batch, axis: Any) -> Any:
    axes = axis if isinstance(axis, tuple) else (axis,)
    return np.expand_dims(a.data, shift(axes, a.ndim + len(axes)))


def _alike(function: Any, a: Batch, *args: Any, dtype: Any = None) -> Any:
    return Batch(function(a.data[:1], *args, dtype=dtype), a.level, own=True)


# -- products --------------------------------------------------------------------------------------


def _matmul(a: Batch, b: Batch) -> Any:
    if b.ndim == 1:  # a column; its axis goes last, and comes off first
        return _matmul(a, Batch(b.data[..., None], b.level))[..., 0]
    if a.ndim == 1:
        return _matmul(Batch(a.data[:, None], a.level), b)[..., 0, :]
    if b.ndim == 2 and len(b.data) == 1:  # one large product instead of many small ones
        rows = np.reshape(a.data, (math.prod(a.data.shape[:-1]), a.shape[-1]))
        return np.reshape(rows @ b.data[0], (*a.data.shape[:-1], b.shape[-1]))
    if a.ndim == b.ndim == 2 and len(a.data) == 1:  # (bᵀ aᵀ)ᵀ is such a product
        transposed = (Batch(np.swapaxes(x.data, 1, 2), x.level) for x in (b, a))
        return np.swapaxes(_matmul(*transposed), 1, 2)
    if a.shape[-1] == b.shape[-2] == 1:  # columns times rows
        return elementwise(np.multiply, a, b)
    return elementwise(np.matmul, a, b)


def _einsum(subscripts: str, *operands: Batch, **options: Any) -> Any:
    """One more label, for the examples, in the operands that differ between them."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    if not arrow or "." in left:
        return one_by_one(np.einsum, operands[0].level, subscripts, *operands, **options)
    b, z = max(len(x.data) for x in operands), min(set(string.ascii_letters) - set(left))
    pairs = list(zip(left.split(","), operands, strict=True))
    labels = ",".join(z + label if len(x.data) == b else label for label, x in pairs)
    data = [x.data if len(x.data) == b else x.data[0] for x in operands]
    return np.einsum(f"{labels}->{z}{right}", *data, **options)


def _matrices(function: Any, *xs: Any) -> Any:
    """Functions of the last two axes, whose other axes broadcast."""
    batches = [x for x in xs if isinstance(x, Batch)]
    if min(x.ndim for x in batches) < 2:
        return one_by_one(function, batches[0].level, *xs)
    return elementwise(function, *xs)


# -- the table -------------------------------------------------------------------------------------

_table: dict[Any, Any] = {
    _reduced: (np.sum, np.mean, np.max, np.min, np.any, np.all, np.prod, np.var, np.std),
    _along: (np.argmax, np.argmin, np.cumsum, np.cumprod),
    _alike: (np.zeros_like, np.ones_like, np.empty_like, np.full_like),
    _matrices: (np.tril, np.triu, np.linalg.inv, np.linalg.det, np.linalg.slogdet),
    elementwise: (np.clip, np.round, np.isclose),
}
_table[_reduced] += (np.count_nonzero,)
_table[_matrices] += (np.linalg.cholesky, np.linalg.solve)
rules.update({f: partial(rule, f) for rule, functions in _table.items() for f in functions})
for _ufunc in (np.add, np.multiply, np.maximum, np.minimum, np.logical_or, np.logical_and):
    rules[_ufunc, "reduce"] = partial(_reduce_method, _ufunc)
rules |= {
    np.matmul: _matmul,
    np.einsum: _einsum,
    np.where: lambda condition, x, y: elementwise(np.where, condition, x, y),
    np.reshape: _reshape,
    np.ravel: _ravel,
    np.transpose: _transpose,
    np.swapaxes: lambda a, *axes: np.swapaxes(a.data, *shift(axes, a.ndim)),
    np.moveaxis: lambda a, *places: np.moveaxis(a.data, *(shift(p, a.ndim) for p in places)),
    np.squeeze: _squeeze,
    np.expand_dims: _expand_dims,
    np.broadcast_to: lambda a, shape: np.broadcast_to(align(a, len(shape)), (len(a.data), *shape)),
    np.atleast_1d: lambda a: align(a, 1),
    np.flip: lambda a, axis=None: np.flip(a.data, shift(axis, a.ndim)),
    np.roll: _roll,
    np.sort: lambda a, axis=-1, **options: _along(np.sort, a, axis, **options),
    np.argsort: lambda a, axis=-1, **options: _along(np.argsort, a, axis, **options),
    np.concatenate: partial(_joined, np.concatenate, 0),
    np.stack: partial(_joined, np.stack, 1),
    np.pad: _pad,
    np.take_along_axis: _take_along_axis,
    np.copy: lambda a: a.copy(),
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.may_share_memory: lambda a, b: np.may_share_memory(a.data, b.data),
}
