"""The oracles of the calculus table: the room `ops`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np


def entrywise(f: Callable[..., Any]) -> Callable[..., Any]:
    """Apply a function of numbers to each entry; shapes broadcast from the right."""

    def oracle(*inputs: Any) -> Any:
        shapes = [np.shape(x) for x in inputs]
        ndim = max(map(len, shapes))
        padded = [(1,) * (ndim - len(s)) + s for s in shapes]
        shape = tuple(next((n for n in sizes if n != 1), 1) for sizes in zip(*padded, strict=True))
        y = np.empty(shape, dtype=object)
        for k in np.ndindex(shape):
            entries = []
            for x, s in zip(inputs, padded, strict=True):
                place = tuple(0 if n == 1 else i for i, n in zip(k, s, strict=True))
                value = np.asarray(x).reshape(s)[place]
                entries.append(value.item() if isinstance(value, np.generic) else value)
            y[k] = f(*entries)
        return y

    return oracle


def reduce(
    f: Callable[[list[float]], float], x: Any, axis: Any = None, keepdims: bool = False, **_: Any
) -> Any:
    """Apply a function of a list of numbers to all entries that differ only in the reduced axes."""
    ndim = np.ndim(x)
    if axis is None:
        axes = set(range(ndim))
    else:
        axes = {a % ndim if ndim else 0 for a in (axis if isinstance(axis, tuple) else (axis,))}
    groups: dict[tuple[int, ...], list[float]] = {}
    kept = tuple(1 if i in axes else n for i, n in enumerate(np.shape(x)))
    for k in np.ndindex(kept):
        groups[k] = []
    for k in np.ndindex(np.shape(x)):
        groups[tuple(0 if i in axes else n for i, n in enumerate(k))].append(x[k].item())
    y = np.empty(kept, dtype=object)
    for k, values in groups.items():
        y[k] = f(values)
    return y if keepdims else y.reshape([n for i, n in enumerate(np.shape(x)) if i not in axes])


def _var(values: list[float], ddof: int) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((v - mean) ** 2 for v in values) / (len(values) - ddof)


def _running(f: Callable[[list[float]], float], x: Any, axis: int) -> Any:
    """f of all entries up to each, along the axis."""
    y = np.empty(x.shape, dtype=object)
    axis %= x.ndim
    for k in np.ndindex(x.shape):
        y[k] = f([x[(*k[:axis], i, *k[axis + 1 :])] for i in range(k[axis] + 1)])
    return y


def _logsumexp(values: list[float]) -> float:
    return math.log(math.fsum(math.exp(v) for v in values))


def _first(best: Callable[[list[float]], float]) -> Callable[..., Any]:
    return lambda x, **options: reduce(lambda values: values.index(best(values)), x, **options)


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _matmul(u: Any, v: Any) -> Any:
    batch = np.broadcast_shapes(u.shape[:-2], v.shape[:-2])
    n, k, m = u.shape[-2], u.shape[-1], v.shape[-1]
    y = np.empty((*batch, n, m), dtype=object)
    u, v = np.broadcast_to(u, (*batch, n, k)), np.broadcast_to(v, (*batch, k, m))
    for b in np.ndindex(batch):
        for i, j in itertools.product(range(n), range(m)):
            y[(*b, i, j)] = math.fsum(u[(*b, i, t)] * v[(*b, t, j)] for t in range(k))
    return y


def _each_matrix(f: Callable[..., Any]) -> Callable[..., Any]:
    """Apply a function of nested lists to the last two axes; leading axes broadcast."""

    def oracle(*inputs: Any) -> Any:
        batch = np.broadcast_shapes(*(x.shape[:-2] for x in inputs))
        full = [np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in inputs]
        found = {b: np.asarray(f(*(x[b].tolist() for x in full)), float) for b in np.ndindex(batch)}
        y = np.empty((*batch, *next(iter(found.values()), np.empty(())).shape))
        for b, value in found.items():
            y[b] = value
        return y

    return oracle


def _determinant(A: list[list[float]]) -> float:
    """Leibniz: the sum over all permutations."""
    total = 0.0
    for p in itertools.permutations(range(len(A))):
        swaps = sum(p[i] > p[j] for i in range(len(p)) for j in range(i + 1, len(p)))
        total += (-1) ** swaps * math.prod(A[i][p[i]] for i in range(len(p)))
    return total


def _solved(A: list[list[float]], B: list[list[float]]) -> Any:
    """Cramer's rule: column by column, a quotient of determinants."""
    n, whole = len(A), _determinant(A)

    def entry(i: int, j: int) -> float:
        swapped = [[B[r][j] if c == i else A[r][c] for c in range(n)] for r in range(n)]
        return _determinant(swapped) / whole

    columns = len(B[0]) if B else 0
    return np.array([[entry(i, j) for j in range(columns)] for i in range(n)]).reshape(n, columns)


