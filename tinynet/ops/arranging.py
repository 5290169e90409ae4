"""More ways to arrange entries: PyTorch's names for what a line of `shape`, `pieces` and `indexing`
does.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.ops.creation import meshgrid, zeros
from tinynet.ops.indexing import getitem, plain_index, scatter
from tinynet.ops.pieces import flip, split
from tinynet.ops.public import method, public
from tinynet.ops.shape import axis_of, broadcast_to, cat, movedim, reshape, stack, transpose
from tinynet.tensor import Tensor, raw


@public
def fliplr(input: Any) -> Any:
    """The columns in reverse order."""
    return flip(input, 1)


@public
def flipud(input: Any) -> Any:
    """The rows in reverse order."""
    return flip(input, 0)


@public
def rot90(input: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """Turned k times by a right angle, from the first of the two axes `dims` towards the second.

    >>> import tinynet as tn
    >>> tn.rot90(tn.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    a, b = dims
    if k % 4 == 2:
        return flip(input, (a, b))
    if k % 4 == 1:
        return transpose(flip(input, b), a, b)
    return flip(transpose(input, a, b), b) if k % 4 else input.clone()


def _at_least(tensors: tuple[Any, ...], ndim: int) -> Any:
    """Each with at least so many axes: new ones in front, a third behind."""
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])

    def grown(x: Any) -> Any:
        shape = tuple(x.shape)
        if ndim > 1 and len(shape) < 2:
            shape = (1,) * (2 - len(shape)) + shape
        return reshape(x, shape + (1,) * (ndim - len(shape)))

    found = tuple(grown(x) for x in tensors)
    return found[0] if len(found) == 1 else found


def atleast_1d(*tensors: Any) -> Any:
    """A number as a vector of one; anything else as it is. Of several, a tuple."""
    return _at_least(tensors, 1)


def atleast_2d(*tensors: Any) -> Any:
    """A vector as a matrix of one row."""
    return _at_least(tensors, 2)


def atleast_3d(*tensors: Any) -> Any:
    """A matrix (n, m) as (n, m, 1), a vector (n,) as (1, n, 1)."""
    return _at_least(tensors, 3)


def column_stack(tensors: Any) -> Any:
    """Vectors as columns beside each other, or matrices.

    >>> import tinynet as tn
    >>> tn.column_stack((tn.tensor([1, 2]), tn.tensor([3, 4])))
    tensor([[1, 3],
            [2, 4]])
    """
    return cat([reshape(x, (-1, 1)) if x.ndim < 2 else x for x in tensors], 1)


def dstack(tensors: Any) -> Any:
    """Joined along the third axis."""
    return cat([atleast_3d(x) for x in tensors], 2)


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape to which all of these broadcast.

    >>> import tinynet as tn
    >>> tn.broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError("the shapes do not broadcast", got=", ".join(map(str, shapes))) from None


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """All of them in the shape to which they broadcast together."""
    shape = broadcast_shapes(*(x.shape for x in tensors))
    return tuple(broadcast_to(x, shape) for x in tensors)


