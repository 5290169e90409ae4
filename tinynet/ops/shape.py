r"""Ops that move entries without changing them. Most are views; their gradients move the entries
back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet.arrays import Array
from tinynet.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError, describe
from tinynet.op import implements, primitive
from tinynet.ops.public import method, public
from tinynet.tensor import Tensor

# -- the table -------------------------------------------------------------------------------------


@primitive(
    name="reshape",
    formula=r"u \text{ read in the same order as } s",
    promote="none",
    view=True,
    rules=(lambda g, _y, _u, *, shape: np.reshape(g, _u.shape),),
)
def _reshape(u: Array, *, shape: tuple[int, ...]) -> Array:
    return np.reshape(u, shape)


@primitive(
    np.transpose,
    name="permute",
    formula=r"y_{i_{p_1} \dots i_{p_n}} = u_{i_1 \dots i_n}",
    promote="none",
    view=True,
    rules=(lambda g, _y, _u, *, axes: np.transpose(g, _inverse(axes)),),
)
def _permute(u: Array, axes: tuple[int, ...] | None = None) -> Array:
    return np.transpose(u, axes)


def _inverse(axes: Sequence[int] | None) -> tuple[int, ...] | None:
    """The permutation that undoes this one. None, all axes reversed, undoes itself."""
    if axes is None:
        return None
    axes = [a % len(axes) for a in axes]
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


@primitive(
    np.broadcast_to,
    name="broadcast_to",
    formula=r"u \text{ repeated to } s",
    promote="none",
    view=True,
    broadcasts=True,
    rules=(lambda g, _y, _u, *, shape: g,),  # dispatch sums over what was repeated
)
def _broadcast_to(u: Array, shape: tuple[int, ...] = ()) -> Array:
    return np.broadcast_to(u, shape)


def _cat_rule(i: int, g: Any, _y: Any, *_inputs: Any, axis: int) -> Any:
    start = sum(x.shape[axis] for x in _inputs[:i])
    piece = slice(start, start + _inputs[i].shape[axis])
    return g[(slice(None),) * (axis % g.ndim) + (piece,)]


@primitive(name="cat", formula=r"(u_1, u_2, \dots)", variadic=True, rules=_cat_rule)
def _cat(*inputs: Array, axis: int = 0) -> Array:
    return np.concatenate(inputs, axis=axis)


@primitive(np.copy, name="clone", formula="u", promote="none", rules=(lambda g, _y, _u: g,))
def _clone(u: Array) -> Array:
    return u.copy()


# -- PyTorch's names -------------------------------------------------------------------------------


def sizes(args: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)`, `f((2, 3))` and `f([2, 3])` all mean the shape (2, 3)."""
    if len(args) == 1 and isinstance(args[0], list | tuple):
        args = tuple(args[0])
    for n in args:
        if not hasattr(n, "__index__"):
            raise DTypeError("a shape is made of whole numbers", got=describe(n))
    return tuple(n.__index__() for n in args)


def axis_of(dim: int, ndim: int) -> int:
    """`dim` as a number from 0 to ndim − 1."""
    if not -ndim <= dim < ndim:
        raise OutOfRangeError(f"there is no axis {dim}", expected=f"{-ndim} … {ndim - 1}")
    return dim % ndim


def _reshaped(input: Any, shape: tuple[int, ...]) -> Any:
    total = math.prod(input.shape)
    known = math.prod(n for n in shape if n != -1)
    fits = (
        total == known
        if -1 not in shape
        else known > 0 and total % known == 0 and shape.count(-1) == 1
    )
    if not fits and not (total == 0 and shape.count(-1) == 1 and known > 0):
        raise ShapeError(
            f"{total} entries do not fill the shape {shape}",
            got=describe(input),
            hint="one size may be -1: it is then computed from the others",
        )
    return _reshape(input, shape=shape)


@public
def reshape(input: Any, shape: Any, *more: Any) -> Any:
    """The same entries in row-major order under another shape. One size may be −1.

    >>> import tinynet as tn
    >>> tn.tensor([1, 2, 3, 4]).reshape(2, -1)
    tensor([[1, 2],
            [3, 4]])
    """
    return _reshaped(input, sizes((shape, *more)))


@implements(np.reshape)
def _np_reshape(a: Any, shape: Any = (), **options: Any) -> Any:
    if options:
        raise ArgumentError("np.reshape on a Tensor takes the shape only", got=str(options))
    return _reshaped(a, sizes((shape,)))


