r"""Sinusoidal positions: where a token stands, as a vector of sines and cosines.

    PE(p)_2i = sin θ_pi,      PE(p)_2i+1 = cos θ_pi,      θ_pi = p / 10000^(2i/d)

Attention looks at a set: permute keys and values together, and nothing changes. Order has to be
told to it, and adding PE(p) to the embedding of the token at p tells it. Pair i turns at its own
speed, once in 2π tokens for i = 0, once in nearly 2π · 10000 for the last: hands of a clock.

Derivation. What a shift does: with φ = θ_ki = k / 10000^(2i/d) the addition theorems give

    sin(θ + φ) =  cos φ sin θ + sin φ cos θ
    cos(θ + φ) = −sin φ sin θ + cos φ cos θ,

so PE(p + k) = R_k PE(p): each pair is turned by an angle that depends on k and not on p. A linear
layer can therefore look k tokens back, wherever it stands. And since R_k keeps lengths,
PE(p) · PE(p + k) = Σ_i cos θ_ki depends on the distance only.

The vectors are constants and have no gradient of their own; that of the sum x + PE is x̄ = g.
Positions that are learnt instead are rows of a weight, `nn.Embedding`, and their gradient is that
of an embedding; beyond the longest text of the training they are not known.

Shapes: p (T,), θ (T, d/2), PE (T, d), R_k (d, d); d is even.
Source: Vaswani et al., "Attention Is All You Need", 2017, section 3.5.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError


def angles(positions: Any, d: int, base: float = 10000.0) -> Any:
    """θ_pi = p / base^(2i/d), in float64. Raises ArgumentError for an odd d.

    >>> angles(np.array([0, 1, 2]), 4).tolist()
    [[0.0, 0.0], [1.0, 0.01], [2.0, 0.02]]
    """
    if d % 2:
        raise ArgumentError("sines and cosines come in pairs: d is even", got=f"d = {d}")
    speeds = base ** (np.arange(0, d, 2, like=positions) / -max(d, 1))
    return positions[:, None] * speeds


def table(positions: Any, d: int, base: float = 10000.0) -> Any:
    """PE(p) for each position, in float64.

    >>> table(np.array([0, 1]), 4).tolist()
    [[0.0, 1.0, 0.0, 1.0], [0.8415, 0.5403, 0.0100, 0.99995]]
    """
    theta = angles(positions, d, base)
    return np.reshape(np.stack([np.sin(theta), np.cos(theta)], axis=-1), (len(positions), d))


def rotation(k: int, d: int, base: float = 10000.0) -> Any:
    """R_k, with R_k PE(p) = PE(p + k).

    >>> bool(np.allclose(rotation(1, 4) @ table(np.array([7]), 4)[0], table(np.array([8]), 4)[0]))
    True
    """
    R = np.zeros((d, d))
    for i, phi in enumerate(angles(np.array([k]), d, base)[0].tolist()):
        a, b = 2 * i, 2 * i + 1
        R[a, a], R[a, b] = math.cos(phi), math.sin(phi)
        R[b, a], R[b, b] = -math.sin(phi), math.cos(phi)
    return R
