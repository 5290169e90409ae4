"""What the backward lines say of losses, linear layers, softmax, normalisation, attention."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from formulas_loops_primitives import Place, Row, along, front

# -- losses of a prediction and a target -----------------------------------------------------------


def _pairs(*slopes: Callable[..., float]) -> Callable[..., Any]:
    """g_i, g or g / n, times each slope."""

    def loop(g: Any, y: Any, p: Any, t: Any, reduction: str, **options: Any) -> Any:
        found = [np.zeros(p.shape) for _ in slopes]
        n = p.size
        for i in np.ndindex(p.shape):
            share = g[i] if reduction == "none" else g / n if reduction == "mean" else g
            for d, slope in zip(found, slopes, strict=True):
                d[i] = share * slope(float(p[i]), float(t[i]), **options)
        return found

    return loop


def _sign(x: float) -> float:
    return (x > 0) - (x < 0)


def _clipped(p: float, t: float, delta: float) -> float:
    d = p - t
    return min(max(d, -delta), delta)


def _log(p: float) -> float:
    """No logarithm counts as less than −100."""
    return max(math.log(p), -100.0) if p > 0 else -100.0


PAIRS = {
    "mse": _pairs(lambda p, t: 2 * (p - t), lambda p, t: -2 * (p - t)),
    "mae": _pairs(lambda p, t: _sign(p - t), lambda p, t: -_sign(p - t)),
    "huber": _pairs(_clipped, lambda p, t, delta: -_clipped(p, t, delta)),
    "kl": _pairs(
        lambda x, t, log_target: -math.exp(t) if log_target else -t,
        lambda x, t, log_target: math.exp(t) * (t - x + 1) if log_target else math.log(t) - x + 1,
    ),
    "bce": _pairs(lambda z, t: 1 / (1 + math.exp(-z)) - t, lambda z, t: -z),
    "bernoulli": _pairs(
        lambda p, t: (p - t) / max(p * (1 - p), 1e-12), lambda p, t: _log(1 - p) - _log(p)
    ),
}

# -- losses of scores for classes ------------------------------------------------------------------


def _classes(x: Any) -> tuple[Any, list[tuple[Place, list[Place]]]]:
    """For each sample b its place in t, and the places of its scores x_bc."""
    axis = min(1, x.ndim - 1)
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    return shape, [
        (b, [(*b[:axis], c, *b[axis:]) for c in range(x.shape[axis])]) for b in np.ndindex(shape)
    ]


def _softmax(x: Any, places: list[Place]) -> Row:
    total = sum(math.exp(x[k]) for k in places)
    return [math.exp(x[c]) / total for c in places]


def _cross_entropy(g: Any, y: Any, x: Any, t: Any, reduction: str, ignore_index: int) -> Any:
    _, samples = _classes(x)
    dx, n = np.zeros(x.shape), sum(int(t[b]) != ignore_index for b, _ in samples)
    for b, places in samples:
        share = g[b] if reduction == "none" else g / n if reduction == "mean" else g
        p, counts = _softmax(x, places), int(t[b]) != ignore_index
        for c, place in enumerate(places):
            dx[place] = share * counts * (p[c] - (c == t[b]))
    return [dx]


def _nll(g: Any, y: Any, x: Any, t: Any, weight: Any, reduction: str, ignore_index: int) -> Any:
    _, samples = _classes(x)
    dx = np.zeros(x.shape)
    w = {b: 1.0 if weight is None else float(weight[int(t[b])]) for b, _ in samples}
    counts = {b: int(t[b]) != ignore_index for b, _ in samples}
    n = sum(counts[b] * w[b] for b, _ in samples)
    for b, places in samples:
        share = g[b] if reduction == "none" else g / n if reduction == "mean" else g
        for c, place in enumerate(places):
            dx[place] = -share * counts[b] * w[b] * (c == t[b])
    return [dx]


def _soft_cross_entropy(
    g: Any, y: Any, x: Any, t: Any, weight: Any, reduction: str, label_smoothing: float
) -> Any:
    _, samples = _classes(x)
    dx, dt, n, e = np.zeros(x.shape), np.zeros(x.shape), len(samples), label_smoothing
    for b, places in samples:
        share = g[b] if reduction == "none" else g / n if reduction == "mean" else g
        C, p = len(places), _softmax(x, places)
        w = [1.0] * C if weight is None else weight.tolist()
        s = [(1 - e) * t[place] + e / C for place in places]
        for c, place in enumerate(places):
            dx[place] = share * (p[c] * sum(w[k] * s[k] for k in range(C)) - w[c] * s[c])
            dt[place] = -share * (1 - e) * w[c] * math.log(p[c])
    return [dx, dt]


CLASSES = {"cross_entropy": _cross_entropy, "nll": _nll, "soft_cross_entropy": _soft_cross_entropy}

# -- linear layers and tables ----------------------------------------------------------------------


def _linear(g: Any, y: Any, x: Any, W: Any, *b: Any) -> Any:
    dx, dW, db = (np.zeros(a.shape) for a in (x, W, W[:, 0]))
    for at in np.ndindex(x.shape[:-1]):
        for o in range(W.shape[0]):
            db[o] += g[(*at, o)]
            for i in range(W.shape[1]):
                dx[(*at, i)] += g[(*at, o)] * W[o, i]
                dW[o, i] += g[(*at, o)] * x[(*at, i)]
    return [dx, dW, db][: 2 + len(b)]


def _gelu_slope(z: float) -> float:
    normal = math.erfc(-z / math.sqrt(2)) / 2
    return normal + z * math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def _neuron(g: Any, y: Any, x: Any, W: Any, *b: Any, act: str) -> Any:
    delta = np.zeros(g.shape)
    for at in np.ndindex(g.shape):
        o, y_bo = at[-1], float(y[at])
        z = sum(x[(*at[:-1], i)] * W[o, i] for i in range(W.shape[1])) + (b[0][o] if b else 0.0)
        delta[at] = (
            g[at]
            * {
                "sigmoid": y_bo * (1 - y_bo),
                "tanh": 1 - y_bo**2,
                "relu": float(y_bo > 0),
                "gelu": _gelu_slope(float(z)),
            }[act]
        )
    return _linear(delta, y, x, W, *b)


def _embedding(g: Any, y: Any, i: Any, W: Any) -> Any:
    dW = np.zeros(W.shape)
    for v, j in np.ndindex(W.shape):
        dW[v, j] = sum(g[(*k, j)] for k in np.ndindex(i.shape) if i[k] == v)
    return [dW]


def _factors(g: Any, y: Any, P: Any, Q: Any, b: Any, c: Any, u: Any, i: Any, mean: float) -> Any:
    dP, dQ, db, dc = (np.zeros(x.shape) for x in (P, Q, b, c))
    K = range(len(u))
    for a, f in np.ndindex(P.shape):
        dP[a, f] = sum(g[k] * Q[i[k], f] for k in K if u[k] == a)
    for a, f in np.ndindex(Q.shape):
        dQ[a, f] = sum(g[k] * P[u[k], f] for k in K if i[k] == a)
    for a in range(len(b)):
        db[a] = sum(g[k] for k in K if u[k] == a)
    for a in range(len(c)):
        dc[a] = sum(g[k] for k in K if i[k] == a)
    return [dP, dQ, db, dc]


def _dropout(g: Any, y: Any, x: Any, m: Any, p: float) -> Any:
    dx = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        dx[i] = m[front(m.shape, i)] * g[i] / (1 - p)
    return [dx]


def _rotary(g: Any, y: Any, x: Any, t: Any) -> Any:
    dx, dt = np.zeros(x.shape), np.zeros(t.shape)
    for b in np.ndindex(x.shape[:-1]):
        for i in range(x.shape[-1] // 2):
            at = front(t.shape, (*b, i))
            even, odd, angle = (*b, 2 * i), (*b, 2 * i + 1), float(t[at])
            dx[even] = g[even] * math.cos(angle) + g[odd] * math.sin(angle)
            dx[odd] = -g[even] * math.sin(angle) + g[odd] * math.cos(angle)
            dt[at] += g[odd] * y[even] - g[even] * y[odd]
    return [dx, dt]


SIMPLE = {
    "linear": _linear,
    "neuron": _neuron,
    "embedding": _embedding,
    "matrix_factorisation": _factors,
    "dropout": _dropout,
    "rotary": _rotary,
    "softmax": along(
        lambda g, y, x: [
            y[j] * (g[j] - sum(g[i] * y[i] for i in range(len(x)))) for j in range(len(x))
        ]
    ),
    "log_softmax": along(lambda g, y, x: [g[j] - math.exp(y[j]) * sum(g) for j in range(len(x))]),
}

# -- normalisation ---------------------------------------------------------------------------------


def _normalised(
    g: Any,
    x: Any,
    affine: tuple[Any, ...],
    set_of: Callable[[Place], Place],
    gamma_of: Callable[[Place], Place],
    eps: float,
) -> Any:
    sets: dict[Place, list[Place]] = {}
    for at in np.ndindex(x.shape):
        sets.setdefault(set_of(at), []).append(at)
    dx, found = np.zeros(x.shape), [np.zeros(a.shape) for a in affine]
    for places in sets.values():
        n = len(places)
        m = sum(x[k] for k in places) / n
        v = sum((x[k] - m) ** 2 for k in places) / n
        s = 1 / math.sqrt(v + eps)
        x_hat = {k: s * (x[k] - m) for k in places}
        h = {k: g[k] * affine[0][gamma_of(k)] if affine else g[k] for k in places}
        mu = sum(h[k] for k in places) / n
        kappa = sum(h[k] * x_hat[k] for k in places) / n
        for k in places:
            dx[k] = s * (h[k] - mu - x_hat[k] * kappa)
            for d, term in zip(found, (g[k] * x_hat[k], g[k]), strict=False):
                d[gamma_of(k)] += term
    return [dx, *found]


def _batch_norm(g: Any, y: Any, x: Any, *affine: Any, eps: float) -> Any:
    return _normalised(g, x, affine, lambda k: k[1:2], lambda k: k[1:2], eps)


def _layer_norm(g: Any, y: Any, x: Any, *affine: Any, dims: int, eps: float) -> Any:
    b = x.ndim - dims
    return _normalised(g, x, affine, lambda k: k[:b], lambda k: k[b:], eps)


def _group_norm(g: Any, y: Any, x: Any, *affine: Any, groups: int, eps: float) -> Any:
    size = x.shape[1] // groups
    return _normalised(g, x, affine, lambda k: (k[0], k[1] // size), lambda k: k[1:2], eps)


def _rms_norm(g: Any, y: Any, x: Any, *gamma: Any, dims: int, eps: float) -> Any:
    first = x.ndim - dims
    dx, found = np.zeros(x.shape), [np.zeros(c.shape) for c in gamma]
    for b in np.ndindex(x.shape[:first]):
        I = list(np.ndindex(x.shape[first:]))  # noqa: E741
        n = len(I)
        r = math.sqrt(sum(x[b + i] ** 2 for i in I) / n + eps)
        x_hat = {i: x[b + i] / r for i in I}
        h = {i: g[b + i] * gamma[0][i] if gamma else g[b + i] for i in I}
        kappa = sum(h[i] * x_hat[i] for i in I) / n
        for i in I:
            dx[b + i] = 1 / r * (h[i] - x_hat[i] * kappa)
            for d in found:
                d[i] += g[b + i] * x_hat[i]
    return [dx, *found]


NORMS = {
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "rms_norm": _rms_norm,
}

# -- attention -------------------------------------------------------------------------------------


def _attention(
    g: Any, y: Any, q: Any, k: Any, v: Any, B: Any, m: Any, is_causal: bool, scale: Any, p: float
) -> Any:
    lead, boolean = y.shape[:-2], B.dtype.kind == "b"
    L, S, E, F = q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1]
    c = 1 / math.sqrt(E) if scale is None else scale
    dq, dk, dv, dB = (np.zeros(x.shape) for x in (q, k, v, B))
    for b in np.ndindex(lead):
        of_q, of_k, of_v = (front(x.shape[:-2], b) for x in (q, k, v))
        Q, K, V, G = q[of_q], k[of_k], v[of_v], g[b]
        for i in range(L):
            at = [front(B.shape, (*b, i, j)) for j in range(S)]
            a = [(not is_causal or j <= i) * (B[at[j]] if boolean else 1) for j in range(S)]
            s = [
                c * sum(Q[i, e] * K[j, e] for e in range(E)) + (0 if boolean else B[at[j]])
                for j in range(S)
            ]
            total = sum(a[j] * math.exp(s[j]) for j in range(S))
            P = [a[j] * math.exp(s[j]) / total if total else 0.0 for j in range(S)]
            kept = [m[front(m.shape, (*b, i, j))] / (1 - p) for j in range(S)]
            bar_p = [kept[j] * sum(G[i, f] * V[j, f] for f in range(F)) for j in range(S)]
            bar_s = [
                P[j] * (bar_p[j] - sum(bar_p[l] * P[l] for l in range(S)))  # noqa: E741
                for j in range(S)
            ]
            for j in range(S):
                for e in range(E):
                    dq[(*of_q, i, e)] += c * bar_s[j] * K[j, e]
                    dk[(*of_k, j, e)] += c * bar_s[j] * Q[i, e]
                for f in range(F):
                    dv[(*of_v, j, f)] += kept[j] * P[j] * G[i, f]
                dB[at[j]] += bar_s[j]
    return [dq, dk, dv] if boolean else [dq, dk, dv, dB]


BACKWARD: dict[str, Callable[..., Any]] = {
    **PAIRS,
    **CLASSES,
    **SIMPLE,
    **NORMS,
    "attention": _attention,
}
