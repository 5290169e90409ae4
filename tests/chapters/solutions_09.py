"""Worked solutions of chapter 09, and wrong ones that its readers write."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np


def bigram(ids: Any, size: Any, alpha: Any) -> Any:
    table = np.full((size, size), float(alpha))
    np.add.at(table, (ids[:-1], ids[1:]), 1.0)
    return table / table.sum(axis=1, keepdims=True)


def bigram_by_rows(ids: Any, size: Any, alpha: Any) -> Any:
    rows = []
    for this in range(size):
        followers = [b for a, b in pairwise(ids) if a == this]
        share = [followers.count(c) + alpha for c in range(size)]
        rows.append([value / sum(share) for value in share])
    return rows


def rms_norm_backward(g: Any, x: Any, gamma: Any) -> Any:
    r = 1 / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + 1e-5)
    standard, arriving = x * r, g * gamma
    projected = np.mean(arriving * standard, axis=1, keepdims=True)
    return r * (arriving - standard * projected), np.sum(g * standard, axis=0)


def rms_norm_backward_by_matrix(g: Any, x: Any, gamma: Any) -> Any:
    dx, dgamma, d = np.zeros_like(x), np.zeros_like(gamma), x.shape[1]
    for row in range(len(x)):
        r = (np.mean(x[row] ** 2) + 1e-5) ** -0.5
        slopes = r * np.eye(d) - r**3 * np.outer(x[row], x[row]) / d
        dx[row] = slopes @ (g[row] * gamma)
        dgamma += g[row] * x[row] * r
    return dx, dgamma


def residual_backward(g: Any, X: Any, W: Any) -> Any:
    u = g * (1 - np.tanh(X @ W) ** 2)
    return g + u @ W.T, X.T @ u


def residual_backward_einsum(g: Any, X: Any, W: Any) -> Any:
    a = np.tanh(np.einsum("ni,ij->nj", X, W))
    back = np.einsum("nj,nj->nj", g, 1 - a * a)
    return g + np.einsum("nj,ij->ni", back, W), np.einsum("ni,nj->ij", X, back)


def loss(scores: Any, ids: Any) -> Any:
    scores, following = scores[:-1], ids[1:]
    shifted = scores - scores.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=1))
    return np.mean(normaliser - shifted[np.arange(len(following)), following])


def loss_by_position(scores: Any, ids: Any) -> Any:
    total = 0.0
    for n in range(len(ids) - 1):
        weights = np.exp(scores[n] - max(scores[n]))
        total -= np.log(weights[ids[n + 1]] / sum(weights))
    return total / (len(ids) - 1)


RIGHT = {
    "09.bits": [2, 2.0],
    "09.bigram": [bigram, bigram_by_rows],
    "09.rms_norm_backward": [rms_norm_backward, rms_norm_backward_by_matrix],
    "09.residual_backward": [residual_backward, residual_backward_einsum],
    "09.planted_bug": [loss, loss_by_position],
}


def _repeats_lost(ids: Any, size: Any, alpha: Any) -> Any:
    table = np.full((size, size), float(alpha))
    table[ids[:-1], ids[1:]] += 1
    return table / table.sum(axis=1, keepdims=True)


def _copied(scores: Any, ids: Any) -> Any:
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -np.mean(log_p[np.arange(len(ids)), ids])


def _skip_forgotten(g: Any, X: Any, W: Any) -> Any:
    u = g * (1 - np.tanh(X @ W) ** 2)
    return u @ W.T, X.T @ u


WRONG = {
    "09.bits": [(3.0, "too large"), (1.5, "too small")],
    "09.bigram": [
        (_repeats_lost, "not right"),
        (lambda ids, size, alpha: bigram(ids, size, alpha).T, "not right"),
        (lambda ids, size, alpha: bigram(ids, size, 0.0), "not right"),
    ],
    "09.rms_norm_backward": [
        (
            lambda g, x, gamma: (
                g * gamma / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + 1e-5),
                rms_norm_backward(g, x, gamma)[1],
            ),
            "x",
        ),
        (lambda g, x, gamma: rms_norm_backward(g, x, 1 + 0 * gamma), "gamma|x"),
    ],
    "09.residual_backward": [
        (_skip_forgotten, "X"),
        (lambda g, X, W: (residual_backward(g, X, W.T)[0], residual_backward(g, X, W)[1]), "X"),
    ],
    "09.planted_bug": [(_copied, "not right"), (lambda s, ids: loss(s[1:], ids[1:]), "not right")],
}
