"""Arguments for property tests, drawn and shrunk by Hypothesis.

Sizes may have names. Within one test, the same name is the same number, as in a formula:

    x=arrays("n i"), W=arrays("o i"), b=arrays("o")

Everything shrinks to what is simple: few axes, sizes of 1, whole numbers from 1.

Not in: what is drawn for the ops of the registry (`samples.py`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hypothesis_numpy
except ImportError as missing:  # pragma: no cover - seen in a process of its own
    raise ImportError(
        'tinynet.check.strategies needs Hypothesis: pip install "tinynet[check]"',
        name="hypothesis",
    ) from missing

from tinynet.errors import ArgumentError

__all__ = [
    "arrays",
    "badly_scaled_arrays",
    "broadcastable_arrays",
    "broadcastable_shapes",
    "edge_shapes",
    "indices",
    "labels",
    "one_hot",
    "probabilities",
    "scales",
    "shapes",
    "views",
]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
T = TypeVar("T")
_MARGIN = 0.1  # how near to a forbidden point an entry may come
_GRID = 32  # entries are multiples of 1/32: exact in binary, short in print
_LARGEST = 4  # of a size with a name


# -- shapes ----------------------------------------------------------------------------------------


def shapes(
    min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 4
) -> st.SearchStrategy[Shape]:
    """Small shapes, the 0-d one among them; with min_side=0, empty ones too.

    >>> from hypothesis import find
    >>> find(shapes(min_dims=1), lambda shape: True)
    (1,)
    >>> find(shapes(min_side=0), lambda shape: 0 in shape)
    (0,)
    """
    return hypothesis_numpy.array_shapes(
        min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side
    )


def edge_shapes() -> st.SearchStrategy[Shape]:
    """The shapes that are forgotten: 0-d, empty, and with sizes of 1.

    >>> from hypothesis import find
    >>> find(edge_shapes(), lambda shape: len(shape) == 2 and 0 in shape)
    (0, 3)
    """
    return st.sampled_from([(), (1,), (0,), (1, 1), (1, 3), (3, 1), (0, 3), (3, 0), (2, 0, 3)])


def broadcastable_shapes(
    n: int = 2, max_dims: int = 3, min_side: int = 1, max_side: int = 4
) -> st.SearchStrategy[tuple[Shape, ...]]:
    """n shapes that broadcast against each other: axes may be missing in front, sizes may be 1.

    >>> from hypothesis import find
    >>> find(broadcastable_shapes(2), lambda s: s[0] != s[1] and np.broadcast_shapes(*s) == (2,))
    ((), (2,))
    """
    return hypothesis_numpy.mutually_broadcastable_shapes(
        num_shapes=n, max_dims=max_dims, min_side=min_side, max_side=max_side
    ).map(lambda drawn: tuple(drawn.input_shapes))


@functools.cache
def _named(name: str) -> st.SearchStrategy[int]:
    return st.shared(st.integers(1, _LARGEST), key=f"tinynet: the size {name}")


def _size(size: Any) -> st.SearchStrategy[int]:
    """A size given as a number, a name or a strategy."""
    if isinstance(size, st.SearchStrategy):
        return size
    if isinstance(size, str):
        return st.just(int(size)) if size.isdigit() else _named(size)
    return st.just(int(size))


def _shape(shape: Any) -> st.SearchStrategy[Shape]:
    """A shape given as "n i", as a size, as sizes, or as a strategy."""
    if shape is None:
        return shapes()
    if isinstance(shape, st.SearchStrategy):
        return shape.map(lambda s: s if isinstance(s, tuple) else (int(s),))
    if isinstance(shape, str):
        return st.tuples(*map(_size, shape.replace(",", " ").split()))
    return st.tuples(*map(_size, shape if isinstance(shape, tuple | list) else (shape,)))


# -- numbers ---------------------------------------------------------------------------------------


def arrays(
    shape: Any = None,
    *,
    low: float = -3.0,
    high: float = 3.0,
    away_from: float | Sequence[float] = (),
    distinct: bool = False,
    scale: Any = 1.0,
    dtype: Any = np.float64,
) -> st.SearchStrategy[Array]:
    """Arrays of numbers between low and high, of a size that differences like.

    shape: `shapes()` if left out; sizes with names, "n 3"; a tuple; a strategy
    away_from: points, such as the kinks of a function, to which no entry comes nearer than 0.1
    distinct: no two entries are equal, so that a maximum has no ties
    scale: a factor, or a strategy such as `scales()`, for the array as a whole; points in
        away_from are scaled with it

    Raises `ArgumentError` if the range holds no number, or not as many as the shape needs.

    >>> from hypothesis import find
    >>> find(arrays((2,), away_from=[0, 1]), lambda x: True)
    array([2., 2.])
    >>> find(arrays("n", distinct=True), lambda x: len(x) == 3)
    array([1., 2., 3.])
    >>> bool(find(arrays((), scale=scales()), lambda x: abs(x) > 1000) > 1000)
    True
    """
    points = tuple(float(p) for p in np.ravel(away_from))
    _grid(low, high, points, _GRID)  # a mistake in the range is told at once
    factors = scale if isinstance(scale, st.SearchStrategy) else st.just(float(scale))

    @functools.lru_cache(maxsize=64)  # to make and to validate one takes longer than to draw
    def filled(drawn: tuple[Shape, Any]) -> st.SearchStrategy[Array]:
        wanted, factor = drawn
        count = math.prod(wanted)
        fine = _GRID
        while distinct and len(_grid(low, high, points, fine)) < 2 * count and fine < 2**16:
            fine *= 2
        values = _grid(low, high, points, fine)
        if distinct and len(values) < count:
            raise ArgumentError(f"there are no {count} distinct numbers from {low} to {high}")
        return hypothesis_numpy.arrays(
            np.float64,
            wanted,
            elements=st.sampled_from(values),
            unique=distinct,
            fill=st.nothing(),
        ).map(lambda x: np.asarray(x * factor, dtype=dtype))

    return st.tuples(_shape(shape), factors).flatmap(filled)


@functools.lru_cache(maxsize=64)
def _grid(low: float, high: float, away_from: tuple[float, ...], fine: float) -> tuple[float, ...]:
    """The numbers to draw from, simplest first: 1, 2, ..., −1, ..., 0, then halves, quarters, ...

    0 is not the simplest: there, too many mistakes look alike.
    """
    if not low <= high or not math.isfinite(high - low):
        raise ArgumentError("the range is empty", expected="low ≤ high", got=f"{low}, {high}")
    while (high - low) * fine < 8 and high > low:
        fine *= 2
    while (high - low) * fine > 2**14:
        fine /= 2
    ticks = np.arange(math.ceil(low * fine), math.floor(high * fine) + 1) / fine
    values = [float(v) for v in ticks] or [float(low)]
    kept = [v for v in values if all(abs(v - p) >= _MARGIN for p in away_from)]
    if not kept:
        raise ArgumentError(
            f"nothing from {low} to {high} is away from {', '.join(map(str, away_from))}",
            hint="a wider range: arrays(low=..., high=...)",
        )
    return tuple(sorted(kept, key=lambda v: (v.as_integer_ratio()[1], v == 0, v < 0, abs(v))))


def scales(low: float = 1e-8, high: float = 1e8) -> st.SearchStrategy[float]:
    """Powers of ten from low to high; the simplest is 1.

    >>> from hypothesis import find
    >>> find(scales(), lambda scale: scale < 1e-6)
    1e-07
    """
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    return st.sampled_from([float(f"1e{p}") for p in sorted(powers, key=lambda p: (abs(p), p < 0))])


def badly_scaled_arrays(shape: Any = None) -> st.SearchStrategy[Array]:
    """Arrays whose entries are of very different sizes, from 1e-8 to 1e8, of either sign.

    >>> from hypothesis import find
    >>> find(badly_scaled_arrays((2,)), lambda x: x[0] > 1e6 * abs(x[1]))
    array([1.e+07, 1.e+00])
    """
    digits = st.sampled_from([1.0, -1.0, 2.0, -2.0, 5.0, -5.0, 3.7, -3.7])
    entries = st.tuples(digits, scales()).map(lambda drawn: drawn[0] * drawn[1])
    return _shape(shape).flatmap(
        lambda s: hypothesis_numpy.arrays(np.float64, s, elements=entries, fill=st.nothing())
    )


def broadcastable_arrays(n: int = 2, **options: Any) -> st.SearchStrategy[tuple[Array, ...]]:
    """n arrays that broadcast against each other, as a tuple. Options as for `arrays`.

    >>> from hypothesis import find
    >>> find(broadcastable_arrays(2, away_from=0), lambda a: a[0].ndim < a[1].ndim)
    (array(1.), array([1.]))
    """
    return broadcastable_shapes(n).flatmap(
        lambda drawn: st.tuples(*(arrays(shape, **options) for shape in drawn))
    )


# -- memory ----------------------------------------------------------------------------------------

_VIEWS = ("transposed", "strided", "reversed", "read-only", "broadcast")


def views(
    base: st.SearchStrategy[Array] | None = None, kinds: Sequence[str] = _VIEWS
) -> st.SearchStrategy[Array]:
    """The arrays of another strategy, laid out in memory as views are.

    kinds: "transposed" (columns first), "strided" (every second entry of something larger),
    "reversed", "read-only", "broadcast" (one entry stands for all: only for arrays of equal
    entries). Raises `ArgumentError` for another word.

    >>> from hypothesis import find
    >>> x = find(views(arrays((2, 3))), lambda x: not x.flags.c_contiguous)
    >>> x.shape, x.flags.f_contiguous
    ((2, 3), True)
    >>> find(views(arrays((2,)), ["read-only"]), lambda x: True).flags.writeable
    False
    """
    for kind in kinds:
        if kind not in _VIEWS:
            raise ArgumentError(f"no view is called {kind!r}", expected=", ".join(_VIEWS))
    laid = st.tuples(arrays() if base is None else base, st.sampled_from(list(kinds)))
    return laid.map(lambda drawn: _laid_out(*drawn))


def _laid_out(x: Array, kind: str) -> Array:
    """The same entries, elsewhere in memory."""
    if kind == "transposed":
        return np.asarray(x, order="F").copy(order="F")
    if kind == "strided" and x.ndim:
        wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), -7, dtype=x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if kind == "reversed" and x.ndim:
        return np.flip(np.flip(x).copy())
    if kind == "broadcast" and x.size and (x == x.flat[0]).all():
        return np.broadcast_to(x.flat[0], x.shape)
    kept = x.copy()
    kept.flags.writeable = kind != "read-only"
    return kept


# -- classes and weights ---------------------------------------------------------------------------


def indices(size: Any, shape: Any = None, *, distinct: bool = False) -> st.SearchStrategy[Array]:
    """Positions in an axis of `size` entries: integers from 0, which may repeat.

    size: a number, the name of a size, or a strategy. A gradient through x[indices] must add up
    where an index comes twice.

    >>> from hypothesis import find
    >>> find(indices(5, (3,)), lambda i: i.max() == 4)
    array([0, 0, 4])
    """
    wanted = shapes(min_dims=1, max_dims=2) if shape is None else _shape(shape)
    return st.tuples(_size(size), wanted).flatmap(
        lambda drawn: hypothesis_numpy.arrays(
            np.int64,
            drawn[1],
            elements=st.integers(0, drawn[0] - 1),
            unique=distinct,
            fill=st.nothing(),
        )
    )


def labels(count: Any = "n", classes: Any = "c") -> st.SearchStrategy[Array]:
    """The classes of `count` samples: integers from 0 to classes - 1.

    >>> from hypothesis import find
    >>> find(labels(3, 10), lambda y: y[0] > 6)
    array([7, 0, 0])
    """
    return indices(classes, st.tuples(_size(count)))


def one_hot(count: Any = "n", classes: Any = "c") -> st.SearchStrategy[Array]:
    """The same as rows with a single 1.

    >>> from hypothesis import find
    >>> find(one_hot(2, 3), lambda y: y[1, 2] == 1)
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    return st.tuples(_size(classes), _size(count)).flatmap(
        lambda drawn: labels(drawn[1], drawn[0]).map(lambda y: np.eye(drawn[0])[y])
    )


def probabilities(shape: Any = "n c") -> st.SearchStrategy[Array]:
    """Positive numbers that add up to 1 along the last axis; none is below 0.01.

    >>> from hypothesis import find
    >>> find(probabilities((4,)), lambda p: True)
    array([0.25, 0.25, 0.25, 0.25])
    """
    weights = arrays(shape, low=1 / 8, high=3.0)
    return weights.map(lambda w: w / np.sum(w, axis=-1, keepdims=True) if w.ndim else w / w)
