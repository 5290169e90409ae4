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
    total = np.sum(x**2)
    return np.diag(2 * x / total) - 2 * np.outer(x**2, x) / total**2


def jacobian_by_entries(x: Any) -> Any:
    y = x * x / np.dot(x, x)
    J = np.zeros((len(x), len(x)))
    for i in range(len(x)):
        for j in range(len(x)):
            J[i, j] = y[i] * 2 * ((i == j) / x[i] - x[j] / np.dot(x, x))
    return J


def log_softmax_backward(g: Any, x: Any) -> Any:
    return g - weights(x) * g.sum(axis=-1, keepdims=True)


def log_softmax_backward_by_matrix(g: Any, x: Any) -> Any:
    slopes = np.eye(x.shape[1]) - weights(x)[:, None, :]
    return np.einsum("ni,nij->nj", g, slopes)


def smoothed_backward(g: Any, x: Any, t: Any, eps: Any) -> Any:
    dx = weights(x) - eps / x.shape[1]
    dx[np.arange(len(t)), t] -= 1 - eps
    return g * dx / len(t)


def smoothed_backward_mixed(g: Any, x: Any, t: Any, eps: Any) -> Any:
    """The loss is linear in the truth: a mean of two gradients."""
    p, k = weights(x), x.shape[1]
    return g / len(x) * ((1 - eps) * (p - np.eye(k)[t]) + eps * (p - 1 / k))


def bce_backward(g: Any, z: Any, y: Any) -> Any:
    return g * (1 / (1 + np.exp(-z)) - y)


def bce_backward_by_tanh(g: Any, z: Any, y: Any) -> Any:
    return g * (np.tanh(z / 2) / 2 + 0.5 - y)


def _doubt_without_the_true_class(g: Any, x: Any, t: Any, eps: Any) -> Any:
    q = np.full(x.shape, eps / x.shape[1])
    q[np.arange(len(t)), t] = 1 - eps
    return g * (weights(x) - q) / len(t)


RIGHT = {
    "04.cross_entropy": [1.41, 1.408, -np.log(0.2447)],
    "04.softmax": [softmax, softmax_by_rows],
    "04.jacobian": [jacobian, jacobian_by_entries],
    "04.log_softmax_backward": [log_softmax_backward, log_softmax_backward_by_matrix],
    "04.smoothed_backward": [smoothed_backward, smoothed_backward_mixed],
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
        (lambda x: np.diag(2 * x / np.sum(x**2)), "not right"),  # the diagonal only
        (lambda x: np.diag(weights(x)) - np.outer(weights(x), weights(x)), "not right"),
        (lambda x: jacobian(x).T, "not right"),
        (lambda x: np.diag(jacobian(x)), "shape"),
    ],
    "04.log_softmax_backward": [
        (lambda g, x: g - weights(x), "factor"),
        (lambda g, x: g - weights(x) * g, "wrong"),
        (lambda g, x: g - weights(x) * g.mean(axis=-1, keepdims=True), "wrong"),
    ],
    "04.smoothed_backward": [
        (lambda g, x, t, eps: smoothed_backward(g, x, t, eps) * len(t), "mean|divided|factor"),
        (lambda g, x, t, eps: smoothed_backward(g, x, t, 0), "wrong"),
        (lambda g, x, t, eps: smoothed_backward(1, x, t, eps), "g|cotangent"),
        (_doubt_without_the_true_class, "wrong"),
    ],
    "04.planted_bug": [
        (
            lambda g, z, y: g * (1 / (1 + np.exp(-z)) - y) / (2 + np.exp(-z) + np.exp(z)),
            "extra derivative factor",
        ),
        (lambda g, z, y: g * (y - 1 / (1 + np.exp(-z))), "sign"),
    ],
}
