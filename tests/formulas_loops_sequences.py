"""What the lines say of the recurrent layers: one sequence after the other, vectors as lists."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Vector = list[float]


def _sigma(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def _times(W: Any, v: Vector) -> Vector:
    """W v."""
    return [sum(float(W[i, j]) * v[j] for j in range(len(v))) for i in range(len(W))]


def _transposed(W: Any, v: Vector) -> Vector:
    """Wᵀ v."""
    return [sum(float(W[i, j]) * v[i] for i in range(len(v))) for j in range(W.shape[1])]


def _plus(*vectors: Vector) -> Vector:
    return [sum(entries) for entries in zip(*vectors, strict=True)]


def _outer(into: Any, u: Vector, v: Vector) -> None:
    """into += u vᵀ."""
    for i, a in enumerate(u):
        for j, b in enumerate(v):
            into[i, j] += a * b


class _Sequence:
    """One sequence: x_t, g_t, the steps in the order in which they run, and which are padded."""

    def __init__(self, b: int, g: Any, x: Any, lengths: Any, reverse: bool) -> None:
        T = x.shape[0]
        self.b, self.x = b, {t: x[t, b].tolist() for t in range(T)}
        self.g = {t: g[t, b].tolist() for t in range(T)}
        self.steps = sorted(range(T), reverse=reverse)
        self.by = -1 if reverse else 1
        self.first, self.end = self.steps[0] - self.by, self.steps[-1] + self.by
        self.g[self.first] = [0.0] * g.shape[2]
        self.length = T if lengths is None else lengths[b]

    def padded(self, t: int) -> bool:
        return t >= self.length


def _sums(found: list[Any], b: int, t: int, p: Vector, q: Vector, W: Any, x: Any, h: Any) -> None:
    """x̄_t = Wᵀ p̄_t, W̄ = Σ p̄_t x_tᵀ, V̄ = Σ q̄_t h_{t−1}ᵀ, ā = Σ p̄_t, b̄ = Σ q̄_t."""
    dx, dW, dV, *biases = found
    dx[t, b] = _transposed(W, p)
    _outer(dW, p, x)
    _outer(dV, q, h)
    for bias, part in zip(biases, (p, q), strict=False):
        for i, value in enumerate(part):
            bias[i] += value


def _zeros(*arrays: Any) -> list[Any]:
    return [np.zeros(a.shape) for a in arrays]


# -- the plain layer -------------------------------------------------------------------------------


def _rnn(
    g: Any,
    y: Any,
    x: Any,
    h0: Any,
    W: Any,
    V: Any,
    *biases: Any,
    lengths: Any,
    reverse: bool,
    nonlinearity: str,
) -> Any:
    found, dh0 = _zeros(x, W, V, *biases), np.zeros(h0.shape)
    for b in range(x.shape[1]):
        s = _Sequence(b, g, x, lengths, reverse)
        h = {s.first: h0[b].tolist()}
        for t in s.steps:
            a = _plus(_times(W, s.x[t]), _times(V, h[t - s.by]), *(c.tolist() for c in biases))
            new = [math.tanh(v) if nonlinearity == "tanh" else max(v, 0) for v in a]
            h[t] = h[t - s.by] if s.padded(t) else new
        bar_a, bar_h = {s.end: [0.0] * len(W)}, {}
        for t in (*s.steps[::-1], s.first):
            after = t + s.by
            if after != s.end and s.padded(after):
                bar_h[t] = _plus(s.g[t], bar_h[after])
            else:
                bar_h[t] = _plus(s.g[t], _transposed(V, bar_a[after]))
            if t == s.first:
                break
            slope = [1 - v**2 if nonlinearity == "tanh" else float(v > 0) for v in h[t]]
            bar_a[t] = [0.0 if s.padded(t) else d * k for d, k in zip(bar_h[t], slope, strict=True)]
            _sums(found, b, t, bar_a[t], bar_a[t], W, s.x[t], h[t - s.by])
        dh0[b] = bar_h[s.first]
    return [found[0], dh0, *found[1:]]


# -- long short-term memory ------------------------------------------------------------------------


def _lstm(
    g: Any,
    y: Any,
    x: Any,
    h0: Any,
    c0: Any,
    W: Any,
    V: Any,
    *rest: Any,
    lengths: Any,
    reverse: bool,
) -> Any:
    R = rest[-1] if len(rest) in (1, 3) else None
    biases = rest[:2] if len(rest) > 1 else ()
    found, (dh0, dc0, dR) = _zeros(x, W, V, *biases), _zeros(h0, c0, c0 if R is None else R)
    P, H = range(h0.shape[1]), range(c0.shape[1])
    for b in range(x.shape[1]):
        s = _Sequence(b, g, x, lengths, reverse)
        h, c = {s.first: h0[b].tolist()}, {s.first: c0[b].tolist()}
        gates, m = {}, {}
        for t in s.steps:
            before = t - s.by
            a = _plus(_times(W, s.x[t]), _times(V, h[before]), *(v.tolist() for v in biases))
            quarters = [a[k * len(H) : (k + 1) * len(H)] for k in range(4)]
            i, f, o = ([_sigma(v) for v in quarters[k]] for k in (0, 1, 3))
            u = [math.tanh(v) for v in quarters[2]]
            c[t] = [f[j] * c[before][j] + i[j] * u[j] for j in H]
            m[t] = [o[j] * math.tanh(c[t][j]) for j in H]
            h[t] = m[t] if R is None else _times(R, m[t])
            if s.padded(t):
                h[t], c[t], m[t], f = h[before], c[before], [0.0 for _ in H], [1.0 for _ in H]
            gates[t] = i, f, u, o
        bar_a, bar_c, bar_h = {s.end: [0.0] * len(W)}, {s.end: [0.0 for _ in H]}, {}
        f_after = [0.0 for _ in H]
        for t in (*s.steps[::-1], s.first):
            after, g_h, g_c = t + s.by, s.g[t][: len(P)], s.g[t][len(P) :]
            if after != s.end and s.padded(after):
                bar_h[t] = _plus(g_h, bar_h[after])
            else:
                bar_h[t] = _plus(g_h, _transposed(V, bar_a[after]))
            if t == s.first:
                break
            i, f, u, o = gates[t]
            bar_m = bar_h[t] if R is None else _transposed(R, bar_h[t])
            if s.padded(t):
                bar_m = [0.0 for _ in H]
            bar_c[t] = [
                g_c[j]
                + bar_m[j] * o[j] * (1 - math.tanh(c[t][j]) ** 2)
                + bar_c[after][j] * f_after[j]
                for j in H
            ]
            d, old = bar_c[t], c[t - s.by]
            bar_a[t] = [
                *(d[j] * u[j] * i[j] * (1 - i[j]) for j in H),
                *(d[j] * old[j] * f[j] * (1 - f[j]) for j in H),
                *(d[j] * i[j] * (1 - u[j] ** 2) for j in H),
                *(bar_m[j] * math.tanh(c[t][j]) * o[j] * (1 - o[j]) for j in H),
            ]
            if s.padded(t):
                bar_a[t] = [0.0 for _ in bar_a[t]]
            f_after = f
            _sums(found, b, t, bar_a[t], bar_a[t], W, s.x[t], h[t - s.by])
            if R is not None:
                _outer(dR, bar_h[t], m[t])
        start = s.steps[0]
        dh0[b], dc0[b] = bar_h[s.first], [bar_c[start][j] * gates[start][1][j] for j in H]
    return [found[0], dh0, dc0, *found[1:], *([] if R is None else [dR])]


# -- the gated recurrent unit ----------------------------------------------------------------------


def _gru(
    g: Any, y: Any, x: Any, h0: Any, W: Any, V: Any, *biases: Any, lengths: Any, reverse: bool
) -> Any:
    found, dh0, H = _zeros(x, W, V, *biases), np.zeros(h0.shape), range(h0.shape[1])
    for b in range(x.shape[1]):
        s = _Sequence(b, g, x, lengths, reverse)
        h, gates = {s.first: h0[b].tolist()}, {}
        a_b = [v.tolist() for v in biases] or [[0.0] * len(W)] * 2
        for t in s.steps:
            before = h[t - s.by]
            p, q = _plus(_times(W, s.x[t]), a_b[0]), _plus(_times(V, before), a_b[1])
            r, z = ([_sigma(p[k + j] + q[k + j]) for j in H] for k in (0, len(H)))
            q_n = q[2 * len(H) :]
            n = [math.tanh(p[2 * len(H) + j] + r[j] * q_n[j]) for j in H]
            h[t] = [(1 - z[j]) * n[j] + z[j] * before[j] for j in H]
            if s.padded(t):
                h[t], z = before, [1.0 for _ in H]
            gates[t] = r, z, n, q_n
        bar_q, bar_h = [0.0] * len(W), [0.0 for _ in H]
        z_after = [0.0 for _ in H]
        for t in (*s.steps[::-1], s.first):
            carried = [bar_h[j] * z_after[j] for j in H]
            bar_h = _plus(s.g[t], _transposed(V, bar_q), carried)
            if t == s.first:
                break
            (r, z, n, q_n), before = gates[t], h[t - s.by]
            p_n = [bar_h[j] * (1 - z[j]) * (1 - n[j] ** 2) for j in H]
            p_z = [bar_h[j] * (before[j] - n[j]) * z[j] * (1 - z[j]) for j in H]
            p_r = [p_n[j] * q_n[j] * r[j] * (1 - r[j]) for j in H]
            bar_p, bar_q = [*p_r, *p_z, *p_n], [*p_r, *p_z, *(p_n[j] * r[j] for j in H)]
            if s.padded(t):
                bar_p, bar_q = [0.0 for _ in bar_p], [0.0 for _ in bar_q]
            z_after = z
            _sums(found, b, t, bar_p, bar_q, W, s.x[t], before)
        dh0[b] = bar_h
    return [found[0], dh0, *found[1:]]


BACKWARD: dict[str, Callable[..., Any]] = {"rnn": _rnn, "lstm": _lstm, "gru": _gru}
