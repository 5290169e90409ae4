r"""Running sums and products, and the product of all entries: ops in which order matters.

The derivative of a product by one factor is the product of the *others*. Dividing the whole by that
factor gives NaN at a zero; here nothing is divided, so that zeros (one, several) are right at every
order: the product of the others is that of those before times that of those after.

For a running product y_i = u_1 ⋯ u_i, the factor u_k stands in every y_i with i >= k, so

    dL/du_k = Σ_{i>=k} g_i Π_{j<=i, j≠k} u_j = (u_1 ⋯ u_{k−1}) s_k,   s_k = g_k + u_{k+1} s_{k+1}

and s is found for all k at once in log₂ n doubling steps (`_recurrence`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.arrays import Array
from tinynet.dispatch import cast
from tinynet.dtypes import (
    int64,
    is_floating,
)
from tinynet.op import implements, primitive
from tinynet.ops.public import public
from tinynet.ops.reductions import Axis, answers_reduce, axes_of, checked_axis, restore

# -- along the last axis ---------------------------------------------------------------------------


def _ahead(x: Any, step: int, fill: float) -> Any:
    """y_k = x_{k+step}; `fill` where there is none."""
    n = min(step, x.shape[-1])
    end = np.zeros((*x.shape[:-1], n), dtype=x.dtype, like=x) + fill
    return np.concatenate((x[..., n:], end), axis=-1)


def _before(x: Any) -> Any:
    """The product of all entries that stand before each."""
    start = np.zeros((*x.shape[:-1], 1), dtype=x.dtype, like=x) + 1
    return np.cumprod(np.concatenate((start, x), axis=-1)[..., :-1], axis=-1)


def _recurrence(a: Any, b: Any) -> Any:
    """s_k = b_k + a_k s_{k+1}, from the last entry to the first: 1, 2, 4 ... terms at a time."""
    step = 1
    while step < a.shape[-1]:
        b = b + a * _ahead(b, step, 0)
        a = a * _ahead(a, step, 0)
        step *= 2
    return b


# -- the table -------------------------------------------------------------------------------------


@primitive(
    name="cumsum",
    formula=r"y_i = \sum_{j \le i} u_j",
    promote="none",
    rules=(lambda g, _y, _u, *, axis: np.flip(np.cumsum(np.flip(g, axis), axis), axis),),
)
def _cumsum(u: Array, *, axis: int) -> Array:
    return np.cumsum(u, axis, dtype=u.dtype)


def _cumprod_rule(g: Any, _y: Any, u: Any, *, axis: int) -> Any:
    last, g_last = np.moveaxis(u, axis, -1), np.moveaxis(g, axis, -1)
    after = _recurrence(_ahead(last, 1, 0), g_last)
    return np.moveaxis(_before(last) * after, -1, axis)


@primitive(
    name="cumprod",
    formula=r"y_i = \prod_{j \le i} u_j",
    promote="none",
    rules=(_cumprod_rule,),
)
def _cumprod(u: Array, *, axis: int) -> Array:
    return np.cumprod(u, axis, dtype=u.dtype)


def _prod_rule(g: Any, _y: Any, u: Any, *, axis: Axis, dtype: Any, keepdims: bool) -> Any:
    axes = axes_of(axis, u.ndim)
    order = (*(i for i in range(u.ndim) if i not in axes), *axes)
    front = np.transpose(u, order)
    row = np.reshape(
        front, (*front.shape[: u.ndim - len(axes)], math.prod(u.shape[a] for a in axes))
    )
    others = _before(row) * np.flip(_before(np.flip(row, -1)), -1)
    back = np.transpose(np.reshape(others, front.shape), tuple(map(order.index, range(u.ndim))))
    return restore(g, u, axis, keepdims) * back


@primitive(
    np.prod,
    name="prod",
    formula=r"\prod_i u_i",
    promote="none",
    rules=(_prod_rule,),
)
def _prod(u: Array, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Array:
    return np.prod(u, axis=axis, dtype=dtype, keepdims=keepdims)


answers_reduce(np.multiply, _prod)


# -- PyTorch's names, and NumPy's ------------------------------------------------------------------


def _widened(input: Any, dtype: Any) -> Any:
    """Whole numbers and truth values are counted in int64."""
    if dtype is None and not is_floating(input.dtype):
        dtype = int64
    return input if dtype is None else cast(input, np.dtype(dtype))


@public
def prod(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Π over the axes `dim` (all by default); the empty product is 1. Right at zeros, at every
    order.

    >>> import tinynet as tn
    >>> x = tn.tensor([2.0, 0.0, 3.0], requires_grad=True)
    >>> x.prod().backward(); x.grad
    tensor([0., 6., 0.])
    """
    return _prod(_widened(input, dtype), axis=checked_axis(input, dim), keepdims=keepdim)


@public
def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The running sum along `dim`.

    >>> import tinynet as tn
    >>> tn.cumsum(tn.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([1., 3., 6.])
    """
    return _running(_cumsum, input, dim, dtype)


@public
def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The running product along `dim`. Right at zeros, at every order.

    >>> import tinynet as tn
    >>> tn.cumprod(tn.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([1., 2., 6.])
    """
    return _running(_cumprod, input, dim, dtype)


def _running(op: Any, input: Any, dim: int | None, dtype: Any) -> Any:
    axis = checked_axis(input, dim)
    input = _widened(input, dtype)
    return op(input, axis=axis) if input.ndim else input * 1


def _flat(x: Any, axis: int | None) -> tuple[Any, int]:
    """NumPy's axis=None: along the flattened array."""
    return (np.ravel(x), 0) if axis is None else (x, axis)


@implements(np.cumsum)
def _np_cumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    a, axis = _flat(a, axis)
    return _running(_cumsum, a, axis, dtype)


@implements(np.cumprod)
def _np_cumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    a, axis = _flat(a, axis)
    return _running(_cumprod, a, axis, dtype)