@public
def view(input: Any, *shape: Any) -> Any:
    """`reshape`; as in PyTorch the result shares memory where the layout allows."""
    return _reshaped(input, sizes(shape))


@public
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The axes from start_dim to end_dim made one.

    >>> import tinynet as tn
    >>> tn.ones(2, 3, 4).flatten(1).shape
    (2, 12)
    """
    if input.ndim == 0:
        return _reshape(input, shape=(1,))
    first, last = axis_of(start_dim, input.ndim), axis_of(end_dim, input.ndim)
    if first > last:
        raise ArgumentError("flatten needs start_dim <= end_dim", got=f"{start_dim}, {end_dim}")
    merged = math.prod(input.shape[first : last + 1])
    return _reshape(input, shape=(*input.shape[:first], merged, *input.shape[last + 1 :]))


@public
def ravel(input: Any) -> Any:
    """All entries in row-major order along one axis."""
    return _reshape(input, shape=(-1,))


implements(np.ravel)(ravel)


@public
def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """The axis `dim` made several, of the given sizes; one of them may be −1.

    >>> import tinynet as tn
    >>> tn.ones(2, 12).unflatten(1, (3, -1)).shape
    (2, 3, 4)
    """
    at = axis_of(dim, input.ndim)
    known = math.prod(n for n in sizes if n != -1)
    missing = input.shape[at] // known if known else 0
    new = tuple(missing if n == -1 else n for n in sizes)
    return _reshaped(input, (*input.shape[:at], *new, *input.shape[at + 1 :]))


@public
def permute(input: Any, dims: Any, *more: Any) -> Any:
    """The axes in the order `dims`.

    >>> import tinynet as tn
    >>> tn.ones(2, 3, 4).permute(2, 0, 1).shape
    (4, 2, 3)
    """
    axes = sizes((dims, *more))
    if sorted(axis_of(a, input.ndim) for a in axes) != list(range(input.ndim)):
        raise ArgumentError(f"dims must name each of the {input.ndim} axes once", got=str(axes))
    return _permute(input, axes=axes)


@public
def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """The axes dim0 and dim1 exchanged. A number counts as having one."""
    axes = list(range(max(input.ndim, 1)))
    a, b = axis_of(dim0, len(axes)), axis_of(dim1, len(axes))
    axes[a], axes[b] = axes[b], axes[a]
    return _permute(input, axes=tuple(axes[: input.ndim]))


@public
def t(input: Any) -> Any:
    """The transpose of a matrix; vectors and scalars as they are."""
    if input.ndim > 2:
        raise ShapeError(
            "t() takes at most 2 axes", got=describe(input), hint="x.transpose(-2, -1), x.mT"
        )
    return _permute(input)


@implements(np.swapaxes)
def _swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    return transpose(a, axis1, axis2)


public(_swapaxes, name="swapaxes")


@implements(np.moveaxis)
def _moveaxis(a: Any, source: Any, destination: Any) -> Any:
    sources = [
        axis_of(s, a.ndim) for s in (source if isinstance(source, list | tuple) else (source,))
    ]
    places = [
        axis_of(d, a.ndim)
        for d in (destination if isinstance(destination, list | tuple) else (destination,))
    ]
    axes = [i for i in range(a.ndim) if i not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        axes.insert(place, axis)
    return _permute(a, axes=tuple(axes))


@public
def movedim(input: Any, source: Any, destination: Any) -> Any:
    """The axes `source` moved to the places `destination`; the others keep their order."""
    return _moveaxis(input, source, destination)


@public
def squeeze(input: Any, dim: Any = None) -> Any:
    """Without the axes of size 1: all of them, or those named (a named axis of another size stays).

    >>> import tinynet as tn
    >>> tn.ones(1, 3, 1).squeeze().shape, tn.ones(1, 3, 1).squeeze(-1).shape
    ((3,), (1, 3))
    """
    named = range(input.ndim) if dim is None else dim if isinstance(dim, list | tuple) else (dim,)
    gone = {axis_of(d, max(input.ndim, 1)) for d in named}
    return _reshape(
        input, shape=tuple(n for i, n in enumerate(input.shape) if i not in gone or n != 1)
    )


@implements(np.squeeze)
def _np_squeeze(a: Any, axis: Any = None) -> Any:
    return squeeze(a, axis)


@public
def unsqueeze(input: Any, dim: int) -> Any:
    """With a new axis of size 1 at `dim`."""
    at = axis_of(dim, input.ndim + 1)
    return _reshape(input, shape=(*input.shape[:at], 1, *input.shape[at:]))


@implements(np.expand_dims)
def _expand_dims(a: Any, axis: Any) -> Any:
    axes = axis if isinstance(axis, tuple) else (axis,)
    ndim = a.ndim + len(axes)
    new = {axis_of(d, ndim) for d in axes}
    rest = iter(a.shape)
    return _reshape(a, shape=tuple(1 if i in new else next(rest) for i in range(ndim)))


@public
def broadcast_to(input: Any, shape: Any) -> Any:
    """Repeated, without copying; the gradient is summed over what was repeated."""
    return _broadcast_to(input, shape=tuple(shape))


@public
def expand(input: Any, *shape: Any) -> Any:
    """`broadcast_to` where −1 keeps a size.

    >>> import tinynet as tn
    >>> tn.tensor([[1.0], [2.0]]).expand(-1, 3).shape
    (2, 3)
    """
    wanted = sizes(shape)
    own = (None,) * (len(wanted) - input.ndim) + tuple(input.shape)
    if len(own) != len(wanted) or any(
        n == -1 and m is None for n, m in zip(wanted, own, strict=True)
    ):
        raise ShapeError(f"cannot expand to {wanted}", got=describe(input))
    return _broadcast_to(
        input, shape=tuple(m if n == -1 else n for n, m in zip(wanted, own, strict=True))
    )


@public
def expand_as(input: Any, other: Any) -> Any:
    """`broadcast_to` the shape of `other`."""
    return _broadcast_to(input, shape=tuple(other.shape))


def _sequence(tensors: Any, name: str) -> Sequence[Any]:
    if not isinstance(tensors, list | tuple) or not tensors:
        raise ArgumentError(
            f"{name} needs a list or tuple of at least one tensor", got=describe(tensors)
        )
    return tensors


def cat(tensors: Any, dim: int = 0) -> Any:
    """Joined along an existing axis; all other sizes must agree. An empty vector fits everywhere.

    >>> import tinynet as tn
    >>> tn.cat([tn.tensor([1, 2]), tn.tensor([3])])
    tensor([1, 2, 3])
    """
    tensors = _sequence(tensors, "cat")
    if len({x.ndim for x in tensors}) > 1:
        tensors = [x for x in tensors if x.shape != (0,)]
    shapes = [tuple(x.shape) for x in tensors]
    axis = axis_of(dim, max(len(shapes[0]), 1))
    rest = {(*s[:axis], *s[axis + 1 :]) if s else None for s in shapes}
    if len(rest) > 1 or len({len(s) for s in shapes}) > 1 or None in rest:
        raise ShapeError(
            f"cat: all sizes but that of axis {axis} must agree", got=", ".join(map(str, shapes))
        )
    return _cat(*tensors, axis=axis)


def stack(tensors: Any, dim: int = 0) -> Any:
    """Joined along a new axis; all shapes must be equal.

    >>> import tinynet as tn
    >>> tn.stack([tn.tensor([1, 2]), tn.tensor([3, 4])], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    tensors = _sequence(tensors, "stack")
    shapes = {tuple(x.shape) for x in tensors}
    if len(shapes) > 1:
        raise ShapeError(
            "stack: the shapes must be equal", got=", ".join(str(tuple(x.shape)) for x in tensors)
        )
    return cat([_expand_dims(x, axis_of(dim, x.ndim + 1)) for x in tensors], dim)


public(cat, as_method=False)
public(stack, as_method=False)
implements(np.concatenate)(lambda arrays, axis=0: cat(arrays, axis))
implements(np.stack)(lambda arrays, axis=0: stack(arrays, axis))


@public
def clone(input: Any) -> Any:
    """A copy with memory of its own; gradients pass through."""
    return _clone(input)


@public
def contiguous(input: Any) -> Any:
    """Itself if the entries lie in row-major order, else a copy."""
    return input if input.array.flags.c_contiguous else _clone(input)


public(lambda input, other: view(input, *other.shape), name="view_as")
public(lambda input, other: reshape(input, *other.shape), name="reshape_as")

method("T", property(lambda self: _permute(self), doc="All axes in reverse order."))
method("mT", property(lambda self: transpose(self, -2, -1), doc="The last two axes exchanged."))


def size(input: Tensor, dim: int | None = None) -> Any:
    """The shape, or one size of it."""
    return input.shape if dim is None else input.shape[axis_of(dim, input.ndim)]


def numel(input: Tensor) -> int:
    """How many entries there are."""
    return math.prod(input.shape)


def dim(input: Tensor) -> int:
    """How many axes there are."""
    return input.ndim


for _function in (size, numel, dim):
    public(_function)
