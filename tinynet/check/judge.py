"""The verdict: is the claimed gradient the derivative?

A gradient is right if it is as near to the one by differences as their estimated error allows, for
every entry, under two random cotangents, at the point given and at one a few percent beside it: at
one point, 2x and x² may be the same number.

Where the function has no derivative, at a kink, any slope between those of its two sides will do.
Such entries are left out, and the gradient is judged a step beside, where the kink is not.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinynet.check.beside import moved_args, nearby, problem_at, suspicious
from tinynet.check.compare import (
    Argument,
    Entry,
    judged_by_sample,
    judged_fully,
    place_of,
    worst_of,
)
from tinynet.check.measure import KINDS, Point, is_float32, point_at
from tinynet.check.numeric import NOTHING
from tinynet.check.problem import Problem
from tinynet.check.subject import CountError, Subject, quiet
from tinynet.errors import describe

Array = np.ndarray[Any, Any]

# What a verdict means. "pass" and "kink" are no errors.
VERDICTS = {
    "pass": "the gradient is right, as far as differences can tell",
    "kink": "right where there is a derivative; at some entries the function is not differentiable",
    "wrong": "the gradient is not the derivative of the function",
    "nan": "the function is NaN or infinite at this point",
    "discontinuous": "the function jumps at this point",
    "non-deterministic": "called twice with the same arguments, it gives two answers",
    "unresolved": "the function is too noisy to tell right from wrong",
    "error": "the code raised an error, or returned something that is no gradient",
}


@dataclass
class Findings:
    """What the judge has to say. The report puts it into words."""

    verdict: str
    sentence: str = ""
    hint: str = ""
    arguments: list[Argument] = field(default_factory=list)
    worst: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problem: Problem | None = None


def judge(subject: Subject) -> Findings:
    """The verdict on a subject, with everything that was measured on the way."""
    rng = np.random.default_rng(20_240_607)
    with quiet():
        try:
            start = _first_look(subject, rng)
        except CountError as error:
            return Findings("wrong", _one_line(error), error.hint or "", notes=subject.notes)
        except Exception as error:  # the learner's code may raise anything
            return Findings("error", _quoted(error), notes=subject.notes)
        found = start if isinstance(start, Findings) else _at_the_point(start, rng)
    found.notes = [*subject.notes, *found.notes]
    return found


def _one_line(error: Any) -> str:
    parts = [error.reason]
    parts += [f"expected {error.expected}"] if error.expected else []
    parts += [f"got {error.got}"] if error.got else []
    return "; ".join(parts)[:297] + "."


def _quoted(error: Exception) -> str:
    """The exception, with the line of the learner's code where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not Path(f.filename).is_relative_to(Path(__file__).parents[1])]
    own = [f for f in own if "/numpy/" not in f.filename.replace("\\", "/")] or own
    text = " ".join(str(error).split())
    message = f"{type(error).__name__}: {text[:180]}"
    if own:
        code = f": {own[-1].line}" if own[-1].line else ""
        message += f" (line {own[-1].lineno} of {own[-1].name}{code})"
    return message[:300]


def _first_look(subject: Subject, rng: np.random.Generator) -> Point | Findings:
    """What can be seen without measuring: shapes, NaN, moods, and who writes into what."""
    given = subject.given(subject.args)
    before = subject.given(subject.args)
    raw = np.asarray(subject.forward(*given))
    if raw.dtype.kind not in "fiub":
        return Findings("error", f"forward returned {describe(raw)}, not real numbers.")
    touched = [n for n, a, b in zip(subject.names, given, before, strict=True) if not _same(a, b)]
    if touched:
        subject.pure = False
        subject.notes.append(f"forward writes into its arguments: {', '.join(touched)}")
    y = raw.astype(np.float64)
    if not np.isfinite(y).all():
        at = place_of("the output", np.argwhere(~np.isfinite(y))[0])
        value = y[~np.isfinite(y)][0]
        return Findings("nan", f"The function is not finite here: {at} is {value}.")
    again = subject.value(*subject.given(subject.args))
    if again.shape != y.shape or not np.allclose(again, y, rtol=1e-9, atol=1e-12):
        sentence = "Called twice with the same arguments, forward gives two answers: "
        sentence += "there is randomness in it, or it remembers something."
        return Findings("non-deterministic", sentence, "seed it inside, or pass the mask in")
    point = point_at(subject, subject.args, y, rng)
    return _look_at_backward(point) or _wild(point) or point


