"""The diagnosis from values alone: what turns the gradient that was found into the true one?

It sees no code, only the arguments, the output, the cotangent and the gradients, and so it serves
any function. `KINDS` holds what it knows: each kind proposes fixes for one wrong gradient. A fix is
believed only if it fits at the point that was checked and at a second one.

The cost of an explanation is that of its fix, plus `UNEXPLAINED` for each wrong gradient that it
does not set right: one cause for all is worth more than a simple one for some. Where there is no
second point, `UNCONFIRMED` is added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tinynet.check.diagnosis import entries, factors, probes, scales, shapes, terms
from tinynet.check.diagnosis.fix import Fix, own
from tinynet.check.problem import Candidate, Problem

UNEXPLAINED = 1.5
UNCONFIRMED = 2.0
LONGEST = 300

# What a learner may have done, and who proposes fixes for it.
KINDS: dict[str, Callable[[Problem, int], Iterator[Fix]]] = {
    "not a number": scales.not_numbers,
    "integer dtype": scales.truncated,
    "precision": scales.rounded,
    "zero": scales.zero,
    "factor": scales.factors,  # the sign is the factor −1
    "factor per row": scales.slices,
    "not summed": shapes.reduced,
    "not broadcast": shapes.expanded,
    "shape": shapes.reshaped,
    "outer product": shapes.outer,
    "cropping": shapes.cropped,
    "order of entries": shapes.moved,  # transposed, flipped, shifted
    "order of gradients": shapes.exchanged,
    "part missing": entries.never_written,
    "mask missing": entries.not_masked,
    "branch": entries.branches,
    "copied part": entries.copied,
    "repeated index": entries.overwritten,
    "local derivative": factors.local_derivative,
    "wrong factor": factors.factors,
    "wrong term": terms.sums,
    "wrong axis": terms.axes,
    "summed axis": terms.summed,
    "matrix": factors.matrices,
    "not repeatable": probes.unstable,
    "upstream": probes.upstream,
    "upstream order": probes.rearranged_upstream,
    "argument order": probes.rearranged_arguments,
    "part of the jacobian": probes.parts,
}


def _confirmed(problem: Problem) -> Iterator[tuple[str, int, Fix, float]]:
    """The fixes that fit at the point that was checked, and at the second one."""
    second = problem.again()
    for k in problem.wrong():
        for kind, propose in KINDS.items():
            for fix in propose(problem, k):
                residual = fix.residual(problem, k)
                if residual <= 1 and (second is None or fix.residual(second, k) <= 1):
                    yield kind, k, fix, residual


def _candidate(
    problem: Problem, kind: str, fits: list[tuple[int, Fix, float]], confirmed: bool
) -> Candidate:
    """One explanation from fixes of one kind, at most one for each gradient."""
    texts: dict[str, list[int]] = {}
    for k, fix, _ in fits:
        texts.setdefault(fix.text, []).append(k)
    parts = [
        f"gradient of {' and '.join(own(problem, k) for k in ks)}: {text}"
        for text, ks in texts.items()
    ]
    message = "; ".join(parts)
    if len(message) > LONGEST:
        message = message[: LONGEST - 1].rsplit(" ", 1)[0] + "…"
    left = len(problem.wrong()) - len(fits)
    return Candidate(
        kind=kind,
        message=message[0].upper() + message[1:],
        hint=fits[0][1].hint,
        cost=max(fix.cost for _, fix, _ in fits)
        + 0.3 * (len(texts) - 1)
        + UNEXPLAINED * left
        + (0.0 if confirmed else UNCONFIRMED),
        repaired=tuple(k for k, _, _ in fits),
        residual=max(residual for _, _, residual in fits),
    )


def value_candidates(problem: Problem) -> list[Candidate]:
    """The explanations that fit, the cheapest first; none where nothing fits.

    >>> x, g = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])
    >>> p = Problem(np.square, None, (x,), (0,), ("x",), g, x * x, (g * x,), (2 * g * x,), (x,))
    >>> value_candidates(p)[0].message
    'Gradient of x: twice too small (factor 2)'
    """
    same: dict[tuple[str, str], list[tuple[int, Fix, float]]] = {}
    best: dict[str, dict[int, tuple[int, Fix, float]]] = {}
    with np.errstate(all="ignore"):
        confirmed = problem.again() is not None
        for kind, k, fix, residual in _confirmed(problem):
            if all(k != other for other, _, _ in same.setdefault((kind, fix.text), [])):
                same[kind, fix.text].append((k, fix, residual))
            now = best.setdefault(kind, {}).get(k)
            if now is None or fix.cost < now[1].cost:
                best[kind][k] = (k, fix, residual)
    made = [_candidate(problem, kind, fits, confirmed) for (kind, _), fits in same.items()]
    # Also one kind with a text for each gradient: "twice too large", "4 times too large".
    made += [
        _candidate(problem, kind, list(fits.values()), confirmed)
        for kind, fits in best.items()
        if len({fix.text for _, fix, _ in fits.values()}) > 1
    ]
    return sorted(made, key=lambda c: (c.cost, c.message))
