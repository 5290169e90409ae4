"""Scores: how good are predictions? Plain numbers, no gradients.

Every function takes predictions first and the true labels second, as tensors, arrays or lists. For
one class called positive, with TP, FP, FN, TN the counts of true and false positives and negatives:

    precision = TP / (TP + FP)      of those called positive, how many are
    recall    = TP / (TP + FN)      of those that are positive, how many were called so
    F1        = 2 · precision · recall / (precision + recall) = 2 TP / (2 TP + FP + FN)

With scores and a threshold t, those with a score of at least t are called positive (accepted):

    false accept rate = FP / (FP + TN)      of those to be kept out, how many come in
    false reject rate = FN / (FN + TP)      of those to be let in, how many stay outside
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from tinynet import arrays
from tinynet.arrays import Array
from tinynet.errors import DTypeError, OutOfRangeError, ShapeError, describe
from tinynet.tensor import raw

Average = Literal["binary", "macro"] | None


def _plain(x: Any) -> Array:
    return arrays.to_device(arrays.as_array(raw(x)), "cpu")


def _classes(x: Any, what: str) -> Array:
    """Class numbers, checked: one axis, whole numbers or booleans."""
    array = _plain(x)
    if array.ndim != 1:
        raise ShapeError(
            f"{what}: one class number for each sample", expected="(n,)", got=describe(array)
        )
    if array.size and array.dtype.kind not in "biu":
        raise DTypeError(
            f"{what}: class numbers are whole numbers",
            got=describe(array),
            hint="scores.argmax(1), or probabilities > 0.5",
        )
    return array.astype(np.int64)


def _pair(predictions: Any, labels: Any) -> tuple[Array, Array]:
    """Predicted and true class numbers. Of scores (n, classes), the largest names the class."""
    labels = _classes(labels, "labels")
    predictions = _plain(predictions)
    if predictions.ndim == 2 and predictions.shape[1] > 0 and predictions.dtype.kind == "f":
        predictions = predictions.argmax(axis=1)
    predictions = _classes(predictions, "predictions")
    if len(predictions) != len(labels):
        raise ShapeError(
            "there must be as many predictions as labels",
            got=f"{len(predictions)} and {len(labels)}",
        )
    if not len(labels):
        raise ShapeError("a score of nothing: there are no samples")
    return predictions, labels


def accuracy(predictions: Any, labels: Any) -> float:
    """The share of samples whose class is right.

    predictions   (n,) class numbers, or (n, classes) scores, of which the largest counts
    labels        (n,) class numbers

    >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2])
    0.75
    """
    predictions, labels = _pair(predictions, labels)
    return float(np.mean(predictions == labels))


def top_k_accuracy(scores: Any, labels: Any, k: int = 5) -> float:
    """The share of samples whose class is among the k largest scores. Of equal scores, the first
    counts as larger.

    scores   (n, classes)

    >>> top_k_accuracy([[0.1, 0.6, 0.3], [0.5, 0.3, 0.2]], [2, 2], k=2)
    0.5
    """
    scores, labels = _plain(scores), _classes(labels, "labels")
    if scores.ndim != 2 or len(scores) != len(labels) or not len(labels):
        raise ShapeError(
            "top_k_accuracy: one row of scores for each label",
            expected=f"({len(labels)}, classes), at least one row",
            got=describe(scores),
        )
    if not 1 <= k <= scores.shape[1]:
        raise OutOfRangeError(f"k = {k}", expected=f"1 … {scores.shape[1]}")
    _in_range(labels, scores.shape[1])
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float(np.mean((best == labels[:, None]).any(axis=1)))


def _in_range(labels: Array, classes: int) -> None:
    if labels.min() < 0 or labels.max() >= classes:
        raise OutOfRangeError(
            "a class number lies outside its range",
            expected=f"0 … {classes - 1}",
            got=f"{labels.min()} … {labels.max()}",
        )


def confusion_matrix(
    predictions: Any, labels: Any, classes: int | None = None
) -> np.ndarray[Any, Any]:
    """Entry (i, j) counts the samples of class i that were taken for class j; what is right stands
    on the diagonal.

    classes   their number; by default one more than the largest that occurs

    >>> confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2])
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 1, 1]])
    """
    predictions, labels = _pair(predictions, labels)
    if classes is None:
        classes = int(max(predictions.max(), labels.max())) + 1
    _in_range(labels, classes)
    _in_range(predictions, classes)
    counts = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return counts.reshape(classes, classes)


def _counts(
    predictions: Any, labels: Any, average: Average, positive: int
) -> tuple[Array, Array, Array]:
    """TP, FP and FN for each class that is asked for."""
    matrix = confusion_matrix(predictions, labels)
    if average == "binary":
        if len(matrix) > 2:
            raise OutOfRangeError(
                f"there are {len(matrix)} classes, and binary scores are for two",
                hint='average="macro" for the mean over classes, average=None for each',
            )
        if positive not in (0, 1):
            raise OutOfRangeError("the positive class of two is 0 or 1", got=repr(positive))
        matrix = np.pad(matrix, (0, 2 - len(matrix)))
    hits, called, real = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    wanted = [positive] if average == "binary" else np.flatnonzero(called + real)
    return hits[wanted], (called - hits)[wanted], (real - hits)[wanted]


def _score(top: Array, bottom: Array, average: Average, zero_division: float) -> Any:
    with np.errstate(invalid="ignore"):
        scores = np.where(bottom == 0, zero_division, top / np.where(bottom == 0, 1, bottom))
    return scores if average is None else float(scores.mean())


def precision(
    predictions: Any,
    labels: Any,
    *,
    average: Average = "binary",
    positive: int = 1,
    zero_division: float = 0.0,
) -> Any:
    """TP / (TP + FP): of the samples called positive, the share that is.

    average         "binary": of the class `positive`; "macro": the mean over the classes that
                    occur; None: of each
    zero_division   the score where nothing was called positive

    >>> precision([1, 1, 1, 0], [1, 1, 0, 0])
    0.6667
    """
    hits, false, _ = _counts(predictions, labels, average, positive)
    return _score(hits, hits + false, average, zero_division)


def recall(
    predictions: Any,
    labels: Any,
    *,
    average: Average = "binary",
    positive: int = 1,
    zero_division: float = 0.0,
) -> Any:
    """TP / (TP + FN): of the samples that are positive, the share that was found. Options as in
    `precision`.

    >>> recall([1, 0, 0, 0], [1, 1, 0, 0])
    0.5
    """
    hits, _, missed = _counts(predictions, labels, average, positive)
    return _score(hits, hits + missed, average, zero_division)


def f1(
    predictions: Any,
    labels: Any,
    *,
    average: Average = "binary",
    positive: int = 1,
    zero_division: float = 0.0,
) -> Any:
    """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall. Options as in
    `precision`.

    >>> f1([1, 0, 1, 0], [1, 1, 0, 0])
    0.5
    """
    hits, false, missed = _counts(predictions, labels, average, positive)
    return _score(2 * hits, 2 * hits + false + missed, average, zero_division)


def roc_auc(scores: Any, labels: Any) -> float:
    """The chance that a random positive sample (label 1) scores higher than a random negative one;
    ties count half.

    It is the area under the curve of true positives against false positives as the threshold falls,
    and here is found from ranks: (Σ ranks of positives − p (p + 1) / 2) / (p n), for p positives
    and n negatives.

    >>> roc_auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """
    scores, labels = _scored(scores, labels, "roc_auc")
    _, which, ties = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(ties)
    ranks = (ends - (ties - 1) / 2)[which]  # equal scores share the mean of their ranks
    p = int(labels.sum())
    n = len(labels) - p
    return float((ranks[labels == 1].sum() - p * (p + 1) / 2) / (p * n))


def _scored(scores: Any, labels: Any, what: str) -> tuple[Array, Array]:
    """One score for each label, both labels among them."""
    scores, labels = _plain(scores), _classes(labels, "labels")
    if scores.shape != labels.shape:
        raise ShapeError("one score for each label", got=f"{describe(scores)}, {describe(labels)}")
    if not np.isin(labels, (0, 1)).all() or len(np.unique(labels)) < 2:
        raise OutOfRangeError(f"{what} needs both labels 0 and 1, and no other")
    if np.isnan(scores).any():
        raise OutOfRangeError("a score is NaN: it has no rank")
    return scores, labels


class ThresholdCurve(NamedTuple):
    """What each threshold gets wrong; `threshold_curve` makes it. A row for each way to divide the
    scores, from "all are accepted" to "none is".

    thresholds      (k + 1,), rising: the k scores that occur, then inf
    false_accepts   (k + 1,), falling from 1 to 0
    false_rejects   (k + 1,), rising from 0 to 1
    """

    thresholds: Array
    false_accepts: Array
    false_rejects: Array

    def equal_error_rate(self) -> float:
        """The rate at which both errors are the same: on the straight line between the last
        threshold with more false accepts and the next.

        >>> threshold_curve([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]).equal_error_rate()
        0.5
        """
        more = self.false_accepts - self.false_rejects  # falls from 1 to -1
        i = int(np.argmax(more <= 0))
        share = more[i - 1] / (more[i - 1] - more[i])
        return float((1 - share) * self.false_accepts[i - 1] + share * self.false_accepts[i])

    def least_error(self) -> float:
        """A threshold with the least sum of both rates: the middle between two scores; of several
        such gaps, the widest.

        >>> threshold_curve([0.0, 0.2, 0.8, 1.0], [0, 0, 1, 1]).least_error()
        0.5
        """
        errors = self.false_accepts + self.false_rejects
        low, high = self.thresholds[:-2], self.thresholds[1:-1]
        inner = errors[1:-1]
        if not len(inner) or inner.min() > errors[[0, -1]].min():
            return float(self.thresholds[errors.argmin()])  # all, or none
        best = np.flatnonzero(inner <= inner.min() + 1e-12)  # equal, but for rounding
        gap = best[(high - low)[best].argmax()]
        return float((low[gap] + high[gap]) / 2)

    def at_most(self, false_accepts: float) -> float:
        """The lowest threshold with no more than this share of false accepts.

        >>> threshold_curve([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]).at_most(0.0)
        0.8
        """
        if not 0 <= false_accepts <= 1:
            raise OutOfRangeError("false_accepts is a share", got=str(false_accepts))
        return float(self.thresholds[np.argmax(self.false_accepts <= false_accepts)])


def threshold_curve(scores: Any, labels: Any) -> ThresholdCurve:
    """False accepts and false rejects by threshold: who scores at least t is accepted.

    scores   (n,), finite
    labels   (n,): 1 for those to be let in, 0 for those to be kept out; both occur

    >>> curve = threshold_curve([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> for row in zip(*curve): print("%.2f: %.1f %.1f" % row)
    0.10: 1.0 0.0
    0.35: 0.5 0.0
    0.40: 0.5 0.5
    0.80: 0.0 0.5
    inf: 0.0 1.0
    """
    scores, labels = _scored(scores, labels, "threshold_curve")
    if np.isinf(scores).any():
        raise OutOfRangeError("a score is infinite: no threshold lies above it")
    scores = scores.astype(np.float64)
    thresholds = np.append(np.unique(scores), np.inf)
    below = [np.searchsorted(np.sort(scores[labels == c]), thresholds) for c in (0, 1)]
    out, inside = (count / count[-1] for count in below)  # all lie below inf
    return ThresholdCurve(thresholds, 1 - out, inside)
