"""Tensors, shapes, broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.exercises.properties import at, frugal, gradient, number, right, values
from tinynet.exercises.task import Exercise

mse = right("mse")


def _matrix() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"X": arrays("n d")}


def _two_matrices() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"X": arrays("n d"), "M": arrays("k d")}


def _scaled() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"X": arrays("n d"), "s": arrays("d"), "b": arrays("d")}


def _vectors() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"y_hat": arrays("n"), "y": arrays("n")}


def _columns() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"y_hat": arrays("n 1"), "y": arrays("n 1")}


def _column_and_vector() -> dict[str, Any]:
    from tinynet.check.strategies import arrays

    return {"y_hat": arrays("n 1"), "y": arrays("n")}


def _standardised(X: Any) -> Any:
    """Each column is a row for layer norm; the tiny eps makes a constant one 0."""
    n = len(X)
    return right("layer_norm", eps=1e-200)(X.T, np.ones(n), np.zeros(n)).T


def _distances(X: Any, M: Any) -> Any:
    return right("square")(X[:, None, :] - M[None, :, :]).sum(axis=2)


def _scale_shift(X: Any, s: Any, b: Any) -> Any:
    return X * s + b


def _mse_of_column(y_hat: Any, y: Any) -> Any:
    return mse(y_hat[:, 0], y)


EXERCISES = (
    Exercise(
        "00.offset",
        "By hand: a tensor has shape (4, 3, 5). How many entries come before entry (2, 1, 4)?",
        "a whole number",
        (number(lambda: (2 * 3 + 1) * 5 + 4, name="is the offset"),),
        (
            "Count whole blocks of axis 0 first, then whole rows, then single entries.",
            "One step along axis 0 passes a block of 3 × 5 entries.",
            "Two blocks, one row of 5, and 4 more.",
        ),
    ),
    Exercise(
        "00.standardise",
        "Give every column of X the mean 0 and the standard deviation 1; a constant one becomes 0.",
        "standardise(X) -> Y, both of shape (n, d)",
        (
            values(_standardised, _matrix),
            at(
                _standardised,
                (np.full((3, 2), 7.0),),
                (np.array([[1.0, 5.0], [2.0, 5.0]]),),
                name="makes a constant column 0",
            ),
        ),
        (
            "Which axis goes away when you take the mean of each column?",
            "Take the mean away first; the standard deviation is the root of the mean of squares.",
            "For a constant column both are 0: np.where, or a divisor that is 1 where it was 0.",
        ),
    ),
    Exercise(
        "00.distances",
        "All squared distances between the rows of X and those of M, without an (n, k, d) table.",
        "distances(X, M) -> D, X (n, d), M (k, d), D (n, k)",
        (
            values(_distances, _two_matrices),
            at(
                lambda X, M: np.maximum(_distances(X, M), 0),
                (np.ones((2, 3)) / 3, np.ones((1, 3)) / 3),
                name="gives no negative distance",
            ),
            frugal(np.ones((200, 100)), np.ones((200, 100)), mebibytes=4),
        ),
        (
            "Open the square: three sums over the last axis.",
            "The middle one is X @ M.T. The other two have shapes (n) and (k): which axis must "
            "each of them get, so that they broadcast to (n, k)?",
            "(n, 1) and (1, k), that is keepdims=True for X, and nothing for M.",
        ),
    ),
    Exercise(
        "00.scale_shift_backward",
        "The gradients of Z = X ⊙ s + b for all three inputs.",
        "scale_shift_backward(g, X, s, b) -> (dX, ds, db), X and g (n, d), s and b (d)",
        (gradient(_scale_shift, _scaled),),
        (
            "First for one entry: z = x s + b. What does each of the three give?",
            "s and b were stretched over the rows. What was copied must be summed.",
            "dX is g times s; ds is the sum of g times X over axis 0.",
        ),
    ),
    Exercise(
        "00.planted_bug",
        "A mean squared error that also works for a column of predictions and a vector of truths.",
        "mse(y_hat, y) -> number, y_hat and y each (n) or (n, 1)",
        (
            values(mse, _vectors, name="is right for two vectors"),
            values(mse, _columns, name="is right for two columns"),
            values(_mse_of_column, _column_and_vector, name="is right for a column and a vector"),
        ),
        (
            "Print the shape of the difference.",
            "(n, 1) and (n) broadcast to (n, n). Give both the same shape first.",
            "reshape(-1), or ravel(), makes a vector of either.",
        ),
    ),
)
