"""The oracle of a layer of neurons."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "tanh": lambda z: (math.exp(z) - math.exp(-z)) / (math.exp(z) + math.exp(-z)),
    "relu": lambda z: z if z > 0 else 0.0,
    "gelu": lambda z: z * math.erfc(-z / math.sqrt(2)) / 2,
}


def _neuron(x: Any, W: Any, b: Any = None, *, act: str = "sigmoid") -> Any:
    y = np.empty((*x.shape[:-1], W.shape[0]), dtype=object)
    for k in np.ndindex(y.shape):
        z = math.fsum(float(x[(*k[:-1], i)]) * float(W[k[-1], i]) for i in range(W.shape[1]))
        y[k] = ACTIVATIONS[act](z + (0.0 if b is None else float(b[k[-1]])))
    return y


ORACLES: dict[str, Callable[..., Any]] = {"neuron": _neuron}
