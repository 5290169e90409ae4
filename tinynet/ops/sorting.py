r"""Order: sort, argsort, topk, median, quantile, unique.

Sorting permutes, so its gradient undoes the permutation: the values are taken out at the sorted
indices, and what takes out (`take_along_dim`) knows how to put back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.arrays import Array
from tinynet.dtypes import (
    int32,
    int64,
)
from tinynet.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError, describe
from tinynet.op import implements, primitive
from tinynet.ops.creation import as_tensor
from tinynet.ops.elementwise import lerp
from tinynet.ops.indexing import take_along_dim
from tinynet.ops.public import public
from tinynet.ops.reductions import ValuesIndices
from tinynet.ops.shape import axis_of, squeeze
from tinynet.tensor import Tensor, raw


@primitive(name="argsort", formula=r"u_{y_1} \le u_{y_2} \le \dots", promote="none")
def _argsort(u: Array, *, axis: int = -1, descending: bool = False) -> Array:
    """The order of the entries along the axis; equal ones keep theirs, NaN counts as largest."""
    if not descending:
        return np.argsort(u, axis=axis, kind="stable")
    order = np.argsort(np.flip(u, axis), axis=axis, kind="stable")  # flipped twice: still stable
    return u.shape[axis] - 1 - np.flip(order, axis)


@public
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The indices that sort along `dim`. Equal entries always keep their order."""
    if input.ndim == 0:
        return Tensor(np.zeros((), dtype=np.intp))
    return _argsort(input, axis=axis_of(dim, input.ndim), descending=descending)


@public
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """(values, indices) in order along `dim`. Equal entries always keep their order, so each has
    its own gradient.

    >>> import tinynet as tn
    >>> tn.sort(tn.tensor([3.0, 1.0, 2.0]), descending=True)
    ValuesIndices(values=tensor([3., 2., 1.]), indices=tensor([0, 2, 1]))
    """
    indices = argsort(input, dim, descending)
    values = take_along_dim(input, indices, dim) if input.ndim else input[()]
    return ValuesIndices(values, indices)


@public
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the k largest entries along `dim`, or the smallest; always in order.

    >>> import tinynet as tn
    >>> tn.topk(tn.tensor([3.0, 1.0, 2.0]), 2)
    ValuesIndices(values=tensor([3., 2.]), indices=tensor([0, 2]))
    """
    n = input.shape[axis_of(dim, input.ndim)] if input.ndim else 1
    if not 0 <= k <= n:
        raise OutOfRangeError(f"topk: there are {n} entries, not {k}", got=describe(input))
    if input.ndim == 0:
        return sort(input)
    axis = axis_of(dim, input.ndim)
    indices = argsort(input, axis, largest)[(slice(None),) * axis + (slice(k),)]
    return ValuesIndices(take_along_dim(input, indices, axis), indices)


@public
def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different entries, or slices along `dim`, in order; with the place of each one among
    them, and how often each occurs. No gradient.

    >>> import tinynet as tn
    >>> tn.unique(tn.tensor([2, 1, 2]), return_counts=True)
    (tensor([1, 2]), tensor([1, 2]))
    """
    values, inverse, counts = np.unique(
        raw(input), return_inverse=True, return_counts=True, axis=dim
    )
    inverse = inverse.reshape(input.shape if dim is None else -1)
    wanted = [(values, True), (inverse, return_inverse)]
    found = tuple(Tensor(x) for x, asked in [*wanted, (counts, return_counts)] if asked)
    return found if len(found) > 1 else found[0]


# -- the value at a place in the order -------------------------------------------------------------


def _at_rank(input: Any, rank: Any, dim: int, keepdim: bool) -> Any:
    """(values, indices) at place `rank` of the order along `dim`; where there is a NaN, at it."""
    axis = axis_of(dim, max(input.ndim, 1))
    x = input if input.ndim else np.reshape(input, (1,))
    order = raw(argsort(x, axis))
    missing = np.isnan(raw(x)).any(axis, keepdims=True)  # NaN counts as largest
    place = np.where(missing, x.shape[axis] - 1, rank)
    indices = np.take_along_axis(order, place, axis)
    values = take_along_dim(x, Tensor(indices), axis)
    if input.ndim and keepdim:
        return ValuesIndices(values, Tensor(indices))
    return ValuesIndices(squeeze(values, axis), Tensor(indices.squeeze(axis)))