def _wild(point: Point) -> Findings | None:
    """The end of a function that no step is small enough for."""
    size = float(np.max(np.abs(point.y), initial=0.0))
    if not (point.noise > max(0.05 * size, 1e3 * NOTHING)).any():
        return None
    sentence = "Arguments that differ in the ninth digit give unrelated values: no step is small "
    return Findings("unresolved", sentence + "enough to see a slope, and nothing can be said.")


def _same(a: Any, b: Any) -> bool:
    if not isinstance(a, np.ndarray):
        return True
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))


def _look_at_backward(point: Point) -> Findings | None:
    """Notes about a backward that writes into what it is given, and the end of one that does not
    give the same answer twice.
    """
    subject = point.subject
    if subject.backward is None:
        return None
    given, before = subject.given(point.args), subject.given(point.args)
    subject.value(*subject.given(point.args))
    g: Any = point.cotangents[0].copy() if point.y.ndim else point.cotangents[0][()]
    second = subject.backward(g, *given)
    touched = [n for n, a, b in zip(subject.names, given, before, strict=True) if not _same(a, b)]
    if isinstance(g, np.ndarray) and not _same(g, point.cotangents[0]):
        touched.insert(0, "g")
    if touched:
        subject.notes.append(
            f"backward writes into {', '.join(touched)}: whoever uses it afterwards gets "
            "other numbers; work on a copy"
        )
    for i, one, two in zip(subject.wrt, (c[0] for c in point.claims), second, strict=True):
        if one is not None and not _repeated(one, np.asarray(two)):
            sentence = "Called twice with the same g, backward gives two gradients of "
            sentence += f"{subject.names[i]}: it adds to what is left from the last call, or "
            sentence += "there is randomness in it."
            return Findings("wrong", sentence, "start from zeros in every call")
    return None


def _repeated(one: Array, two: Array) -> bool:
    if one.dtype.kind not in "fiub" or one.shape != two.shape:
        return True  # for others to judge
    return bool(np.allclose(one, two, rtol=1e-6, atol=1e-9, equal_nan=True))


# -- at one point ----------------------------------------------------------------------------------


def _at_the_point(point: Point, rng: np.random.Generator) -> Findings:
    """The verdict where the user asked for it, and then a step beside."""
    here = judged(point, rng)
    if here.verdict == "wrong" and _pieces_meet(point, here.arguments, rng):
        return _between_pieces(here)
    if here.verdict not in ("pass", "kink", "discontinuous"):
        return here
    beside = nearby(point, rng)
    if beside is None:
        return here
    if here.verdict == "pass" and not suspicious(beside, rng):
        return here
    there = judged(beside, rng)
    if there.verdict == "wrong":
        there.notes.append(
            "the gradient is right at the point given, or cannot be judged there; these numbers "
            "are from a point a few percent beside it"
        )
        return there
    return here


def _pieces_meet(point: Point, arguments: list[Argument], rng: np.random.Generator) -> bool:
    """Whether the claim is right a hair's breadth away, and wrong here only: relu(x) − relu(−x) is
    x, without a kink, but at 0 the rules of its parts give 0.
    """
    if any(a.misfit or not np.isfinite(a.claim).all() for a in arguments):
        return False
    return any(
        all(_right_beside(point, arguments, amount, rng) for _ in range(2))
        for amount in (1e-7, 1e-10, 1e-13)
    )


def _right_beside(
    point: Point, arguments: list[Argument], amount: float, rng: np.random.Generator
) -> bool:
    """Whether the claims at a point so near are the slopes at this one."""
    args = moved_args(point, point.subject.wrt, rng, amount=amount)
    try:
        g = point.cotangents[0].copy() if point.y.ndim else point.cotangents[0][()]
        claims = point.subject.gradients(g, args)
    except Exception:  # the learner's code may raise anything
        return False
    for a, claim in zip(arguments, claims, strict=True):
        if claim is None or claim.shape != a.shape:
            return False
        wrong = a.off > 1
        off = np.abs(claim - a.measured.true[0])[wrong]
        allowed = (a.allowed[0] + 1e-5 * np.abs(a.measured.true[0]))[wrong]
        if not (off <= allowed).all():
            return False
    return True


