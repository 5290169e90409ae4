"""Worked solutions of chapter 05, and wrong ones that its readers write."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def silu_network(X: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
    Z = X @ W1.T + b1
    return (Z / (1 + np.exp(-Z))) @ W2.T + b2


def silu_network_by_sample(X: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
    rows = []
    for x in X:
        z = W1 @ x + b1
        rows.append(W2 @ (z * (np.tanh(z / 2) + 1) / 2) + b2)
    return rows


def residual_backward(g: Any, A: Any, W: Any, b: Any) -> Any:
    dZ = g * (A @ W.T + b > 0)
    return g + dZ @ W, dZ.T @ A, dZ.sum(axis=0)


def residual_backward_by_sample(g: Any, A: Any, W: Any, b: Any) -> Any:
    dA, dW, db = np.zeros_like(A), np.zeros_like(W), np.zeros_like(b)
    for n in range(len(A)):
        open_ = np.diag((W @ A[n] + b > 0).astype(float))
        dA[n] = g[n] @ (np.eye(len(b)) + open_ @ W)
        dW += np.outer(open_ @ g[n], A[n])
        db += open_ @ g[n]
    return dA, dW, db


def leaky_std(fan_in: Any, s: Any) -> Any:
    return math.sqrt(2 / ((1 + s * s) * fan_in))


def leaky_std_by_share(fan_in: Any, s: Any) -> Any:
    kept = 0.5 * (1 + s**2)
    return 1 / np.sqrt(fan_in * kept)


def adamw_step(w: Any, m: Any, v: Any, t: Any, g: Any, lr: Any, decay: Any) -> Any:
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g * g
    slope = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return (1 - lr * decay) * w - lr * slope, m, v


def adamw_step_by_differences(w: Any, m: Any, v: Any, t: Any, g: Any, lr: Any, decay: Any) -> Any:
    m, v = m + 0.1 * (g - m), v + 0.001 * (g**2 - v)
    root = np.sqrt(v) / math.sqrt(1 - 0.999**t) + 1e-8
    return w - lr * decay * w - lr / (1 - 0.9**t) * m / root, m, v


def tied_backward(g: Any, X: Any, W: Any) -> Any:
    A = np.tanh(X @ W.T)
    dZ = (g @ W.T) * (1 - A**2)
    return dZ @ W, A.T @ g + dZ.T @ X


def tied_backward_einsum(g: Any, X: Any, W: Any) -> Any:
    A = np.tanh(np.einsum("nd,hd->nh", X, W))
    dW = np.einsum("nh,nd->hd", A, g)
    dZ = np.einsum("nd,hd->nh", g, W) / np.cosh(np.einsum("nd,hd->nh", X, W)) ** 2
    dW += np.einsum("nh,nd->hd", dZ, X)
    return np.einsum("nh,hd->nd", dZ, W), dW


RIGHT = {
    "05.by_hand": [-4, -4.0],
    "05.silu_network": [silu_network, silu_network_by_sample],
    "05.residual_backward": [residual_backward, residual_backward_by_sample],
    "05.leaky_std": [leaky_std, leaky_std_by_share],
    "05.adamw_step": [adamw_step, adamw_step_by_differences],
    "05.planted_bug": [tied_backward, tied_backward_einsum],
}


def _adam_with_penalty(w: Any, m: Any, v: Any, t: Any, g: Any, lr: Any, decay: Any) -> Any:
    return adamw_step(w, m, v, t, g + decay * w, lr, 0)


def _uncorrected(w: Any, m: Any, v: Any, t: Any, g: Any, lr: Any, decay: Any) -> Any:
    _, m, v = adamw_step(w, m, v, t, g, lr, decay)
    return (1 - lr * decay) * w - lr * m / (np.sqrt(v) + 1e-8), m, v


def _last_path_only(g: Any, X: Any, W: Any) -> Any:
    inner = np.tanh(X @ W.T)
    dW = inner.T @ g
    dZ = (g @ W.T) * (1 - inner**2)
    dW = dZ.T @ X
    return dZ @ W, dW


def _first_path_only(g: Any, X: Any, W: Any) -> Any:
    inner = np.tanh(X @ W.T)
    dW = inner.T @ g
    dZ = (g @ W.T) * (1 - inner**2)
    return dZ @ W, dW


def _no_skip(g: Any, A: Any, W: Any, b: Any) -> Any:
    dZ = g * (A @ W.T + b > 0)
    return dZ @ W, dZ.T @ A, dZ.sum(axis=0)


def _no_mask(g: Any, A: Any, W: Any, b: Any) -> Any:
    return g + g @ W, g.T @ A, g.sum(axis=0)


def _mask_of_the_sum(g: Any, A: Any, W: Any, b: Any) -> Any:
    Y = A + np.maximum(A @ W.T + b, 0)
    dZ = g * (Y > 0)
    return g + dZ @ W, dZ.T @ A, dZ.sum(axis=0)


WRONG = {
    "05.by_hand": [(-2, "too large"), (4, "too large"), (-8, "too small")],
    "05.silu_network": [
        (lambda X, W1, b1, W2, b2: (X @ W1.T + b1) @ W2.T + b2, "not right"),
        (lambda X, W1, b1, W2, b2: silu_network(X, W1, b1, W2, 0 * b2), "not right"),
        (lambda X, W1, b1, W2, b2: silu_network(X, W1, b1, W2, b2).T, "shape"),
        (
            lambda X, W1, b1, W2, b2: 1 / (1 + np.exp(-X @ W1.T - b1)) @ W2.T + b2,
            "not right",
        ),
    ],
    "05.residual_backward": [
        (_no_skip, "skip|path through"),
        (_no_mask, "derivative of the ReLU .* is missing"),
        (_mask_of_the_sum, "wrong"),
        (lambda g, A, W, b: residual_backward(g, A, W, b)[:2], "2 gradients"),
    ],
    "05.leaky_std": [
        (lambda fan_in, s: 2 / ((1 + s * s) * fan_in), "not right"),
        (lambda fan_in, s: math.sqrt(2 / fan_in), "s = 1"),
        (lambda fan_in, s: math.sqrt(2 / ((1 + s) ** 2 * fan_in)), "not right"),
    ],
    "05.adamw_step": [
        (_adam_with_penalty, "not right"),
        (_uncorrected, "not right"),
        (lambda w, m, v, t, g, lr, decay: adamw_step(w, m, v, t, g, lr, decay)[0], "shape"),
    ],
    "05.planted_bug": [
        (_last_path_only, "only the last path is kept"),
        (_first_path_only, "The path through .* is missing"),
    ],
}
