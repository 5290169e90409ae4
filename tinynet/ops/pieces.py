r"""Cutting into pieces, turning, repeating, and what stands on and beside the diagonal.

Most of these are compositions of the views in `shape.py` and `indexing.py`: their gradients follow.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet.arrays import Array
from tinynet.errors import ArgumentError, OutOfRangeError, ShapeError, describe
from tinynet.op import implements, primitive
from tinynet.ops.indexing import scatter
from tinynet.ops.public import method, public
from tinynet.ops.shape import axis_of, sizes
from tinynet.tensor import raw

# -- the table -------------------------------------------------------------------------------------


@primitive(
    np.flip,
    name="flip",
    formula=r"y_i = u_{n - 1 - i}",
    promote="none",
    rules=(lambda g, _y, _u, *, axis: np.flip(g, axis),),
)
def _flip(u: Array, axis: Any = None) -> Array:
    return np.flip(u, axis).copy()


def _roll_rule(g: Any, _y: Any, _u: Any, *, shift: Any, axis: Any) -> Any:
    back = tuple(-s for s in shift) if isinstance(shift, tuple) else -shift
    return np.roll(g, back, axis)


@primitive(
    np.roll,
    name="roll",
    formula=r"y_i = u_{(i - s) \bmod n}",
    promote="none",
    rules=(_roll_rule,),
)
def _roll(u: Array, shift: Any, axis: Any = None) -> Array:
    return np.roll(u, shift, axis)


@primitive(
    np.tril,
    name="tril",
    formula=r"y_{ij} = u_{ij} \text{ where } j - i \le k, \text{ else } 0",
    promote="none",
    rules=(lambda g, _y, _u, *, k: np.tril(g, k),),
)
def _tril(u: Array, k: int = 0) -> Array:
    return np.tril(u, k)


@primitive(
    np.triu,
    name="triu",
    formula=r"y_{ij} = u_{ij} \text{ where } j - i \ge k, \text{ else } 0",
    promote="none",
    rules=(lambda g, _y, _u, *, k: np.triu(g, k),),
)
def _triu(u: Array, k: int = 0) -> Array:
    return np.triu(u, k)


def _pad_rule(g: Any, _y: Any, _u: Any, *, pad_width: Any, value: float) -> Any:
    inside = zip(pad_width, _u.shape, strict=True)
    return g[tuple(slice(before, before + n) for (before, _), n in inside)]


@primitive(
    name="pad",
    formula=r"y_{i + p} = u_i, \text{ a constant around it}",
    promote="none",
    rules=(_pad_rule,),
)
def pad(u: Array, *, pad_width: tuple[tuple[int, int], ...], value: float = 0) -> Array:
    """u with `before` and `after` entries of a constant added at each axis."""
    return np.pad(u, pad_width, constant_values=value) if pad_width else u.copy()


@implements(np.pad)
def _np_pad(array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    if mode != "constant":
        raise ArgumentError("np.pad on a Tensor knows the mode 'constant' only", got=repr(mode))
    pairs = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    return pad(array, pad_width=tuple((a, b) for a, b in pairs), value=constant_values)


# -- pieces ----------------------------------------------------------------------------------------


def _part(input: Any, axis: int, start: int, stop: int) -> Any:
    return input[(slice(None),) * axis + (slice(start, stop),)]


@public
def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """The entries start … start + length − 1 along `dim`."""
    axis = axis_of(dim, input.ndim)
    n = input.shape[axis]
    start = start + n if start < 0 else start
    if not 0 <= start <= start + length <= n:
        raise OutOfRangeError(f"narrow: {start} … {start + length} leaves the axis of size {n}")
    return _part(input, axis, start, start + length)


@public
def select(input: Any, dim: int, index: int) -> Any:
    """The slice at `index` along `dim`, without that axis."""
    return input[(slice(None),) * axis_of(dim, input.ndim) + (index,)]


@public
def unbind(input: Any, dim: int = 0) -> Any:
    """All slices along `dim`, as a tuple.

    >>> import tinynet as tn
    >>> tn.unbind(tn.tensor([[1, 2], [3, 4]]), dim=1)
    (tensor([1, 3]), tensor([2, 4]))
    """
    return tuple(select(input, dim, i) for i in range(input.shape[axis_of(dim, input.ndim)]))


@public
def split(input: Any, split_size_or_sections: Any, dim: int = 0) -> Any:
    """Consecutive pieces along `dim`: of one size (the last may be smaller), or of the sizes given.

    >>> import tinynet as tn
    >>> tn.split(tn.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    >>> tn.arange(5).split([1, 4])
    (tensor([0]), tensor([1, 2, 3, 4]))
    """
    axis = axis_of(dim, input.ndim)
    n = input.shape[axis]
    if isinstance(split_size_or_sections, list | tuple):
        lengths = sizes((split_size_or_sections,))
        if sum(lengths) != n or min(lengths, default=0) < 0:
            raise ArgumentError(f"split: the sizes {lengths} do not add up to {n}")
    else:
        size = split_size_or_sections
        if size < 1:
            raise ArgumentError("split: a piece has at least one entry", got=str(size))
        lengths = tuple(min(size, n - k) for k in range(0, max(n, 1), size))
    ends = tuple(itertools.accumulate(lengths))
    return tuple(_part(input, axis, e - m, e) for e, m in zip(ends, lengths, strict=True))


@public
def chunk(input: Any, chunks: int, dim: int = 0) -> Any:
    """At most `chunks` pieces of equal size along `dim`; the last may be smaller."""
    if chunks < 1:
        raise ArgumentError("chunk needs at least one chunk", got=str(chunks))
    return split(input, max(1, math.ceil(input.shape[axis_of(dim, input.ndim)] / chunks)), dim)


@implements(np.split)
def _np_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    n = ary.shape[axis_of(axis, ary.ndim)]
    if isinstance(indices_or_sections, int):
        if n % indices_or_sections:
            raise ShapeError(f"np.split: {n} entries do not make {indices_or_sections} equal parts")
        return list(split(ary, n // indices_or_sections, axis))
    cuts = [0, *(slice(c).indices(n)[1] for c in indices_or_sections), n]
    return list(split(ary, [b - a for a, b in itertools.pairwise(cuts)], axis))


# -- turned and repeated ---------------------------------------------------------------------------


@public
def flip(input: Any, dims: Any, *more: Any) -> Any:
    """In reverse order along `dims`; a copy.

    >>> import tinynet as tn
    >>> tn.flip(tn.tensor([[1, 2], [3, 4]]), (1,))
    tensor([[2, 1],
            [4, 3]])
    """
    return _flip(input, axis=tuple(axis_of(d, input.ndim) for d in sizes((dims, *more))))


@public
def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Moved on by `shifts` places along `dims`; what leaves at the end returns at the start.

    >>> import tinynet as tn
    >>> tn.roll(tn.tensor([1, 2, 3, 4]), 1)
    tensor([4, 1, 2, 3])
    """
    many = isinstance(shifts, list | tuple)
    axis = dims if dims is None or isinstance(dims, int) else tuple(dims)
    return _roll(input, shift=tuple(shifts) if many else shifts, axis=axis)


@public
def tile(input: Any, dims: Any, *more: Any) -> Any:
    """The whole tensor laid side by side, dims[i] times along axis i; missing leading numbers are
    1.

    >>> import tinynet as tn
    >>> tn.tile(tn.tensor([1, 2]), (2, 2))
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    times = sizes((dims, *more))
    ndim = max(input.ndim, len(times))
    times = (1,) * (ndim - len(times)) + times
    shape = (1,) * (ndim - input.ndim) + tuple(input.shape)
    between = np.reshape(input, tuple(k for n in shape for k in (1, n)))
    pairs = tuple(k for pair in zip(times, shape, strict=True) for k in pair)
    whole = tuple(r * n for r, n in zip(times, shape, strict=True))
    return np.reshape(np.broadcast_to(between, pairs), whole)


def repeat(input: Any, *repeats: Any) -> Any:
    """`tile`, with a number for every axis at least."""
    if len(sizes(repeats)) < input.ndim:
        raise ShapeError("repeat needs a number for each axis", got=describe(input))
    return tile(input, *repeats)


method("repeat", repeat)


@public
def repeat_interleave(input: Any, repeats: Any, dim: int | None = None) -> Any:
    """Each entry several times in a row along `dim` (of the flattened tensor by default). `repeats`
    is one number, or one for each entry.

    >>> import tinynet as tn
    >>> x = tn.tensor([1, 2])
    >>> x.repeat_interleave(2), x.repeat_interleave(tn.tensor([1, 3]))
    (tensor([1, 1, 2, 2]), tensor([1, 2, 2, 2]))
    """
    if dim is None:
        input, dim = np.ravel(input), 0
    axis = axis_of(dim, input.ndim)
    ids = np.repeat(np.arange(input.shape[axis], like=raw(input)), raw(repeats))
    return input[(slice(None),) * axis + (ids,)]


@implements(np.tile)
def _np_tile(A: Any, reps: Any) -> Any:
    return tile(A, reps)


@implements(np.repeat)
def _np_repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    return repeat_interleave(a, repeats, axis)


# -- the diagonal ----------------------------------------------------------------------------------


@public
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The entries [i, i + offset] of the axes dim1 and dim2, as a new last axis.

    >>> import tinynet as tn
    >>> tn.arange(9).reshape(3, 3).diagonal(offset=1)
    tensor([1, 5])
    """
    last = np.moveaxis(input, (dim1, dim2), (-2, -1))
    *lead, n, m = last.shape
    count = max(0, min(n, m - offset) if offset >= 0 else min(n + offset, m))
    start = offset if offset >= 0 else -offset * m
    rows = np.reshape(last, (*lead, n * m))  # one step down and one to the right: m + 1 entries on
    return rows[..., start : start + max(0, count * (m + 1) - m) : m + 1]


@public
def diag(input: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix; of a vector, the matrix that has it as its diagonal.

    >>> import tinynet as tn
    >>> tn.diag(tn.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    if input.ndim == 2:
        return _diagonal_of(input, diagonal)
    if input.ndim != 1:
        raise ShapeError("diag needs a vector or a matrix", got=describe(input))
    n = input.shape[0] + abs(diagonal)
    i = np.arange(input.shape[0], like=raw(input))
    index = (i + max(-diagonal, 0), i + max(diagonal, 0))
    return scatter(input, index=index, shape=(n, n))


_diagonal_of = diagonal


@public
def trace(input: Any) -> Any:
    """Σ of the diagonal of a matrix."""
    if input.ndim != 2:
        raise ShapeError("trace needs a matrix", got=describe(input))
    return diagonal(input).sum(-1)


@public
def tril(input: Any, diagonal: int = 0) -> Any:
    """The lower triangle of the last two axes, zeros above the given diagonal.

    >>> import tinynet as tn
    >>> tn.tril(tn.ones(2, 3))
    tensor([[1., 0., 0.],
            [1., 1., 0.]])
    """
    return _tril(_matrices(input, "tril"), k=diagonal)


@public
def triu(input: Any, diagonal: int = 0) -> Any:
    """The upper triangle of the last two axes, zeros below the given diagonal."""
    return _triu(_matrices(input, "triu"), k=diagonal)


def _matrices(input: Any, name: str) -> Any:
    if input.ndim < 2:
        raise ShapeError(f"{name} needs matrices", expected="(…, n, m)", got=describe(input))
    return input


@implements(np.diagonal)
def _np_diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return diagonal(a, offset, axis1, axis2)


@implements(np.trace)
def _np_trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return diagonal(a, offset, axis1, axis2).sum(-1)


implements(np.diag)(lambda v, k=0: diag(v, k))


@implements(np.lib.stride_tricks.sliding_window_view)
def _sliding_window_view(x: Any, window_shape: Any, axis: Any = None) -> Any:
    """All windows of a shape, on new last axes; a copy here, as an entry stands in many windows."""
    lengths = tuple(window_shape) if isinstance(window_shape, list | tuple) else (window_shape,)
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, list | tuple) else (axis,)
    for a, length in zip(axes, lengths, strict=True):
        at = axis_of(a, x.ndim)
        count = x.shape[at] - length + 1
        if not 1 <= length <= x.shape[at]:
            raise ShapeError(f"a window of {length} on an axis of {x.shape[at]} entries")
        x = np.stack([_part(x, at, k, k + count) for k in range(length)], axis=-1)
    return x


def _rows(tensors: Sequence[Any]) -> list[Any]:
    return [np.reshape(x, (1, -1)) if x.ndim < 2 else x for x in tensors]


def vstack(tensors: Any) -> Any:
    """On top of each other; vectors count as rows."""
    return np.concatenate(_rows(tensors), axis=0)


def hstack(tensors: Any) -> Any:
    """Side by side: along axis 1, vectors along their own."""
    tensors = [np.reshape(x, (1,)) if x.ndim == 0 else x for x in tensors]
    return np.concatenate(tensors, axis=min(1, tensors[0].ndim - 1))


public(vstack, as_method=False)
public(hstack, as_method=False)
implements(np.vstack)(vstack)
implements(np.hstack)(hstack)
