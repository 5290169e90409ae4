r"""Products of matrices, and Einstein's notation for all the others.

Matrix product: with y_ik = Σ_j u_ij v_jk, entry u_ij meets row j of v in every y_ik, so
dL/du_ij = Σ_k g_ik v_jk, that is g vᵀ; and in the same way dL/dv = uᵀ g. The shapes leave no other
choice.

Einsum: each input's gradient is an einsum of g and the other inputs, with the labels exchanged. A
label that occurs in one input alone was summed away; its gradient is repeated along it.
"""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np

from tinynet.arrays import Array
from tinynet.errors import ArgumentError, ShapeError, at_op, describe
from tinynet.op import implements, primitive
from tinynet.ops.public import operator, public

# -- the table -------------------------------------------------------------------------------------


@primitive(
    name="matmul",
    formula=r"y_{ik} = \sum_j u_{ij} v_{jk}",
    broadcasts=True,  # the leading axes do
    rules=(
        lambda g, _y, _u, v: g @ np.swapaxes(v, -1, -2),
        lambda g, _y, u, _v: np.swapaxes(u, -1, -2) @ g,
    ),
)
def _matmul(u: Array, v: Array) -> Array:
    return u @ v


def _einsum_rule(i: int, g: Any, _y: Any, *inputs: Any, subscripts: str) -> Any:
    labels, output = _split(subscripts)
    terms = [(output, g), *((labels[j], x) for j, x in enumerate(inputs) if j != i)]
    sizes = dict(zip(labels[i], inputs[i].shape, strict=True))
    for c, n in sizes.items():  # a label that was summed here alone: the gradient repeats along it
        if not any(x.shape[label.index(c)] == n for label, x in terms if c in label):
            terms.append((c, np.zeros(n, dtype=g.dtype, like=g) + 1))
    left = ",".join(label for label, _ in terms)
    return np.einsum(f"{left}->{labels[i]}", *(x for _, x in terms))


@primitive(
    name="einsum",
    formula=r"y_{\text{out}} = \sum_{\text{labels not in out}} \prod_k u^{(k)}",
    variadic=True,
    broadcasts=True,
    rules=_einsum_rule,
)
def _einsum(*inputs: Array, subscripts: str) -> Array:
    return np.einsum(subscripts, *inputs, optimize=len(inputs) > 1)


def _split(subscripts: str) -> tuple[list[str], str]:
    left, _, right = subscripts.partition("->")
    return left.split(","), right


# -- PyTorch's names -------------------------------------------------------------------------------


@public
def matmul(input: Any, other: Any) -> Any:
    """The matrix product of the last two axes; leading axes broadcast. A vector counts as a row on
    the left and as a column on the right, and its axis is left out of the result.

    Shapes: (…, n, k) @ (…, k, m) -> (…, n, m); (k,) @ (k,) -> (). 2·n·k·m floating-point operations
    each.

    >>> import tinynet as tn
    >>> tn.tensor([[1.0, 2.0], [3.0, 4.0]]) @ tn.tensor([1.0, 1.0])
    tensor([3., 7.])
    """
    if input.ndim == 0 or other.ndim == 0:
        number = ShapeError("a number is not a matrix", hint="x * y")
        raise at_op("matmul", (input, other), number)
    row, column = input.ndim == 1, other.ndim == 1
    u = np.reshape(input, (1, -1)) if row else input
    v = np.reshape(other, (-1, 1)) if column else other
    k = u.shape[-1]
    if k != v.shape[-2]:
        sizes = ShapeError(
            f"the inner sizes differ: {k} columns meet {v.shape[-2]} rows",
            expected="(…, n, k) @ (…, k, m)",
        )
        raise at_op("matmul", (input, other), sizes)
    if u.ndim > 2 and v.ndim == 2:  # one large product instead of many small ones
        rows = np.reshape(u, (math.prod(u.shape[:-1]), k))
        y = np.reshape(_matmul(rows, v), (*u.shape[:-1], v.shape[-1]))
    else:
        y = _matmul(u, v)
    if row or column:
        y = np.reshape(
            y, (*y.shape[:-2], *(() if row else y.shape[-2:-1]), *(() if column else y.shape[-1:]))
        )
    return y