@public
def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> Any:
    """Cut along `dim` into so many parts, the first ones longer by one where it does not divide; or
    before each of the places in a list.

    >>> import tinynet as tn
    >>> [x.tolist() for x in tn.tensor_split(tn.arange(5), 3)]
    [[0, 1], [2, 3], [4]]
    """
    n = input.shape[axis_of(dim, input.ndim)]
    given = raw(indices_or_sections)
    given = given.tolist() if isinstance(indices_or_sections, Tensor) else given
    if isinstance(given, int):
        if given < 1:
            raise ArgumentError("tensor_split: at least one part is expected", got=f"{given}")
        sizes = [n // given + (i < n % given) for i in range(given)]
        return split(input, sizes, dim)
    places = [slice(a, b) for a, b in itertools.pairwise((None, *given, None))]
    return tuple(input[(slice(None),) * axis_of(dim, input.ndim) + (p,)] for p in places)


@public
def vsplit(input: Any, indices_or_sections: Any) -> Any:
    """`tensor_split` along the rows."""
    return tensor_split(input, indices_or_sections, 0)


@public
def hsplit(input: Any, indices_or_sections: Any) -> Any:
    """`tensor_split` along the columns, or along a vector."""
    return tensor_split(input, indices_or_sections, 1 if input.ndim > 1 else 0)


@public
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices with the rows of the input on a diagonal, `offset` above the main one, and 0
    elsewhere. Shapes: (…, n) -> (…, m, m), m = n + |offset|; `dim1`, `dim2` are the new axes.

    >>> import tinynet as tn
    >>> tn.diag_embed(tn.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    n = input.shape[-1]
    k = np.arange(n)
    rows, columns = k + max(-offset, 0), k + max(offset, 0)
    size = n + abs(offset)
    index = plain_index((Ellipsis, rows, columns), input.array)
    y = scatter(input, index=index, shape=(*input.shape[:-1], size, size))
    first, second = axis_of(dim1, y.ndim), axis_of(dim2, y.ndim)
    if first == second:
        raise ArgumentError("diag_embed: two different axes are expected", got=f"{dim1}, {dim2}")
    return movedim(y, (-2, -1), (first, second))


@public
def diagflat(input: Any, offset: int = 0) -> Any:
    """A matrix with all entries on a diagonal."""
    return diag_embed(reshape(input, (-1,)), offset)


def block_diag(*tensors: Any) -> Any:
    """Matrices along the diagonal of a larger one, 0 elsewhere.

    >>> import tinynet as tn
    >>> tn.block_diag(tn.tensor([[1, 2]]), tn.tensor([[3]]))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    blocks = [atleast_2d(x) for x in tensors]
    width = sum(x.shape[1] for x in blocks)
    rows, start = [], 0
    for x in blocks:
        n, m = x.shape
        parts = [zeros(n, start), x, zeros(n, width - start - m)]
        rows.append(cat([part.to(x) for part in parts], 1))
        start += m
    return cat(rows, 0)


def cartesian_prod(*tensors: Any) -> Any:
    """All ways to take one entry of each vector, a row for each way.

    >>> import tinynet as tn
    >>> tn.cartesian_prod(tn.tensor([1, 2]), tn.tensor([3, 4])).tolist()
    [[1, 3], [1, 4], [2, 3], [2, 4]]
    """
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(x, (-1,)) for x in meshgrid(*tensors)], 1)


@public
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All ways to take r entries of a vector, in order, a row for each way.

    >>> import tinynet as tn
    >>> tn.combinations(tn.tensor([1, 2, 3])).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """
    if input.ndim != 1:
        raise ShapeError("combinations: a vector is expected", got=describe(input))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    ways = np.array(list(choose(range(input.shape[0]), r)), dtype=np.int64).reshape(-1, r)
    return getitem(input, index=plain_index(ways, input.array))


def _unfold(self: Tensor, dimension: int, size: int, step: int) -> Any:
    """Windows of `size` entries along an axis, each `step` behind the last; their entries stand
    along a new last axis. The values are copied.

    >>> import tinynet as tn
    >>> tn.arange(5).unfold(0, 3, 2).tolist()
    [[0, 1, 2], [2, 3, 4]]
    """
    x = self if self.ndim else reshape(self, (1,))
    axis = axis_of(dimension, x.ndim)
    n = x.shape[axis]
    if not 0 <= size <= n or step < 1:
        raise ArgumentError(
            f"unfold: windows of {size} do not fit {n} entries at steps of {step}",
            got=describe(self),
        )
    places = np.arange(0, n - size + 1, step)[:, None] + np.arange(size)
    y = getitem(x, index=plain_index((slice(None),) * axis + (places,), x.array))
    return movedim(y, axis + 1, -1) if self.ndim else reshape(y, (-1,))


method("unfold", _unfold)
for _function in (
    *(atleast_1d, atleast_2d, atleast_3d, column_stack, dstack, broadcast_shapes),
    *(broadcast_tensors, block_diag, cartesian_prod),
):
    public(_function, as_method=False)
