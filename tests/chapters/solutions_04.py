"""Worked solutions of chapter 04, and wrong ones that its readers write."""

from __future__ import annotations

from typing import Any

import numpy as np


def weights(x: Any) -> Any:
    shifted = x - x.max(axis=-1, keepdims=True)
    return np.exp(shifted) / np.exp(shifted).sum(axis=-1, keepdims=True)


def softmax(x: Any, tau: Any) -> Any:
    return weights(x / tau)


def softmax_by_rows(x: Any, tau: Any) -> Any:
    rows = []
    for row in x:
        top = max(row)
        powers = [np.exp((value - top) / tau) for value in row]
        rows.append([power / sum(powers) for power in powers])
    return rows


def jacobian(x: Any) -> Any:
    y = weights(x)
    return np.diag(y) - np.outer(y, y)


def jacobian_by_entries(x: Any) -> Any:
    y = weights(x)
    J = np.zeros((len(x), len(x)))
    for i in range(len(x)):
        for j in range(len(x)):
            J[i, j] = y[i] * (1 - y[i]) if i == j else -y[i] * y[j]
    return J


def log_softmax_backward(g: Any, x: Any) -> Any:
    return g - weights(x) * g.sum(axis=-1, keepdims=True)


def log_softmax_backward_by_matrix(g: Any, x: Any) -> Any:
    slopes = np.eye(x.shape[1]) - weights(x)[:, None, :]
    return np.einsum("ni,nij->nj", g, slopes)


def cross_entropy_backward(g: Any, x: Any, t: Any) -> Any:
    dx = weights(x)
    dx[np.arange(len(t)), t] -= 1
    return g * dx / len(t)


def cross_entropy_backward_one_hot(g: Any, x: Any, t: Any) -> Any:
    return (g / x.shape[0]) * (weights(x) - np.eye(x.shape[1])[t])


def bce_backward(g: Any, z: Any, y: Any) -> Any:
    return g * (1 / (1 + np.exp(-z)) - y)


def bce_backward_by_tanh(g: Any, z: Any, y: Any) -> Any:
    return g * (np.tanh(z / 2) / 2 + 0.5 - y)


RIGHT = {
    "04.cross_entropy": [1.41, 1.408, -np.log(0.2447)],
    "04.softmax": [softmax, softmax_by_rows],
    "04.jacobian": [jacobian, jacobian_by_entries],
    "04.log_softmax_backward": [log_softmax_backward, log_softmax_backward_by_matrix],
    "04.cross_entropy_backward": [cross_entropy_backward, cross_entropy_backward_one_hot],
    "04.planted_bug": [bce_backward, bce_backward_by_tanh],
}

WRONG = {
    "04.cross_entropy": [(2.408, "too large"), (0.4076, "too small"), (0.2447, "too small")],
    "04.softmax": [
        (lambda x, tau: np.exp(x / tau) / np.exp(x / tau).sum(axis=-1, keepdims=True), "extremes"),
        (lambda x, tau: weights(x), "tau = 0.5"),
        (lambda x, tau: weights(x.T / tau).T, "not right"),
        (lambda x, tau: weights(x / tau).sum(axis=-1), "shape"),
    ],
    "04.jacobian": [
        (lambda x: np.diag(weights(x)), "not right"),
        (lambda x: weights(x) * (1 - weights(x)), "shape"),
    ],
    "04.log_softmax_backward": [
        (lambda g, x: g - weights(x), "factor"),
        (lambda g, x: g - weights(x) * g, "wrong"),
        (lambda g, x: g - weights(x) * g.mean(axis=-1, keepdims=True), "wrong"),
    ],
    "04.cross_entropy_backward": [
        (lambda g, x, t: g * (weights(x) - np.eye(x.shape[1])[t]), "mean|divided|factor"),
        (lambda g, x, t: g * weights(x) / len(t), "wrong"),
        (lambda g, x, t: (weights(x) - np.eye(x.shape[1])[t]) / len(t), "g|cotangent"),
    ],
    "04.planted_bug": [
        (
            lambda g, z, y: g * (1 / (1 + np.exp(-z)) - y) / (2 + np.exp(-z) + np.exp(z)),
            "extra derivative factor",
        ),
        (lambda g, z, y: g * (y - 1 / (1 + np.exp(-z))), "sign"),
    ],
}