implements(np.matmul)(matmul)
operator("matmul", matmul, reverse=True)


@public
def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices, without broadcasting."""
    if input.ndim != 2 or mat2.ndim != 2:
        raise ShapeError(
            "mm needs two matrices", got=f"{describe(input)}, {describe(mat2)}", hint="matmul"
        )
    return matmul(input, mat2)


@public
def bmm(input: Any, mat2: Any) -> Any:
    """The products of two batches of matrices, without broadcasting."""
    if input.ndim != 3 or mat2.ndim != 3 or input.shape[0] != mat2.shape[0]:
        raise ShapeError(
            "bmm needs two batches of matrices, equally many",
            expected="(b, n, k), (b, k, m)",
            got=f"{describe(input)}, {describe(mat2)}",
            hint="matmul",
        )
    return matmul(input, mat2)


@public
def mv(input: Any, vec: Any) -> Any:
    """A matrix times a vector."""
    if input.ndim != 2 or vec.ndim != 1:
        raise ShapeError(
            "mv needs a matrix and a vector", got=f"{describe(input)}, {describe(vec)}"
        )
    return matmul(input, vec)


@public
def dot(input: Any, tensor: Any) -> Any:
    """Σ of the products of the entries of two vectors."""
    if input.ndim != 1 or tensor.ndim != 1:
        raise ShapeError(
            "dot needs two vectors", got=f"{describe(input)}, {describe(tensor)}", hint="x @ y"
        )
    return matmul(input, tensor)


@public
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta · input + alpha · mat1 mat2."""
    return input * beta + mm(mat1, mat2) * alpha


@public
def outer(input: Any, vec2: Any) -> Any:
    """Every entry of one vector times every entry of the other.

    >>> import tinynet as tn
    >>> tn.outer(tn.tensor([1, 2]), tn.tensor([3, 4]))
    tensor([[3, 4],
            [6, 8]])
    """
    if input.ndim != 1 or vec2.ndim != 1:
        raise ShapeError("outer needs two vectors", got=f"{describe(input)}, {describe(vec2)}")
    return input[:, None] * vec2


@public
def inner(input: Any, other: Any) -> Any:
    """Σ over the last axes of both, for every pair of the other axes."""
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    return tensordot(input, other, dims=([-1], [-1]))


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Σ over pairs of axes: the last `dims` of a with the first of b, or the lists dims[0] of a and
    dims[1] of b. The axes that are left follow each other, those of a first.

    >>> import tinynet as tn
    >>> tn.tensordot(tn.ones(2, 3, 4), tn.ones(3, 4, 5), dims=2).shape
    (2, 5)
    """
    whole = not isinstance(dims, list | tuple)
    first, second = (range(a.ndim - dims, a.ndim), range(dims)) if whole else dims
    first = [first] if isinstance(first, int) else [d % a.ndim for d in first]
    second = [second] if isinstance(second, int) else [d % b.ndim for d in second]
    if [a.shape[i] for i in first] != [b.shape[j] for j in second]:
        raise ShapeError(
            f"tensordot: the axes {first} and {second} do not fit",
            got=f"{describe(a)}, {describe(b)}",
        )
    left = [i for i in range(a.ndim) if i not in first]
    right = [j for j in range(b.ndim) if j not in second]
    n = math.prod(a.shape[i] for i in first)
    u = np.reshape(np.transpose(a, (*left, *first)), (math.prod(a.shape[i] for i in left), n))
    v = np.reshape(np.transpose(b, (*second, *right)), (n, math.prod(b.shape[j] for j in right)))
    return np.reshape(matmul(u, v), (*(a.shape[i] for i in left), *(b.shape[j] for j in right)))


@public
def kron(input: Any, other: Any) -> Any:
    """Kronecker's product: each entry of input times the whole of other, as blocks.

    >>> import tinynet as tn
    >>> tn.kron(tn.tensor([1, 10]), tn.tensor([1, 2]))
    tensor([ 1,  2, 10, 20])
    """
    ndim = max(input.ndim, other.ndim)
    m = (1,) * (ndim - input.ndim) + tuple(input.shape)
    n = (1,) * (ndim - other.ndim) + tuple(other.shape)
    blocks = np.reshape(input, tuple(k for i in m for k in (i, 1)))
    inside = np.reshape(other, tuple(k for i in n for k in (1, i)))
    return np.reshape(blocks * inside, tuple(i * j for i, j in zip(m, n, strict=True)))


public(tensordot, as_method=False)
implements(np.inner)(inner)
implements(np.kron)(kron)
implements(np.outer)(lambda a, b: outer(np.ravel(a), np.ravel(b)))
implements(np.tensordot)(lambda a, b, axes=2: tensordot(a, b, axes))


@implements(np.dot)
def _np_dot(a: Any, b: Any) -> Any:
    """NumPy's dot: the last axis of a with the last but one of b."""
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return tensordot(a, b, dims=([-1], [-2 if b.ndim > 1 else -1]))


