"""The oracles of the recurrent layers: one sequence after the other, one number after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def _sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def _affine(W: Any, v: list[float], b: Any) -> list[float]:
    return [
        math.fsum(float(w) * s for w, s in zip(row, v, strict=True)) + float(c)
        for row, c in zip(W, b, strict=True)
    ]


def _over(
    x: Any, states: Any, weights: Any, lengths: Any, reverse: bool, step: Callable[..., Any]
) -> Any:
    """All states of step(x_t, *state, W_ih, W_hh, b_ih, b_hh) -> state: (T, N, H), or side by side
    if there are several.
    """
    T, N = x.shape[:2]
    W_ih, W_hh, *b = weights
    b_ih, b_hh = b or ([0.0] * len(W_ih),) * 2
    y = np.zeros((T, N, sum(h.shape[1] for h in states)))
    for n in range(N):
        last = T if lengths is None else lengths[n]
        state = [h[n].tolist() for h in states]
        for t in sorted(range(T), reverse=reverse):
            if t < last:
                state = step(x[t, n].tolist(), *state, W_ih, W_hh, b_ih, b_hh)
            for j, value in enumerate(value for h in state for value in h):
                y[t, n, j] = value
    return y


def _rnn(
    x: Any, h0: Any, *weights: Any, lengths: Any = None, reverse: bool = False, nonlinearity: str
) -> Any:
    def step(x: Any, h: Any, W_ih: Any, W_hh: Any, b_ih: Any, b_hh: Any) -> Any:
        pairs = zip(_affine(W_ih, x, b_ih), _affine(W_hh, h, b_hh), strict=True)
        return [[math.tanh(p + q) if nonlinearity == "tanh" else max(p + q, 0) for p, q in pairs]]

    return _over(x, [h0], weights, lengths, reverse, step)


def _lstm(
    x: Any, h0: Any, c0: Any, *weights: Any, lengths: Any = None, reverse: bool = False
) -> Any:
    def step(x: Any, h: Any, c: Any, W_ih: Any, W_hh: Any, b_ih: Any, b_hh: Any) -> Any:
        pairs = zip(_affine(W_ih, x, b_ih), _affine(W_hh, h, b_hh), strict=True)
        a, H = [p + q for p, q in pairs], len(c)
        new_c = [
            _sigmoid(a[H + j]) * c[j] + _sigmoid(a[j]) * math.tanh(a[2 * H + j]) for j in range(H)
        ]
        m = [_sigmoid(a[3 * H + j]) * math.tanh(new_c[j]) for j in range(H)]
        return [m if W_hr is None else _affine(W_hr, m, [0.0] * len(W_hr)), new_c]

    W_hr = weights[-1] if len(weights) in (3, 5) else None
    others = weights if W_hr is None else weights[:-1]
    return _over(x, [h0, c0], others, lengths, reverse, step)


def _gru(x: Any, h0: Any, *weights: Any, lengths: Any = None, reverse: bool = False) -> Any:
    def step(x: Any, h: Any, W_ih: Any, W_hh: Any, b_ih: Any, b_hh: Any) -> Any:
        p, q, H, new = _affine(W_ih, x, b_ih), _affine(W_hh, h, b_hh), len(h), []
        for j in range(H):
            r, z = _sigmoid(p[j] + q[j]), _sigmoid(p[H + j] + q[H + j])
            n = math.tanh(p[2 * H + j] + r * q[2 * H + j])
            new.append((1 - z) * n + z * h[j])
        return [new]

    return _over(x, [h0], weights, lengths, reverse, step)


ORACLES: dict[str, Callable[..., Any]] = {"rnn": _rnn, "lstm": _lstm, "gru": _gru}
