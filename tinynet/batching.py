"""A batch axis that the function does not see.

`vmap(f)` is f of each example, stacked. A `Batch` holds all examples in one array (b, *shape) and
*presents itself as one of them*: its `.shape` is that of an example, and every NumPy function that
is called on it runs once, one axis further right. The engine computes with anything that answers
NumPy's protocols, so forward passes and rules run on a `Batch` as they stand.

    elementwise     put the axes of the examples in line behind the batch axis, and broadcast
    along axes      axis k of an example is axis k + 1 of the batch
    matrix product  a matrix that all examples share meets all their rows at once: one product
    x[i]            an index that differs from example to example gets the example's number beside it
    anything else   for each example, and stacked: only this one call is a loop

b is the number of examples, or 1 where all share one value. What asks for *the* value, `if x > 0`,
`int(x)`, is answered where all examples give the same answer. Where they do not, or where something
would happen once that should happen for each example (a random number, a change in place of what
stands outside), the run is given up (`Level.refuse`), and `vmap` calls the function for each
example after all. Batches nest: the array inside may be one.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tinynet import arrays
from tinynet.arrays import Array
from tinynet.errors import BatchError

current: ContextVar[Level | None] = ContextVar("level", default=None)


class Level:
    """One run of vmap over `size` examples; `refused` tells that it has to be given up."""

    def __init__(self, size: int) -> None:
        outer = current.get()
        self.depth: int = 1 if outer is None else outer.depth + 1
        self.size, self.active, self.refused = size, False, False

    def __enter__(self) -> Level:
        self._before, self.active = current.set(self), True
        return self

    def __exit__(self, *_: object) -> None:
        current.reset(self._before)
        self.active = False

    def refuse(self, reason: str) -> NoReturn:
        """Give up. It is remembered: the function may catch the error and go on."""
        self.refused = True
        raise BatchError(reason, hint="a loop over the examples")


def once_for_all(what: str, array: Any = None) -> None:
    """Called before something happens. Inside a run of vmap it would happen once, not for each
    example: refused, unless it happens to a Batch of this run.
    """
    level = current.get()
    if level is not None and not (isinstance(array, Batch) and array.level is level):
        level.refuse(f"vmap: {what} happens for each example")


class Batch(NDArrayOperatorsMixin, arrays.Duck):
    """Arrays of equal shape, one for each example, that present themselves as one.

    data    (b, *shape), b the number of examples or 1
    own     whether nobody else shows this memory, so that it may be written to

    >>> x = Batch(np.array([[1.0, 2.0], [3.0, 4.0]]), Level(2))
    >>> x.shape, np.sum(x * x).data, (x @ np.array([1.0, 0.0])).data
    ((2,), array([ 5., 25.]), array([1., 3.]))
    """

    __slots__ = ("level", "own")
    __array_priority__ = 1000  # CuPy's operators ask for it
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, data: Array, level: Level, own: bool = False) -> None:
        self.data, self.level, self.own = data, level, own

    shape = property(lambda self: self.data.shape[1:])
    ndim = property(lambda self: self.data.ndim - 1)
    dtype = property(lambda self: self.data.dtype)
    size = property(lambda self: math.prod(self.shape))
    base = property(lambda self: self.data.base)
    flags = property(lambda self: self.data.flags)
    T = property(lambda self: np.transpose(self))

    def astype(self, dtype: Any, copy: bool = True) -> Batch:
        """With another dtype."""
        return _batch(self.data.astype(dtype, copy=copy), self.level, [self])

    def copy(self) -> Batch:
        """With memory of its own."""
        return Batch(self.data.copy(), self.level, own=True)

    def reshape(self, *shape: Any) -> Any:
        """The same entries under another shape."""
        return np.reshape(self, shape if len(shape) != 1 else shape[0])

    def view(self) -> Any:
        """The same memory."""
        return self[...]

    def __getattr__(self, name: str) -> Any:
        if name in _METHODS:
            return partial(getattr(np, name), self)
        if not name.startswith("_"):
            self.level.refused = True
        raise AttributeError(f"a batch has no attribute {name!r}")

    # -- what asks for the value ---------------------------------------------------------------

    def _agreed(self) -> Any:
        """The array that all examples share."""
        if len(self.data) > 1 and not bool((self.data == self.data[:1]).all()):
            self.level.refuse("vmap: a value is asked for that differs between the examples")
        return self.data[0, ...]

    def item(self) -> Any:
        """The one entry, where all examples agree."""
        return self._agreed().item()

    def tolist(self) -> Any:
        """The entries, where all examples agree."""
        return self._agreed().tolist()

    def __bool__(self) -> bool:
        return bool(self._agreed())

    def __int__(self) -> int:
        return int(self._agreed())

    def __float__(self) -> float:
        return float(self._agreed())

    __index__ = __int__

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        self.level.refuse("vmap: all examples are one Batch here, not a NumPy array")

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d array")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Batch({self.data!r})"

    # -- indexing --------------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        level = _level(parts)
        if level is not None and level.depth > self.level.depth:
            return Batch(self[None], level)[index]
        place, count, before = self._place(parts)
        among, data = _level(place), self.data
        if among is not None and not isinstance(data, Batch):  # an index of a run outside this one
            data = Batch(data[None], among)
        y = data[place]
        if count and before:
            y = np.moveaxis(y, range(1, count + 1), range(before + 1, before + count + 1))
        return _batch(y, self.level, [self])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._write(index, value, lambda data, place, v: data.__setitem__(place, v))

    def _place(self, parts: tuple[Any, ...]) -> tuple[tuple[Any, ...], int, int]:
        """The index of `data` that is this index in every example; how many axes its arrays make
        together; and how many axes stand before those. NumPy puts them in front here.
        """
        parts = tuple(p for part in parts for p in self._without_mask(part))
        used = sum(p is not None and p is not Ellipsis and not _is_mask(p) for p in parts)
        rest = (slice(None),) * (self.ndim - used)
        at = next((i for i, p in enumerate(parts) if p is Ellipsis), len(parts))
        parts = (*parts[:at], *rest, *parts[at + 1 :])
        if not any(arrays.is_array(p) for p in parts):
            return (slice(None), *parts), 0, 0
        picks = [i for i, p in enumerate(parts) if p is not None and not isinstance(p, slice)]
        together = picks[-1] - picks[0] < len(picks)
        count = max(p.ndim or _is_mask(p) for p in parts if arrays.is_array(p))
        rows = np.arange(len(self.data), like=self.data).reshape(-1, *(1,) * count)
        own = [_align(p, count) if _is_of(p, self.level) else p for p in parts]
        return (rows, *own), count, picks[0] if together else 0

    def _without_mask(self, part: Any) -> tuple[Any, ...]:
        """The places where a mask is true: they may not differ between the examples. A mask of no
        axes stays; it makes an axis of size 1 or 0.
        """
        if isinstance(part, bool):
            part = np.array(part)
        if not _is_mask(part):
            return (part,)
        part = part._agreed() if _is_of(part, self.level) else part
        return tuple(np.nonzero(part)) if part.ndim else (part,)

    def _write(self, index: Any, value: Any, write: Callable[..., None]) -> None:
        """write(data, index of data, values in line with it), where that is nobody else's memory."""
        parts = index if isinstance(index, tuple) else (index,)
        level = _level((parts, value))
        if not self.own or (level is not None and level.depth > self.level.depth):
            self.level.refuse("vmap: memory is written to that the examples share")
        if len(self.data) == 1 and level is self.level:
            self.data = np.repeat(self.data, self.level.size, axis=0)
        place, count, before = self._place(parts)
        if arrays.is_array(value):
            ndim = count + sum(p is None or isinstance(p, slice) for p in place[1:])
            value = _align(_lift(value, self.level), ndim)
            if count and before:  # as the target is: the axes of the index arrays in front
                value = np.moveaxis(value, range(before + 1, before + count + 1), range(1, count + 1))
        write(self.data, place, value)

    # -- NumPy's protocols -----------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if any(hasattr(x, "__array_ufunc__") and not arrays.is_array(x) for x in args):
            return NotImplemented  # a Tensor among them answers
        if method == "at":
            if ufunc is not np.add or not isinstance(args[0], Batch):
                self.level.refuse(f"vmap: np.{ufunc.__name__}.at")
            return args[0]._write(args[1], args[2], arrays.index_add)
        if method != "__call__":
            rule = partial(_reduced, ufunc.reduce, none=0) if method == "reduce" else None
            return _answer(getattr(ufunc, method), rule, args, kwargs)
        rule = _rules.get(ufunc) or (partial(_elementwise, ufunc) if not ufunc.signature else None)
        return _answer(ufunc, rule, args, kwargs)

    def __array_function__(self, function: Any, _types: Any, args: Any, kwargs: Any) -> Any:
        if function in _MAKERS:  # called as np.zeros(shape, like=self)
            made = function(*args, **kwargs, like=self.data)
            return Batch(made[None], self.level, own=True) if _MAKERS[function] else made
        if any(hasattr(x, "__array_function__") and not arrays.is_array(x) for x in _leaves(args)):
            return NotImplemented
        return _answer(function, _rules.get(function), args, kwargs)


