"""A sum with one wrong piece: a term that is missing, or that was summed over the wrong axis.

A regulariser, a skip connection, the mean and the variance of a normalisation, the sum in the
Jacobian of softmax: all show in true − found, which must be a number times the term, with the same
number at two points.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from tinynet.check.diagnosis.factors import Piece, coefficient, fits_shape, pieces
from tinynet.check.diagnosis.fix import Fix, number, own, pair
from tinynet.check.problem import Array, Problem


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


_PENALTY = "the regulariser"


def _single_terms(p: Problem, k: int) -> Iterator[Term]:
    """Terms without a sum in them."""
    shape, name = p.true[k].shape, own(p, k)
    ups: list[tuple[str, Callable[[Problem], Array]]] = [("", lambda p: np.ones(()))]
    if fits_shape(p.g, shape):
        ups.append(("g * ", lambda p: p.g))
    for word, up in ups:
        for part in ("all", "first", "rest"):
            where = {"all": "", "first": "[0]", "rest": "[1:]"}[part]
            which = {"all": "", "first": "; the bias (first entry) must not be", "rest": ""}[part]
            for form, f in (("{}", lambda u: u), ("sign({})", np.sign)):
                if part == "all" or (shape and shape[0] > 1):
                    yield Term(
                        word + form.format(name + where),
                        partial(
                            lambda p, up, f, part: (
                                up(p)
                                * f(_part(np.asarray(p.args[p.wrt[k]], dtype=np.float64), part))
                            ),
                            up=up,
                            f=f,
                            part=part,
                        ),
                        f"{_PENALTY} (weight decay, penalty)" + which,
                        # without g is likelier only where g cannot be seen to belong
                        1.7 + 0.2 * (part != "all") + 0.05 * (not word) + 0.05 * ("sign" in form),
                    )
        if word or not shape:
            meaning = "the skip path (residual, identity): a missing term" if shape else "a term"
            yield Term(
                (word or "1 * ")[:-3],
                partial(lambda p, up, s: up(p) * np.ones(s), up=up, s=shape),
                "a constant in the local derivative" if p.y.shape != shape else meaning,
                1.8,
            )
        for piece in pieces(p, shape):
            if piece.label not in ("g", name, f"sign({name})") and " over axis " not in piece.label:
                yield Term(
                    word + piece.label,
                    partial(
                        lambda p, up, v, s: up(p) * v(p) * np.ones(s), up=up, v=piece.value, s=shape
                    ),
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
                partial(
                    lambda p, axis, eps: (
                        (u := _centred(p, k, axis, eps)) * total(found(p) * u, axis)
                    ),
                    axis=axis,
                    eps=eps,
                ),
                "the variance (a statistic) depends on the argument too: normalisation",
            )
        yield Mean(
            axis,
            f"the mean of found over {over}",
            partial(lambda p, axis: total(found(p), axis) * np.ones(shape), axis=axis),
            "the mean depends on the argument too (centering, normalisation)",
        )
        if p.y.shape != shape:
            continue
        for weight, word in ((lambda p: p.y, "y"), (lambda p: np.exp(p.y), "exp(y)")):
            yield Mean(
                axis,
                f"{word} * sum(found * {word}) over {over}",
                partial(
                    lambda p, axis, w: w(p) * total(found(p) * w(p), axis), axis=axis, w=weight
                ),
                "the norm depends on the argument too (projection, normalisation)",
            )
            for inner, text in ((weight, f"g * {word}"), (lambda p: np.ones(()), "g")):
                yield Mean(
                    axis,
                    f"{word} * sum({text}) over {over}",
                    partial(
                        lambda p, axis, w, i: w(p) * total(p.g * i(p), axis),
                        axis=axis,
                        w=weight,
                        i=inner,
                    ),
                    "the off-diagonal entries of the Jacobian (the sum term of softmax)",
                )
        yield Mean(
            axis,
            f"sum(g * y) over {over}",
            partial(lambda p, axis: total(p.g * p.y, axis) * np.ones(shape), axis=axis),
            "the off-diagonal entries of the Jacobian (the sum term of softmax)",
        )


def _solve(p: Problem, k: int, columns: list[Array]) -> Array | None:
    """The coefficients with which the columns make up true − found."""
    both = pair(p, k)
    if both is None or both[1].size < len(columns):
        return None
    a = np.stack([c.ravel() for c in columns], axis=1).astype(np.float64)
    gap = (both[1] - both[0]).ravel()
    if not np.isfinite(a).all() or not np.isfinite(gap).all() or not a.any():
        return None
    if len(columns) == 1:  # the same as below, in a tenth of the time
        c: Array = gap @ a / np.sum(a * a)
    else:
        c = np.linalg.lstsq(a, gap, rcond=1e-9)[0]
    if np.max(np.abs(a @ c - gap) / p.tolerance[k].ravel()) > 1 or np.any(np.abs(c) < 1e-6):
        return None
    return c


def _added(p: Problem, k: int, c: Array, values: list[Callable[[Problem], Array]]) -> Array | None:
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
    alone = both[0].size == 1  # one number is a multiple of any other
    for term in _single_terms(p, k):
        if alone and term.meaning.startswith(_PENALTY):
            continue
        c = _solve(p, k, [term.value(p)])
        if c is not None:
            simple = coefficient(float(c[0]))
            cost = 0.5 if simple is None else min(simple[1], 0.5)
            hits.append((term.cost + cost, term, c))
    for cost, term, c in sorted(hits, key=lambda h: h[0])[:4]:
        a = float(c[0])
        signed = f"{'-' if a < 0 else '+'} {number(abs(a))} * {term.label}"
        if term.meaning.startswith(_PENALTY):
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
            partial(lambda p, c, t: _added(p, k, c, [t.value]), c=c, t=term),
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
                partial(lambda p, c, t: _added(p, k, c, [t.value]), c=c, t=t),
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
            if t.label == s.label:  # with and without 1e-5: together they are one term
                text = (
                    f"the coefficient of {t.label} is wrong, the term through the variance (n and "
                    "n - 1 mixed up: ddof, Bessel's correction?)"
                )
            elif "variance" in t.meaning + s.meaning and "mean depends" in t.meaning + s.meaning:
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
            partial(lambda p, c, t, s: _added(p, k, c, [t.value, s.value]), c=c, t=t, s=s),
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
                    partial(
                        lambda p, t, b, r, c: (
                            c * _integrand(p, t, b).sum(axis=r).reshape(p.true[k].shape)
                        ),
                        t=top,
                        b=bottom,
                        r=right,
                        c=c,
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
