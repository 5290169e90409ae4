"""The steps of Adam, AdamW and SGD on the GPU, as derived in `derivations/adam.py` and `sgd.py`.

What makes them fast: one pass. Adam reads a weight, its gradient and two means, 16 bytes, and
writes 12, in place of the twelve passes of the primitives. Nothing else counts: at 28 bytes a
weight and 4 TB/s, a hundred million weights take 0.7 ms.

`adam` and `descent` take what `step` of the derivations takes; they need no scratch.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from tinynet.arrays import cupy

_ADAM = """
    T d = sign * g;
    if (decay != 0) d += decay * w;  // 0 · ∞ is NaN
    w *= shrink;
    m = beta1 * m + rest1 * d;
    v = beta2 * v + rest2 * d * d;
"""
_ADAM_NUMBERS = "T sign, T decay, T shrink, T beta1, T rest1, T beta2, T rest2, T rate, T eps"


@functools.cache
def _adam(module: Any, amsgrad: bool) -> Any:
    """A step, or one that divides by the largest v so far (AMSGrad)."""
    if not amsgrad:
        last = "w -= rate * m / (sqrt(v) + eps)"
        return module.ElementwiseKernel(
            f"T g, {_ADAM_NUMBERS}", "T w, T m, T v", _ADAM + last, "adam"
        )
    last = """
    largest = largest > v || largest != largest ? largest : v;  // a NaN stays
    w -= rate * m / (sqrt(largest) + eps)"""
    outs = "T w, T m, T v, T largest"
    return module.ElementwiseKernel(f"T g, {_ADAM_NUMBERS}", outs, _ADAM + last, "amsgrad")


@functools.cache
def _descent(module: Any, momentum: bool) -> Any:
    numbers, d = "T sign, T decay, T rate", "T d = sign * g; if (decay != 0) d += decay * w;"
    if not momentum:
        return module.ElementwiseKernel(f"T g, {numbers}", "T w", d + "w -= rate * d", "descent")
    step = (
        d
        + """
    velocity = first ? d : T(momentum * velocity + rest * d);
    w -= rate * (nesterov ? T(d + momentum * velocity) : velocity)"""
    )
    numbers += ", T momentum, T rest, bool nesterov, bool first"
    return module.ElementwiseKernel(f"T g, {numbers}", "T w, T velocity", step, "momentum")


def adam(
    w: Any,
    g: Any,
    m: Any,
    v: Any,
    t: int,
    scratch: Any,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    largest: Any = None,
    maximize: bool = False,
) -> None:
    """`derivations.adam.step`, in one pass."""
    c = math.sqrt(1 - betas[1] ** t)
    numbers = (
        *(-1.0 if maximize else 1.0, 0.0 if decoupled else weight_decay),
        1 - lr * weight_decay if decoupled else 1.0,
        *(x for beta in betas for x in (beta, 1 - beta)),
        *(lr * c / (1 - betas[0] ** t), eps * c),
    )
    own = (w, m, v) if largest is None else (w, m, v, largest)
    _adam(cupy(), largest is not None)(g, *map(float, numbers), *own)


def descent(
    w: Any,
    g: Any,
    velocity: Any,
    scratch: Any,
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
    first: bool = False,
) -> None:
    """`derivations.sgd.step`, in one pass. What `velocity` holds at first is not read."""
    numbers = map(float, (-1.0 if maximize else 1.0, weight_decay, lr))
    if momentum:
        more = (float(momentum), float(1 - dampening), bool(nesterov), bool(first))
        _descent(cupy(), True)(g, *numbers, *more, w, velocity)
    else:
        _descent(cupy(), False)(g, *numbers, w)


STEPS = {"adam": adam, "sgd": descent}
