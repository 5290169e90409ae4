"""Why a gradient is wrong: the explanations that fit, the simplest first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinynet.check.as_if import hypotheses
from tinynet.check.flow import Forward
from tinynet.check.problem import Array, Candidate, Problem
from tinynet.errors import TinynetError

UNEXPLAINED = 0.7  # what each wrong gradient adds to the cost of a cause that does not explain it


def diagnose(problem: Problem) -> list[Candidate]:
    """The causes whose repair brings the gradient to the true one, the simplest first."""
    found = list(_as_if(problem))
    return sorted(found, key=lambda c: c.cost)


def _as_if(problem: Problem) -> Iterator[Candidate]:
    """Causes found by changing the forward pass."""
    try:
        forward = Forward(problem)
        true = forward.gradients()
    except (TinynetError, TypeError, ValueError, NotImplementedError):
        return
    wrong = problem.wrong()
    second: Forward | None = None
    for h in hypotheses(forward):
        with np.errstate(all="ignore"):
            try:
                changed = forward.gradients(h.change)
            except (TinynetError, TypeError, ValueError):
                continue
        repaired = [_repaired(d, t, c) for d, t, c in zip(problem.found, true, changed, strict=True)]
        fits = [k for k in wrong if problem.residual(k, repaired[k]) <= 1]
        if not fits:
            continue
        if second is None:
            again = problem.again()
            if again is None:
                continue
            second = Forward(again)
            second_true = second.gradients()
        same = next((s for s in hypotheses(second) if s.message == h.message), None)
        if same is None:
            continue
        changed2 = second.gradients(same.change)
        p2 = second.problem
        fits = [
            k
            for k in fits
            if p2.residual(k, _repaired(p2.found[k], second_true[k], changed2[k])) <= 1
        ]
        if not fits:
            continue
        broken = [k for k in range(len(problem.wrt)) if k not in wrong and problem.residual(k, changed[k]) > 1]
        cost = h.cost + UNEXPLAINED * (len(wrong) - len(fits)) + 0.3 * len(broken)
        residual = max(problem.residual(k, repaired[k]) for k in fits)
        yield Candidate(h.kind, h.message, h.hint, cost, tuple(fits), residual)


def _repaired(found: Array, true: Array, changed: Array) -> Array:
    """The learner's gradient with the mistake taken back."""
    if found.shape != true.shape:
        return found
    return np.asarray(found + (true - changed))
