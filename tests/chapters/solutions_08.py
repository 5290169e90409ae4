"""Worked solutions of chapter 08, and wrong ones that its readers write."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def weights(s: Any) -> Any:
    powers = np.exp(s - np.max(s, axis=-1, keepdims=True))
    return powers / np.sum(powers, axis=-1, keepdims=True)


def window_attention(q: Any, k: Any, v: Any, reach: Any) -> Any:
    places = np.arange(q.shape[0])
    near = np.abs(places[:, None] - places[None, :]) <= reach
    return weights(np.where(near, q @ k.T / np.sqrt(q.shape[1]), -np.inf)) @ v


def window_attention_by_query(q: Any, k: Any, v: Any, reach: Any) -> Any:
    rows = []
    for i, query in enumerate(q):
        part = slice(max(0, i - reach), i + reach + 1)
        rows.append(weights(k[part] @ query / len(query) ** 0.5) @ v[part])
    return np.array(rows)


def softmax_backward(g: Any, x: Any, c: Any) -> Any:
    y = weights(c[:, None] * x)
    ds = y * (g - (g * y).sum(axis=-1, keepdims=True))
    return c[:, None] * ds, (x * ds).sum(axis=-1)


def softmax_backward_by_row(g: Any, x: Any, c: Any) -> Any:
    dx, dc = np.zeros_like(x), np.zeros_like(c)
    for row in range(len(x)):
        y = weights(c[row] * x[row])
        slopes = np.diag(y) - np.outer(y, y)
        dx[row] = c[row] * (slopes @ g[row])
        dc[row] = x[row] @ slopes @ g[row]
    return dx, dc


def bias_backward(g: Any, q: Any, k: Any, v: Any, B: Any) -> Any:
    P = weights(q @ k.T / math.sqrt(q.shape[1]) + B)
    return P * (g @ v.T - np.sum(g * (P @ v), axis=1, keepdims=True))


def bias_backward_einsum(g: Any, q: Any, k: Any, v: Any, B: Any) -> Any:
    P = weights(np.einsum("ie,je->ij", q, k) / math.sqrt(q.shape[1]) + B)
    dP = np.einsum("if,jf->ij", g, v)
    return P * dP - P * np.einsum("ij,ij->i", dP, P)[:, None]


def attention_backward(g: Any, q: Any, k: Any, v: Any) -> Any:
    scale = q.shape[1] ** -0.5
    P = weights(scale * q @ k.T)
    dS = P * (g @ v.T - np.sum(g * (P @ v), axis=1, keepdims=True))
    return scale * dS @ k, scale * dS.T @ q, P.T @ g


def attention_backward_by_query(g: Any, q: Any, k: Any, v: Any) -> Any:
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    root = math.sqrt(q.shape[1])
    for i in range(len(q)):
        p = weights(k @ q[i] / root)
        dv += np.outer(p, g[i])
        ds = (np.diag(p) - np.outer(p, p)) @ (v @ g[i])
        dq[i] = ds @ k / root
        dk += np.outer(ds, q[i]) / root
    return dq, dk, dv


RIGHT = {
    "08.by_hand": [2, 2.0],
    "08.window": [window_attention, window_attention_by_query],
    "08.softmax_backward": [softmax_backward, softmax_backward_by_row],
    "08.bias_backward": [bias_backward, bias_backward_einsum],
    "08.planted_bug": [attention_backward, attention_backward_by_query],
}


def _zeroed_after(q: Any, k: Any, v: Any, reach: Any) -> Any:
    places = np.arange(len(q))
    near = np.abs(places[:, None] - places) <= reach
    return (weights(q @ k.T / math.sqrt(q.shape[1])) * near) @ v


def _queries_share(g: Any, q: Any, k: Any, v: Any) -> Any:
    root = math.sqrt(q.shape[-1])
    p = weights(q @ k.T / root)
    dp = g @ v.T
    ds = p * (dp - np.sum(dp * p, axis=0, keepdims=True))
    return ds @ k / root, ds.T @ q / root, p.T @ g


WRONG = {
    "08.by_hand": [(1.4, "too small"), (3.0, "too large")],
    "08.window": [
        (_zeroed_after, "not right"),
        (lambda q, k, v, reach: window_attention(q, k, v, 99), "not right"),
        (lambda q, k, v, reach: window_attention(q * 2, k, v, reach), "not right"),
    ],
    "08.softmax_backward": [
        (lambda g, x, c: (c[:, None] * g, (x * g).sum(-1)), "wrong"),
        (lambda g, x, c: (softmax_backward(g, x, c)[0], (g * x).sum(-1)), "c"),
        (
            lambda g, x, c: (softmax_backward(g, x, 1 + 0 * c)[0], softmax_backward(g, x, c)[1]),
            "x",
        ),
    ],
    "08.bias_backward": [
        (
            lambda g, q, k, v, B: bias_backward(g, q, k, v, B) / math.sqrt(q.shape[1]),
            "once too often",
        ),
        (lambda g, q, k, v, B: g @ v.T, "wrong"),
    ],
    "08.planted_bug": [
        (_queries_share, "runs over the wrong axis"),
        (lambda g, q, k, v: attention_backward(g, q, k, v)[:2], "2 gradients"),
    ],
}
