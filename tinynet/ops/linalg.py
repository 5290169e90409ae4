r"""Matrices as wholes: inverse, solving, determinant, Cholesky's factor, and norms.

Each rule follows from the equation that defines the output, differentiated: from A Y = 1 comes
dA Y + A dY = 0, so dY = −Y dA Y, and the gradient is −Yᵀ G Yᵀ. In the same way A X = B gives
B̄ = A⁻ᵀ G and Ā = −B̄ Xᵀ; and Jacobi's formula d det A = det A · tr(A⁻¹ dA) gives det A · A⁻ᵀ.

All work on the last two axes; leading axes are a batch. Where a norm is 0 its gradient is 0, at
every order, by convention (as in PyTorch). `tn.linalg` is the public door.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinynet.arrays import Array, everywhere, linalg_errors
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.op import implements, primitive
from tinynet.ops.public import public
from tinynet.ops.reductions import Axis, amax, amin, checked_axis, restore
from tinynet.ops.reductions import sum as sum_of


def _transposed(u: Any) -> Any:
    return np.swapaxes(u, -1, -2)


def _or_singular(compute: Callable[..., Array], u: Array, *others: Array, reason: str) -> Array:
    """What `compute` makes of u; NumPy's and cuSOLVER's complaint about a matrix in our words."""
    try:
        with linalg_errors(u):
            return compute(u, *others)
    except np.linalg.LinAlgError as error:
        if "square" in str(error) or "dimensional" in str(error):
            raise
        raise ArgumentError(reason) from None


# -- the table -------------------------------------------------------------------------------------

_SINGULAR = "the matrix is singular: it has no inverse"


@primitive(
    np.linalg.inv,
    name="inv",
    formula=r"u^{-1}",
    domain="regular matrices",
    promote="float",
    rules=(lambda g, y, _u: -(_transposed(y) @ g @ _transposed(y)),),
)
def _inv(u: Array) -> Array:
    return _or_singular(np.linalg.inv, u, reason=_SINGULAR)


@primitive(
    name="solve",
    formula=r"u^{-1} v",
    domain="regular matrices",
    promote="float",
    broadcasts=True,  # the leading axes do
    rules=(
        lambda g, y, u, _v: -(_solve(_transposed(u), g) @ _transposed(y)),  # type: ignore[has-type]
        lambda g, _y, u, _v: _solve(_transposed(u), g),  # type: ignore[has-type]
    ),
)
def _solve(u: Array, v: Array) -> Array:
    if u.shape[:-2] != v.shape[:-2]:  # CuPy's does not broadcast
        lead = np.broadcast_shapes(u.shape[:-2], v.shape[:-2])
        u, v = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (u, v))
    return _or_singular(np.linalg.solve, u, v, reason=_SINGULAR)


def _cofactors(u: Any, y: Any) -> Any:
    """The derivative of det u by each entry: det(u) u⁻ᵀ, or where that is 0 · ∞, the minors."""
    if everywhere(y != 0):
        return y[..., None, None] * _transposed(_inv(u))
    n = u.shape[-1]
    others = np.array([[i for i in range(n) if i != k] for k in range(n)], dtype=np.intp)
    i = np.arange(n, dtype=u.dtype, like=u)
    minors = _det(u[..., others[:, None, :, None], others[None, :, None, :]])
    return minors * (-1) ** (i[:, None] + i)


@primitive(
    np.linalg.det,
    name="det",
    formula=r"\det u",
    promote="float",
    rules=(lambda g, y, u: g[..., None, None] * _cofactors(u, y),),
)
def _det(u: Array) -> Array:
    return np.linalg.det(u)


@primitive(
    name="logabsdet",
    formula=r"\ln |\det u|",
    domain="regular matrices",
    promote="float",
    rules=(lambda g, _y, u: g[..., None, None] * _transposed(_inv(u)),),
)
def _logabsdet(u: Array) -> Array:
    return np.linalg.slogdet(u)[1]


@primitive(name="det_sign", formula=r"\operatorname{sign} \det u", domain="square", promote="float")
def _det_sign(u: Array) -> Array:
    return np.linalg.slogdet(u)[0]


def _cholesky_rule(g: Any, y: Any, _u: Any) -> Any:
    """L L^T = A differentiated: L⁻¹ dA L⁻ᵀ = L⁻¹ dL + (L⁻¹ dL)ᵀ, of which dL takes the lower half
    (with half the diagonal). I. Murray, "Differentiation of the Cholesky decomposition" (2016).
    """
    product = _transposed(y) @ g
    half = (np.tril(product) + np.tril(product, -1)) / 2
    inverse = _inv(y)
    s = _transposed(inverse) @ half @ inverse
    return (s + _transposed(s)) / 2


@primitive(
    np.linalg.cholesky,
    name="cholesky",
    formula=r"\text{the lower triangle } y \text{ with } y y^\top = u",
    domain="symmetric, positive definite",
    promote="float",
    rules=(_cholesky_rule,),
)
def _cholesky(u: Array) -> Array:
    """Of the symmetric part of u, so that the two halves of u count equally."""
    symmetric = (u + _transposed(u)) / 2
    reason = "cholesky: the matrix is not positive definite"
    return _or_singular(np.linalg.cholesky, symmetric, reason=reason)


def _norm_rule(g: Any, y: Any, u: Any, *, p: float, axis: Axis, keepdims: bool) -> Any:
    """u |u|^(p−2) / y^(p−1), and 0 at every order where the norm is 0."""
    g, y = restore(g, u, axis, keepdims), restore(y, u, axis, keepdims)
    size = np.abs(u) if p >= 2 else np.where(u == 0, 1, np.abs(u))
    direction = u if p == 2 else np.where(u == 0, 0, u * size ** (p - 2))
    return direction * np.where(y == 0, 0, g / np.where(y == 0, 1, y) ** (p - 1))


@primitive(
    name="p_norm",
    formula=r"\bigl(\sum_i |u_i|^p\bigr)^{1/p}",
    domain="u != 0",
    promote="none",
    rules=(_norm_rule,),
)
def _p_norm(u: Array, *, p: float = 2, axis: Axis = None, keepdims: bool = False) -> Array:
    if p == 2:
        return np.sqrt(np.sum(u * u, axis=axis, keepdims=keepdims))
    return np.sum(np.abs(u) ** p, axis=axis, keepdims=keepdims) ** (1 / p)


# -- PyTorch's names: tn.linalg --------------------------------------------------------------------


def _square(A: Any, name: str) -> Any:
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ShapeError(f"{name} needs square matrices", expected="(…, n, n)", got=describe(A))
    return A


def inv(A: Any) -> Any:
    """The inverse: A A⁻¹ = 1. To solve equations `solve` is faster and more exact.

    >>> import tinynet as tn
    >>> tn.linalg.inv(tn.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return _inv(_square(A, "inv"))


def solve(A: Any, B: Any) -> Any:
    """X with A X = B. Shapes: (…, n, n) and (…, n, k), or (…, n) for one right-hand side.

    >>> import tinynet as tn
    >>> tn.linalg.solve(tn.tensor([[2.0, 0.0], [1.0, 1.0]]), tn.tensor([2.0, 3.0]))
    tensor([1., 2.])
    """
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    columns = B[..., None] if vector else B
    if _square(A, "solve").shape[-1] != columns.shape[-2]:
        raise ShapeError(
            "solve: A and B have different numbers of rows", got=f"{describe(A)}, {describe(B)}"
        )
    X = _solve(A, columns)
    return X[..., 0] if vector else X


def det(A: Any) -> Any:
    """The determinant. Its gradient, the matrix of cofactors, is right for singular matrices too.

    >>> import tinynet as tn
    >>> tn.linalg.det(tn.tensor([[1.0, 2.0], [3.0, 5.0]]))
    tensor(-1.0000)
    """
    return _det(_square(A, "det"))


class SignLogabsdet(NamedTuple):
    """What `slogdet` returns: det A = sign · e^logabsdet."""

    sign: Any
    logabsdet: Any


def slogdet(A: Any) -> Any:
    """(sign, ln |det A|): a determinant that cannot overflow. The sign has no gradient.

    >>> import tinynet as tn
    >>> tn.linalg.slogdet(tn.tensor([[0.0, 1.0], [1.0, 0.0]]))
    SignLogabsdet(sign=tensor(-1.), logabsdet=tensor(0.))
    """
    A = _square(A, "slogdet")
    return SignLogabsdet(_det_sign(A), _logabsdet(A))


def cholesky(A: Any, *, upper: bool = False) -> Any:
    """The lower triangular L with L Lᵀ = A, for A symmetric and positive definite.

    >>> import tinynet as tn
    >>> tn.linalg.cholesky(tn.tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    L = _cholesky(_square(A, "cholesky"))
    return _transposed(L) if upper else L


def vector_norm(
    x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """(Σ |x|^ord)^(1/ord) over the axes `dim` (all by default); the largest |x| for ord inf, the
    smallest for −inf, the number of entries that are not 0 for ord 0.

    Where the norm is 0 its gradient is 0, at every order. Ties of the largest share evenly.

    >>> import tinynet as tn
    >>> x = tn.tensor([3.0, -4.0])
    >>> [tn.linalg.vector_norm(x, p).item() for p in (2, 1, float("inf"), 0)]
    [5.0, 7.0, 4.0, 2.0]
    """
    x = x if dtype is None else x.to(dtype)
    if isinstance(ord, str):
        raise ArgumentError("vector_norm: no such norm", expected="a number", got=repr(ord))
    if x.dtype.kind not in "fc":
        raise ArgumentError("a norm needs floating-point entries", got=describe(x))
    if ord == math.inf:
        return amax(np.abs(x), dim, keepdim)
    if ord == -math.inf:
        return amin(np.abs(x), dim, keepdim)
    if ord == 0:
        return sum_of(np.where(x != 0, np.ones_like(x), 0), dim, keepdim)
    if ord == 1:
        return sum_of(np.abs(x), dim, keepdim)
    return _p_norm(x, p=ord, axis=checked_axis(x, dim), keepdims=keepdim)


def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    """A norm of the matrices in the axes `dim`: "fro", the root of the sum of squares; 1, the
    largest sum of a column's absolute values; inf, the largest of a row's; −1 and −inf, the
    smallest.

    >>> import tinynet as tn
    >>> tn.linalg.matrix_norm(tn.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(5.)
    """
    rows, columns = (d % A.ndim for d in dim)
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim)
    if ord not in (1, -1, math.inf, -math.inf):
        raise ArgumentError(
            "matrix_norm: no such norm", expected="'fro', 1, -1, inf, -inf", got=repr(ord)
        )
    first, second = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = sum_of(np.abs(A), first, True)
    y = (amax if ord > 0 else amin)(sums, second, True)
    return y if keepdim else np.squeeze(y, axis=(rows, columns))


def norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False) -> Any:
    """`vector_norm`, or for a matrix (two axes) with an `ord`, `matrix_norm`."""
    several = isinstance(dim, list | tuple) and len(dim) == 2
    if isinstance(ord, str) or (ord is not None and (several or (dim is None and A.ndim == 2))):
        return matrix_norm(A, ord, dim if several else (-2, -1), keepdim)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim)


def _norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Any:
    """`linalg.vector_norm` under PyTorch's older name: entries are a vector, also of a matrix."""
    return vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


public(_norm, name="norm")
for _function in (det, slogdet):
    public(_function)
public(inv, name="inverse")


@public
def logdet(input: Any) -> Any:
    """ln det A; NaN where the determinant is negative."""
    sign, logabsdet = slogdet(input)
    return np.where(sign < 0, math.nan, logabsdet)


implements(np.linalg.slogdet)(slogdet)


@implements(np.linalg.solve)
def _np_solve(a: Any, b: Any) -> Any:
    return _solve(a, b) if b.ndim > 1 else solve(a, b)


@implements(np.linalg.norm)
def _np_norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    return norm(x, ord, axis, keepdims)