def _inverse(A: list[list[float]]) -> Any:
    n = len(A)
    return _solved(A, [[float(i == j) for j in range(n)] for i in range(n)])


def _cholesky(A: list[list[float]]) -> Any:
    n = len(A)
    L = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            rest = A[i][j] - math.fsum(L[i][k] * L[j][k] for k in range(j))
            L[i][j] = math.sqrt(rest) if i == j else rest / L[j][j]
    return np.array(L).reshape(n, n)


def _einsum(*inputs: Any, subscripts: str) -> Any:
    left, _, right = subscripts.partition("->")
    labels = left.split(",")
    sizes: dict[str, int] = {}
    for label, x in zip(labels, inputs, strict=True):
        for c, n in zip(label, x.shape, strict=True):
            sizes[c] = max(sizes.get(c, 1), n)
    y = np.zeros([sizes[c] for c in right])
    for values in itertools.product(*(range(n) for n in sizes.values())):
        at = dict(zip(sizes, values, strict=True))
        term = 1.0
        for label, x in zip(labels, inputs, strict=True):
            term *= x[tuple(min(at[c], n - 1) for c, n in zip(label, x.shape, strict=True))]
        y[tuple(at[c] for c in right)] += term
    return y


def _places(index: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """For each entry that the index picks, its number in row-major order."""
    return np.arange(math.prod(shape)).reshape(shape)[index]


def _getitem(x: Any, index: Any) -> Any:
    places = _places(index, x.shape)
    flat = [v.item() for v in x.flatten()]
    y = np.empty(places.shape, dtype=object)
    for k in np.ndindex(places.shape):
        y[k] = flat[places[k]]
    return y


def _scatter(u: Any, index: Any, shape: tuple[int, ...]) -> Any:
    places = _places(index, shape)
    flat = [0.0] * math.prod(shape)
    for k in np.ndindex(places.shape):
        flat[places[k]] += u[k].item()
    return np.array(flat, dtype=object).reshape(shape)


def _put(u: Any, v: Any, index: Any) -> Any:
    places = _places(index, u.shape)
    flat = [x.item() for x in u.flatten()]
    values = np.broadcast_to(v, places.shape)
    for k in np.ndindex(places.shape):
        flat[places[k]] = values[k].item()
    return np.array(flat, dtype=object).reshape(u.shape)


def _permute(x: Any, axes: Any) -> Any:
    order = list(range(x.ndim))[::-1] if axes is None else [a % x.ndim for a in axes]
    y = np.empty([x.shape[a] for a in order], dtype=object)
    for k in np.ndindex(x.shape):
        y[tuple(k[a] for a in order)] = x[k]
    return y


def _cat(*inputs: Any, axis: int) -> Any:
    axis %= inputs[0].ndim
    shape = list(inputs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in inputs)
    y, start = np.empty(shape, dtype=object), 0
    for x in inputs:
        for k in np.ndindex(x.shape):
            y[(*k[:axis], k[axis] + start, *k[axis + 1 :])] = x[k]
        start += x.shape[axis]
    return y


def _picked(x: Any, place: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Any:
    """y[k] = x[place(k)], in x's own shape."""
    y = np.empty(x.shape, dtype=object)
    for k in np.ndindex(x.shape):
        y[k] = x[place(k)]
    return y


def _flip(x: Any, axis: Any) -> Any:
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    turned = {a % x.ndim for a in axes}
    sizes = x.shape
    return _picked(
        x, lambda k: tuple(sizes[i] - 1 - n if i in turned else n for i, n in enumerate(k))
    )


def _roll(x: Any, shift: Any, axis: Any) -> Any:
    if axis is None:
        flat = [v.item() for v in x.flatten()]
        moved = [flat[(i - shift) % len(flat)] for i in range(len(flat))]
        return np.array(moved, dtype=object).reshape(x.shape)
    by = [0] * x.ndim
    pairs = [(axis, shift)] if isinstance(axis, int) else zip(axis, shift, strict=True)
    for a, s in pairs:
        by[a] += s
    return _picked(x, lambda k: tuple((n - s) % m for n, s, m in zip(k, by, x.shape, strict=True)))


def _triangle(x: Any, keep: Callable[[int], bool]) -> Any:
    y = np.zeros(x.shape)
    for k in np.ndindex(x.shape):
        y[k] = x[k] if keep(k[-1] - k[-2]) else 0
    return y


def _pad(x: Any, pad_width: Any, value: float) -> Any:
    y = np.empty([a + n + b for n, (a, b) in zip(x.shape, pad_width, strict=True)], dtype=object)
    for k in np.ndindex(y.shape):
        inner = tuple(n - a for n, (a, _) in zip(k, pad_width, strict=True))
        inside = all(0 <= n < m for n, m in zip(inner, x.shape, strict=True))
        y[k] = x[inner] if inside else value
    return y


def _argsort(x: Any, axis: int, descending: bool) -> Any:
    y = np.empty(x.shape, dtype=object)
    axis %= x.ndim
    for k in np.ndindex((*x.shape[:axis], 1, *x.shape[axis + 1 :])):
        row = [x[(*k[:axis], i, *k[axis + 1 :])].item() for i in range(x.shape[axis])]
        for place, i in enumerate(sorted(range(len(row)), key=row.__getitem__, reverse=descending)):
            y[(*k[:axis], place, *k[axis + 1 :])] = i
    return y


def _clamp(x: Any, min: Any, max: Any) -> Any:
    low = -math.inf if min is None else min
    high = math.inf if max is None else max
    return entrywise(lambda v: low if v < low else high if v > high else v)(x)


def _with_options(f: Callable[..., float]) -> Callable[..., Any]:
    """An oracle of one input whose options go to the function of numbers."""
    return lambda x, **options: entrywise(lambda u: f(u, **options))(x)


def _softplus(u: float, beta: float = 1.0, threshold: float = 20.0) -> float:
    return u if beta * u > threshold else math.log(1 + math.exp(beta * u)) / beta


def _gelu_tanh(u: float) -> float:
    return 0.5 * u * (1 + math.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))


ORACLES: dict[str, Callable[..., Any]] = {
    "add": entrywise(lambda u, v: u + v),
    "sub": entrywise(lambda u, v: u - v),
    "mul": entrywise(lambda u, v: u * v),
    "div": entrywise(lambda u, v: u / v),
    "neg": entrywise(lambda u: 0 - u),
    "exp": entrywise(math.exp),
    "expm1": entrywise(math.expm1),
    "log": entrywise(math.log),
    "log1p": entrywise(math.log1p),
    "sqrt": entrywise(math.sqrt),
    "square": entrywise(lambda u: u * u),
    "reciprocal": entrywise(lambda u: 1 / u),
    "rsqrt": entrywise(lambda u: 1 / math.sqrt(u)),
    "exp2": entrywise(lambda u: 2.0**u),
    "log2": entrywise(math.log2),
    "log10": entrywise(math.log10),
    "logaddexp": entrywise(lambda u, v: math.log(math.exp(u) + math.exp(v))),
    "tan": entrywise(math.tan),
    "asin": entrywise(math.asin),
    "acos": entrywise(math.acos),
    "atan": entrywise(math.atan),
    "atan2": entrywise(math.atan2),
    "sinh": entrywise(math.sinh),
    "cosh": entrywise(math.cosh),
    "asinh": entrywise(math.asinh),
    "acosh": entrywise(math.acosh),
    "atanh": entrywise(math.atanh),
    "erf": entrywise(math.erf),
    "trunc": entrywise(math.trunc),
    "frac": entrywise(lambda u: math.modf(u)[0]),
    "floor_divide": entrywise(lambda u, v: u // v),
    "remainder": entrywise(lambda u, v: u % v),
    "fmod": entrywise(math.fmod),
    "round": lambda x, decimals: entrywise(lambda u: round(u, decimals))(x),
    "sin": entrywise(math.sin),
    "cos": entrywise(math.cos),
    "tanh": entrywise(math.tanh),
    "sign": entrywise(lambda u: (u > 0) - (u < 0)),
    "floor": entrywise(math.floor),
    "ceil": entrywise(math.ceil),
    "abs": entrywise(lambda u: u if u > 0 else -u),
    "relu": entrywise(lambda u: u if u > 0 else 0),
    "maximum": entrywise(max),
    "minimum": entrywise(min),
    "where": entrywise(lambda c, u, v: u if c else v),
    "eq": entrywise(lambda u, v: u == v),
    "ne": entrywise(lambda u, v: u != v),
    "lt": entrywise(lambda u, v: u < v),
    "le": entrywise(lambda u, v: u <= v),
    "gt": entrywise(lambda u, v: u > v),
    "ge": entrywise(lambda u, v: u >= v),
    "logical_and": entrywise(lambda u, v: bool(u) and bool(v)),
    "logical_or": entrywise(lambda u, v: bool(u) or bool(v)),
    "logical_not": entrywise(lambda u: not u),
    "bitwise_and": entrywise(lambda u, v: u & v),
    "bitwise_or": entrywise(lambda u, v: u | v),
    "bitwise_xor": entrywise(lambda u, v: u ^ v),
    "bitwise_not": entrywise(lambda u: ~u),
    "isnan": entrywise(math.isnan),
    "isinf": entrywise(math.isinf),
    "isfinite": entrywise(math.isfinite),
    "sigmoid": entrywise(lambda u: 1 / (1 + math.exp(-u))),
    "leaky_relu": _with_options(lambda u, negative_slope: u if u > 0 else negative_slope * u),
    "prelu": entrywise(lambda u, v: u if u > 0 else v * u),
    "hardtanh": _with_options(lambda u, min_val, max_val: max(min_val, min(max_val, u))),
    "elu": _with_options(lambda u, alpha: u if u > 0 else alpha * (math.exp(u) - 1)),
    "softplus": _with_options(_softplus),
    "logsigmoid": entrywise(lambda u: -math.log(1 + math.exp(-u))),
    "silu": entrywise(lambda u: u / (1 + math.exp(-u))),
    "softsign": entrywise(lambda u: u / (1 + u if u > 0 else 1 - u)),
    "mish": entrywise(lambda u: u * math.tanh(_softplus(u))),
    "gelu": entrywise(lambda u: u * math.erfc(-u / math.sqrt(2)) / 2),
    "gelu_tanh": entrywise(_gelu_tanh),
    "pow": entrywise(math.pow),
    "power": lambda u, exponent: entrywise(lambda v: math.pow(v, exponent))(u),
    "clamp": _clamp,
    "sum": lambda x, dtype, **options: reduce(math.fsum, x, **options),
    "mean": lambda x, dtype, **options: reduce(_mean, x, **options),
    "var": lambda x, ddof, **options: reduce(lambda values: _var(values, ddof), x, **options),
    "std": lambda x, ddof, **options: reduce(
        lambda values: math.sqrt(_var(values, ddof)), x, **options
    ),
    "prod": lambda x, dtype, **options: reduce(math.prod, x, **options),
    "cumsum": lambda x, axis: _running(math.fsum, x, axis),
    "cumprod": lambda x, axis: _running(math.prod, x, axis),
    "amax": lambda x, **options: reduce(max, x, **options),
    "amin": lambda x, **options: reduce(min, x, **options),
    "logsumexp": lambda x, **options: reduce(_logsumexp, x, **options),
    "any": lambda x, **options: reduce(lambda values: any(v != 0 for v in values), x, **options),
    "all": lambda x, **options: reduce(lambda values: all(v != 0 for v in values), x, **options),
    "argmax": _first(max),
    "argmin": _first(min),
    "reshape": lambda x, shape: np.array([v.item() for v in x.flatten()], dtype=object).reshape(
        shape
    ),
    "permute": _permute,
    "broadcast_to": lambda x, shape: entrywise(lambda u, _: u)(x, np.zeros(shape)),
    "cat": _cat,
    "argsort": _argsort,
    "flip": _flip,
    "roll": _roll,
    "tril": lambda x, k: _triangle(x, lambda above: above <= k),
    "triu": lambda x, k: _triangle(x, lambda above: above >= k),
    "pad": _pad,
    "clone": entrywise(lambda u: u),
    "to_dtype": lambda x, dtype: entrywise(lambda u: u)(x),
    "to_device": lambda x, device, source, non_blocking: entrywise(lambda u: u)(x),
    "getitem": _getitem,
    "scatter": _scatter,
    "put": _put,
    "matmul": _matmul,
    "einsum": _einsum,
    "inv": _each_matrix(_inverse),
    "solve": _each_matrix(_solved),
    "det": _each_matrix(_determinant),
    "det_sign": _each_matrix(lambda A: math.copysign(1, _determinant(A))),
    "logabsdet": _each_matrix(lambda A: math.log(abs(_determinant(A)))),
    "cholesky": _each_matrix(_cholesky),
    "p_norm": lambda x, p, **options: reduce(
        lambda values: math.fsum(abs(v) ** p for v in values) ** (1 / p), x, **options
    ),
}