# -- in and out ------------------------------------------------------------------------------------


def batched(x: Array, axis: int | None, level: Level) -> Batch:
    """The examples along `axis`; with None, x is shared by all."""
    return Batch(x[None] if axis is None else np.moveaxis(x, axis, 0), level)


def unbatched(x: Array, axis: int | None, level: Level) -> Array:
    """The examples along `axis` of one array; with None, their sum. The adjoint of `batched`."""
    data = _lift(x, level).data
    if axis is None:
        return np.sum(data, axis=0) if len(data) == level.size else data[0] * level.size
    return np.moveaxis(_repeated(data, level.size), 0, axis) if axis else _repeated(data, level.size)


def _repeated(data: Array, size: int) -> Array:
    return data if len(data) == size else np.repeat(data, size, axis=0)


# -- running a NumPy function ----------------------------------------------------------------------


def _leaves(x: Any) -> Iterator[Any]:
    """What stands in nested lists and tuples."""
    if isinstance(x, list | tuple):
        for part in x:
            yield from _leaves(part)
    else:
        yield x


def _map(function: Callable[[Any], Any], x: Any) -> Any:
    """The function of each leaf of nested lists and tuples."""
    if not isinstance(x, list | tuple):
        return function(x)
    parts = [_map(function, part) for part in x]
    return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)


