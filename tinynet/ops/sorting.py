r"""Order: sort, argsort, topk, unique.

Sorting permutes, so its gradient undoes the permutation: the values are taken out at the sorted
indices, and what takes out (`take_along_dim`) knows how to put back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.arrays import Array
from tinynet.errors import OutOfRangeError, describe
from tinynet.op import implements, primitive
from tinynet.ops.indexing import take_along_dim
from tinynet.ops.public import public
from tinynet.ops.reductions import ValuesIndices
from tinynet.ops.shape import axis_of
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


@implements(np.argsort)
def _np_argsort(a: Any, axis: int | None = -1) -> Any:
    return argsort(np.ravel(a)) if axis is None else argsort(a, axis)


@implements(np.sort)
def _np_sort(a: Any, axis: int | None = -1) -> Any:
    return sort(np.ravel(a)).values if axis is None else sort(a, axis).values