@public
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the k-th smallest entry along `dim`, counted from 1.

    >>> import tinynet as tn
    >>> tn.kthvalue(tn.tensor([3.0, 1.0, 2.0]), 2)
    ValuesIndices(values=tensor(2.), indices=tensor(2))
    """
    n = input.shape[axis_of(dim, input.ndim)] if input.ndim else 1
    if not 1 <= k <= n:
        raise OutOfRangeError(f"kthvalue: there are {n} entries, not {k}", got=describe(input))
    return _at_rank(input, k - 1, dim, keepdim)


@public
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The entry in the middle, of two the lower: of all entries, or (values, indices) along `dim`.

    >>> import tinynet as tn
    >>> tn.median(tn.tensor([3.0, 1.0, 2.0, 9.0]))
    tensor(2.)
    """
    if dim is None:
        flat = np.ravel(input)
        return _at_rank(flat, (flat.shape[0] - 1) // 2, 0, False).values
    n = input.shape[axis_of(dim, input.ndim)] if input.ndim else 1
    return _at_rank(input, (n - 1) // 2, dim, keepdim)


@public
def quantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Any:
    """The values below which the shares `q` of the entries lie, of all entries or along `dim`; a
    vector q gives a new first axis.

    interpolation    between the two nearest entries: "linear", "lower", "higher", "midpoint" or
                     "nearest"

    >>> import tinynet as tn
    >>> tn.quantile(tn.tensor([0.0, 1.0, 2.0, 3.0]), tn.tensor([0.25, 0.5]))
    tensor([0.7500, 1.5000])
    """
    shares = as_tensor(q, device=input.device).to(input.dtype)
    if bool(((shares < 0) | (shares > 1)).any()):
        raise ArgumentError("quantile: shares lie between 0 and 1", got=str(shares))
    if interpolation not in _BETWEEN:
        raise ArgumentError(
            "quantile: no such interpolation", expected=", ".join(_BETWEEN), got=interpolation
        )
    axis = 0 if dim is None else axis_of(dim, max(input.ndim, 1))
    x = np.ravel(input) if dim is None or input.ndim == 0 else np.moveaxis(input, axis, -1)
    x = sort(x, -1).values
    rank = shares * (x.shape[-1] - 1)
    low = np.floor(raw(rank))
    high = np.minimum(low + 1, x.shape[-1] - 1)
    y = lerp(
        x[..., low.astype(int64)], x[..., high.astype(int64)], _BETWEEN[interpolation](rank, low)
    )
    last = x[..., -1:] if shares.ndim else x[..., -1]
    y = np.where(last != last, last, y)  # NaN comes last in the order
    y = np.moveaxis(y, -1, 0) if shares.ndim else y
    if not keepdim:
        return y
    kept = [1] * input.ndim if dim is None else [*input.shape[:axis], 1, *input.shape[axis + 1 :]]
    return np.reshape(y, (*shares.shape, *kept[: input.ndim]))


# How far towards the next entry a rank lies that is above the whole number `low`.
_BETWEEN: dict[str, Any] = {
    "linear": lambda rank, low: rank - Tensor(low),
    "lower": lambda rank, low: Tensor(0 * low),
    "higher": lambda rank, low: np.ceil(rank.detach()) - Tensor(low),
    "midpoint": lambda rank, low: (np.ceil(rank.detach()) - Tensor(low)) / 2,
    "nearest": lambda rank, low: np.round(rank.detach()) - Tensor(low),
}


# -- whole numbers: no gradient --------------------------------------------------------------------


@public
def unique_consecutive(
    input: Any,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The entries, or slices along `dim`, without those that repeat the one before; with the place
    of each one among them, and how often each repeats. No gradient.

    >>> import tinynet as tn
    >>> tn.unique_consecutive(tn.tensor([1, 1, 2, 1]), return_counts=True)
    (tensor([1, 2, 1]), tensor([2, 1, 1]))
    """
    x = np.ravel(raw(input)) if dim is None else np.moveaxis(raw(input), dim, 0)
    n = x.shape[0]
    differs = (x[1:] != x[:-1]).any(tuple(range(1, x.ndim)))
    first = np.concatenate([np.zeros(min(n, 1), bool, like=differs) | True, differs])
    starts = np.flatnonzero(first)
    counts = np.diff(np.concatenate([starts, np.zeros(1, starts.dtype, like=starts) + n]))
    inverse = (np.cumsum(first) - 1).reshape(input.shape if dim is None else -1)
    values = x[first] if dim is None else np.moveaxis(x[first], 0, dim)
    wanted = [(values, True), (inverse, return_inverse), (counts, return_counts)]
    found = tuple(Tensor(v) for v, asked in wanted if asked)
    return found if len(found) > 1 else found[0]


def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """Where each entry of input would have to be put in to keep the order: before entries that are
    equal, or after them with `right` (or side="right"). `out_int32` asks for the smaller dtype;
    `sorter` is the order, from `argsort`, of a sequence that is not in order.

    Shapes: a vector, and input of any shape; or (…, n) and (…, m), row by row.

    >>> import tinynet as tn
    >>> tn.searchsorted(tn.tensor([1, 3, 5]), tn.tensor([0, 3, 9]))
    tensor([0, 1, 3])
    """
    rows, x = raw(sorted_sequence), as_tensor(input).array
    if side not in (None, "left", "right"):
        raise ArgumentError("searchsorted: no such side", expected="left, right", got=side)
    if sorter is not None:
        rows = np.take_along_axis(rows, raw(sorter), -1)
    where: Any = "right" if right or side == "right" else "left"
    kind = int32 if out_int32 else int64
    if rows.ndim == 1:
        return Tensor(np.asarray(np.searchsorted(rows, x, side=where), like=x).astype(kind))
    if rows.shape[:-1] != x.shape[:-1]:
        raise ShapeError(
            "searchsorted: the rows do not go together", got=f"{describe(rows)}, {describe(x)}"
        )
    found = np.empty(x.shape, kind, like=x)
    for at in np.ndindex(x.shape[:-1]):
        found[at] = np.searchsorted(rows[at], x[at], side=where)
    return Tensor(found)


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The number of the interval between the boundaries in which each entry lies.

    >>> import tinynet as tn
    >>> tn.bucketize(tn.tensor([0.5, 3.0]), tn.tensor([1.0, 2.0]))
    tensor([0, 2])
    """
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def isin(elements: Any, test_elements: Any, *, invert: bool = False) -> Any:
    """Entry by entry, whether it is one of `test_elements`; with `invert`, whether it is none.

    >>> import tinynet as tn
    >>> tn.isin(tn.tensor([1, 2, 3]), tn.tensor([2, 3]))
    tensor([False,  True,  True])
    """
    return Tensor(np.isin(raw(elements), raw(test_elements), invert=invert))


@public
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each whole number from 0 on occurs, or the sum of its weights. No gradient.

    >>> import tinynet as tn
    >>> tn.bincount(tn.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    if input.dtype.kind not in "iu" or input.ndim != 1:
        raise DTypeError("bincount: a vector of whole numbers is expected", got=describe(input))
    return Tensor(np.bincount(raw(input), raw(weights), minlength))


@public
def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many entries lie in each of `bins` intervals of one width between min and max; between
    the smallest and the largest entry where both are 0. No gradient.

    >>> import tinynet as tn
    >>> tn.histc(tn.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    x = raw(input)
    ends = (min, max) if min != max else (float(x.min()), float(x.max())) if x.size else (0, 1)
    ends = ends if ends[0] != ends[1] else (ends[0] - 1, ends[1] + 1)
    return Tensor(np.histogram(x, bins, ends)[0].astype(x.dtype))


for _function in (searchsorted, bucketize, isin):
    public(_function, as_method=False)


@implements(np.argsort)
def _np_argsort(a: Any, axis: int | None = -1) -> Any:
    return argsort(np.ravel(a)) if axis is None else argsort(a, axis)


@implements(np.sort)
def _np_sort(a: Any, axis: int | None = -1) -> Any:
    return sort(np.ravel(a)).values if axis is None else sort(a, axis).values
