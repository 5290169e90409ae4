r"""The first weights: why they must differ, and how large they should be.

They must differ. Let two hidden units j and k have equal weights in, equal biases, and equal
weights out. Then for every input z_j = z_k and a_j = a_k, and backward δ_j = φ′(z_j) Σ_o W_oj δ_o
= δ_k. So W̄_ji = Σ_b δ_bj x_bi = W̄_ki, and the gradients of the weights out, Σ_b δ_bo a_bj, are
equal too. A rule that treats all entries alike (SGD, Adam) makes equal steps from equal places: j
and k stay equal for ever, and a layer of a thousand such units is one unit. All zero is worse
still: where φ(0) = 0 (tanh, relu) a = 0 makes the gradients of the next weights 0, and weights out
of 0 make δ = 0. Only the last bias learns. Random weights break the tie; which ones hardly
matters, their size does.

How large. Derivation. y_o = Σ_i W_oi x_i has n = fan_in terms. W has mean 0, is independent of x
and from entry to entry, so E[W_oi W_ok] = 0 for i ≠ k and the squares add:

    E[y_o²] = Σ_i E[W_oi²] E[x_i²] = n Var[W] E[x²].

The activation keeps a share of that. relu keeps half: z has mean 0 and is as often z as −z, so
E[max(z, 0)²] = E[z²] / 2. A layer multiplies the mean square by

    growth = n Var[W] kept,      kept = 1 (linear; tanh near 0), 1/2 (relu), (1 + s²)/2 (slope s),

and k layers by growth^k: at 1.2, forty layers give 1,470; at 0.8, 0.00013. Backward, δ_i = φ′(z_i)
Σ_o W_oi δ_o is the same sum over fan_out; φ′² of relu is 1 half of the time, so `kept` is the same
too. No Var[W] makes both growths 1 unless fan_in = fan_out. He et al. choose one of the two,
Glorot and Bengio the middle:

    he        Var[W] = gain² / fan,      gain = 1/√kept: √2 for relu,
    xavier    Var[W] = gain² · 2 / (fan_in + fan_out).

Shapes: W (out, in), or (out, in, …) where fan_in and fan_out count a filter's positions as well.
Source: document B, 4.1, "weights: random", without the reason. Glorot and Bengio, "Understanding
the difficulty of training deep feedforward neural networks", 2010; He, Zhang, Ren and Sun,
"Delving Deep into Rectifiers", 2015.
"""

from __future__ import annotations

import math


def growth(fan: int, variance: float, kept: float = 1.0) -> float:
    """n Var[W] kept: by how much one layer multiplies the mean square of what runs through it.

    Forward fan is fan_in; for gradients, on the way back, fan_out.

    >>> growth(100, he_std(100, math.sqrt(2)) ** 2, kept=0.5)
    1.0
    """
    return fan * variance * kept


def he_std(fan: int, gain: float) -> float:
    """gain / √fan: the standard deviation that keeps the mean square one way.

    >>> he_std(8, math.sqrt(2))
    0.5
    """
    return gain / math.sqrt(max(fan, 1))


def xavier_std(fan_in: int, fan_out: int, gain: float = 1.0) -> float:
    """gain √(2 / (fan_in + fan_out)): the middle between the two ways.

    >>> xavier_std(6, 2)
    0.5
    """
    return gain * math.sqrt(2 / max(fan_in + fan_out, 1))