def _between_pieces(here: Findings) -> Findings:
    worst = here.worst[0]
    return Findings(
        "kink",
        "The function is not differentiable here piece by piece: kinks or ties of its parts meet "
        f"at {worst.place}, where the gradient gives {worst.analytic:.6g} and differences "
        f"{worst.numeric:.6g}. A hair's breadth away it is right.",
        arguments=here.arguments,
        worst=here.worst,
    )


def judged(point: Point, rng: np.random.Generator) -> Findings:
    """The verdict at one point."""
    if point.affordable() or point.entries <= 32:
        arguments = [judged_fully(point, k) for k in range(len(point.subject.wrt))]
        whole = True
    else:
        arguments = [judged_by_sample(point, k, rng) for k in range(len(point.subject.wrt))]
        whole = False
    found = _verdict(point, arguments)
    if found.verdict == "wrong" and (whole or point.affordable(3.0)):
        found.problem = problem_at(point, arguments if whole else None, rng)
    return found


def _verdict(point: Point, arguments: list[Argument]) -> Findings:
    """One word for all arguments, and the numbers behind it."""
    found = Findings("pass", arguments=arguments, worst=worst_of(arguments))
    if any(a.wrong for a in arguments):
        found.verdict = "wrong"
        return found
    jumps = [_first(a, "jump") for a in arguments if a.measured.has("jump")]
    if jumps:
        found.verdict = "discontinuous"
        found.sentence = f"The function jumps here, at {jumps[0]}: it is not differentiable here."
        return found
    broken = [a for a in arguments if a.measured.broken.any()]
    if broken:
        found.verdict, found.sentence = "kink", _kink_sentence(broken)
        return found
    _unresolved(found)
    if any(is_float32(a.claim) for a in arguments):
        found.notes.append("the gradient came in float32: right up to the rounding of float32")
    return found


def _first(argument: Argument, kind: str) -> str:
    return place_of(argument.name, np.argwhere(argument.measured.kinds == KINDS.index(kind))[0])


def _kink_sentence(broken: list[Argument]) -> str:
    """Where the function has no derivative, and why."""
    kind = next(k for k in KINDS[2:] if broken[0].measured.has(k))
    at = np.argwhere(broken[0].measured.kinds == KINDS.index(kind))[0]
    where = place_of(broken[0].name, at)
    count = sum(int(a.measured.broken.sum()) for a in broken)
    more = f" (and {count - 1} more)" if count > 1 else ""
    left, right = (side[(0, *at)] for side in (broken[0].measured.left, broken[0].measured.right))
    words = {
        "kink": f"kink at {where}{more}, with slope {left:.3g} on the left and {right:.3g} on the "
        "right. Any slope between them will do",
        "edge": f"{where}{more} lies on the edge of where it is defined",
        "steep": f"at {where}{more} its slope is infinite",
        "undefined": f"around {where}{more} it is not finite",
    }
    return (
        f"The function is not differentiable here: {words[kind]}. Elsewhere the gradient is right."
    )


def _unresolved(found: Findings) -> None:
    """Whether there was anything to be seen above the noise."""
    hidden = total = 0
    loose = []
    for a in found.arguments:
        seen = a.measured.smooth
        if not seen.any():
            continue
        size = np.maximum(np.abs(a.measured.true[0][seen]), np.abs(a.claim[seen]))
        lost = (a.allowed[0][seen] > 1e-2 * size) & (size > 0)
        hidden, total = hidden + int(lost.sum()), total + int(seen.sum())
        noisy = a.measured.error[0][seen] > 1e-2 * np.max(size)
        loose.append(bool((noisy & (size > 1e-9)).any()))
    if hidden:
        found.notes.append(f"{hidden} of {total} entries are too small for differences to resolve")
    if hidden and hidden == total and any(loose):
        found.verdict = "unresolved"
        found.sentence = "The rounding of the function hides its derivative: nothing can be said."
