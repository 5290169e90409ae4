r"""Sums and their kin: ops that make axes disappear.

In the formulas i runs over the entries that are reduced, n is their number. A reduced axis is put
back with size 1 (`restore`) so that the gradient lines up with the input; from there it
broadcasts.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tinynet.arrays import Array
from tinynet.dispatch import cast
from tinynet.dtypes import (
    int64,
    is_floating,
)
from tinynet.errors import ArgumentError, OutOfRangeError, ShapeError
from tinynet.op import Op, implements, primitive
from tinynet.ops.public import public
from tinynet.tensor import Tensor

Axis = int | tuple[int, ...] | None


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes as non-negative numbers; None means all."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim if ndim else 0 for a in (axis if isinstance(axis, tuple) else (axis,)))


def restore(g: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """A reduced value with the reduced axes back, of size 1, so that it broadcasts to x."""
    if keepdims or axis is None:
        return g
    axes = axes_of(axis, x.ndim)
    return np.reshape(g, tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


def _spread(g: Any, x: Any, axis: Axis, keepdims: bool, n: int = 1) -> Any:
    """A reduced value, divided by n and repeated to x's shape."""
    restored = restore(g if n == 1 else g / n, x, axis, keepdims)
    return np.zeros(x.shape, dtype=g.dtype, like=g) + restored


def _count(x: Any, axis: Axis) -> int:
    """How many entries are reduced into one."""
    return math.prod(x.shape[a] for a in axes_of(axis, x.ndim)) if x.ndim else 1


# -- the table -------------------------------------------------------------------------------------


