"""A constant factor that an instruction of the backward pass lacks.

Most backward passes are linear in each value that they make. So the factor is not searched but
solved for: with the value replaced by 0 the gradient is A, as it stands A + L, and the true one is
A + c·L if the factor c is all that is missing. Where they are not linear, the usual ones are tried.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinynet.check.diagnosis.recording import Step
from tinynet.check.diagnosis.retraced import Backward, Edit, compute, edit
from tinynet.check.diagnosis.scales import factors as named_factors

Say = tuple[str, str]


def scaled(backward: Backward, steps: list[Step]) -> Iterator[Edit]:
    """A factor 2, ½ or −1 inside a formula that is not linear."""
    step = steps[-1]
    value = backward.values[step.out]
    if step.into is not None or not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return
    menu = (
        (-1.0, "has the wrong sign (factor -1)", "Change the sign."),
        (0.5, "is twice too large: the factor 1/2 (half) is missing", "Multiply by 0.5."),
        (2.0, "is twice too small: the factor 2 is missing", "Multiply by 2."),
    )
    for c, what, hint in menu:

        def say(what: str = what, hint: str = hint) -> Say:
            return f"{backward.here(step)} {what}.", hint

        yield edit(steps, ("scaled", c), "factor", 1.45, say, lambda s, v, c=c: c * compute(s, v))


def solved(
    backward: Backward, steps: list[Step], now: Sequence[Any], k: int
) -> tuple[Edit, float] | None:
    """The constant factor that this instruction lacks, if one makes the gradient number k right."""
    step = steps[-1]
    true = backward.problem.true[k]
    if step.into is not None or np.asarray(backward.values[step.out]).dtype.kind != "f":
        return None
    without = np.asarray(backward.run(times(steps, 0.0).change, steps, [k])[0])
    if without.shape != true.shape or np.shape(now[k]) != true.shape:
        return None
    part, rest = now[k] - without, true - without
    weight = float(np.sum(part * part))
    c = float(np.sum(part * rest)) / weight if weight else math.nan
    if not math.isfinite(c) or abs(c) < 1e-9 or abs(c - 1) < 1e-5:
        return None
    if backward.problem.residual(k, without + c * part) > 1:
        return None
    text, hint, cost = _factor_in_words(backward, c)

    def say() -> Say:
        return f"{backward.here(step)} is {text}{_penalty(backward, step)}.", hint

    return times(steps, c)._replace(say=say, cost=cost + 0.3), c


def times(steps: Sequence[Step], c: float) -> Edit:
    """The values of these steps, times a constant."""
    return edit(steps, ("times",), "factor", 9.0, lambda: ("", ""), lambda s, v: c * compute(s, v))


def _factor_in_words(backward: Backward, c: float) -> tuple[str, str, float]:
    if abs(c + 1) < 1e-5:
        return "of the wrong sign (factor -1)", "Change the sign.", 1.2
    if backward.forward is not None:
        for step in backward.forward.program.steps:
            for x in step.args:
                if isinstance(x, (float, np.floating)) and x not in (0, 1) and step.out:
                    for value, what in ((x, "multiply"), (1 / x, "divide")):
                        if math.isclose(c, value, rel_tol=1e-6):
                            return (
                                f"off by a constant factor: the {x:.6g} of the forward pass (line "
                                f"{step.line}) is missing",
                                f"{what.capitalize()} by {x:.6g}.",
                                1.1,
                            )
    one = np.array([1.0, 2.0])
    ratio = dataclasses.replace(
        backward.problem,
        found=(one / c,),
        true=(one,),
        tolerance=(1e-5 * one,),
        wrt=(0,),
    )
    fixes = sorted(named_factors(ratio, 0), key=lambda f: f.cost)
    if not fixes:
        return f"off by the factor {c:.6g}", f"Multiply by {c:.6g}.", 3.0
    return fixes[0].text, fixes[0].hint, fixes[0].cost


def _penalty(backward: Backward, step: Step) -> str:
    """A note if the instruction is a constant times a parameter: the gradient of a penalty."""
    reads = step.reads()
    words = backward.words
    own = {words.arguments.get(s) for s in reads}
    wrt = {backward.problem.names[i] for i in backward.problem.wrt}
    if step.function is np.multiply and len(reads) == 1 and own & wrt:
        return ": the term of the regulariser (weight decay)"
    return ""
