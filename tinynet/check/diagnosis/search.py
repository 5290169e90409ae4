"""Why a gradient is wrong: the explanations that fit, the simplest first.

Three places are searched: the forward pass, for what the learner seems to have differentiated
instead; the backward pass, for the one instruction that must change; and the numbers alone, which
is all there is where the code is not Python over NumPy.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tinynet.check.diagnosis import constant, operands, slips, storage
from tinynet.check.diagnosis.arithmetic import constants, powers, products
from tinynet.check.diagnosis.as_if import Hypothesis
from tinynet.check.diagnosis.departures import departures
from tinynet.check.diagnosis.flow import Forward
from tinynet.check.diagnosis.locate import Departure, departure
from tinynet.check.diagnosis.meaning import Found
from tinynet.check.diagnosis.paths import missing_paths, passed_through, statistics, time_steps
from tinynet.check.diagnosis.retraced import FAILURES, Backward, Edit
from tinynet.check.diagnosis.slopes import derivatives, gates, jacobians
from tinynet.check.diagnosis.values import value_candidates
from tinynet.check.problem import Array, Candidate, Problem

UNEXPLAINED = 1.5  # what each wrong gradient adds to the cost of a cause that does not explain it
BROKEN = 0.5  # what each right gradient adds that would be wrong after the repair
CLEAR = 1.4  # a cause of less cost that explains everything ends the search soon
SECONDS = 5.0  # of processor time: how long to look for explanations in the code

# The repairs of the backward code, instruction by instruction, the simplest first.
REPAIRS: tuple[Callable[[Backward, Any], Iterator[Edit]], ...] = (
    slips.transposes,
    slips.rearranged,
    slips.operators,
    slips.superfluous,
    slips.reductions,
    slips.numbers,
    slips.exchanged,
    constant.scaled,
    storage.overwritten,
    storage.aliases,
    storage.slices_exchanged,
    storage.indices,
    storage.labels,
    storage.unsubtracted,
    operands.insertions,
    operands.neighbours,
    operands.operands,
    operands.forward_operands,
    operands.recomputed,
    departures,
)


def diagnose(problem: Problem) -> tuple[list[Candidate], Departure | None]:
    """The causes whose repair brings the gradient to the true one, the simplest first, and the line
    where the code goes wrong.
    """
    second = problem.again()
    problem = dataclasses.replace(problem, again=lambda: second)
    there = functools.cache(lambda: _recorded(Forward, second))
    with np.errstate(all="ignore"):
        forward = _recorded(Forward, problem)
        found = [] if forward is None else list(_as_if(forward, there))
        backward = _backward(problem, forward)
        if backward is not None:
            found += _edited(backward, there)
        found += value_candidates(problem)
        found.sort(key=lambda c: (round(c.cost, 6), c.line is None))
        backward = _backward(problem, forward)  # anew: an edit may have written into its values
        try:
            return found, None if backward is None else departure(backward, found)
        except FAILURES:
            return found, None


def _recorded(make: Callable[[Problem], Any], problem: Problem | None) -> Any:
    """The recording; None where the code does not run on traced arrays or Tensors."""
    if problem is None:
        return None
    try:
        return make(problem)
    except FAILURES:
        return None


def _backward(problem: Problem | None, forward: Forward | None) -> Any:
    """The recording of the backward code; None where there is none."""
    if problem is None or problem.backward is None:
        return None
    return _recorded(lambda p: Backward(p, forward), problem)


# -- the forward pass ------------------------------------------------------------------------------


def _hypotheses(forward: Forward) -> Iterator[Hypothesis]:
    """All of them, for one forward pass."""
    words = forward.words
    groups = [
        steps for steps in forward.program.sites().values() if steps[0].out in forward.depends
    ]
    for generate in (missing_paths, constants, products, powers):
        for steps in groups:
            yield from generate(forward, words, steps)
    yield from statistics(forward, words, groups)
    yield from passed_through(forward, words)
    yield from time_steps(forward, words, groups)
    for found in _grouped(forward, forward.activations):
        yield from derivatives(forward, words, found)
        yield from gates(forward, words, found)
    for found in _grouped(forward, forward.softmaxes):
        yield from jacobians(forward, words, found)


def _grouped(forward: Forward, found: Iterable[Found]) -> list[list[Found]]:
    """The same function at the same place of the code, in all turns of a loop."""
    sites = {step.out: step.site for step in forward.program.steps}
    groups: dict[Any, list[Found]] = {}
    for f in found:
        if f.z in forward.depends:
            groups.setdefault((f.name, f.axis, sites[f.a], sites.get(f.z)), []).append(f)
    return list(groups.values())


def _as_if(forward: Forward, again: Callable[[], Forward | None]) -> Iterator[Candidate]:
    """Causes found by changing the forward pass."""
    problem, wrong = forward.problem, forward.problem.wrong()
    true = forward.gradients()
    second: Forward | None = None
    there: list[Hypothesis] = []
    for h in _hypotheses(forward):
        fits, repaired = _as_found(forward, true, h, wrong)
        if not fits:
            continue
        if second is None:
            second = again()
            if second is None:
                return
            there, true2 = list(_hypotheses(second)), second.gradients()
        same = [s for s in there if s.message == h.message]
        fits = max((_as_found(second, true2, s, fits)[0] for s in same), key=len, default=[])
        if not fits:
            continue
        kept = [k for k in range(len(true)) if k not in wrong]
        broken = sum(
            problem.residual(k, true[k] + problem.found[k] - repaired[k]) > 1 for k in kept
        )
        cost = h.cost + UNEXPLAINED * (len(wrong) - len(fits)) + BROKEN * broken
        residual = max(problem.residual(k, repaired[k]) for k in fits)
        yield Candidate(h.kind, h.message, h.hint, cost, tuple(fits), residual)


def _as_found(
    forward: Forward, true: Sequence[Array], h: Hypothesis, wrong: Sequence[int]
) -> tuple[list[int], list[Array]]:
    """Which gradients are those of the changed forward pass, and all with the mistake undone."""
    p = forward.problem
    try:
        changed = forward.gradients(h.change)
    except FAILURES:
        return [], []
    repaired = [
        np.asarray(f + (t - c)) if f.shape == t.shape else f
        for f, t, c in zip(p.found, true, changed, strict=True)
    ]
    return [k for k in wrong if p.residual(k, repaired[k]) <= 1], repaired


# -- the backward pass -----------------------------------------------------------------------------


def _tried(repair: Callable[..., Iterator[Edit]], *about: Any) -> Iterator[Edit]:
    """The edits that a repair proposes, as far as it gets."""
    try:
        yield from repair(*about)
    except FAILURES:  # an instruction unlike those that the repair was written for
        return


def _edits(
    backward: Backward, wrong: Sequence[int]
) -> Iterator[tuple[Edit, Callable[[Backward], Iterator[Edit]]]]:
    """All repairs of the code that a wrong gradient depends on, and where to find each again."""
    concerned = set().union(*(backward.behind(k) for k in wrong))
    sites = backward.program.sites()
    for repair in REPAIRS:
        for site, steps in sites.items():
            if not any(step.out in concerned for step in steps):
                continue

            def there(second: Backward, repair: Any = repair, site: Any = site) -> Iterator[Edit]:
                return _tried(repair, second, second.program.sites().get(site, []))

            for e in _tried(repair, backward, steps):
                yield e, there
    for whole in (storage.strides, slips.all_axes):
        for e in _tried(whole, backward):
            yield e, whole


def _solved(backward: Backward, wrong: Sequence[int], end: float) -> Iterator[tuple[Edit, float]]:
    """The constant factors that are missing somewhere."""
    now = backward.run()
    for steps in backward.program.sites().values():
        for k in wrong if time.thread_time() < end + 1 else ():
            try:
                found = constant.solved(backward, steps, now, k)
            except FAILURES:
                continue
            if found is not None:
                yield found
                break


def _edited(backward: Backward, again: Callable[[], Forward | None]) -> Iterator[Candidate]:
    """Causes found by changing the backward pass."""
    problem, wrong = backward.problem, backward.problem.wrong()
    kept = [k for k in range(len(problem.wrt)) if k not in wrong]
    end = time.thread_time() + SECONDS
    second: Backward | None = None
    clear = False  # whether one simple cause explains everything
    for e, there in _edits(backward, wrong):
        if time.thread_time() > (end - SECONDS + 1 if clear else end):
            break
        fits, residual, broken = _set_right(backward, e, wrong, kept)
        if not fits:
            continue
        if second is None:
            second = _backward(problem.again(), again())
            if second is None:
                return
        same = next((s for s in there(second) if s.key == e.key), None)
        if same is not None and (fits := _set_right(second, same, fits, kept)[0]):
            found = _candidate(e, fits, residual, len(wrong), broken)
            clear = clear or found.cost < CLEAR
            yield found
    for e, c in () if clear else _solved(backward, wrong, end):
        fits, residual, broken = _set_right(backward, e, wrong, kept)
        second = second or _backward(problem.again(), again())
        if second is None:
            return
        steps = second.program.sites().get(e.changed[0].site)
        if steps and (fits := _set_right(second, constant.times(steps, c), fits, kept)[0]):
            yield _candidate(e, fits, residual, len(wrong), broken)


def _candidate(e: Edit, fits: Sequence[int], residual: float, wrong: int, broken: int) -> Candidate:
    message, hint = e.say()
    cost = e.cost + UNEXPLAINED * (wrong - len(fits)) + BROKEN * broken
    return Candidate(e.kind, message, hint, cost, tuple(fits), residual, e.line)


def _set_right(
    backward: Backward, e: Edit, wrong: Sequence[int], kept: Sequence[int]
) -> tuple[list[int], float, int]:
    """Which gradients an edit sets right, how well, and how many right ones it breaks."""
    p = backward.problem
    try:
        new = backward.run(e.change, e.changed, wrong)  # most edits fit none: the others wait
        off = {k: p.residual(k, d) for k, d in zip(wrong, new, strict=True)}
        fits = [k for k in wrong if off[k] <= 1]
        others = backward.run(e.change, e.changed, kept) if fits else []
    except FAILURES:
        return [], np.inf, 0
    broken = sum(p.residual(k, d) > 1 for k, d in zip(kept, others, strict=False))
    return fits, max((off[k] for k in fits), default=np.inf), broken
