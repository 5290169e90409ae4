"""Steps of optimizers in one pass over memory.

    Adam      m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   w ← w − r m / (√v + ε)
    descent   b ← μ b + (1 − τ) g,     w ← w − η b

In NumPy each sign is a pass of its own. For a weight in float32, Adam's twelve passes move about
130 bytes to and fro; each number needed once is 16 bytes read (w, g, m, v) and 12 written (w, m,
v). A core does these 13 flops, a root and a quotient among them, in less time than memory brings 28
bytes: beyond the caches memory is the limit, and the only way to be faster is to go there once.

1. `adam_pass`, `descent_pass`  one pass, one core; the compiler makes vector code of the loop
2. `adam`, `descent`            the same on all cores, in pieces, where an array is large

They take what `step` in `derivations/adam.py` and `derivations/sgd.py` takes, and change the same
arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet.kernels.jit import kernel
from tinynet.kernels.threads import share

PIECE = 1 << 16  # numbers that a thread takes at a time, at most
LARGE = 1 << 17  # numbers from which on a second thread brings more than it costs


@kernel("w", "g", "m", "v")
def adam_pass(
    w: Any, g: Any, m: Any, v: Any,
    beta1: float, beta2: float, rate: float, eps: float, sign: float, decay: float, shrink: float,
) -> None:  # fmt: skip
    """One step of Adam on arrays (n,): g is first sign · g + decay · w, and w first shrink · w."""
    number = w.dtype.type  # a float of Python would make the sums float64
    keep1, new1, keep2, new2 = number(beta1), number(1 - beta1), number(beta2), number(1 - beta2)
    r, e, s, d, k = number(rate), number(eps), number(sign), number(decay), number(shrink)
    for i in range(w.shape[0]):
        x = s * g[i]
        if d != 0:
            x += d * w[i]
        # Not read back from m and v: where a vector lies across two cache lines, which NumPy's
        # arrays do not avoid, that waits until both are written, and the pass takes three times as
        # long.
        mean, square = keep1 * m[i] + new1 * x, keep2 * v[i] + new2 * (x * x)
        m[i], v[i] = mean, square
        w[i] = k * w[i] - r * (mean / (math.sqrt(square) + e))


@kernel("w", "g", "velocity")
def descent_pass(
    w: Any, g: Any, velocity: Any,
    lr: float, momentum: float, new: float, sign: float, decay: float, nesterov: bool, first: bool,
) -> None:  # fmt: skip
    """One step of gradient descent on arrays (n,); velocity (n,), or (0,) without momentum."""
    number = w.dtype.type
    rate, keep, n = number(lr), number(momentum), number(new)
    s, d = number(sign), number(decay)
    for i in range(w.shape[0]):
        x = s * g[i]
        if d != 0:
            x += d * w[i]
        if velocity.shape[0] > 0:
            b = x if first else keep * velocity[i] + n * x
            velocity[i] = b
            x = x + keep * b if nesterov else b
        w[i] -= rate * x


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
    largest: None = None,
    maximize: bool = False,
) -> None:
    """`derivations.adam.step`; w, m and v lie in memory without gaps, and scratch stays as it is.

    >>> w, m, v = np.array([1.0, 1.0]), np.zeros(2), np.zeros(2)
    >>> adam(w, np.array([0.5, -200.0]), m, v, 1, None, lr=0.1); w
    array([0.9, 1.1])
    """
    c = math.sqrt(1 - betas[1] ** t)
    rate, l2 = lr * c / (1 - betas[0] ** t), 0.0 if decoupled else weight_decay
    shrink = 1 - lr * weight_decay if decoupled else 1.0
    numbers = (*betas, rate, eps * c, -1.0 if maximize else 1.0, l2, shrink)
    _in_pieces(adam_pass, (w, g, m, v), map(float, numbers))


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
    """`derivations.sgd.step`; w and velocity lie in memory without gaps, scratch stays as it is.

    >>> w, v = np.array([1.0]), np.zeros(1)
    >>> descent(w, np.array([2.0]), v, None, lr=0.1, momentum=0.9, first=True); w, v
    (array([0.8]), array([2.]))
    """
    arrays = (w, g, velocity if momentum else w.reshape(-1)[:0])
    numbers = (lr, momentum, 1 - dampening, -1.0 if maximize else 1.0, weight_decay)
    _in_pieces(descent_pass, arrays, (*map(float, numbers), bool(nesterov), bool(first)))


def _in_pieces(one: Callable[..., None], arrays: Any, numbers: Any) -> None:
    """one(*arrays, *numbers) on flat arrays: at once, or piece by piece on all cores."""
    w, g, *state = arrays
    if not g.flags.carray:  # C-contiguous and writeable, which is what is compiled
        g = np.array(g, order="C")
    flat = [x.reshape(-1) for x in (w, g, *state)]
    numbers = tuple(numbers)
    if w.size < LARGE:
        return one(*flat, *numbers)

    count = -(-w.size // PIECE)
    each = -(-w.size // count)

    def some(piece: int) -> None:
        part = slice(piece * each, (piece + 1) * each)
        one(*(x[part] for x in flat), *numbers)

    share(count, some)


STEPS = {"adam": adam, "sgd": descent}
