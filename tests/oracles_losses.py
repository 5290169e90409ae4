"""The oracles of the losses, of linear, softmax and dropout."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from oracles_primitives import entrywise, reduce


def _softmax(x: Any, axis: int) -> Any:
    total = reduce(lambda values: math.fsum(map(math.exp, values)), x, axis, True)
    return entrywise(lambda v, s: math.exp(v) / s)(x, total)


def _cross_entropy(x: Any, t: Any, reduction: str, ignore_index: int) -> Any:
    axis = min(1, x.ndim - 1)
    losses = np.full(t.shape, 0.0, dtype=object)
    counted = [k for k in np.ndindex(t.shape) if t[k] != ignore_index]
    for k in counted:
        scores = [x[(*k[:axis], c, *k[axis:])] for c in range(x.shape[axis])]
        losses[k] = math.log(math.fsum(map(math.exp, scores))) - scores[int(t[k])]
    return (
        _reduced(losses, "sum") / len(counted)
        if reduction == "mean"
        else _reduced(losses, reduction)
    )


def _reduced(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    values = [float(v) for v in np.asarray(losses, dtype=object).flatten()]
    return math.fsum(values) / (len(values) if reduction == "mean" else 1)


def _bce(z: Any, y: Any, reduction: str) -> Any:
    def loss(z: float, y: float) -> float:
        p = 1 / (1 + math.exp(-z))
        return -(y * math.log(p) + (1 - y) * math.log(1 - p))

    return _reduced(entrywise(loss)(z, y), reduction)


def _bernoulli(p: float, y: float) -> float:
    return -(y * math.log(p) + (1 - y) * math.log(1 - p))


def _nll(x: Any, t: Any, reduction: str, weight: Any, ignore_index: int) -> Any:
    axis = min(1, x.ndim - 1)
    weights = [1.0] * x.shape[axis] if weight is None else weight.tolist()
    losses = np.full(t.shape, 0.0, dtype=object)
    counted = [k for k in np.ndindex(t.shape) if t[k] != ignore_index]
    for k in counted:
        losses[k] = -weights[int(t[k])] * x[(*k[:axis], int(t[k]), *k[axis:])]
    if reduction != "mean":
        return _reduced(losses, reduction)
    return _reduced(losses, "sum") / math.fsum(weights[int(t[k])] for k in counted)


def _soft_cross_entropy(x: Any, y: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    axis = min(1, x.ndim - 1)
    C, shape = x.shape[axis], x.shape[:axis] + x.shape[axis + 1 :]
    losses = np.full(shape, 0.0, dtype=object)
    for k in np.ndindex(shape):
        places = [(*k[:axis], c, *k[axis:]) for c in range(C)]
        total = math.fsum(math.exp(x[place]) for place in places)
        for c, place in enumerate(places):
            target = y[place] + label_smoothing * (1 / C - y[place])
            loss = target * math.log(total / math.exp(x[place]))
            losses[k] += loss * (1 if weight is None else float(weight[c]))
    return _reduced(losses, reduction)


def _huber(d: float, delta: float) -> float:
    return d * d / 2 if abs(d) <= delta else delta * (abs(d) - delta / 2)


def _kl(x: float, y: float, log_target: bool) -> float:
    return math.exp(y) * (y - x) if log_target else y * (math.log(y) - x)


def _pairs(f: Callable[..., float]) -> Callable[..., Any]:
    """An oracle of a loss of prediction and target, from the loss of one entry."""
    return lambda p, t, reduction, **options: _reduced(
        entrywise(lambda u, v: f(u, v, **options))(p, t), reduction
    )


def _linear(x: Any, W: Any, b: Any = None) -> Any:
    y = np.empty((*x.shape[:-1], W.shape[0]), dtype=object)
    for k in np.ndindex(y.shape):
        terms = [x[(*k[:-1], i)] * W[k[-1], i] for i in range(W.shape[1])]
        y[k] = math.fsum(terms) + (0.0 if b is None else b[k[-1]])
    return y


ORACLES: dict[str, Callable[..., Any]] = {
    "softmax": _softmax,
    "log_softmax": lambda x, axis: entrywise(math.log)(_softmax(x, axis)),
    "cross_entropy": _cross_entropy,
    "bce": _bce,
    "nll": _nll,
    "soft_cross_entropy": _soft_cross_entropy,
    "bernoulli": _pairs(_bernoulli),
    "mse": _pairs(lambda u, v: (u - v) ** 2),
    "mae": _pairs(lambda u, v: abs(u - v)),
    "huber": _pairs(lambda u, v, delta: _huber(u - v, delta)),
    "kl": _pairs(_kl),
    "linear": _linear,
    "dropout": lambda x, mask, p: entrywise(lambda u, m: u / (1 - p) if m else 0)(x, mask),
}
