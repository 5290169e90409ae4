"""Scores against their definitions, counted by brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet.errors import DTypeError, OutOfRangeError, ShapeError
from tinynet.metrics import (
    accuracy,
    confusion_matrix,
    f1,
    precision,
    recall,
    roc_auc,
    threshold_curve,
    top_k_accuracy,
)
from tinynet.ops.creation import tensor


def pairs(classes: int) -> Any:
    one = st.integers(0, classes - 1)
    return st.lists(st.tuples(one, one), min_size=1, max_size=30)


@given(pairs(4))
def test_accuracy_and_confusion_matrix(found: list[tuple[int, int]]) -> None:
    predictions, labels = zip(*found, strict=True)
    assert accuracy(predictions, labels) == sum(p == y for p, y in found) / len(found)
    matrix = confusion_matrix(tensor(predictions), np.array(labels), classes=4)
    for i in range(4):
        for j in range(4):
            assert matrix[i, j] == sum(y == i and p == j for p, y in found)


@given(pairs(2), st.sampled_from([0, 1]))
def test_binary_scores(found: list[tuple[int, int]], positive: int) -> None:
    predictions, labels = zip(*found, strict=True)
    hits = sum(p == y == positive for p, y in found)
    called, real = predictions.count(positive), labels.count(positive)
    expected = (
        hits / called if called else 0.25,
        hits / real if real else 0.25,
        2 * hits / (called + real) if called + real else 0.25,
    )
    for score, value in zip((precision, recall, f1), expected, strict=True):
        got = score(predictions, labels, positive=positive, zero_division=0.25)
        assert got == pytest.approx(value)


@given(pairs(4))
def test_macro_is_the_mean_of_one_against_the_rest(found: list[tuple[int, int]]) -> None:
    predictions, labels = (np.array(x) for x in zip(*found, strict=True))
    occurring = np.union1d(predictions, labels)
    for score in (precision, recall, f1):
        each = [score((predictions == c).astype(int), (labels == c).astype(int)) for c in occurring]
        np.testing.assert_allclose(score(predictions, labels, average=None), each)
        assert score(predictions, labels, average="macro") == pytest.approx(np.mean(each))


@given(
    st.lists(st.lists(st.integers(-3, 3), min_size=4, max_size=4), min_size=1, max_size=8),
    st.integers(1, 4),
    st.data(),
)
def test_top_k(scores: list[list[int]], k: int, data: Any) -> None:
    labels = [data.draw(st.integers(0, 3)) for _ in scores]
    hits = 0
    for row, y in zip(scores, labels, strict=True):
        before = sum(s > row[y] or (s == row[y] and j < y) for j, s in enumerate(row))
        hits += before < k
    assert top_k_accuracy(np.array(scores, dtype=float), labels, k) == hits / len(labels)
    if k == 1:
        assert accuracy(np.array(scores, dtype=float), labels) == hits / len(labels)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1)), min_size=2, max_size=30))
def test_roc_auc_counts_pairs(found: list[tuple[int, int]]) -> None:
    positive = [s for s, y in found if y]
    negative = [s for s, y in found if not y]
    scores, labels = zip(*found, strict=True)
    if not positive or not negative:
        with pytest.raises(OutOfRangeError):
            roc_auc(scores, labels)
        return
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    assert roc_auc(scores, labels) == pytest.approx(wins / (len(positive) * len(negative)))


SCORED = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=20).filter(
    lambda found: len({label for _, label in found}) == 2
)


def rates(found: list[tuple[int, bool]], threshold: float) -> tuple[float, float]:
    """(false accepts, false rejects), counted."""
    wrong = [score >= threshold for score, right in found if not right]
    kept_out = [score < threshold for score, right in found if right]
    return sum(wrong) / len(wrong), sum(kept_out) / len(kept_out)


@given(SCORED)
def test_a_threshold_curve_is_what_is_counted(found: list[tuple[int, bool]]) -> None:
    scores, labels = (np.array(column) for column in zip(*found, strict=True))
    curve = threshold_curve(scores, labels)
    assert list(curve.thresholds) == [*sorted(set(scores.tolist())), np.inf]
    for threshold, *both in zip(*curve, strict=True):
        assert both == pytest.approx(rates(found, threshold))
    assert (np.diff(curve.false_accepts) <= 0).all()
    assert (np.diff(curve.false_rejects) >= 0).all()
    x, y = curve.false_accepts[::-1], 1 - curve.false_rejects[::-1]
    assert np.trapezoid(y, x) == pytest.approx(roc_auc(scores, labels))


@given(SCORED)
def test_the_equal_error_rate_lies_on_the_curve(found: list[tuple[int, bool]]) -> None:
    curve = threshold_curve(*zip(*found, strict=True))
    rate = curve.equal_error_rate()
    # On the line through the points (false rejects, false accepts), where both are the same.
    line = np.interp(rate, curve.false_rejects, curve.false_accepts)
    steps = curve.false_accepts[np.isclose(curve.false_rejects, rate)]
    among = len(steps) and steps.min() - 1e-9 <= rate <= steps.max() + 1e-9
    assert among or line == pytest.approx(rate)
    mirrored = threshold_curve([-s for s, _ in found], [not y for _, y in found])
    assert mirrored.equal_error_rate() == pytest.approx(rate)


@given(SCORED)
def test_no_threshold_has_a_smaller_error(found: list[tuple[int, bool]]) -> None:
    curve = threshold_curve(*zip(*found, strict=True))
    least = sum(rates(found, curve.least_error()))
    assert least == pytest.approx(min(sum(rates(found, t / 2)) for t in range(-8, 9)))
    for share in (0.0, 0.3, 1.0):
        assert rates(found, curve.at_most(share))[0] <= share
        lower = [t for t in curve.thresholds if t < curve.at_most(share)]
        assert all(rates(found, t)[0] > share for t in lower)


def test_the_least_error_keeps_away_from_both_sides() -> None:
    curve = threshold_curve([0.0, 0.1, 0.5, 0.9, 1.0], [0, 0, 1, 1, 1])
    assert curve.least_error() == pytest.approx(0.3)
    two = threshold_curve([0.0, 0.1, 0.2, 0.9], [0, 1, 0, 1])  # one error in either gap
    assert two.least_error() == pytest.approx(0.55)
    assert threshold_curve([1.0, 0.0], [0, 1]).least_error() == 0.0  # let all in, or none
    with pytest.raises(OutOfRangeError):
        curve.at_most(1.5)


def test_tensors_that_require_gradients_can_be_scored() -> None:
    scores = tensor([[0.1, 0.9], [0.8, 0.2]], requires_grad=True)
    assert accuracy(scores, tensor([1, 1])) == 0.5


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: accuracy([1, 2], [1]), ShapeError),
        (lambda: accuracy([], np.array([], int)), ShapeError),
        (lambda: accuracy([0.2, 0.8], [0, 1]), DTypeError),
        (lambda: accuracy([0, 1], [0.0, 1.0]), DTypeError),
        (lambda: accuracy(np.zeros((2, 2, 2)), [0, 1]), ShapeError),
        (lambda: confusion_matrix([0, 3], [0, 1], classes=3), OutOfRangeError),
        (lambda: confusion_matrix([0, -1], [0, 1]), OutOfRangeError),
        (lambda: precision([0, 2], [0, 1]), OutOfRangeError),
        (lambda: precision([0, 1], [0, 1], positive=2), OutOfRangeError),
        (lambda: top_k_accuracy([[0.1, 0.2]], [0], k=3), OutOfRangeError),
        (lambda: top_k_accuracy([[0.1, 0.2]], [2], k=1), OutOfRangeError),
        (lambda: top_k_accuracy([0.1, 0.2], [0], k=1), ShapeError),
        (lambda: roc_auc([0.1], [0, 1]), ShapeError),
        (lambda: roc_auc([0.1, float("nan")], [0, 1]), OutOfRangeError),
        (lambda: roc_auc([0.1, 0.2], [0, 2]), OutOfRangeError),
        (lambda: threshold_curve([0.1], [0, 1]), ShapeError),
        (lambda: threshold_curve([0.1, 0.2], [1, 1]), OutOfRangeError),
        (lambda: threshold_curve([0.1, float("nan")], [0, 1]), OutOfRangeError),
        (lambda: threshold_curve([0.1, float("inf")], [0, 1]), OutOfRangeError),
    ],
)
def test_what_cannot_be_scored(call: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        call()
