"""A batch axis that the function does not see.

`vmap(f)` is f of each example, stacked. A `Batch` holds all examples in one array (b, *shape) and
*presents itself as one of them*: its `.shape` is that of an example, and a NumPy function that is
called on it runs once, one axis further right. The engine computes with anything that answers
NumPy's protocols, so forward passes and rules run on a `Batch` as they stand.

    entry by entry  put the axes of the examples in line behind the batch axis, and broadcast
    along axes      axis k of an example is axis k + 1 of the batch
    matrix product  a matrix that all examples share meets all their rows at once: one product
    x[i]            an index that differs between examples gets the example's number beside it
    anything else   for each example, and stacked: only this one call is a loop

The rules stand in `batch_rules.py`. b is the number of examples, or 1 where all share one value.

What asks for *the* value, `if x > 0`, `int(x)`, is answered where all examples give the same
answer. Where they do not, or where something would happen once that should happen for each example
(a random number, a change in place of what stands outside), the run is given up
(`Level.refuse`), and `vmap` calls the function for each example after all. Batches nest: `data` may
be one.
"""

from __future__ import annotations

import itertools
import math
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
rules: dict[Any, Callable[..., Any]] = {}  # NumPy function -> data of what it gives on Batches
_depths = itertools.count()
_MAKERS: frozenset[Any] = frozenset((np.zeros, np.ones, np.empty, np.full))
_WRITES = frozenset((np.copyto, np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal))
_METHODS = frozenset(("sum", "mean", "prod", "max", "min", "any", "all", "cumsum", "ravel"))


class Level:
    """One run of vmap over `size` examples; `refused` tells that it has to be given up. The later a
    run began, the deeper it is: its batch axis stands in front of those of the others.
    """

    def __init__(self, size: int) -> None:
        self.depth = next(_depths)
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
        raise BatchError(f"vmap: {reason}", hint="a loop over the examples")


def once_for_all(what: str, array: Any = None) -> None:
    """Called before something happens. Inside a run of vmap it would happen once, not for each
    example: refused, unless it happens to a Batch of this run.
    """
    level = current.get()
    if level is not None and not is_of(array, level):
        level.refuse(f"{what} happens for each example")