def _is_of(x: Any, level: Level) -> bool:
    return isinstance(x, Batch) and x.level is level


def _is_mask(x: Any) -> bool:
    return arrays.is_array(x) and x.dtype.kind == "b"


def _level(x: Any) -> Level | None:
    """The innermost run that takes part."""
    levels = [leaf.level for leaf in _leaves(x) if isinstance(leaf, Batch)]
    return max(levels, key=lambda level: level.depth, default=None)


def _lift(x: Any, level: Level) -> Any:
    """An array as a Batch of this run: shared by all examples, if it is none yet."""
    return Batch(x[None], level) if arrays.is_array(x) and not _is_of(x, level) else x


def _align(x: Any, ndim: int) -> Any:
    """The data of a Batch, the axes of its examples made `ndim` by leading ones."""
    if not isinstance(x, Batch) or x.ndim >= ndim:
        return x.data if isinstance(x, Batch) else x
    return np.reshape(x.data, (len(x.data), *(1,) * (ndim - x.ndim), *x.shape))


def _batch(y: Any, level: Level, sources: list[Batch]) -> Any:
    """What a rule gave, as a Batch; where it shows the memory of a source, that is noted."""
    if not arrays.is_array(y) or _is_of(y, level):
        return y
    for x in sources:
        if x.own and np.may_share_memory(x.data, y):
            x.own = False
    return Batch(y, level)


