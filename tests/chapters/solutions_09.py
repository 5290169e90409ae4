"""Worked solutions of chapter 09, and wrong ones that its readers write."""

from __future__ import annotations

from typing import Any

import numpy as np


def top_p(p: Any, share: Any) -> Any:
    order = np.argsort(-p)
    before = np.cumsum(p[order]) - p[order]
    kept = np.zeros_like(p)
    kept[order[before < share]] = p[order[before < share]]
    return kept / np.sum(kept)


def top_p_by_loop(p: Any, share: Any) -> Any:
    kept, total = [0.0] * len(p), 0.0
    for i in sorted(range(len(p)), key=lambda i: -p[i]):
        if total < share:
            kept[i], total = p[i], total + p[i]
    return [entry / total for entry in kept]


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


def tied_backward(g: Any, ids: Any, E: Any) -> Any:
    H = np.tanh(E[ids])
    dE = g.T @ H
    np.add.at(dE, ids, (g @ E) * (1 - H * H))
    return dE


def tied_backward_one_hot(g: Any, ids: Any, E: Any) -> Any:
    X = np.eye(len(E))[ids]
    H = np.tanh(X @ E)
    return g.T @ H + X.T @ (g @ E * (1 - H**2))


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
    "09.top_p": [top_p, top_p_by_loop],
    "09.rms_norm_backward": [rms_norm_backward, rms_norm_backward_by_matrix],
    "09.tied_backward": [tied_backward, tied_backward_one_hot],
    "09.planted_bug": [loss, loss_by_position],
}


def _stops_too_early(p: Any, share: Any) -> Any:
    order = np.argsort(-p)
    kept = np.zeros_like(p)
    inside = order[np.cumsum(p[order]) <= share]
    kept[inside] = p[inside]
    return kept / max(np.sum(kept), 1e-9)


def _repeats_lost(g: Any, ids: Any, E: Any) -> Any:
    H = np.tanh(E[ids])
    dE = g.T @ H
    dE[ids] += (g @ E) * (1 - H * H)
    return dE


def _copied(scores: Any, ids: Any) -> Any:
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -np.mean(log_p[np.arange(len(ids)), ids])


WRONG = {
    "09.bits": [(3.0, "too large"), (1.5, "too small")],
    "09.top_p": [
        (_stops_too_early, "not right"),
        (lambda p, share: np.where(top_p(p, share) > 0, p, 0), "not right"),
        (lambda p, share: np.sort(top_p(p, share))[::-1], "not right"),
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
    "09.tied_backward": [
        (_repeats_lost, "E"),
        (lambda g, ids, E: g.T @ np.tanh(E[ids]), "E"),
    ],
    "09.planted_bug": [(_copied, "not right"), (lambda s, ids: loss(s[1:], ids[1:]), "not right")],
}