class Batch(NDArrayOperatorsMixin, arrays.Duck):
    """Arrays of equal shape, one for each example, that present themselves as one.

    data    (b, *shape), b the number of examples or 1
    own     whether nobody else shows this memory, so that it may be written to

    >>> x = Batch(np.array([[1.0, 2.0], [3.0, 4.0]]), Level(2))
    >>> x.shape, (x * x).sum().data, (x @ np.array([1.0, 0.0])).data
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

    def astype(self, dtype: Any, copy: bool = True) -> Any:
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
        raise AttributeError(f"a batch of examples has no attribute {name!r}")

    # -- what asks for the value -------------------------------------------------------------------

    def agreed(self) -> Any:
        """The array of any one example, if all have the same."""
        if len(self.data) > 1 and not bool((self.data == self.data[:1]).all()):
            self.level.refuse("a value is asked for that differs between the examples")
        return self.data[0, ...]

    def item(self) -> Any:
        """The one entry."""
        return self.agreed().item()

    def tolist(self) -> Any:
        """The entries."""
        return self.agreed().tolist()

    def __bool__(self) -> bool:
        return bool(self.agreed())

    def __int__(self) -> int:
        return int(self.agreed())

    def __float__(self) -> float:
        return float(self.agreed())

    __index__ = __int__

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        self.level.refuse("all examples are one Batch here, not a NumPy array")

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d array")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Batch({self.data!r})"

    # -- indexing ----------------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        level = level_of(parts)
        if level is not None and level.depth > self.level.depth:
            return Batch(self[None], level)[index]
        place, count, before = self._place(parts)
        y = _among(self.data, level_of(place))[place]
        if count and before:
            y = np.moveaxis(y, *_fronts(count, before))
        return _batch(y, self.level, [self])

    def __setitem__(self, index: Any, value: Any) -> None:
        self.write(index, value, lambda data, place, v: data.__setitem__(place, v))

    def write(self, index: Any, value: Any, write: Callable[..., None]) -> None:
        """write(data, index of data, values in line with it), if nobody else shows the memory."""
        parts = index if isinstance(index, tuple) else (index,)
        level = level_of((parts, value))
        if not self.own or (level is not None and level.depth > self.level.depth):
            self.level.refuse("memory is written to that the examples share")
        if level is self.level and len(self.data) < level.size:
            self.data = np.broadcast_to(self.data, (level.size, *self.shape)).copy()
        place, count, before = self._place(parts)
        if arrays.is_array(value):
            ndim = count + sum(p is None or isinstance(p, slice) for p in place[1:])
            value = align(lift(value, self.level), ndim)
            if count and before:  # as in the target: the axes of the index arrays in front
                value = np.moveaxis(value, *_fronts(count, before)[::-1])
        self.data = _among(self.data, level_of((place, value)))
        write(self.data, place, value)

    def _place(self, parts: tuple[Any, ...]) -> tuple[tuple[Any, ...], int, int]:
        """The index of `data` that is this index in every example; how many axes its arrays make
        together; and how many axes stand before those. NumPy puts them in front here.
        """
        parts = tuple(p for part in parts for p in self._without_mask(part))
        used = sum(p is not None and p is not Ellipsis and not _is_mask(p) for p in parts)
        at = next((i for i, p in enumerate(parts) if p is Ellipsis), len(parts))
        parts = (*parts[:at], *(slice(None),) * (self.ndim - used), *parts[at + 1 :])
        if not any(arrays.is_array(p) for p in parts):
            return (slice(None), *parts), 0, 0
        picks = [i for i, p in enumerate(parts) if p is not None and not isinstance(p, slice)]
        together = picks[-1] - picks[0] < len(picks)
        count = max(p.ndim or _is_mask(p) for p in parts if arrays.is_array(p))
        examples = np.arange(len(self.data), like=self.data).reshape(-1, *(1,) * count)
        own = [align(p, count) if is_of(p, self.level) else p for p in parts]
        return (examples, *own), count, picks[0] if together else 0

    def _without_mask(self, part: Any) -> tuple[Any, ...]:
        """The places where a mask is true: they may not differ between the examples. A mask of no
        axes stays; it makes an axis of size 1 or 0.
        """
        part = np.array(part) if isinstance(part, bool) else part
        if not _is_mask(part):
            return (part,)
        part = part.agreed() if is_of(part, self.level) else part
        return tuple(np.nonzero(part)) if part.ndim else (part,)

    # -- NumPy's protocols -------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if any(hasattr(x, "__array_ufunc__") and not arrays.is_array(x) for x in args):
            return NotImplemented  # a Tensor among them answers
        if method == "__call__":
            rule = rules.get(ufunc) or (None if ufunc.signature else partial(elementwise, ufunc))
            return _answer(ufunc, rule, args, kwargs, fresh=True)
        if ufunc is np.add and method == "at" and isinstance(args[0], Batch):
            return args[0].write(args[1], args[2], arrays.index_add)
        return _answer(getattr(ufunc, method), rules.get((ufunc, method)), args, kwargs)

    def __array_function__(self, function: Any, _types: Any, args: Any, kwargs: Any) -> Any:
        if function in _MAKERS:  # called as np.zeros(shape, like=self)
            shape = (1, *np.atleast_1d(args[0]).tolist())
            made = function(shape, *args[1:], **kwargs, like=self.data)
            return Batch(made, self.level, own=True)
        if function is np.array:
            return Batch(np.array(*args, **kwargs, like=self.data)[None], self.level)
        if function in (np.arange, np.eye):  # places: no example has others
            return function(*args, **kwargs, like=self.data)
        if any(hasattr(x, "__array_function__") and not arrays.is_array(x) for x in _leaves(args)):
            return NotImplemented
        return _answer(function, rules.get(function), args, kwargs)


# -- in and out ------------------------------------------------------------------------------------


def batched(x: Array, axis: int | None, level: Level) -> Batch:
    """The examples along `axis`; with None, x is shared by all."""
    if isinstance(x, Batch) and x.level.depth > level.depth:  # in the backward pass of a run
        return Batch(batched(x.data, _behind(axis, x.ndim), level), x.level)
    return Batch(x[None] if axis is None else np.moveaxis(x, axis, 0), level)


def unbatched(x: Array, axis: int | None, level: Level) -> Array:
    """The examples along `axis` of one array; with None, their sum. The adjoint of `batched`."""
    if isinstance(x, Batch) and x.level.depth > level.depth:
        return Batch(unbatched(x.data, _behind(axis, x.ndim + 1), level), x.level)
    data = lift(x, level).data
    if axis is None:
        return np.sum(data, axis=0) if len(data) == level.size else data[0] * level.size
    if len(data) < level.size:
        data = np.broadcast_to(data, (level.size, *data.shape[1:]))
    return np.moveaxis(data, 0, axis) if axis else data


def _behind(axis: int | None, ndim: int) -> int | None:
    """An axis of an example as one of the data."""
    return None if axis is None else axis % ndim + 1


def is_of(x: Any, level: Level) -> bool:
    """Whether x is a Batch of this run."""
    return isinstance(x, Batch) and x.level is level


def level_of(x: Any) -> Level | None:
    """The innermost run of which a Batch stands in x."""
    levels = [leaf.level for leaf in _leaves(x) if isinstance(leaf, Batch)]
    return max(levels, key=lambda level: level.depth, default=None)


def lift(x: Any, level: Level) -> Any:
    """An array as a Batch of this run: shared by all examples, if it is none yet."""
    return Batch(x[None], level) if arrays.is_array(x) and not is_of(x, level) else x


def align(x: Any, ndim: int) -> Any:
    """The data of a Batch, the axes of its examples made `ndim` by leading ones."""
    if not isinstance(x, Batch) or x.ndim >= ndim:
        return x.data if isinstance(x, Batch) else x
    return np.reshape(x.data, (len(x.data), *(1,) * (ndim - x.ndim), *x.shape))


def _among(data: Array, level: Level | None) -> Array:
    """data, as a Batch of a run outside if that takes part."""
    plain = level is None or isinstance(data, Batch)
    return data if plain else Batch(data[None], level, own=True)  # type: ignore[arg-type]


def _is_mask(x: Any) -> bool:
    return arrays.is_array(x) and x.dtype.kind == "b"


def _fronts(count: int, before: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where `count` axes stand in front of `before` others, and where behind them."""
    front = tuple(range(1, count + 1))
    return front, tuple(before + i for i in front)


