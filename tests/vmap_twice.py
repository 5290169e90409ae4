"""`vmap` run twice: all examples at once, and by a loop, which must find the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import properties
import pytest

import tinynet as tn
from tinynet import vectorize
from tinynet.errors import BatchError
from tinynet.tensor import Tensor

rng = np.random.default_rng(0)
B = 3


def normal(*shape: int) -> Tensor:
    return tn.tensor(rng.standard_normal(shape))


@contextmanager
def loop() -> Iterator[None]:
    """vmap as a loop."""

    def refuse(*_: Any) -> Any:
        raise BatchError("a loop is wanted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectorize, "_at_once", refuse)
        yield


@contextmanager
def at_once() -> Iterator[list[bool]]:
    """vmap as it is; for each run, whether all examples were computed at once."""
    runs: list[bool] = []
    whole = vectorize._at_once

    def watched(*args: Any) -> Any:
        runs.append(False)
        k = len(runs) - 1
        y = whole(*args)
        runs[k] = True
        return y

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectorize, "_at_once", watched)
        yield runs


def leaves(x: Any) -> list[Any]:
    if isinstance(x, dict):
        x = list(x.values())
    return [v for part in x for v in leaves(part)] if isinstance(x, list | tuple) else [x]


def assert_same(found: Any, expected: Any) -> None:
    """Equal to rounding: 1e-12 of the largest entry, of all results: differences of equal numbers
    are 0 in one order of the sums, and not in another.
    """
    a, b = leaves(found), leaves(expected)
    assert len(a) == len(b)
    size = max(map(_largest, b), default=0.0)
    for x, y in zip(a, b, strict=True):
        assert (x is None) == (y is None)
        if x is None:
            continue
        assert (x.shape, x.dtype, x.requires_grad) == (y.shape, y.dtype, y.requires_grad)
        u, v = properties.host(x), properties.host(y)
        np.testing.assert_allclose(u, v, rtol=1e-12, atol=1e-12 * size)


def _largest(x: Any) -> float:
    if x is None or x.dtype.kind not in "fc":
        return 0.0
    v = properties.host(x)
    return float(np.max(np.abs(v), where=np.isfinite(v), initial=0))


def assert_both_ways(function: Callable[[], Any], fast: bool = True) -> Any:
    """What vmap finds is what a loop finds; and it needs none."""
    with loop():
        expected = function()
    with at_once() as runs:
        found = function()
    assert runs
    assert not fast or all(runs), "the loop was taken"
    assert_same(found, expected)
    return found
