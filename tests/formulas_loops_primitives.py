"""What the lines say that `tn.explain` shows for the table's own structured ops: the backward ones
as loops over indices, each written from its line. A loop gets g, y, the inputs and the options, and
returns the gradients of the floating-point inputs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from oracles_primitives import ORACLES

Place = tuple[int, ...]
Row = list[float]
Matrix = list[list[float]]


# -- what the lines leave out: the indices that are the same on both sides -------------------------


def reduced(back: Callable[..., Row]) -> Callable[..., Any]:
    """A line about the entries u_i that become one y, with the one g that arrives there."""

    def loop(g: Any, y: Any, u: Any, axis: Any = None, keepdims: bool = False, **rest: Any) -> Any:
        rest.pop("dtype", None)
        axes = range(u.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        gone = {a % u.ndim for a in axes} if u.ndim else set()
        groups: dict[Place, list[Place]] = {}
        for k in np.ndindex(u.shape):
            groups.setdefault(tuple(n for a, n in enumerate(k) if a not in gone), []).append(k)
        du = np.zeros(u.shape)
        for key, places in groups.items():
            at = key
            if keepdims:
                kept = iter(key)
                at = tuple(0 if a in gone else next(kept) for a in range(u.ndim))
            row = back(float(g[at]), float(y[at]), [float(u[k]) for k in places], **rest)
            for k, d in zip(places, row, strict=True):
                du[k] = d
        return [du]

    return loop


def along(back: Callable[..., Row]) -> Callable[..., Any]:
    """A line about the rows along one axis."""

    def loop(g: Any, y: Any, u: Any, axis: int) -> Any:
        axis %= u.ndim
        du = np.zeros(u.shape)
        for k in np.ndindex((*u.shape[:axis], 1, *u.shape[axis + 1 :])):
            places = [(*k[:axis], i, *k[axis + 1 :]) for i in range(u.shape[axis])]
            rows = ([float(x[p]) for p in places] for x in (g, y, u))
            for p, d in zip(places, back(*rows), strict=True):
                du[p] = d
        return [du]

    return loop


def matrices(back: Callable[..., tuple[Matrix, ...]]) -> Callable[..., Any]:
    """A line about matrices; the axes in front are repeated, and summed where they were."""

    def loop(g: Any, y: Any, *inputs: Any) -> Any:
        lead = np.broadcast_shapes(*(x.shape[:-2] for x in inputs))
        found = [np.zeros(x.shape) for x in inputs]
        for b in np.ndindex(lead):
            at = [front(x.shape[:-2], b) for x in inputs]
            whole = [x[p].tolist() for x, p in zip(inputs, at, strict=True)]
            parts = back(g[b].tolist(), y[b].tolist(), *whole)
            for d, p, part in zip(found, at, parts, strict=True):
                for i, row in enumerate(part):
                    for j, value in enumerate(row):
                        d[(*p, i, j)] += value
        return found

    return loop


def front(sizes: Place, b: Place) -> Place:
    """The place in axes of these sizes that is repeated to place b."""
    return tuple(0 if n == 1 else i for n, i in zip(sizes, b[len(b) - len(sizes) :], strict=True))


def table(rows: int, columns: int, entry: Callable[[int, int], float]) -> Matrix:
    return [[entry(i, j) for j in range(columns)] for i in range(rows)]


# -- reductions and scans --------------------------------------------------------------------------


def _var(g: float, y: float, u: Row, ddof: float) -> Row:
    n = len(u)
    m = sum(u) / n
    return [2 / (n - ddof) * g * (u[i] - m) for i in range(n)]


def _std(g: float, y: float, u: Row, ddof: float) -> Row:
    n = len(u)
    m = sum(u) / n
    return [g / y * (u[i] - m) / (n - ddof) if y else 0.0 for i in range(n)]


def _extreme(g: float, y: float, u: Row) -> Row:
    k = sum(u_j == y for u_j in u)
    return [g / k * (u_i == y) for u_i in u]


def _p_norm(g: float, y: float, u: Row, p: float) -> Row:
    if y == 0:
        return [0.0 for _ in u]
    if p == 2:
        return [g * u_i / y for u_i in u]
    return [g * (u_i > 0 or -1) * (abs(u_i) / y) ** (p - 1) if u_i else 0.0 for u_i in u]


def _prod(g: float, y: float, u: Row) -> Row:
    return [g * math.prod(u[j] for j in range(len(u)) if j != i) for i in range(len(u))]


def _cumprod(g: Row, y: Row, u: Row) -> Row:
    n = len(u)
    return [
        sum(g[i] * math.prod(u[k] for k in range(i + 1) if k != j) for i in range(j, n))
        for j in range(n)
    ]


REDUCTIONS = {
    "sum": reduced(lambda g, y, u: [g for _ in u]),
    "mean": reduced(lambda g, y, u: [1 / len(u) * g for _ in u]),
    "var": reduced(_var),
    "std": reduced(_std),
    "amax": reduced(_extreme),
    "amin": reduced(_extreme),
    "logsumexp": reduced(lambda g, y, u: [g * math.exp(u_i - y) for u_i in u]),
    "p_norm": reduced(_p_norm),
    "prod": reduced(_prod),
    "cumsum": along(lambda g, y, u: [sum(g[i] for i in range(j, len(u))) for j in range(len(u))]),
    "cumprod": along(_cumprod),
}

# -- shapes and pieces -----------------------------------------------------------------------------


def _reshape(g: Any, y: Any, u: Any, shape: Any) -> Any:
    du = np.zeros(u.shape)
    for k, at in zip(np.ndindex(u.shape), np.ndindex(g.shape), strict=True):
        du[k] = g[at]
    return [du]


def _permute(g: Any, y: Any, u: Any, axes: Any) -> Any:
    order = list(range(u.ndim))[::-1] if axes is None else [a % u.ndim for a in axes]
    du = np.zeros(u.shape)
    for k in np.ndindex(u.shape):
        du[k] = g[tuple(k[a] for a in order)]
    return [du]


def _broadcast_to(g: Any, y: Any, u: Any, shape: Any) -> Any:
    du = np.zeros(u.shape)
    for rk in np.ndindex(g.shape):
        du[front(u.shape, rk)] += g[rk]
    return [du]


def _cat(g: Any, y: Any, *inputs: Any, axis: int) -> Any:
    axis, found, start = axis % g.ndim, [], 0
    for x in inputs:
        d = np.zeros(x.shape)
        for k in np.ndindex(x.shape):
            d[k] = g[(*k[:axis], k[axis] + start, *k[axis + 1 :])]
        found.append(d)
        start += x.shape[axis]
    return found


def _same(g: Any, y: Any, u: Any, **_: Any) -> Any:
    return [g]


def _points(index: Any, shape: Place) -> Any:
    """i(k), with places counted row by row."""
    return np.arange(math.prod(shape)).reshape(shape)[index]


def _counted(values: Row, shape: Place) -> Any:
    """Values counted row by row, in their shape."""
    d = np.zeros(shape)
    for k, value in zip(np.ndindex(shape), values, strict=True):
        d[k] = value
    return d


def _getitem(g: Any, y: Any, u: Any, index: Any) -> Any:
    i, du = _points(index, u.shape), [0.0] * u.size
    for k in np.ndindex(g.shape):
        du[int(i[k])] += g[k]
    return [_counted(du, u.shape)]


def _scatter(g: Any, y: Any, u: Any, index: Any, shape: Place) -> Any:
    i, flat, du = _points(index, shape), g.flatten().tolist(), np.zeros(u.shape)
    for k in np.ndindex(u.shape):
        du[k] = flat[int(i[k])]
    return [du]


def _put(g: Any, y: Any, u: Any, v: Any, index: Any) -> Any:
    i, flat, dv = _points(index, u.shape), g.flatten().tolist(), np.zeros(v.shape)
    pointed = {int(j) for j in np.asarray(i).flatten()}
    for k in np.ndindex(np.shape(i)):
        at = front(v.shape[max(0, v.ndim - len(k)) :], k)
        dv[(0,) * (v.ndim - len(at)) + at] += flat[int(np.asarray(i)[k])]
    return [_counted([x * (j not in pointed) for j, x in enumerate(flat)], u.shape), dv]


def _moved(place: Callable[..., Place]) -> Callable[..., Any]:
    """ū_k = g at another place."""

    def loop(g: Any, y: Any, u: Any, **options: Any) -> Any:
        du = np.zeros(u.shape)
        for k in np.ndindex(u.shape):
            du[k] = g[place(k, u.shape, **options)]
        return [du]

    return loop


def _flip(k: Place, sizes: Place, axis: Any) -> Place:
    axes = range(len(k)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    turned = {a % len(k) for a in axes}
    return tuple(
        n - 1 - i if a in turned else i for a, (i, n) in enumerate(zip(k, sizes, strict=True))
    )


def _roll(k: Place, sizes: Place, shift: Any, axis: Any) -> Place:
    if axis is None:
        places = list(np.ndindex(sizes))
        return places[(places.index(k) + shift) % len(places)]
    at = list(k)
    pairs = zip(axis, shift, strict=True) if isinstance(axis, tuple) else [(axis, shift)]
    for a, s in pairs:
        at[a] = (at[a] + s) % sizes[a]
    return tuple(at)


def _pad(k: Place, sizes: Place, pad_width: Any, value: float) -> Place:
    return tuple(i + p for i, (p, _) in zip(k, pad_width, strict=True))


def _triangle(holds: Callable[[int, int], bool]) -> Callable[..., Any]:
    def loop(g: Any, y: Any, u: Any, k: int) -> Any:
        du = np.zeros(u.shape)
        for at in np.ndindex(u.shape):
            du[at] = g[at] * holds(at[-1], at[-2] + k)
        return [du]

    return loop


SHAPES = {
    "reshape": _reshape,
    "permute": _permute,
    "broadcast_to": _broadcast_to,
    "cat": _cat,
    **dict.fromkeys(("clone", "to_dtype", "to_device"), _same),
    "getitem": _getitem,
    "scatter": _scatter,
    "put": _put,
    "flip": _moved(_flip),
    "roll": _moved(_roll),
    "pad": _moved(_pad),
    "tril": _triangle(lambda j, ik: j <= ik),
    "triu": _triangle(lambda j, ik: j >= ik),
}

# -- products and matrices -------------------------------------------------------------------------


def _matmul(g: Matrix, y: Matrix, u: Matrix, v: Matrix) -> tuple[Matrix, ...]:
    N, J, K = len(u), len(v), len(g[0]) if g else 0
    du = table(N, J, lambda i, j: sum(g[i][k] * v[j][k] for k in range(K)))
    return du, table(J, K, lambda j, k: sum(u[i][j] * g[i][k] for i in range(N)))


def _einsum(g: Any, y: Any, *inputs: Any, subscripts: str) -> Any:
    left, _, out = subscripts.partition("->")
    labels, sizes = left.split(","), {}
    for label, x in zip(labels, inputs, strict=True):
        for c, n in zip(label, x.shape, strict=True):
            sizes[c] = max(sizes.get(c, 1), n)
    found = []
    for p, mine in enumerate(labels):
        d = np.zeros(inputs[p].shape)
        for values in itertools.product(*map(range, sizes.values())):
            place = dict(zip(sizes, values, strict=True))
            term = float(g[tuple(place[c] for c in out)])
            for q, (label, x) in enumerate(zip(labels, inputs, strict=True)):
                if q != p:
                    term *= x[front(x.shape, tuple(place[c] for c in label))]
            d[front(d.shape, tuple(place[c] for c in mine))] += term
        found.append(d)
    return found


def _inverse(u: Matrix) -> Matrix:
    return np.asarray(ORACLES["inv"](np.array(u).reshape(len(u), len(u)))).tolist()


def _det(u: Matrix) -> float:
    return float(ORACLES["det"](np.array(u).reshape(len(u), len(u))))


def _inv(g: Matrix, y: Matrix, u: Matrix) -> tuple[Matrix]:
    n = range(len(u))
    return (
        table(
            len(u),
            len(u),
            lambda i, j: -sum(y[k][i] * g[k][l] * y[j][l] for k in n for l in n),  # noqa: E741
        ),
    )


def _solve(g: Matrix, y: Matrix, u: Matrix, v: Matrix) -> tuple[Matrix, ...]:
    w, N, K = _inverse(u), range(len(u)), range(len(v[0]) if v else 0)
    du = table(
        len(u),
        len(u),
        lambda i, j: -sum(w[l][i] * g[l][k] * y[j][k] for k in K for l in N),  # noqa: E741
    )
    return du, table(
        len(u),
        len(K),
        lambda i, k: sum(w[l][i] * g[l][k] for l in N),  # noqa: E741
    )


def _det_back(g: float, y: float, u: Matrix) -> tuple[Matrix]:
    def without(i: int, j: int) -> Matrix:
        return [[x for c, x in enumerate(row) if c != j] for r, row in enumerate(u) if r != i]

    n = len(u)
    return (table(n, n, lambda i, j: g * (-1) ** (i + j) * _det(without(i, j))),)


def _logabsdet(g: float, y: float, u: Matrix) -> tuple[Matrix]:
    w = _inverse(u)
    return (table(len(u), len(u), lambda i, j: g * w[j][i]),)


def _cholesky(g: Matrix, y: Matrix, u: Matrix) -> tuple[Matrix]:
    n, w = len(u), _inverse(y)
    N = range(n)
    f = table(
        n,
        n,
        lambda k, l: ((l < k) + 0.5 * (l == k)) * sum(y[m][k] * g[m][l] for m in N),  # noqa: E741
    )
    s = table(
        n,
        n,
        lambda i, j: sum(w[k][i] * f[k][l] * w[l][j] for k in N for l in N),  # noqa: E741
    )
    return (table(n, n, lambda i, j: (s[i][j] + s[j][i]) / 2),)


MATRICES = {
    "matmul": matrices(_matmul),
    "einsum": _einsum,
    "inv": matrices(_inv),
    "solve": matrices(_solve),
    "det": matrices(_det_back),
    "logabsdet": matrices(_logabsdet),
    "cholesky": matrices(_cholesky),
}

BACKWARD: dict[str, Callable[..., Any]] = {**REDUCTIONS, **SHAPES, **MATRICES}