# -- running a NumPy function ----------------------------------------------------------------------


def _answer(
    function: Any, rule: Any, args: Any, kwargs: dict[str, Any], fresh: bool = False
) -> Any:
    """Run a function of NumPy: by its rule, which takes Batches and gives data, or one by one. What
    is fresh shows nobody's memory.
    """
    given = [x for x in _leaves((args, list(kwargs.values()))) if isinstance(x, Batch)]
    level = max((x.level for x in given), key=lambda level: level.depth)
    if kwargs.get("out") is not None or function in _WRITES:
        level.refuse(f"np.{function.__name__} writes to an array")
    args = _map(lambda x: lift(x, level), args)
    kwargs = {k: _map(lambda x: lift(x, level), v) for k, v in kwargs.items()}
    y = (rule or partial(one_by_one, function, level))(*args, **kwargs)
    return Batch(y, level, own=True) if fresh else _map(lambda v: _batch(v, level, given), y)


def _batch(y: Any, level: Level, given: list[Batch]) -> Any:
    """What a rule gave, as a Batch; where it shows the memory of a given one, that is noted."""
    if not arrays.is_array(y) or is_of(y, level):
        return y
    for x in given:
        if x.own and np.may_share_memory(x.data, y):
            x.own = False
    return Batch(y, level)


def elementwise(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Functions that work entry by entry: their arguments broadcast."""
    if any(isinstance(x, list | tuple) for x in args):
        level = next(x.level for x in args if isinstance(x, Batch))
        args = tuple(lift(np.asarray(x), level) if isinstance(x, list | tuple) else x for x in args)
    ndim = max(x.ndim for x in (*args, *kwargs.values()) if isinstance(x, Batch))
    aligned = {k: align(v, ndim) for k, v in kwargs.items()}
    return function(*(align(x, ndim) for x in args), **aligned)


def one_by_one(function: Any, level: Level, *args: Any, **kwargs: Any) -> Any:
    """For each example, and stacked: what has no rule."""

    def of(i: int) -> Any:
        def pick(x: Any) -> Any:
            return x.data[min(i, len(x.data) - 1), ...] if isinstance(x, Batch) else x

        return function(*_map(pick, args), **{k: _map(pick, v) for k, v in kwargs.items()})

    def joined(*ys: Any) -> Any:
        first = ys[0]
        if isinstance(first, list | tuple) and all(len(y) == len(first) for y in ys):
            return _like(first, [joined(*column) for column in zip(*ys, strict=True)])
        if all(arrays.is_array(y) and y.shape == first.shape for y in ys):
            return np.stack(ys)
        if not all(not arrays.is_array(y) and y == first for y in ys):
            level.refuse(f"np.{function.__name__} has results of different shapes or values")
        return first

    batches = [x for x in _leaves((args, list(kwargs.values()))) if isinstance(x, Batch)]
    return joined(*(of(i) for i in range(max(len(x.data) for x in batches))))


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
    return _like(x, [_map(function, part) for part in x])


def _like(x: Any, parts: list[Any]) -> Any:
    """The parts in a list or tuple of the kind of x."""
    return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
