"""A product with one wrong piece: a factor, a local derivative or a matrix.

The pieces are what a learner has at hand: the arguments, the output, the cotangent, and the
functions of them that occur in derivatives. That tanh' = 1 − y² is missing shows as
true = found · (1 − y²), entry by entry, at two points.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from tinynet.check.diagnosis.fix import Fix, arrays, number, pair
from tinynet.check.problem import Array, Problem


def _sigmoid(u: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-u)))


# Name with {} for the argument, the function, and whose derivative it is, where it is a known one.
FUNCTIONS: tuple[tuple[str, Callable[[Array], Array], str], ...] = (
    ("{}", lambda u: u, ""),
    ("{}**2", lambda u: u * u, ""),
    ("{}**3", lambda u: u**3, ""),
    ("1/{}", lambda u: 1 / u, "the derivative of log"),
    ("sqrt({})", np.sqrt, ""),
    ("|{}|", np.abs, ""),
    ("sign({})", np.sign, "the derivative of the absolute value"),
    ("({} > 0)", lambda u: (u > 0) * 1.0, "the derivative of relu, a mask"),
    ("(1 - {})", lambda u: 1 - u, ""),
    ("(1 + {})", lambda u: 1 + u, ""),
    ("{0}*(1 - {0})", lambda u: u * (1 - u), "the sigmoid derivative from the sigmoid's output"),
    ("(1 - {}**2)", lambda u: 1 - u * u, "the tanh derivative from the output of tanh"),
    ("(1 + {}**2)", lambda u: 1 + u * u, ""),
    ("exp({})", np.exp, ""),
    ("exp(-{})", lambda u: np.exp(-u), ""),
    ("log({})", np.log, ""),
    ("sin({})", np.sin, ""),
    ("cos({})", np.cos, "the derivative of sin"),
    ("tanh({})", np.tanh, ""),
    ("(1 - tanh({})**2)", lambda u: 1 - np.tanh(u) ** 2, "the tanh derivative"),
    ("sigmoid({})", _sigmoid, "the derivative of softplus"),
    ("(1 - sigmoid({}))", lambda u: 1 - _sigmoid(u), ""),
    ("sigmoid'({})", lambda u: _sigmoid(u) * (1 - _sigmoid(u)), "the sigmoid derivative"),
)

# Quantities with one value for each row or column.
STATISTICS: tuple[tuple[str, Callable[[Array, int], Array]], ...] = (
    ("the standard deviation of {} over axis {}", lambda u, a: u.std(a, keepdims=True)),
    (
        "the standard deviation of {} over axis {}, with 1e-5 added to the variance",
        lambda u, a: np.sqrt(u.var(a, keepdims=True) + 1e-5),
    ),
    ("the variance of {} over axis {}", lambda u, a: u.var(a, keepdims=True)),
    ("the norm of {} over axis {}", lambda u, a: np.linalg.norm(u, axis=a, keepdims=True)),
    ("the sum of {} over axis {}", lambda u, a: u.sum(a, keepdims=True)),
    ("the sum of exp({}) over axis {}", lambda u, a: np.exp(u).sum(a, keepdims=True)),
)


class Piece(NamedTuple):
    """A quantity: how it is written, its value at a problem, whose derivative it is."""

    label: str
    value: Callable[[Problem], Array]
    role: str = ""


def _named(p: Problem) -> dict[str, Callable[[Problem], Array]]:
    """The arguments and the output, by name."""
    found: dict[str, Callable[[Problem], Array]] = {}
    if p.y.ndim or p.y.dtype.kind == "f":
        found["y" if "y" not in p.names else "output"] = lambda p: p.y
    for name in arrays(p):
        found[name] = partial(lambda p, name: arrays(p)[name], name=name)
    return found


def fits_shape(a: Array, shape: tuple[int, ...]) -> bool:
    """Whether it broadcasts to the shape, and says something about it."""
    if a.size == 0 or not np.isfinite(a).all():
        return False
    try:
        return np.broadcast_shapes(a.shape, shape) == shape
    except ValueError:
        return False


def pieces(p: Problem, shape: tuple[int, ...]) -> list[Piece]:
    """What may be a factor in a gradient of this shape."""
    out = [Piece("g", lambda p: p.g, "the upstream gradient")] if fits_shape(p.g, shape) else []
    named = _named(p)
    for name, value in named.items():
        for label, f, role in FUNCTIONS:
            a = np.asarray(f(value(p)))
            if fits_shape(a, shape) and np.any(a != a.ravel()[0] if a.size > 1 else a != 0):
                out.append(
                    Piece(label.format(name), partial(lambda p, f, v: f(v(p)), f=f, v=value), role)
                )
    for first, second in itertools.combinations([n for n in named if n in arrays(p)], 2):
        a, b = arrays(p)[first], arrays(p)[second]
        if a.shape == b.shape and fits_shape(a, shape):
            out.append(
                Piece(
                    f"({first} - {second})",
                    partial(lambda p, m, n: arrays(p)[m] - arrays(p)[n], m=first, n=second),
                )
            )
    for name, a in arrays(p).items():
        for axis in range(a.ndim):
            for label, s in STATISTICS:
                value = _statistic(name, axis, s, shape)
                if fits_shape(value(p), shape) and a.shape[axis] > 1:
                    out.append(Piece(label.format(name, axis), value))
    return out


def _statistic(
    name: str, axis: int, s: Callable[[Array, int], Array], shape: tuple[int, ...]
) -> Callable[[Problem], Array]:
    """With the reduced axis where it is needed for broadcasting."""

    def value(p: Problem) -> Array:
        made = s(arrays(p)[name], axis)
        return made if len(shape) >= made.ndim else np.squeeze(made, axis)

    return value


def _cost(piece: Piece | None) -> float:
    """Short names first; a known derivative is likely."""
    if piece is None:
        return 0.0
    return 0.01 * len(piece.label) - (0.1 if piece.role else 0.0)


def coefficient(c: float) -> tuple[float, float] | None:
    """A factor that may stand before a piece, rounded to a simple one, and its cost."""
    for simple, cost in ((1.0, 0.0), (-1.0, 0.4), (2.0, 0.4), (0.5, 0.4), (-2.0, 0.6), (-0.5, 0.6)):
        if abs(c / simple - 1) < 1e-5:
            return simple, cost
    return (c, 1.5) if np.isfinite(c) and c != 0 else None


def factors(p: Problem, k: int) -> Iterator[Fix]:
    """true = c · found · a / b for two pieces a and b, either of which may be absent."""
    both = pair(p, k)
    if both is None or not both[0].any() or not both[1].any():
        return
    found, true = both
    have = pieces(p, true.shape)
    tops: list[Piece | None] = [None, *have]
    stack = np.stack(
        [np.ones(true.shape)] + [np.broadcast_to(t.value(p), true.shape) for t in have]
    )
    flat, weight = stack.reshape(len(stack), -1), true.ravel() / p.tolerance[k].ravel()
    hits: list[tuple[float, Piece | None, Piece | None, float]] = []
    for bottom in tops:
        b = np.ones(true.shape) if bottom is None else np.broadcast_to(bottom.value(p), true.shape)
        if np.any((b == 0) & (found != 0)):
            continue
        made = flat * np.where(b == 0, 0, found / np.where(b == 0, 1, b)).ravel()
        power = np.sum(made * made, axis=1)
        c = np.where(power > 0, made @ true.ravel() / np.where(power > 0, power, 1), 0)
        off = np.abs(c[:, None] * made / p.tolerance[k].ravel() - weight).max(axis=1)
        for i in np.nonzero(off <= 1)[0]:
            top, simple = tops[i], coefficient(float(c[i]))
            if (top is None and bottom is None) or simple is None:
                continue
            cost = (
                _cost(top)
                + _cost(bottom)
                + simple[1]
                + 2.0 * (top is not None) * (bottom is not None)
            )
            hits.append((cost, top, bottom, simple[0]))
    for cost, top, bottom, constant in sorted(hits, key=lambda h: h[0])[:3]:
        yield Fix(
            _wrong_factor(p, k, top, bottom, constant),
            "true = "
            + ("" if constant == 1 else f"{number(constant)} * ")
            + "found"
            + (f" * {top.label}" if top else "")
            + (f" / {bottom.label}" if bottom else ""),
            (1.9 if top is None or bottom is None else 1.2) + cost,
            partial(lambda p, t, b, c: _product(p, k, t, b, c), t=top, b=bottom, c=constant),
        )


def _product(p: Problem, k: int, top: Piece | None, bottom: Piece | None, c: float) -> Array:
    found = np.asarray(p.found[k], dtype=np.float64)
    a = 1.0 if top is None else top.value(p)
    b = np.asarray(1.0 if bottom is None else bottom.value(p))
    return np.asarray(c * found * a / np.where(b == 0, 1, b))


def _wrong_factor(p: Problem, k: int, top: Piece | None, bottom: Piece | None, c: float) -> str:
    """What a factor that is missing, one too many, or the wrong one reads like."""
    local = p.y.shape == p.true[k].shape and p.y.ndim > 0
    tail = "" if c == 1 else f", and the factor {number(c)}" + (" (sign)" if c < 0 else "")
    if top is not None and bottom is None:
        if top.label == "g":
            return f"the upstream gradient g is not multiplied in (chain rule){tail}"
        role = f" ({top.role})" if top.role else ""
        what = "local derivative" if top.role and top.label[:4] != "sign" else "factor"
        return f"the {what} {top.label} is missing{role}{tail}"
    if top is None and bottom is not None:
        if bottom.label == "g":
            return f"the upstream gradient g is multiplied in twice (g squared){tail}"
        role = f" ({bottom.role})" if bottom.role else ""
        again = "derivative " if bottom.role else ""
        return f"an extra {again}factor {bottom.label}{role} is multiplied in{tail}"
    assert top is not None  # one of the two is there, and the cases of one are done
    assert bottom is not None
    a, b = top, bottom
    if local:
        right = p.true[k] / np.where(p.g == 0, 1, p.g) * bottom.value(p)
        if np.ptp(right) <= 1e-5 * np.max(np.abs(right)):  # the local derivative is 1 / bottom
            return (
                f"the local derivative is 1/{b.label}, not 1/{a.label}: divided by the "
                f"{'output' if a.label == 'y' else a.label} instead of by the input{tail}"
            )
    role = f" ({a.role})" if a.role else ""
    what = "local derivative (activation derivative) is wrong" if a.role or local else "factor"
    if what == "factor":
        return f"the factor {b.label} stands where {a.label} belongs{role}{tail}"
    return f"the {what}: {b.label} where {a.label} belongs{role}{tail}"


def local_derivative(p: Problem, k: int) -> Iterator[Fix]:
    """An entry-by-entry function: which piece the true gradient has beside g, and which the wrong
    one has.
    """
    both = pair(p, k)
    if both is None or p.y.shape != both[1].shape or not both[1].any() or p.y.size < 2:
        return
    have = [q for q in pieces(p, p.y.shape) if q.label != "g" and " over axis " not in q.label]

    def recognised(d: Array) -> tuple[Piece, float] | None:
        """The piece q and the number c with d = c · g · q."""
        for q in sorted(have, key=lambda q: (not q.role, "> 0" not in q.label, len(q.label))):
            made = np.asarray(p.g * q.value(p))
            c = float(np.sum(made * d) / np.sum(made * made))
            if np.max(np.abs(c * made - d) / p.tolerance[k]) <= 1:
                return q, c if abs(c - 1) > 1e-5 else 1.0
        return None

    right, wrong = recognised(both[1]), recognised(both[0])
    if right is None or (wrong is not None and wrong[0].label == right[0].label):
        return
    (r, c), role = right, f" ({right[0].role})" if right[0].role else ""
    formula = r.label if c == 1 else f"{number(c)} * {r.label}"
    if wrong is not None:
        w, d = wrong
        text = w.label if d == 1 else f"{number(d)} * {w.label}"
    elif np.max(np.abs(both[0] - p.g) / p.tolerance[k]) <= 1:
        text = "1"
    else:
        text = ""
    instead = f"not {text}" if text else "and the formula gives something else"
    yield Fix(
        f"wrong formula for the local derivative (activation derivative): it must be {formula}"
        f"{role}, {instead}",
        f"multiply g by {formula}",
        1.7 if text else 2.6,
        lambda p: c * p.g * r.value(p),
    )


def matrices(p: Problem, k: int) -> Iterator[Fix]:
    """true = found @ M or M @ found, with M made of one matrix among the arguments."""
    found, shape = np.asarray(p.found[k]), p.true[k].shape
    if found.dtype.kind not in "fiub" or found.ndim == 0 or not found.any():
        return
    for name, w in arrays(p).items():
        if w.ndim != 2:
            continue
        square = w.shape[0] == w.shape[1]
        for text, f in _MATRICES if square else _MATRICES[:2]:
            for side in ("right", "left"):

                def apply(
                    p: Problem, name: str = name, f: Callable[[Array], Array] = f, side: str = side
                ) -> Array | None:
                    m, d = arrays(p)[name], np.asarray(p.found[k], dtype=np.float64)
                    try:
                        m = f(m)
                        return np.asarray(d @ m if side == "right" else m @ d)
                    except (ValueError, np.linalg.LinAlgError):
                        return None

                made = apply(p)
                if made is not None and made.shape == shape:
                    yield Fix(text.format(name), f"multiply by {name}.T", 2.0, apply)


_MATRICES: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("not multiplied by {0}.T (not carried back through the weights {0})", lambda w: w.T),
    ("not multiplied by {0} (not carried back through the weights {0})", lambda w: w),
    ("multiplied by {0} where {0}.T belongs (not transposed)", lambda w: np.linalg.inv(w) @ w.T),
    ("multiplied by {0}.T where {0} belongs (transposed)", lambda w: np.linalg.inv(w.T) @ w),
    ("multiplied by the inverse of {0} where {0}.T belongs (transposed)", lambda w: w @ w.T),
    ("multiplied by the inverse of {0}.T where {0} belongs", lambda w: w.T @ w),
    ("multiplied by {0} where {0}.T belongs (not transposed)", lambda w: w.T @ np.linalg.inv(w)),
    ("multiplied by {0}.T where {0} belongs (transposed)", lambda w: w @ np.linalg.inv(w.T)),
    ("multiplied by the inverse of {0} where {0}.T belongs (transposed)", lambda w: w.T @ w),
)
