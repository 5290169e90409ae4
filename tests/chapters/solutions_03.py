"""Worked solutions of chapter 03, and wrong ones that its readers write."""

from __future__ import annotations

from typing import Any

import numpy as np


def softplus_layer(X: Any, W: Any, b: Any) -> Any:
    return np.logaddexp(0, X @ W.T + b)


def softplus_layer_by_parts(X: Any, W: Any, b: Any) -> Any:
    z = np.einsum("nd,od->no", X, W) + b
    return np.maximum(z, 0) + np.log1p(np.exp(-abs(z)))


def silu_backward(g: Any, z: Any) -> Any:
    s = 1 / (1 + np.exp(-z))
    return g * (s + z * s * (1 - s))


def silu_backward_by_tanh(g: Any, z: Any) -> Any:
    half = np.tanh(z / 2)
    return g * (1 + half) / 2 + g * z * (1 - half * half) / 4


def tanh_layer_backward(g: Any, X: Any, W: Any, b: Any) -> Any:
    A = np.tanh(X @ W.T + b)
    delta = g * (1 - A**2)
    return delta @ W, delta.T @ X, delta.sum(axis=0)


def tanh_layer_backward_by_samples(g: Any, X: Any, W: Any, b: Any) -> Any:
    dX, dW, db = np.zeros_like(X), np.zeros_like(W), np.zeros_like(b)
    for i, x in enumerate(X):
        for j, w in enumerate(W):
            delta = g[i, j] / np.cosh(x @ w + b[j]) ** 2
            dX[i] += delta * w
            dW[j] += delta * x
            db[j] += delta
    return dX, dW, db


def perceptron(X: Any, y: Any, passes: Any) -> Any:
    w, b = np.zeros(X.shape[1]), 0.0
    for _ in range(passes):
        for x, truth in zip(X, y, strict=True):
            if truth * (w @ x + b) <= 0:
                w = w + truth * x
                b = b + truth
    return np.append(w, b)


def perceptron_of_extended_samples(X: Any, y: Any, passes: Any) -> Any:
    signed = y[:, None] * np.column_stack([X, np.ones(len(X))])
    w_tilde = np.zeros(X.shape[1] + 1)
    for _ in range(passes):
        for sample in signed:
            w_tilde = w_tilde + sample * (w_tilde @ sample <= 0)
    return w_tilde


RIGHT = {
    "03.by_hand": [9, 9.0],
    "03.softplus": [softplus_layer, softplus_layer_by_parts],
    "03.silu_backward": [silu_backward, silu_backward_by_tanh],
    "03.tanh_layer_backward": [tanh_layer_backward, tanh_layer_backward_by_samples],
    "03.planted_bug": [perceptron, perceptron_of_extended_samples],
}


def _slope_at_the_output(g: Any, X: Any, W: Any, b: Any) -> Any:
    A = np.tanh(X @ W.T + b)
    delta = g * (1 - np.tanh(A) ** 2)
    return delta @ W, delta.T @ X, delta.sum(axis=0)


def _no_slope(g: Any, X: Any, W: Any, b: Any) -> Any:
    return g @ W, g.T @ X, g.sum(axis=0)


def _bias_averaged(g: Any, X: Any, W: Any, b: Any) -> Any:
    delta = g * (1 - np.tanh(X @ W.T + b) ** 2)
    return delta @ W, delta.T @ X, delta.mean(axis=0)


def _restless(X: Any, y: Any, passes: Any) -> Any:
    w, b = np.zeros(X.shape[1]), 0.0
    for _ in range(passes):
        for x, truth in zip(X, y, strict=True):
            if truth * (w @ x + b) <= 0:
                w = w + truth * x
            b = b + truth
    return np.append(w, b)


def _never_starts(X: Any, y: Any, passes: Any) -> Any:
    w, b = np.zeros(X.shape[1]), 0.0
    for _ in range(passes):
        for x, truth in zip(X, y, strict=True):
            if truth * (w @ x + b) < 0:
                w, b = w + truth * x, b + truth
    return np.append(w, b)


WRONG = {
    "03.by_hand": [(8, "too small"), (4, "too small"), (10, "too large")],
    "03.softplus": [
        (lambda X, W, b: np.log(1 + np.exp(X @ W.T + b)), "extremes"),
        (lambda X, W, b: np.logaddexp(0, X @ W.T), "not right"),
        (lambda X, W, b: np.logaddexp(0, X @ W.T + b).sum(axis=1), "shape"),
    ],
    "03.silu_backward": [
        (lambda g, z: g / (1 + np.exp(-z)), "wrong"),
        (lambda g, z: g * np.exp(-z) / (1 + np.exp(-z)) ** 2, "wrong"),
        (lambda g, z: silu_backward(1.0, z), "g|cotangent"),
    ],
    "03.tanh_layer_backward": [
        (_slope_at_the_output, "uses `tanh.A.` instead of `A`"),
        (_no_slope, "tanh"),
        (_bias_averaged, "averaged"),
    ],
    "03.planted_bug": [
        (_restless, r"rests when all is right(.|\n)*not right"),
        (_never_starts, "not right"),
        (lambda X, y, passes: perceptron(X, y, passes)[:-1], "shape"),
    ],
}
