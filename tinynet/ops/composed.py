"""PyTorch's names for what a line of other ops computes. No rule stands here: the gradients are
those of the ops.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tinynet import dtypes
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.ops.creation import eye, ones
from tinynet.ops.elementwise import clamp, isnan, logical_not
from tinynet.ops.linalg import inv, vector_norm
from tinynet.ops.pieces import narrow, roll
from tinynet.ops.products import matmul
from tinynet.ops.public import public
from tinynet.ops.reductions import amax, amin, mean, nansum, std, var
from tinynet.ops.reductions import sum as sum_
from tinynet.ops.shape import axis_of, cat, squeeze, unsqueeze

# -- entry by entry --------------------------------------------------------------------------------


@public
def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value · tensor1 · tensor2; all three broadcast.

    >>> import tinynet as tn
    >>> tn.addcmul(tn.zeros(2), tn.tensor([1.0, 2.0]), tn.tensor([3.0, 4.0]), value=0.5)
    tensor([1.5000, 4.0000])
    """
    return input + (tensor1 * tensor2 if value == 1 else value * tensor1 * tensor2)


@public
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value · tensor1 / tensor2; all three broadcast."""
    return input + value * (tensor1 / tensor2)


@public
def clamp_min(input: Any, min: Any) -> Any:
    """`clamp` from below."""
    return clamp(input, min=min)


@public
def clamp_max(input: Any, max: Any) -> Any:
    """`clamp` from above."""
    return clamp(input, max=max)


@public
def nan_to_num(
    input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """Numbers in place of NaN and the infinities, by default 0 and the largest there are. No
    gradient passes where something was replaced.

    >>> import tinynet as tn
    >>> tn.nan_to_num(tn.tensor([1.0, tn.nan, tn.inf]), posinf=9.0)
    tensor([1., 0., 9.])
    """
    if not dtypes.is_floating(input.dtype):
        return input * 1
    limits = dtypes.finfo(input.dtype)
    y = np.where(isnan(input), nan, input)
    y = np.where(input == math.inf, limits.max if posinf is None else posinf, y)
    return np.where(input == -math.inf, limits.min if neginf is None else neginf, y)


@public
def xlogy(input: Any, other: Any) -> Any:
    """input · ln other, and 0 where input is 0; either may be a number.

    >>> import tinynet as tn
    >>> tn.xlogy(tn.tensor([0.0, 2.0]), tn.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    zero = np.equal(input, 0) & logical_not(np.isnan(other * 1.0))
    return np.where(zero, 0.0, input) * np.log(np.where(zero, 1.0, other))


@public
def logit(input: Any, eps: float | None = None) -> Any:
    """ln(x / (1 − x)), which undoes sigmoid; with eps, of x pulled back into [eps, 1 − eps].

    >>> import tinynet as tn
    >>> tn.logit(tn.tensor([0.5, 1.0]), eps=0.1)
    tensor([0.0000, 2.1972])
    """
    x = input if eps is None else clamp(input, eps, 1 - eps)
    return np.log(x / (1 - x))


@public
def logical_xor(input: Any, other: Any) -> Any:
    """Whether exactly one of the two is not 0."""
    return np.not_equal(np.not_equal(input, 0), np.not_equal(other, 0))


@public
def deg2rad(input: Any) -> Any:
    """Degrees as radians."""
    return input * (math.pi / 180)


@public
def rad2deg(input: Any) -> Any:
    """Radians as degrees."""
    return input * (180 / math.pi)


# -- along an axis ---------------------------------------------------------------------------------


class MinMax(NamedTuple):
    """What `aminmax` gives."""

    min: Any
    max: Any


@public
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """(min, max), of all entries or along `dim`."""
    return MinMax(amin(input, dim, keepdim), amax(input, dim, keepdim))


@public
def nanmean(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The mean of the entries that are not NaN.

    >>> import tinynet as tn
    >>> tn.nanmean(tn.tensor([1.0, tn.nan, 3.0]))
    tensor(2.)
    """
    there = logical_not(isnan(input))
    return nansum(input, dim, keepdim) / sum_(there, dim, keepdim)


def var_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """(variance, mean), with the arguments of `var`.

    >>> import tinynet as tn
    >>> tn.var_mean(tn.tensor([1.0, 3.0]), correction=0)
    (tensor(1.), tensor(2.))
    """
    spread = var(input, dim, unbiased, keepdim, correction=correction)
    return spread, mean(input, None if isinstance(dim, bool) else dim, keepdim)


def std_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """(standard deviation, mean), with the arguments of `std`."""
    spread = std(input, dim, unbiased, keepdim, correction=correction)
    return spread, mean(input, None if isinstance(dim, bool) else dim, keepdim)


public(var_mean, as_method=False)
public(std_mean, as_method=False)


@public
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Each entry minus the one before it along `dim`, n times over.

    >>> import tinynet as tn
    >>> tn.diff(tn.tensor([1, 4, 9, 16])), tn.diff(tn.tensor([1, 4, 9, 16]), n=2)
    (tensor([3, 5, 7]), tensor([2, 2]))
    """
    if input.ndim == 0:
        raise ShapeError("diff needs an axis", got=describe(input))
    if n == 0:
        return input
    input = cat([x for x in (prepend, input, append) if x is not None], dim)
    for _ in range(n):
        size = max(input.shape[axis_of(dim, input.ndim)] - 1, 0)
        later = narrow(input, dim, min(1, input.shape[dim]), size)
        earlier = narrow(input, dim, 0, size)
        input = later ^ earlier if input.dtype == dtypes.bool_ else later - earlier
    return input


def trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    """The integral of y along `dim` by the trapezoidal rule, over the points x or at steps of dx.

    >>> import tinynet as tn
    >>> tn.trapezoid(tn.tensor([1.0, 2.0, 3.0])), tn.trapezoid(tn.tensor([1.0, 2.0]), dx=2)
    (tensor(4.), tensor(3.))
    """
    axis = axis_of(dim, y.ndim)
    n = y.shape[axis]
    if n == 0:
        return sum_(y, axis)
    if x is None:
        width: Any = dx
    else:
        width = diff(x, dim=-1 if x.ndim == 1 else dim)
        width = np.reshape(width, (-1, *(1,) * (y.ndim - axis - 1))) if x.ndim == 1 else width
    return sum_((narrow(y, axis, 1, n - 1) + narrow(y, axis, 0, n - 1)) / 2 * width, axis)


public(trapezoid, as_method=False)
public(trapezoid, name="trapz", as_method=False)

# -- between vectors and matrices ------------------------------------------------------------------


@public
def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of input − other."""
    return vector_norm(input - other, p)


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str | None = None) -> Any:
    """The p-norm distance of every row of x1 from every row of x2. `compute_mode` chooses between
    two ways in PyTorch; here there is one.

    Shapes: x1 (…, n, d), x2 (…, m, d), y (…, n, m); the leading axes broadcast.

    >>> import tinynet as tn
    >>> tn.cdist(tn.tensor([[0.0, 0.0]]), tn.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    if min(x1.ndim, x2.ndim) < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(
            "cdist: rows of one length are expected", got=f"{describe(x1)}, {describe(x2)}"
        )
    return vector_norm(unsqueeze(x1, -2) - unsqueeze(x2, -3), p, dim=-1)


public(cdist, as_method=False)


@public
def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """The vector at right angles to both, as long as the area between them, along an axis of 3:
    `dim`, or the first such.

    >>> import tinynet as tn
    >>> tn.cross(tn.tensor([1.0, 0.0, 0.0]), tn.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    if dim is None:
        dim = next((i for i, n in enumerate(input.shape) if n == 3), 0)
    if input.ndim != other.ndim or {input.size(dim), other.size(dim)} != {3}:
        raise ShapeError(
            f"cross: axis {dim} has not 3 entries", got=f"{describe(input)}, {describe(other)}"
        )
    a, b = [roll(input, -k, dim) for k in (1, 2)], [roll(other, -k, dim) for k in (1, 2)]
    return a[0] * b[1] - a[1] * b[0]


@public
def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariances of the rows, each a variable observed in the columns.

    fweights    how often each column was observed, whole numbers
    aweights    how much each column weighs

    >>> import tinynet as tn
    >>> tn.cov(tn.tensor([[0.0, 2.0], [0.0, -4.0]]))
    tensor([[ 2., -4.],
            [-4.,  8.]])
    """
    if input.ndim > 2:
        raise ShapeError("cov: rows of observations are expected", got=describe(input))
    x = np.reshape(input, (-1, input.shape[-1]) if input.ndim else (1, 1))
    counts = ones(x.shape[1], dtype=x.dtype, device=x.device) if fweights is None else fweights
    w = counts if aweights is None else counts * aweights
    total = sum_(w)
    x = x - sum_(x * w, 1, keepdim=True) / total
    lost = correction if aweights is None else correction * sum_(w * aweights) / total
    return squeeze(matmul(x * w, x.T) / clamp(total - lost, min=0))


@public
def corrcoef(input: Any) -> Any:
    """The correlations of the rows: covariances over the product of standard deviations."""
    c = cov(input)
    if c.ndim == 0:
        return c / c
    scale = np.sqrt(np.diagonal(c))
    return clamp(c / unsqueeze(scale, 1) / unsqueeze(scale, 0), -1, 1)


@public
def addmv(input: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · mat vec."""
    return input * beta + alpha * matmul(mat, vec)


@public
def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · batch1 batch2, matrix by matrix."""
    return input * beta + alpha * matmul(batch1, batch2)


@public
def matrix_power(input: Any, n: int) -> Any:
    """The product of n square matrices, or of −n inverses; by repeated squaring.

    >>> import tinynet as tn
    >>> tn.matrix_power(tn.tensor([[1.0, 1.0], [0.0, 1.0]]), 5)
    tensor([[1., 5.],
            [0., 1.]])
    """
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        raise ShapeError("matrix_power: square matrices are expected", got=describe(input))
    if not isinstance(n, int):
        raise ArgumentError("matrix_power: n is a whole number", got=repr(n))
    if n < 0:
        input, n = inv(input), -n
    one = eye(input.shape[-1], dtype=input.dtype, device=input.device)
    result = np.broadcast_to(one, tuple(input.shape))
    while n:
        if n % 2:
            result = matmul(result, input)
        input, n = matmul(input, input) if n > 1 else input, n // 2
    return result