def _answer(function: Any, rule: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run a function of NumPy: by its rule, which takes Batches and gives data, or in a loop."""
    values = list(kwargs.values())
    level = _level((args, values))
    assert level is not None
    if kwargs.get("out") is not None or function in _WRITES:
        level.refuse(f"vmap: np.{function.__name__} writes to an array")
    args = _map(lambda x: _lift(x, level), args)
    kwargs = {k: _map(lambda x: _lift(x, level), v) for k, v in kwargs.items()}
    y = (rule or partial(_each, function, level))(*args, **kwargs)
    sources = [x for x in _leaves((args, values)) if isinstance(x, Batch)]
    return _map(lambda part: _batch(part, level, sources), y)


def _each(function: Any, level: Level, *args: Any, **kwargs: Any) -> Any:
    """For each example, and stacked: what has no rule."""
    found = [x for x in _leaves((args, list(kwargs.values()))) if isinstance(x, Batch)]

    def one(i: int) -> Any:
        def pick(x: Any) -> Any:
            return x.data[min(i, len(x.data) - 1), ...] if isinstance(x, Batch) else x

        return function(*_map(pick, args), **{k: _map(pick, v) for k, v in kwargs.items()})

    def joined(*ys: Any) -> Any:
        first = ys[0]
        if isinstance(first, list | tuple) and all(len(y) == len(first) for y in ys):
            parts = [joined(*column) for column in zip(*ys, strict=True)]
            return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
        if all(arrays.is_array(y) and y.shape == first.shape for y in ys):
            return np.stack(ys)
        if not all(not arrays.is_array(y) and y == first for y in ys):
            level.refuse(f"vmap: np.{function.__name__} has results of different shapes or values")
        return first

    return joined(*(one(i) for i in range(max(len(x.data) for x in found))))


# -- the rules: the arguments of NumPy's function, Batches for arrays; what comes out is data ------


def _elementwise(function: Any, *args: Any, **kwargs: Any) -> Any:
    ndim = max(x.ndim for x in (*args, *kwargs.values()) if isinstance(x, Batch))
    aligned = {k: _align(v, ndim) for k, v in kwargs.items()}
    return function(*(_align(x, ndim) for x in args), **aligned)


def _shift(axis: Any, ndim: int) -> Any:
    """Axes of an example as axes of the data; None means all."""
    if axis is None:
        return tuple(range(1, ndim + 1))
    if isinstance(axis, list | tuple):
        return tuple(_shift(a, ndim) for a in axis)
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return axis % ndim + 1


def _reduced(function: Any, a: Batch, axis: Any = None, *, none: Any = None, **options: Any) -> Any:
    return function(a.data, axis=_shift(none if axis is None else axis, a.ndim), **options)


def _along(function: Any, a: Batch, axis: Any = None, *rest: Any, **options: Any) -> Any:
    """Functions for which axis None means: of the flattened array."""
    if axis is None:
        y = function(_ravel(a), 1, *rest, **{**options, "keepdims": False} if "keepdims" in options else options)
        return np.reshape(y, (len(y), *(1,) * a.ndim)) if options.get("keepdims") else y
    return function(a.data, _shift(axis, a.ndim), *rest, **options)


def _last(function: Any, a: Batch, axis: Any = -1, **options: Any) -> Any:
    return _along(function, a, axis, **options)


def _ravel(a: Batch) -> Any:
    return np.reshape(a.data, (len(a.data), a.size))


def _reshape(a: Batch, shape: Any) -> Any:
    shape = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
    if -1 in shape:  # the sizes of the examples decide
        known = math.prod(n for n in shape if n != -1)
        shape = tuple(a.size // known if n == -1 else n for n in shape)
    return np.reshape(a.data, (len(a.data), *shape))


def _transpose(a: Batch, axes: Any = None) -> Any:
    order = range(a.ndim)[::-1] if axes is None else axes
    return np.transpose(a.data, (0, *_shift(tuple(order), a.ndim)))


def _squeeze(a: Batch, axis: Any = None) -> Any:
    axis = tuple(i for i, n in enumerate(a.shape) if n == 1) if axis is None else axis
    return np.squeeze(a.data, _shift(axis, a.ndim))


def _expand_dims(a: Batch, axis: Any) -> Any:
    axes = axis if isinstance(axis, tuple) else (axis,)
    return np.expand_dims(a.data, _shift(axes, a.ndim + len(axes)))


def _roll(a: Batch, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        return np.reshape(np.roll(_ravel(a), shift, 1), a.data.shape)
    return np.roll(a.data, shift, _shift(axis, a.ndim))


def _joined(function: Any, new: int, xs: Any, axis: int = 0) -> Any:
    """concatenate and stack: an array that is shared is repeated beside one that is not."""
    size = max(len(x.data) for x in xs)
    data = [np.broadcast_to(x.data, (size, *x.shape)) for x in xs]
    return function(data, axis=_shift(axis, xs[0].ndim + new))


def _pad(array: Batch, pad_width: Any, mode: str = "constant", **options: Any) -> Any:
    pairs = np.broadcast_to(pad_width, (array.ndim, 2)).tolist()
    return np.pad(array.data, [(0, 0), *pairs], mode, **options)


def _take_along_axis(arr: Batch, indices: Batch, axis: int = -1) -> Any:
    return np.take_along_axis(arr.data, indices.data, _shift(axis, arr.ndim))


def _where(condition: Any, x: Any, y: Any) -> Any:
    return _elementwise(np.where, condition, x, y)


def _matrices(function: Any, *xs: Any, **options: Any) -> Any:
    """Functions of the last two axes, whose other axes broadcast."""
    if min(x.ndim for x in xs if isinstance(x, Batch)) < 2:
        return _each(function, xs[0].level, *xs, **options)
    return _elementwise(function, *xs, **options)


def _alike(function: Any, a: Batch, *args: Any, dtype: Any = None) -> Any:
    return Batch(function(a.data[:1], *args, dtype=dtype), a.level, own=True)


def _matmul(a: Batch, b: Batch) -> Any:
    if a.ndim == 1:
        return _matmul(Batch(a.data[:, None], a.level), b)[..., 0, :]
    if b.ndim == 1:
        return _matmul(a, Batch(b.data[..., None], b.level))[..., 0]
    if b.ndim == 2 and len(b.data) == 1:  # one large product instead of many small ones
        rows = np.reshape(a.data, (math.prod(a.data.shape[:-1]), a.shape[-1]))
        return np.reshape(rows @ b.data[0], (*a.data.shape[:-1], b.shape[-1]))
    if a.ndim == b.ndim == 2 and len(a.data) == 1:  # (b^T a^T)^T is such a product
        x, y = (Batch(np.swapaxes(v.data, 1, 2), v.level) for v in (b, a))
        return np.swapaxes(_matmul(x, y), 1, 2)
    if a.shape[-1] == b.shape[-2] == 1:  # columns times rows
        return _elementwise(np.multiply, a, b)
    return _elementwise(np.matmul, a, b)


def _einsum(subscripts: str, *operands: Batch, **options: Any) -> Any:
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    if not arrow or "." in left:
        return _each(np.einsum, operands[0].level, subscripts, *operands, **options)
    size, z = max(len(x.data) for x in operands), next(c for c in string.ascii_letters if c not in left)
    names = [z + s if len(x.data) == size else s for s, x in zip(left.split(","), operands, strict=True)]
    data = [x.data if len(x.data) == size else x.data[0] for x in operands]
    return np.einsum(f"{','.join(names)}->{z}{right}", *data, **options)


_MAKERS = dict.fromkeys((np.zeros, np.ones, np.empty, np.full, np.array), True)  # to be written to
_MAKERS |= dict.fromkeys((np.arange, np.eye), False)  # places: no example has others
_WRITES = {np.copyto, np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal}
_METHODS = frozenset("sum mean prod max min any all argmax argmin cumsum cumprod ravel".split())
_rules: dict[Any, Callable[..., Any]] = {
    np.matmul: _matmul,
    np.einsum: _einsum,
    np.where: _where,
    np.reshape: _reshape,
    np.ravel: _ravel,
    np.transpose: _transpose,
    np.swapaxes: lambda a, *axes: np.swapaxes(a.data, *_shift(axes, a.ndim)),
    np.moveaxis: lambda a, *places: np.moveaxis(a.data, *(_shift(p, a.ndim) for p in places)),
    np.squeeze: _squeeze,
    np.expand_dims: _expand_dims,
    np.broadcast_to: lambda a, shape: np.broadcast_to(_align(a, len(shape)), (len(a.data), *shape)),
    np.atleast_1d: lambda a: _align(a, 1),
    np.flip: lambda a, axis=None: np.flip(a.data, _shift(axis, a.ndim)),
    np.roll: _roll,
    np.concatenate: partial(_joined, np.concatenate, 0),
    np.stack: partial(_joined, np.stack, 1),
    np.pad: _pad,
    np.take_along_axis: _take_along_axis,
    np.copy: lambda a: a.copy(),
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.may_share_memory: lambda a, b: np.may_share_memory(a.data, b.data),
}
for _f in (np.sum, np.mean, np.max, np.min, np.any, np.all, np.prod, np.var, np.std):
    _rules[_f] = partial(_reduced, _f)
for _f in (np.zeros_like, np.ones_like, np.empty_like, np.full_like):
    _rules[_f] = partial(_alike, _f)
_rules[np.count_nonzero] = partial(_reduced, np.count_nonzero)
for _f in (np.argmax, np.argmin, np.cumsum, np.cumprod):
    _rules[_f] = partial(_along, _f)
for _f in (np.sort, np.argsort):
    _rules[_f] = partial(_last, _f)
for _f in (np.clip, np.round, np.isclose):
    _rules[_f] = partial(_elementwise, _f)
for _f in (np.tril, np.triu, np.linalg.inv, np.linalg.det, np.linalg.slogdet, np.linalg.cholesky):
    _rules[_f] = partial(_matrices, _f)
_rules[np.linalg.solve] = partial(_matrices, np.linalg.solve)
