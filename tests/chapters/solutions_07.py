"""Worked solutions of chapter 07, and wrong ones that its readers write."""

from __future__ import annotations

from typing import Any

import numpy as np


def unrolled(x: Any, h0: Any, W_x: Any, W_h: Any) -> Any:
    every = [h0]
    for x_t in x:
        every.append(np.tanh(every[-1] @ W_h.T + x_t @ W_x.T))
    return np.array(every)


def both(x: Any, h0: Any, W_x: Any, W_h: Any) -> Any:
    forward = unrolled(x, h0, W_x, W_h)[1:]
    backward = unrolled(x[::-1], h0, W_x, W_h)[1:]
    return np.concatenate([forward, backward[::-1]], axis=2)


def both_by_index(x: Any, h0: Any, W_x: Any, W_h: Any) -> Any:
    T, k = len(x), h0.shape[1]
    y = np.zeros((T, len(h0), 2 * k))
    there, back = h0, h0
    for t in range(T):
        there = y[t, :, :k] = np.tanh(x[t] @ W_x.T + there @ W_h.T)
        back = y[T - 1 - t, :, k:] = np.tanh(x[T - 1 - t] @ W_x.T + back @ W_h.T)
    return y


def linear_backward(g: Any, x: Any, h0: Any, W: Any) -> Any:
    h = [h0]
    for x_t in x:
        h.append(W @ h[-1] + x_t)
    dx, dW, dh = np.zeros_like(x), np.zeros_like(W), np.zeros_like(h0)
    for t in range(len(x) - 1, -1, -1):
        dx[t] = g[t] + dh
        dW += np.outer(dx[t], h[t])
        dh = W.T @ dx[t]
    return dx, dh, dW


def linear_backward_by_powers(g: Any, x: Any, h0: Any, W: Any) -> Any:
    T = len(x)
    powers = [np.linalg.matrix_power(W, s) for s in range(T + 1)]
    h = [powers[t] @ h0 + sum(powers[t - s] @ x[s - 1] for s in range(1, t + 1)) for t in range(T)]
    dx = np.array([sum(powers[s - t].T @ g[s] for s in range(t, T)) for t in range(T)])
    return dx, W.T @ dx[0], dx.T @ np.array(h)


def first_input(h: Any, W_x: Any, W_h: Any) -> Any:
    M = (1 - h[0] ** 2)[:, None] * W_x
    for state in h[1:]:
        M = (1 - state**2)[:, None] * (W_h @ M)
    return M


def first_input_from_the_left(h: Any, W_x: Any, W_h: Any) -> Any:
    J = np.eye(h.shape[1])
    for t in range(len(h) - 1, 0, -1):
        J = J @ np.diag(1 - h[t] ** 2) @ W_h
    return J @ np.diag(1 - h[0] ** 2) @ W_x


def coupled_backward(g: Any, p: Any, q: Any, c0: Any) -> Any:
    f, u = 1 / (1 + np.exp(-p)), np.tanh(q)
    dc = g * (1 - np.tanh(f * c0 + (1 - f) * u) ** 2)
    return dc * (c0 - u) * f * (1 - f), dc * (1 - f) * (1 - u**2), dc * f


def coupled_backward_by_terms(g: Any, p: Any, q: Any, c0: Any) -> Any:
    f = 0.5 + 0.5 * np.tanh(p / 2)
    dc = g / np.cosh(f * c0 + (1 - f) * np.tanh(q)) ** 2
    df = dc * c0 - dc * np.tanh(q)
    return df * (f - f**2), (dc - dc * f) / np.cosh(q) ** 2, f * dc


def rnn_backward(g: Any, x: Any, h0: Any, W_x: Any, W_h: Any) -> Any:
    h = unrolled(x, h0, W_x, W_h)
    dx, dh = np.zeros_like(x), np.zeros_like(h0)
    dW_x, dW_h = np.zeros_like(W_x), np.zeros_like(W_h)
    for t in reversed(range(len(x))):
        dz = (g[t] + dh) * (1 - h[t + 1] ** 2)
        dx[t], dh = dz @ W_x, dz @ W_h
        dW_x, dW_h = dW_x + dz.T @ x[t], dW_h + dz.T @ h[t]
    return dx, dh, dW_x, dW_h


