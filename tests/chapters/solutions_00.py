"""Worked solutions of chapter 00, and wrong ones that its readers write."""

from __future__ import annotations

from typing import Any

import numpy as np


def standardise(X: Any) -> Any:
    centred = X - X.mean(axis=0)
    width = np.sqrt(np.mean(centred**2, axis=0))
    return centred / np.where(width > 0, width, 1)


def standardise_by_columns(X: Any) -> Any:
    Y = np.zeros_like(X)
    for j in range(X.shape[1]):
        column = [value - sum(X[:, j]) / len(X) for value in X[:, j]]
        width = (sum(value * value for value in column) / len(X)) ** 0.5
        if width > 1e-12:
            Y[:, j] = [value / width for value in column]
    return Y


def distances(X: Any, M: Any) -> Any:
    squares = np.sum(X**2, axis=1, keepdims=True) - 2 * X @ M.T + np.sum(M**2, axis=1)
    return np.maximum(squares, 0)


def distances_by_loop(X: Any, M: Any) -> Any:
    return np.array([[((x - m) ** 2).sum() for m in M] for x in X])


def scale_shift_backward(g: Any, X: Any, s: Any, b: Any) -> Any:
    return g * s, (g * X).sum(axis=0), g.sum(axis=0)


def scale_shift_backward_einsum(g: Any, X: Any, s: Any, b: Any) -> Any:
    return np.einsum("nd,d->nd", g, s), np.einsum("nd,nd->d", g, X), np.einsum("nd->d", g)


def mse(y_hat: Any, y: Any) -> Any:
    return np.mean((np.ravel(y_hat) - np.ravel(y)) ** 2)


def mse_by_loop(y_hat: Any, y: Any) -> Any:
    pairs = zip(np.ravel(y_hat), np.ravel(y), strict=True)
    return sum((a - b) ** 2 for a, b in pairs) / len(y)


RIGHT = {
    "00.offset": [39, 39.0],
    "00.standardise": [standardise, standardise_by_columns],
    "00.distances": [distances, distances_by_loop],
    "00.scale_shift_backward": [scale_shift_backward, scale_shift_backward_einsum],
    "00.planted_bug": [mse, mse_by_loop],
}

WRONG = {
    "00.offset": [(40, "too large"), (34, "too small")],
    "00.standardise": [
        (lambda X: (X - X.mean(axis=0)) / X.std(axis=0), "not finite|nan"),
        (lambda X: standardise(X.T).T, "not right"),
        (lambda X: X - X.mean(axis=0), "not right"),
    ],
    "00.distances": [
        (lambda X, M: np.sum((X[:, None, :] - M[None, :, :]) ** 2, axis=2), "MiB"),
        (lambda X, M: np.sqrt(distances(X, M)), "not right"),
        (lambda X, M: distances(M, X), "shape"),
    ],
    "00.scale_shift_backward": [
        (lambda g, X, s, b: (g * s, (g * X).sum(axis=0), g), "shape|sum"),
        (lambda g, X, s, b: (g * s, g.sum(axis=0), g.sum(axis=0)), "X"),
        (lambda g, X, s, b: (g, (g * X).sum(axis=0), g.sum(axis=0)), "`s`|factor|s"),
    ],
    "00.planted_bug": [
        (lambda y_hat, y: np.mean((y_hat - y) ** 2), "a column and a vector"),
        (lambda y_hat, y: np.mean((y_hat - y[:, None]) ** 2), "two vectors"),
        (lambda y_hat, y: np.mean((np.squeeze(y_hat) - y) ** 2), "two columns"),
    ],
}
