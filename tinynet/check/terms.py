"""A formula with one wrong piece: a factor, a term, an axis or a matrix.

The pieces are what a learner has at hand: the arguments, the output, the cotangent, and the
functions of them that occur in derivatives. That tanh' = 1 − y² is missing shows as
true = found · (1 − y²), entry by entry, at two points.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from tinynet.check.fix import Fix, arrays, number, own, pair
from tinynet.check.problem import Array, Problem


def _sigmoid(u: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-u)))


# Name with {} for the argument, the function, and whose derivative it is, where it is a known one.
FUNCTIONS: tuple[tuple[str, Callable[[Array], Array], str], ...] = (
    ("{}", lambda u: u, ""),
    ("{}**2", lambda u: u * u, ""),
    ("{}**3", lambda u: u**3, ""),
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
        found[name] = lambda p, name=name: arrays(p)[name]
    return found


def _fits(a: Array, shape: tuple[int, ...]) -> bool:
    """Whether it broadcasts to the shape, and says something about it."""
    if a.size == 0 or not np.isfinite(a).all():
        return False
    try:
        return np.broadcast_shapes(a.shape, shape) == shape
    except ValueError:
        return False


def pieces(p: Problem, shape: tuple[int, ...]) -> list[Piece]:
    """What may be a factor in a gradient of this shape."""
    out = [Piece("g", lambda p: p.g, "the upstream gradient")] if _fits(p.g, shape) else []
    named = _named(p)
    for name, value in named.items():
        for label, f, role in FUNCTIONS:
            a = np.asarray(f(value(p)))
            if _fits(a, shape) and np.any(a != a.ravel()[0] if a.size > 1 else a != 0):
                out.append(Piece(label.format(name), lambda p, f=f, v=value: f(v(p)), role))
    for first, second in itertools.combinations([n for n in named if n in arrays(p)], 2):
        a, b = arrays(p)[first], arrays(p)[second]
        if a.shape == b.shape and _fits(a, shape):
            out.append(
                Piece(
                    f"({first} - {second})",
                    lambda p, m=first, n=second: arrays(p)[m] - arrays(p)[n],
                )
            )
    for name, a in arrays(p).items():
        for axis in range(a.ndim):
            for label, s in STATISTICS:
                value = _statistic(name, axis, s, shape)
                if _fits(value(p), shape) and a.shape[axis] > 1:
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


def _constant(c: float) -> tuple[float, float] | None:
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
            top, simple = tops[i], _constant(float(c[i]))
            if (top is None and bottom is None) or simple is None:
                continue
            cost = _cost(top) + _cost(bottom) + simple[1] + 2.0 * (top is not None) * (
                bottom is not None
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
            lambda p, t=top, b=bottom, c=constant: _product(p, k, t, b, c),
        )


def _product(p: Problem, k: int, top: Piece | None, bottom: Piece | None, c: float) -> Array:
    found = np.asarray(p.found[k], dtype=np.float64)
    a = 1.0 if top is None else top.value(p)
    b = np.asarray(1.0 if bottom is None else bottom.value(p))
    return np.asarray(c * found * a / np.where(b == 0, 1, b))


def _wrong_factor(
    p: Problem, k: int, top: Piece | None, bottom: Piece | None, c: float
) -> str:
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
    assert top is not None and bottom is not None
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
        for q in sorted(have, key=lambda q: (not q.role, len(q.label))):
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


# -- terms
# ----------------------------------------------------------------------------------------------


class Term(NamedTuple):
    """What may be missing in a sum: how it is written, its value, what it means, its cost."""

    label: str
    value: Callable[[Problem], Array]
    meaning: str
    cost: float


def _part(a: Array, part: str) -> Array:
    """The first entry or row, or all the others."""
    kept = np.zeros_like(a)
    if a.ndim and part == "first":
        kept[0] = a[0]
    elif a.ndim and part == "rest":
        kept[1:] = a[1:]
    return a if part == "all" else kept


def _single_terms(p: Problem, k: int) -> Iterator[Term]:
    """Terms without a sum in them."""
    shape, name = p.true[k].shape, own(p, k)
    ups: list[tuple[str, Callable[[Problem], Array]]] = [("", lambda p: np.ones(()))]
    if _fits(p.g, shape):
        ups.append(("g * ", lambda p: p.g))
    for word, up in ups:
        for part in ("all", "first", "rest"):
            where = {"all": "", "first": "[0]", "rest": "[1:]"}[part]
            which = {"all": "", "first": "; the bias (first entry) must not be", "rest": ""}[part]
            for form, f in (("{}", lambda u: u), ("sign({})", np.sign)):
                if part == "all" or (shape and shape[0] > 1):
                    yield Term(
                        word + form.format(name + where),
                        lambda p, up=up, f=f, part=part: up(p)
                        * f(_part(np.asarray(p.args[p.wrt[k]], dtype=np.float64), part)),
                        "the regulariser (weight decay, penalty)" + which,
                        1.7 + 0.2 * (part != "all"),
                    )
        if word or not shape:
            meaning = "the skip path (residual, identity): a missing term" if shape else "a term"
            yield Term((word or "1 * ")[:-3], lambda p, up=up, s=shape: up(p) * np.ones(s),
                       "a constant in the local derivative" if p.y.shape != shape else meaning, 1.8)
        for piece in pieces(p, shape):
            if piece.label not in ("g", name, f"sign({name})") and " over axis " not in piece.label:
                yield Term(
                    word + piece.label,
                    lambda p, up=up, v=piece.value, s=shape: up(p) * v(p) * np.ones(s),
                    "one path or term of a sum",
                    2.6 + 0.01 * len(piece.label),
                )
    if len(shape) == 2 and shape[0] == shape[1]:
        yield Term(
            "found transposed (found.T)",
            lambda p: np.asarray(p.found[k]).T,
            "the other side of a product with itself: only one factor is differentiated",
            1.9,
        )


class Mean(NamedTuple):
    """The terms that a mean, a norm or a softmax over an axis brings into a gradient."""

    axis: int | None
    label: str
    value: Callable[[Problem], Array]
    meaning: str


def _centred(p: Problem, k: int, axis: int | None, eps: float) -> Array:
    x = np.asarray(p.args[p.wrt[k]], dtype=np.float64)
    spread = np.sqrt(x.var(axis, keepdims=True) + eps)
    return np.asarray((x - x.mean(axis, keepdims=True)) / spread)


def _mean_terms(p: Problem, k: int) -> Iterator[Mean]:
    """From the gradient that was found (what a backward pass that stops too early has in hand),
    and, where the output has the shape of the argument, from the cotangent.
    """
    shape = p.true[k].shape
    axes: list[int | None] = [a for a, n in enumerate(shape) if n > 1]
    if len(axes) > 1:
        axes.append(None)

    def total(a: Array, axis: int | None) -> Array:
        return np.asarray(np.sum(a, axis=axis, keepdims=True))

    for axis in axes:
        over = "all axes" if axis is None else f"axis {axis}"

        def found(p: Problem) -> Array:
            return np.asarray(p.found[k], dtype=np.float64)

        for eps in (0.0, 1e-5):
            yield Mean(
                axis,
                f"x_hat * mean(found * x_hat) over {over}",
                lambda p, axis=axis, eps=eps: (u := _centred(p, k, axis, eps))
                * total(found(p) * u, axis),
                "the variance (a statistic) depends on the argument too: normalisation",
            )
        yield Mean(
            axis,
            f"the mean of found over {over}",
            lambda p, axis=axis: total(found(p), axis) * np.ones(shape),
            "the mean depends on the argument too (centering, normalisation)",
        )
        if p.y.shape != shape:
            continue
        for weight, word in ((lambda p: p.y, "y"), (lambda p: np.exp(p.y), "exp(y)")):
            yield Mean(
                axis,
                f"{word} * sum(found * {word}) over {over}",
                lambda p, axis=axis, w=weight: w(p) * total(found(p) * w(p), axis),
                "the norm depends on the argument too (projection, normalisation)",
            )
            for inner, text in ((weight, f"g * {word}"), (lambda p: np.ones(()), "g")):
                yield Mean(
                    axis,
                    f"{word} * sum({text}) over {over}",
                    lambda p, axis=axis, w=weight, i=inner: w(p) * total(p.g * i(p), axis),
                    "the off-diagonal entries of the Jacobian (the sum term of softmax)",
                )
        yield Mean(
            axis,
            f"sum(g * y) over {over}",
            lambda p, axis=axis: total(p.g * p.y, axis) * np.ones(shape),
            "the off-diagonal entries of the Jacobian (the sum term of softmax)",
        )


def _solve(p: Problem, k: int, columns: list[Array]) -> Array | None:
    """The coefficients with which the columns make up true − found."""
    both = pair(p, k)
    if both is None or both[1].size < len(columns):
        return None
    a = np.stack([c.ravel() for c in columns], axis=1)
    gap = (both[1] - both[0]).ravel()
    if not np.isfinite(a).all() or not np.isfinite(gap).all():
        return None
    c: Array = np.linalg.lstsq(a, gap, rcond=1e-9)[0]
    if np.max(np.abs(a @ c - gap) / p.tolerance[k].ravel()) > 1 or np.any(np.abs(c) < 1e-6):
        return None
    return c


def _added(
    p: Problem, k: int, c: Array, values: list[Callable[[Problem], Array]]
) -> Array | None:
    both = pair(p, k)
    if both is None:
        return None
    gaps = [a * v(p) for a, v in zip(c, values, strict=True)]
    return np.asarray(both[0] + sum(gaps))


def sums(p: Problem, k: int) -> Iterator[Fix]:
    """true = found + c · term."""
    both = pair(p, k)
    if both is None or not both[0].any():
        return
    hits: list[tuple[float, Term, Array]] = []
    for term in _single_terms(p, k):
        c = _solve(p, k, [term.value(p)])
        if c is not None:
            simple = _constant(float(c[0]))
            cost = 0.5 if simple is None else min(simple[1], 0.5)
            hits.append((term.cost + cost, term, c))
    for cost, term, c in sorted(hits, key=lambda h: h[0])[:2]:
        a = float(c[0])
        signed = f"{'-' if a < 0 else '+'} {number(abs(a))} * {term.label}"
        if term.meaning.startswith("the regulariser"):
            text = f"{term.meaning} is not right: {signed} must be added (its coefficient or 1/n)"
        elif term.meaning.startswith("a constant"):
            text = f"a constant is wrong (an offset): {signed} must be added to every entry"
        else:
            text = (
                f"{'missing' if a > 0 else 'wrong'} term {signed}: {term.meaning}; "
                "add it (+=) if one part overwrote the other instead of being accumulated"
            )
        yield Fix(
            text,
            f"true = found {signed}",
            cost,
            lambda p, c=c, t=term: _added(p, k, c, [t.value]),
        )


def axes(p: Problem, k: int) -> Iterator[Fix]:
    """The terms of a mean, a norm or a softmax: left out, or over the wrong axis."""
    both = pair(p, k)
    if both is None or not both[0].any() or both[1].size < 2:
        return
    terms = list(_mean_terms(p, k))
    values = [t.value(p) for t in terms]
    done: set[str] = set()
    for t, v in zip(terms, values, strict=True):
        c = _solve(p, k, [v])
        if c is not None and t.meaning not in done:
            done.add(t.meaning)
            yield Fix(
                f"a term is missing, or wrong: {number(float(c[0]))} * {t.label}: {t.meaning}",
                f"true = found + {number(float(c[0]))} * {t.label}",
                2.0,
                lambda p, c=c, t=t: _added(p, k, c, [t.value]),
            )
    if done or both[1].size < 4:
        return
    for (t, v), (s, w) in itertools.combinations(zip(terms, values, strict=True), 2):
        c = _solve(p, k, [v, w])
        if c is None:
            continue
        same = t.label.split(" over ")[0] == s.label.split(" over ")[0]
        if same and abs(c[0] + c[1]) < 1e-5 * abs(c[0]):
            bad, good = (t, s) if c[0] > 0 else (s, t)
            if "found" in t.label:
                continue
            a, b = (("all axes" if m.axis is None else f"axis {m.axis}") for m in (bad, good))
            text = f"the sum {bad.label.split(' over ')[0]} runs over {a}; it belongs over {b}"
            text += " (keepdims), within each row" if bad.axis is None else ", the other axis"
            cost = 1.8
        elif t.axis == s.axis:
            text = f"two terms are missing or wrong: {t.label}, and {s.label}: {t.meaning}"
            if "variance" in t.meaning + s.meaning and "mean depends" in t.meaning + s.meaning:
                text = (
                    "mean and variance are treated as constants, but these statistics depend on "
                    f"the argument (normalisation over axis {t.axis})"
                )
            cost = 2.6
        else:
            continue
        yield Fix(
            text,
            f"add {number(float(c[0]))} * {t.label} and {number(float(c[1]))} * {s.label}",
            cost,
            lambda p, c=c, t=t, s=s: _added(p, k, c, [t.value, s.value]),
        )
        return


def summed(p: Problem, k: int) -> Iterator[Fix]:
    """The same product, summed over one axis where another belongs."""
    both = pair(p, k)
    if both is None or p.y.ndim < 2 or both[1].size >= p.y.size:
        return
    have: list[Piece | None] = [None, *(q for q in pieces(p, p.y.shape) if q.label != "g")]
    plain = [q for q in have if q is None or q.label.isidentifier()]
    for top, bottom in itertools.product(have, plain):
        if top is not bottom or top is None:
            good, bad = (_totals(p, top, bottom, d) for d in (both[1], both[0]))
            for (right, c), (wrong, d) in itertools.product(good, bad):
                if right == wrong or abs(c / d - 1) > 1e-5:
                    continue
                yield Fix(
                    f"summed over axis {_listed(wrong)} where axis {_listed(right)} belongs: the "
                    "axis along which it was broadcast; equal sizes hide it",
                    f"sum over axis {_listed(right)}",
                    1.6,
                    lambda p, t=top, b=bottom, r=right, c=c: (
                        c * _integrand(p, t, b).sum(axis=r).reshape(p.true[k].shape)
                    ),
                )
                return


def _listed(over: tuple[int, ...]) -> str:
    return " and ".join(str(a) for a in over)


def _integrand(p: Problem, top: Piece | None, bottom: Piece | None) -> Array:
    a = 1.0 if top is None else top.value(p)
    b = 1.0 if bottom is None else bottom.value(p)
    return np.asarray(p.g * a / b * np.ones(p.y.shape))


def _totals(
    p: Problem, top: Piece | None, bottom: Piece | None, d: Array
) -> list[tuple[tuple[int, ...], float]]:
    """Over which axes the product must be summed, and times what, to make d."""
    out = []
    whole, scale = _integrand(p, top, bottom), 1e-6 * (np.max(np.abs(d)) + 1e-30)
    for count in range(1, whole.ndim):
        for over in itertools.combinations(range(whole.ndim), count):
            made = whole.sum(axis=over)
            if made.size != d.size or not made.any():
                continue
            made = made.reshape(d.shape)
            c = float(np.sum(made * d) / np.sum(made * made))
            if c and np.max(np.abs(c * made - d)) <= scale:
                out.append((over, c))
    return out


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
                    m, d = arrays(p)[name], np.asarray(p.found[k])
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