def rnn_backward_at_the_end(g: Any, x: Any, h0: Any, W_x: Any, W_h: Any) -> Any:
    h = unrolled(x, h0, W_x, W_h)
    dz, dh = np.zeros_like(h[1:]), 0
    for t in reversed(range(len(x))):
        dz[t] = (g[t] + dh) * (1 - h[t + 1] ** 2)
        dh = dz[t] @ W_h
    dW_x, dW_h = (np.einsum("tnk,tnj->kj", dz, met) for met in (x, h[:-1]))
    return dz @ W_x, dh, dW_x, dW_h


RIGHT = {
    "07.by_hand": [3, 3.0],
    "07.both_ends": [both, both_by_index],
    "07.linear_backward": [linear_backward, linear_backward_by_powers],
    "07.first_input": [first_input, first_input_from_the_left],
    "07.coupled_backward": [coupled_backward, coupled_backward_by_terms],
    "07.planted_bug": [rnn_backward, rnn_backward_at_the_end],
}


def _not_turned_back(x: Any, h0: Any, W_x: Any, W_h: Any) -> Any:
    runs = [unrolled(way, h0, W_x, W_h)[1:] for way in (x, x[::-1])]
    return np.concatenate(runs, axis=-1)


def _last_step_only(g: Any, x: Any, h0: Any, W: Any) -> Any:
    dx, dh, _ = linear_backward(g, x, h0, W)
    return dx, dh, np.outer(dx[0], h0)


def _without_transpose(g: Any, x: Any, h0: Any, W: Any) -> Any:
    return linear_backward(g, x, h0, W.T)


def _current_state(g: Any, x: Any, h0: Any, W_x: Any, W_h: Any) -> Any:
    h = unrolled(x, h0, W_x, W_h)[1:]
    dx, dh = np.zeros_like(x), np.zeros_like(h0)
    dW_x, dW_h = np.zeros_like(W_x), np.zeros_like(W_h)
    for t in reversed(range(len(x))):
        dh = dh + g[t]
        dz = (1 - h[t] ** 2) * dh
        dx[t] = dz @ W_x
        dW_x += dz.T @ x[t]
        dW_h += dz.T @ h[t]
        dh = dz @ W_h
    return dx, dh, dW_x, dW_h


WRONG = {
    "07.by_hand": [(2.5, "too small"), (3.5, "too large")],
    "07.both_ends": [
        (_not_turned_back, "not right"),
        (lambda x, h0, W_x, W_h: unrolled(x, h0, W_x, W_h)[1:], "shape"),
    ],
    "07.linear_backward": [
        (_last_step_only, "wrong"),
        (_without_transpose, "wrong"),
        (lambda g, x, h0, W: linear_backward(g, x, h0, W)[:2], "2 gradients"),
    ],
    "07.first_input": [
        (lambda h, W_x, W_h: first_input(0 * h, W_x, W_h), "not right"),
        (lambda h, W_x, W_h: first_input(h[::-1], W_x, W_h), "not right"),
        (lambda h, W_x, W_h: first_input(h, W_x, W_h).T, "shape|not right"),
    ],
    "07.coupled_backward": [
        (
            lambda g, p, q, c0: (
                coupled_backward(g, p, q, c0)[2] * c0 * (1 - 1 / (1 + np.exp(-p))),
                *coupled_backward(g, p, q, c0)[1:],
            ),
            "wrong",
        ),
        (
            lambda g, p, q, c0: (
                coupled_backward(g, p, q, c0)[2] * (c0 - np.tanh(q)),
                *coupled_backward(g, p, q, c0)[1:],
            ),
            "wrong",
        ),
    ],
    "07.planted_bug": [
        (_current_state, "wrong time step"),
        (lambda g, x, h0, W_x, W_h: rnn_backward(g, x, 0 * h0, W_x, W_h), "wrong"),
    ],
}
