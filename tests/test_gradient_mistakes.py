"""The collection of wrong gradients is what it says: right is right, wrong is wrong."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gradient_mistakes import Case, load

CASES = load()
MISTAKES = [case for case in CASES if case.wrong is not None]
TRAPS = [case for case in CASES if case.wrong is None]


def _cotangent(case: Case) -> Any:
    shape = np.shape(case.forward(*case.args))
    return np.random.default_rng(case.seed + 1).normal(size=shape) + (0.0 if shape else 2.0)


def _gradients(case: Case, backward: Callable[..., Any], g: Any) -> list[Any]:
    out = backward(np.array(g) if np.ndim(g) else float(g), *case.args)
    assert isinstance(out, tuple)
    assert len(out) == len(case.wrt)
    return [np.asarray(d, dtype=float) for d in out]


def _moved(case: Case, g: Any, k: int, index: tuple[int, ...], step: float) -> float:
    """g · forward with one entry moved; all floating arrays in double precision."""
    args = [np.array(a, float) if np.asarray(a).dtype.kind == "f" else a for a in case.args]
    args[k] = np.array(args[k], dtype=float)
    args[k][index] += step
    return float(np.sum(g * np.asarray(case.forward(*args), dtype=float)))


def _central(case: Case, g: Any, k: int, step: float) -> np.ndarray[Any, Any]:
    x = np.asarray(case.args[k])
    out = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        up, down = (_moved(case, g, k, index, h) for h in (step, -step))
        out[index] = (up - down) / (2 * step)
    return out


def _off(found: Any, true: Any) -> float:
    """The largest error relative to the largest entry."""
    if found.shape != true.shape:
        return np.inf
    return float(np.max(np.abs(found - true), initial=0) / np.max(np.abs(true), initial=1e-8))


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.id)
def test_right_is_right_and_wrong_is_wrong(case: Case) -> None:
    g = _cotangent(case)
    right = _gradients(case, case.right, g)
    for d, k in zip(right, case.wrt, strict=True):
        assert _off(d, _central(case, g, k, 1e-5)) < 1e-6, f"argument {k}"
    assert case.wrong is not None
    wrong = _gradients(case, case.wrong, g)
    assert max(_off(w, d) for w, d in zip(wrong, right, strict=True)) > 1e-4


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.id)
def test_the_wrong_line_is_named(case: Case) -> None:
    assert case.wrong is not None
    assert case.wrong_source is not None
    assert case.line_number is not None
    right, wrong = case.source.splitlines(), case.wrong_source.splitlines()
    assert wrong[case.line_number - 1].strip() == case.line
    assert right[: case.line_number - 1] == wrong[: case.line_number - 1]
    assert right[case.line_number - 1] != wrong[case.line_number - 1]
    # The forward function stays; at most three lines differ.
    assert inspect.getsource(case.forward) in case.wrong_source
    changed = Counter(wrong) - Counter(right) + (Counter(right) - Counter(wrong))
    assert sum(changed.values()) <= 6
    assert inspect.getsource(case.wrong) in case.wrong_source
    assert inspect.getsource(case.right) != inspect.getsource(case.wrong)


@pytest.mark.parametrize("case", TRAPS, ids=lambda case: case.id)
def test_a_trap_is_right(case: Case) -> None:
    """For "pass" differences agree with every entry at one step at least; at a kink the entry lies
    between the one-sided differences.
    """
    g = _cotangent(case)
    for d, k in zip(_gradients(case, case.right, g), case.wrt, strict=True):
        x = np.asarray(case.args[k], dtype=float)
        assert d.shape == x.shape
        for index in np.ndindex(x.shape):
            scale = max(abs(x[index]), 1e-30)
            steps = [h * s for h in (1.0, scale) for s in 10.0 ** np.arange(-9.0, 0)]
            assert any(_agrees(case, g, k, index, h, d[index]) for h in steps), (k, index)


def _agrees(case: Case, g: Any, k: int, index: Any, h: float, d: float) -> bool:
    with np.errstate(all="ignore"):
        low, middle, high = (_moved(case, g, k, index, s * h) for s in (-1, 0, 1))
    slack = 1e-4 * abs(d) + 1e-12
    if abs((high - low) / (2 * h) - d) <= slack:
        return True
    sides = (middle - low) / h, (high - middle) / h
    return "kink" in case.verdict and min(sides) - slack <= d <= max(sides) + slack


def test_the_collection() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    assert len(MISTAKES) >= 330
    assert len(TRAPS) >= 55
    assert {case.verdict for case in TRAPS} == {"pass", "kink", "pass-or-kink"}
    for case in MISTAKES:
        assert case.mistake
        assert case.keywords
        for words in case.keywords:
            assert words
            assert all(w and w == w.lower() for w in words)
