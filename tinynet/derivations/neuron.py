r"""A layer of neurons: a weighted sum, then an activation, in one op; and its derivatives.

    z_bo = Σ_i x_bi W_oi + b_o,      y_bo = φ(z_bo)

b counts samples (all leading axes of x), i inputs, o neurons. One neuron is the case of one row
in W: with φ = σ it is the logistic neuron ŷ = σ(w · x + b).

Derivation. L depends on z_bo through y_bo alone, so write δ_bo = ∂L/∂z_bo = g_bo φ′(z_bo): **φ′
is taken at z**, where φ was. From there on z is linear, and every quantity collects from all z that
it touches:

    x̄_bi = Σ_o δ_bo W_oi,      W̄_oi = Σ_b δ_bo x_bi,      b̄_o = Σ_b δ_bo.

φ′(z) may be *expressed* by the output y, which is at hand anyway:

    σ(z) = 1 / (1 + e^(−z))     σ′ = e^(−z) / (1 + e^(−z))² = y (1 − y), as 1 − y = e^(−z) y
    tanh z                      tanh′ = (cosh² z − sinh² z) / cosh² z = 1 − y²
    max(z, 0)                   1 where z > 0, that is where y > 0, else 0 (also at z = 0)

That is another way to write a function of z; it is not φ′ evaluated at y. σ′(y) would be
σ(y) (1 − σ(y)), which at y = 0.9 is 0.21 where y (1 − y) is 0.09. For

    gelu: z Φ(z), Φ the normal distribution's cumulative function, φ′ = Φ(z) + z e^(−z²/2) / √(2π)

the output is not enough: z Φ(z) falls until z ≈ −0.75 and then rises, so two z share one y. There
z is computed again; Φ(z) = y / z is not.

With the loss of the documents, −(1/n) Σ_b y_b log ŷ_b, and one neuron, the chain is W̄_i = Σ_b
−(1/n) (y_b / ŷ_b) φ′(z_b) x_bi. Document B, 4.2 takes φ′ at ŷ_b and drops the sum (`as_printed`).

Shapes: x (…, in), W (out, in), b (out,) or left out, y and g (…, out). Cost: the products of
`linear` and one more pass over y; gelu one more product.
Source: document B, 4.1 (one neuron, no b) and 4.2; document C, 4.1.1, a = σ(W a + b).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, ShapeError
from tinynet.op import Derivation
from tinynet.ops.activations import gelu
from tinynet.ops.elementwise import relu, sigmoid

_ACTIVATIONS: dict[str, Any] = {"sigmoid": sigmoid, "tanh": np.tanh, "relu": relu, "gelu": gelu}


def definition(x: Any, W: Any, *b: Any, act: str = "sigmoid") -> Any:
    """y = φ(x Wᵀ + b), φ one of 'sigmoid', 'tanh', 'relu', 'gelu'.

    >>> definition(np.array([1.0, 2.0]), np.array([[3.0, -1.0]]), np.array([-1.0]))
    array([0.5])
    """
    if act not in _ACTIVATIONS:
        raise ArgumentError(
            "no such activation", expected=", ".join(map(repr, _ACTIVATIONS)), got=repr(act)
        )
    if W.ndim != 2 or x.ndim == 0 or x.shape[-1] != W.shape[1] or (b and b[0].shape != W.shape[:1]):
        raise ShapeError("the sizes do not fit", expected="x (…, in), W (out, in), b (out,)")
    return _ACTIVATIONS[act](_sums(x, W, *b))


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    act: str = "sigmoid",
    needs: tuple[bool, ...] = (True, True, True),
) -> tuple[Any, ...]:
    """δ = g φ′(z); X̄ = Δ W, W̄ = Δᵀ X, b̄_o = Σ_b δ_bo; each only where it is needed."""
    y, x, W, *b = saved
    if act == "sigmoid":
        delta = g * y * (1 - y)
    elif act == "tanh":
        delta = g * (1 - y * y)
    elif act == "relu":
        delta = np.where(y > 0, g, 0)
    else:
        z = _sums(x, W, *b)
        zero = z == 0  # where y / z says nothing, and Φ is 1/2
        Phi = np.where(zero, 0.5, y) / np.where(zero, 1, z)
        delta = g * (Phi + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi))
    samples = tuple(range(x.ndim - 1))
    dx = np.matmul(delta, W) if needs[0] else None
    dW = np.tensordot(delta, x, axes=(samples, samples)) if needs[1] else None
    if not b:
        return dx, dW
    return dx, dW, np.sum(delta, axis=samples) if needs[2] else None


def _sums(x: Any, W: Any, *b: Any) -> Any:
    """z = x Wᵀ + b."""
    z = np.matmul(x, np.swapaxes(W, 0, 1))
    return z + b[0] if b else z


def as_printed(x: Any, w: Any, y: Any) -> Any:
    """∂L/∂w of document B, 4.2 for a logistic neuron without b: a row for each sample, no sum.

    Row b is −(1/n) (y_b / ŷ_b) σ′(ŷ_b) x_b, with σ′ at the output ŷ_b = σ(w · x_b) as printed.
    x (n, d), w (d,), y (n,); the result is (n, d).

    >>> as_printed(np.array([[1.0]]), np.array([0.0]), np.array([1.0]))  # the slope is −0.5
    array([[-0.4700]])
    """
    prediction = 1 / (1 + np.exp(-np.matmul(x, w)))
    again = 1 / (1 + np.exp(-prediction))
    factor = -y / prediction * again * (1 - again) / math.prod(y.shape)
    return factor[:, None] * x


op = Derivation(
    "neuron",
    definition,
    backward,
    formula=r"\varphi(x W^\top + b)",
    variadic=True,  # with or without b
    room="derivations",
    doc="An activation of weighted sums, in one op: sigmoid, tanh, relu or gelu.",
)