def einsum(equation: str, *operands: Any) -> Any:
    """Einstein's summation: `"ij,jk->ik"` is the matrix product.

    Letters name axes; equal letters go together; letters missing on the right are summed. `...`
    stands for axes that broadcast. Without `->`, the output has the letters that occur once, in
    alphabetical order.

    >>> import tinynet as tn
    >>> tn.einsum("ij,ij->i", tn.ones(2, 3), tn.ones(2, 3))
    tensor([3., 3.])
    """
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    labels = left.split(",")
    if len(labels) != len(operands):
        raise ArgumentError(
            f"einsum: {len(labels)} groups of labels for {len(operands)} operands", got=equation
        )
    labels, dots = _spell_out_dots(labels, operands)
    if arrow:
        right = right.replace("...", dots)
    else:
        letters = "".join(labels)
        right = dots + "".join(sorted(c for c in set(letters) - set(dots) if letters.count(c) == 1))
    _check_labels(labels, right, operands, equation)
    pairs = [_diagonal(x, label) for x, label in zip(operands, labels, strict=True)]
    return _einsum(
        *(x for x, _ in pairs), subscripts=f"{','.join(label for _, label in pairs)}->{right}"
    )


def _spell_out_dots(labels: list[str], operands: tuple[Any, ...]) -> tuple[list[str], str]:
    """Each `...` replaced by letters that are not in use; axes are counted from the right."""
    free = [c for c in string.ascii_letters if not any(c in label for label in labels)]
    ranks = [
        x.ndim - len(label.replace("...", "")) if "..." in label else 0
        for x, label in zip(operands, labels, strict=True)
    ]
    dots = "".join(free[: max(ranks, default=0)])
    return [
        label.replace("...", dots[len(dots) - rank :])
        for label, rank in zip(labels, ranks, strict=True)
    ], dots


def _check_labels(labels: list[str], right: str, operands: tuple[Any, ...], equation: str) -> None:
    sizes: dict[str, int] = {}
    for label, x in zip(labels, operands, strict=True):
        if len(label) != x.ndim:
            raise ShapeError(
                f"einsum: {len(label)} labels {label!r} for {x.ndim} axes",
                got=f"{equation}, {describe(x)}",
            )
        for c, n in zip(label, x.shape, strict=True):
            if sizes.setdefault(c, n) != n and 1 not in (n, sizes[c]):
                raise ShapeError(
                    f"einsum: label {c!r} has size {sizes[c]} and size {n}", got=equation
                )
            sizes[c] = max(n, sizes[c]) if n else n
    missing = [c for c in right if c not in sizes]
    if missing or len(set(right)) < len(right):
        raise ArgumentError(
            "einsum: each output label stands once, and in some input", got=equation
        )


def _diagonal(x: Any, label: str) -> tuple[Any, str]:
    """Take the diagonal wherever one operand carries a label twice."""
    for c in dict.fromkeys(label):
        while label.count(c) > 1:
            i, j = label.index(c), label.rindex(c)
            x = np.moveaxis(x, (i, j), (0, 1))
            every = np.arange(x.shape[0])
            x = x[every, every]
            label = c + "".join(d for k, d in enumerate(label) if k not in (i, j))
    return x, label


public(einsum, as_method=False)
implements(np.einsum)(lambda subscripts, *operands, optimize=False: einsum(subscripts, *operands))