@primitive(
    np.sum,
    name="sum",
    formula=r"\sum_i u_i",
    promote="none",
    rules=(lambda g, _y, _u, *, axis, keepdims, dtype: _spread(g, _u, axis, keepdims),),
)
def _sum(u: Array, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Array:
    return u.sum(axis=axis, dtype=dtype, keepdims=keepdims)


@primitive(
    np.mean,
    name="mean",
    formula=r"\frac{1}{n} \sum_i u_i",
    promote="none",
    rules=(
        lambda g, _y, _u, *, axis, keepdims, dtype: _spread(
            g, _u, axis, keepdims, _count(_u, axis) or 1
        ),
    ),
)
def _mean(u: Array, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Array:
    if _count(u, axis) == 0:  # the mean of nothing is NaN; NumPy would also warn
        return u.sum(axis=axis, dtype=dtype, keepdims=keepdims) / math.nan
    return u.mean(axis=axis, dtype=dtype, keepdims=keepdims)


def _var_rule(g: Any, _y: Any, u: Any, *, axis: Axis, ddof: float, keepdims: bool) -> Any:
    centred = u - np.mean(u, axis=axis, keepdims=True)
    return restore(g, u, axis, keepdims) * centred * (2 / _at_least_0(_count(u, axis) - ddof))


def _at_least_0(n: float) -> float:
    """n, or a NaN that says: no degrees of freedom."""
    return n if n > 0 else math.nan


@primitive(
    np.var,
    name="var",
    formula=r"\frac{1}{n - c} \sum_i \bigl(u_i - \tfrac{1}{n} \sum_j u_j\bigr)^2",
    promote="none",
    rules=(_var_rule,),
)
def _var(u: Array, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Array:
    centred = u - np.mean(u, axis=axis, keepdims=True)
    return np.sum(centred * centred, axis=axis, keepdims=keepdims) / _at_least_0(
        _count(u, axis) - ddof
    )


def _std_rule(g: Any, y: Any, u: Any, *, axis: Axis, ddof: float, keepdims: bool) -> Any:
    """As of √var; 0 at every order where the deviation is 0, and √ has no derivative."""
    g_over_2y = np.where(y == 0, 0, g / (2 * np.where(y == 0, 1, y)))
    return _var_rule(g_over_2y, None, u, axis=axis, ddof=ddof, keepdims=keepdims)


@primitive(
    np.std,
    name="std",
    formula=r"\sqrt{\tfrac{1}{n - c} \sum_i \bigl(u_i - \tfrac{1}{n} \sum_j u_j\bigr)^2}",
    domain="no constant rows",
    promote="none",
    rules=(_std_rule,),
)
def _std(u: Array, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Array:
    return np.sqrt(_var(u, axis=axis, ddof=ddof, keepdims=keepdims))


def _extreme_rule(g: Any, y: Any, u: Any, *, axis: Axis, keepdims: bool) -> Any:
    """Ties share evenly; where the result is NaN, its NaNs do. The count is taken in g's dtype."""
    winners = (u == restore(y, u, axis, keepdims)) | (u != u)
    count = np.sum(winners, axis=axis, keepdims=True, dtype=g.dtype)
    return np.where(winners, restore(g, u, axis, keepdims) / count, 0)


@primitive(
    np.max,
    name="amax",
    formula=r"\max_i u_i",
    domain="no ties",
    promote="none",
    rules=(_extreme_rule,),
)
def _amax(u: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    return np.max(u, axis=axis, keepdims=keepdims)


@primitive(
    np.min,
    name="amin",
    formula=r"\min_i u_i",
    domain="no ties",
    promote="none",
    rules=(_extreme_rule,),
)
def _amin(u: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    return np.min(u, axis=axis, keepdims=keepdims)


def _finite(y: Any) -> Any:
    """y, with 0 where it is -inf: the logarithm of a sum of zeros then has gradient 0, not NaN."""
    return np.where(y == -math.inf, 0, y)


@primitive(
    name="logsumexp",
    formula=r"\ln \sum_i e^{u_i}",
    promote="float",
    rules=(
        lambda g, y, u, *, axis, keepdims: (
            restore(g, u, axis, keepdims) * np.exp(u - restore(_finite(y), u, axis, keepdims))
        ),
    ),
)
def _logsumexp(u: Array, *, axis: Axis = None, keepdims: bool = False) -> Array:
    """ln Σ e^u, with the largest entry taken out first so that nothing overflows.

    Its gradient is softmax: ∂y/∂u_j = e^{u_j} / Σ_i e^{u_i} = e^{u_j − y}. All n of them are
    positive and sum to 1, as the gradient of max does: ln Σ e^u is a smooth maximum, and lies
    between max u and max u + ln n, since the largest term alone, and n times that, bound the sum.
    """
    if _count(u, axis) == 0:  # no largest entry; ln 0
        return u.sum(axis=axis, keepdims=keepdims) - math.inf
    m = np.max(u, axis=axis, keepdims=True)
    m = np.where(np.isfinite(m), m, 0)
    with np.errstate(divide="ignore"):  # ln 0 = -inf is the right answer where every entry is -inf
        y = np.log(np.sum(np.exp(u - m), axis=axis, keepdims=True)) + m
    return y if keepdims else np.squeeze(y, axis=axis)


@primitive(np.argmax, name="argmax", formula=r"\arg\max_i u_i", promote="none")
def _argmax(u: Array, axis: int | None = None, *, keepdims: bool = False) -> Array:
    return np.argmax(u, axis=axis, keepdims=keepdims)


@primitive(np.argmin, name="argmin", formula=r"\arg\min_i u_i", promote="none")
def _argmin(u: Array, axis: int | None = None, *, keepdims: bool = False) -> Array:
    return np.argmin(u, axis=axis, keepdims=keepdims)


@primitive(np.any, name="any", formula=r"\bigvee_i u_i", promote="none")
def _any(u: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    return np.any(u, axis=axis, keepdims=keepdims)


@primitive(np.all, name="all", formula=r"\bigwedge_i u_i", promote="none")
def _all(u: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    return np.all(u, axis=axis, keepdims=keepdims)


def answers_reduce(ufunc: Any, op: Op) -> None:
    """Let an op answer for `ufunc.reduce`, which works along axis 0 where none is given."""

    @implements((ufunc, "reduce"))
    def reduce(array: Any, axis: Axis = 0, **options: Any) -> Any:
        return op(array, axis=axis, **options)


for _ufunc, _op in (
    (np.add, _sum),
    (np.maximum, _amax),
    (np.minimum, _amin),
    (np.logical_or, _any),
    (np.logical_and, _all),
):
    answers_reduce(_ufunc, _op)


# -- PyTorch's names -------------------------------------------------------------------------------


def checked_axis(input: Any, dim: Any) -> Axis:
    """`dim` as NumPy wants it, or an error that names the valid range."""
    if dim is None or (isinstance(dim, list | tuple) and not dim):
        return None
    dims = tuple(dim) if isinstance(dim, list | tuple) else (dim,)
    ndim = input.ndim or 1
    for d in dims:
        if not -ndim <= int(d) < ndim:
            raise OutOfRangeError(
                f"there is no axis {d}",
                expected=f"{-ndim} … {ndim - 1}",
                got=f"shape {tuple(input.shape)}",
            )
    if len({int(d) % ndim for d in dims}) < len(dims):
        raise ArgumentError(f"an axis is named twice: {dims}")
    if input.ndim == 0:
        return None
    return tuple(int(d) for d in dims) if isinstance(dim, list | tuple) else int(dim)


def _nonempty(input: Any, dim: Axis, name: str) -> Axis:
    axis = checked_axis(input, dim)
    if _count(input, axis) == 0:
        raise ShapeError(
            f"{name} of nothing: the reduced axes have no entries",
            got=f"shape {tuple(input.shape)}",
        )
    return axis


@public
def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Σ over the axes `dim` (all by default). Booleans and integers are summed as int64.

    >>> import tinynet as tn
    >>> tn.tensor([[1.0, 2.0], [3.0, 4.0]]).sum(dim=0)
    tensor([4., 6.])
    """
    if dtype is None and input.dtype.kind in "biu":
        dtype = int64
    input = input if dtype is None else cast(input, np.dtype(dtype))
    return _sum(input, axis=checked_axis(input, dim), keepdims=keepdim)


def _floating(input: Any, name: str) -> None:
    if not is_floating(input.dtype):
        raise ArgumentError(
            f"{name} needs floating-point entries", got=str(input.dtype), hint="x.float()"
        )


@public
def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """(1/n) Σ over the axes `dim` (all by default).

    >>> import tinynet as tn
    >>> tn.tensor([[1.0, 2.0], [3.0, 6.0]]).mean(dim=-1)
    tensor([1.5000, 4.5000])
    """
    input = input if dtype is None else cast(input, np.dtype(dtype))
    _floating(input, "mean")
    return _mean(input, axis=checked_axis(input, dim), keepdims=keepdim)


@public
def var(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """Σ (u − mean)² / (n − correction). `correction` is 1 by default (unbiased), as in PyTorch;
    NumPy's `np.var` has 0.

    >>> import tinynet as tn
    >>> x = tn.tensor([1.0, 2.0, 3.0])
    >>> x.var(), np.var(x)
    (tensor(1.), tensor(0.6667))
    """
    return _deviation(_var, input, dim, unbiased, keepdim, correction)


@public
def std(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """√var: the standard deviation, with the arguments of `var`. Its gradient is 0 where it is 0.

    >>> import tinynet as tn
    >>> x = tn.tensor([1.0, 3.0, 5.0])
    >>> x.std(), np.std(x)
    (tensor(2.), tensor(1.6330))
    """
    return _deviation(_std, input, dim, unbiased, keepdim, correction)


def _deviation(
    op: Op, input: Any, dim: Any, unbiased: bool | None, keepdim: bool, correction: float | None
) -> Any:
    if isinstance(dim, bool):  # PyTorch's var(input, unbiased)
        dim, unbiased = None, dim
    _floating(input, op.name)
    if correction is None:
        correction = 0 if unbiased is False else 1
    return op(input, axis=checked_axis(input, dim), ddof=correction, keepdims=keepdim)


@public
def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """`sum` in which NaN counts as 0, and receives the gradient 0.

    >>> import tinynet as tn
    >>> tn.nansum(tn.tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    return sum(np.where(np.isnan(input), 0, input), dim, keepdim, dtype=dtype)


@implements(np.nansum)
def _np_nansum(a: Any, axis: Axis = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
    return nansum(a, axis, keepdims, dtype=dtype)


@public
def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many entries are not 0, as int64.

    >>> import tinynet as tn
    >>> tn.count_nonzero(tn.tensor([[1.0, 0.0], [2.0, 3.0]]), dim=1)
    tensor([1, 2])
    """
    return sum(input != 0, dim)


@implements(np.count_nonzero)
def _np_count_nonzero(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    return sum(a != 0, axis, keepdims)


@public
def amax(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The largest entry along `dim` (a number, several, or all). Ties share the gradient evenly;
    NaN wins.

    >>> import tinynet as tn
    >>> x = tn.tensor([3.0, 3.0, 1.0], requires_grad=True)
    >>> x.amax().backward(); x.grad
    tensor([0.5000, 0.5000, 0.0000])
    """
    return _amax(input, axis=_nonempty(input, dim, "amax"), keepdims=keepdim)


@public
def amin(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The smallest entry along `dim`, as `amax`."""
    return _amin(input, axis=_nonempty(input, dim, "amin"), keepdims=keepdim)


class ValuesIndices(NamedTuple):
    """What `max(dim)` and `min(dim)` return."""

    values: Any
    indices: Any


def _at(input: Any, dim: int, indices: Any, keepdim: bool) -> ValuesIndices:
    """The entries at `indices` along dim: the gradient goes to those entries alone."""
    if input.ndim == 0:
        return ValuesIndices(input[()], indices)
    values = np.take_along_axis(input, indices, axis=dim)
    if keepdim:
        return ValuesIndices(values, indices)
    return ValuesIndices(np.squeeze(values, axis=dim), np.squeeze(indices, axis=dim))


def _extreme(input: Any, dim: Any, keepdim: bool, name: str) -> Any:
    from tinynet.ops import elementwise

    both, reduce, arg = {
        "max": (elementwise.maximum, _amax, _argmax),
        "min": (elementwise.minimum, _amin, _argmin),
    }[name]
    if dim is None:
        return reduce(input, axis=_nonempty(input, None, name))
    if isinstance(dim, Tensor):
        return both(input, dim)
    axis = _nonempty(input, dim, name)
    indices = arg(input, axis=axis, keepdims=True) if input.ndim else _argmax(input)
    return _at(input, dim, indices, keepdim)


@public
def max(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest entry; with `dim`, (values, indices) along that axis; with a Tensor, the larger
    of the two.

    >>> import tinynet as tn
    >>> tn.tensor([[1.0, 5.0], [4.0, 2.0]]).max(dim=1)
    ValuesIndices(values=tensor([5., 4.]), indices=tensor([1, 0]))
    """
    return _extreme(input, dim, keepdim, "max")


@public
def min(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest entry, as `max`."""
    return _extreme(input, dim, keepdim, "min")


@public
def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Where the largest entry stands: along `dim`, or in the flattened tensor. Of several, the
    first.
    """
    return _argmax(input, axis=_nonempty(input, dim, "argmax"), keepdims=keepdim)


@public
def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Where the smallest entry stands, as `argmax`."""
    return _argmin(input, axis=_nonempty(input, dim, "argmin"), keepdims=keepdim)


@public
def any(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether some entry is not zero."""
    return _any(input, axis=checked_axis(input, dim), keepdims=keepdim)


@public
def all(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether no entry is zero."""
    return _all(input, axis=checked_axis(input, dim), keepdims=keepdim)


@public
def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """ln Σ e^u over `dim`, without overflow. All entries −inf give −inf, with gradient 0.

    >>> import tinynet as tn
    >>> tn.logsumexp(tn.tensor([1000.0, 1000.0]), dim=0)
    tensor(1000.6932)
    """
    return _logsumexp(input, axis=checked_axis(input, dim), keepdims=keepdim)
