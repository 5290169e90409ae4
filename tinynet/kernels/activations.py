"""Activations, each a single loop: x is read once and y written once.

    sigmoid, tanh, exp, silu, mish, gelu (exact and with tanh), elu, relu, leaky_relu

(`ops/activations.py`, `ops/elementwise.py`.) NumPy has no gelu: it makes an array for each sign of
the formula, about ten passes over memory, each as long as the whole of this. A loop moves 8 bytes
for each float32 forward and 12 backward, which a core does in about 0.1 ns while they are in the
second cache, in 0.5 ns from memory; an exponential as vector code takes 0.25 ns (`elementary`).

So the formulas are rearranged for few exponentials. With s = σ(x), w = eˣ:

    gelu with tanh   (1 + tanh z)/2 = σ(2z)
    silu'            s (1 + x (1 − s))
    mish             tanh ln(1 + w) = q/(q + 2),  q = w (w + 2);   1 − tanh² = 4 (q + 1)/(q + 2)²
    gelu             Φ(x) = q for x < 0, else 1 − q,  q = e erfcx(|x|/√2)/2,  e = exp(−x²/2):
                     the exponential of Φ is the one of its derivative

The backward passes read y where x need not be kept, else x, and compute again what they need.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet.kernels import elementary
from tinynet.kernels.choice import Kernel
from tinynet.kernels.elementary import erfcx, expm1
from tinynet.kernels.jit import kernel
from tinynet.kernels.passes import dense, split

# Constants are made numbers of x's dtype: beside a float64 a float32 would become one as well.

# -- pieces of lines -------------------------------------------------------------------------------


@kernel("x", "y")
def relu(x: Any, y: Any) -> None:
    """y = max(x, 0), and NaN where x is."""
    zero = x.dtype.type(0)
    for i in range(y.shape[0]):
        y[i] = zero if x[i] <= zero else x[i]


@kernel("g", "y", "dx")
def relu_backward(g: Any, y: Any, dx: Any) -> None:
    """x̄ = g where y > 0."""
    zero = y.dtype.type(0)
    for i in range(y.shape[0]):
        dx[i] = zero if y[i] <= zero else g[i]


@kernel("x", "y")
def leaky_relu(x: Any, y: Any, negative_slope: float) -> None:
    """y = x where x > 0, else a x."""
    a, zero = x.dtype.type(negative_slope), x.dtype.type(0)
    for i in range(y.shape[0]):
        y[i] = x[i] if x[i] > zero else a * x[i]


@kernel("g", "x", "dx")
def leaky_relu_backward(g: Any, x: Any, dx: Any, negative_slope: float) -> None:
    """x̄ = g where x > 0, else a g."""
    a, zero = x.dtype.type(negative_slope), x.dtype.type(0)
    for i in range(x.shape[0]):
        dx[i] = g[i] if x[i] > zero else a * g[i]


# -- exponentials ----------------------------------------------------------------------------------


@kernel("x", "y")
def exp(x: Any, y: Any) -> None:
    """y = eˣ."""
    for i in range(y.shape[0]):
        y[i] = elementary.exp(x[i])


@kernel("g", "y", "dx")
def exp_backward(g: Any, y: Any, dx: Any) -> None:
    """x̄ = g y."""
    for i in range(y.shape[0]):
        dx[i] = g[i] * y[i]


def tanh(x: Any, y: Any) -> None:
    """y = tanh x. NumPy's own loop is vector code, and a good one."""
    np.tanh(x, out=y)


@kernel("g", "y", "dx")
def tanh_backward(g: Any, y: Any, dx: Any) -> None:
    """x̄ = g (1 − y²)."""
    one = y.dtype.type(1)
    for i in range(y.shape[0]):
        dx[i] = g[i] * (one - y[i] * y[i])


@kernel("x", "y")
def sigmoid(x: Any, y: Any) -> None:
    """y = 1 / (1 + e⁻ˣ)."""
    for i in range(y.shape[0]):
        y[i] = elementary.sigmoid(x[i])


@kernel("g", "y", "dx")
def sigmoid_backward(g: Any, y: Any, dx: Any) -> None:
    """x̄ = g y (1 − y)."""
    one = y.dtype.type(1)
    for i in range(y.shape[0]):
        dx[i] = g[i] * y[i] * (one - y[i])


@kernel("x", "y")
def silu(x: Any, y: Any) -> None:
    """y = x σ(x)."""
    for i in range(y.shape[0]):
        y[i] = x[i] * elementary.sigmoid(x[i])


@kernel("g", "x", "dx")
def silu_backward(g: Any, x: Any, dx: Any) -> None:
    """x̄ = g s (1 + x (1 − s)) with s = σ(x)."""
    one = x.dtype.type(1)
    for i in range(x.shape[0]):
        s = elementary.sigmoid(x[i])
        dx[i] = g[i] * s * (one + x[i] * (one - s))


@kernel("x", "y")
def elu(x: Any, y: Any, alpha: float) -> None:
    """y = x where x > 0, else α (eˣ − 1)."""
    a, zero = x.dtype.type(alpha), x.dtype.type(0)
    for i in range(y.shape[0]):
        below = a * expm1(min(x[i], zero))
        y[i] = x[i] if x[i] > zero else below


@kernel("g", "x", "dx")
def elu_backward(g: Any, x: Any, dx: Any, alpha: float) -> None:
    """x̄ = g where x > 0, else g α eˣ."""
    a, zero = x.dtype.type(alpha), x.dtype.type(0)
    for i in range(x.shape[0]):
        below = g[i] * (a * elementary.exp(min(x[i], zero)))
        dx[i] = below if x[i] <= zero else g[i]


@kernel("x", "y")
def mish(x: Any, y: Any) -> None:
    """y = x tanh ln(1 + eˣ); from x = 20 on the factor is 1."""
    two, most = x.dtype.type(2), x.dtype.type(20)
    for i in range(y.shape[0]):
        w = elementary.exp(min(x[i], most))
        q = w * (w + two)
        y[i] = x[i] * (q / (q + two))


@kernel("g", "x", "dx")
def mish_backward(g: Any, x: Any, dx: Any) -> None:
    """x̄ = g (t + x (1 − t²) σ(x)) with t = q/(q + 2), σ(x) = w/(w + 1)."""
    one, two, most = x.dtype.type(1), x.dtype.type(2), x.dtype.type(20)
    for i in range(x.shape[0]):
        w = elementary.exp(min(x[i], most))
        q = w * (w + two)
        r = two / (q + two)
        t = one - r
        dx[i] = g[i] * (q / (q + two) + x[i] * r * (one + t) * (w / (w + one)))


# -- the normal distribution's ---------------------------------------------------------------------


@kernel("x", "y")
def gelu(x: Any, y: Any) -> None:
    """y = x Φ(x)."""
    zero, half, one = x.dtype.type(0), x.dtype.type(0.5), x.dtype.type(1)
    root = x.dtype.type(math.sqrt(0.5))
    for i in range(y.shape[0]):
        v = x[i]
        u = abs(v) * root
        q = half * (elementary.exp(-u * u) * erfcx(u))
        p = one - q
        y[i] = v * (q if v < zero else p)


@kernel("g", "x", "dx")
def gelu_backward(g: Any, x: Any, dx: Any) -> None:
    """x̄ = g (Φ(x) + x φ(x)), φ(x) = exp(−x²/2)/√(2π)."""
    zero, half, one = x.dtype.type(0), x.dtype.type(0.5), x.dtype.type(1)
    root, density = x.dtype.type(math.sqrt(0.5)), x.dtype.type(1 / math.sqrt(2 * math.pi))
    for i in range(x.shape[0]):
        v = x[i]
        u = abs(v) * root
        e = elementary.exp(-u * u)
        q = half * (e * erfcx(u))
        p = one - q
        dx[i] = g[i] * ((q if v < zero else p) + v * (density * e))


@kernel("x", "y")
def gelu_tanh(x: Any, y: Any) -> None:
    """y = x σ(2z), z = √(2/π) (x + 0.044715 x³)."""
    a = x.dtype.type(2 * math.sqrt(2 / math.pi))
    b = x.dtype.type(2 * math.sqrt(2 / math.pi) * 0.044715)
    for i in range(y.shape[0]):
        y[i] = x[i] * elementary.sigmoid(x[i] * (a + b * (x[i] * x[i])))


@kernel("g", "x", "dx")
def gelu_tanh_backward(g: Any, x: Any, dx: Any) -> None:
    """x̄ = g s (1 + x (1 − s) 2z') with s = σ(2z)."""
    a = x.dtype.type(2 * math.sqrt(2 / math.pi))
    b = x.dtype.type(2 * math.sqrt(2 / math.pi) * 0.044715)
    one, three = x.dtype.type(1), x.dtype.type(3)
    for i in range(x.shape[0]):
        xx = x[i] * x[i]
        s = elementary.sigmoid(x[i] * (a + b * xx))
        dx[i] = g[i] * s * (one + x[i] * (one - s) * (a + three * b * xx))


# -- for the engine --------------------------------------------------------------------------------


def _pass(run: Callable[..., None], cost: float, arrays: tuple[Any, ...], options: Any) -> Any:
    """Run over the numbers of these arrays; the last one is written."""
    lines = [dense(x).reshape(-1) for x in arrays]
    numbers = [float(v) for v in options.values()]
    split(lines[0].size, cost, lambda first, last: run(*(x[first:last] for x in lines), *numbers))
    return arrays[-1]


def _kernel(
    run: Callable[..., None], back: Callable[..., None], keeps: str, cost: float, least: int
) -> Kernel:
    """The kernel of an op whose backward pass reads its input "x" or its output "y".

    cost    nanoseconds for a number
    """

    def forward(x: Any, **options: Any) -> tuple[Any, tuple[Any]]:
        y = _pass(run, cost, (x, np.empty(x.shape, x.dtype)), options)
        return y, (x if keeps == "x" else y,)

    def backward(g: Any, saved: Any, *, needs: Any, **options: Any) -> tuple[Any]:
        return (_pass(back, cost, (g, saved[0], np.empty(g.shape, g.dtype)), options),)

    return Kernel(forward, backward, least=least)


KERNELS = {
    "elu": _kernel(elu, elu_backward, "x", 0.4, 2048),
    "exp": _kernel(exp, exp_backward, "y", 0.3, 32768),
    "gelu": _kernel(gelu, gelu_backward, "x", 0.65, 512),
    "gelu_tanh": _kernel(gelu_tanh, gelu_tanh_backward, "x", 0.45, 512),
    "leaky_relu": _kernel(leaky_relu, leaky_relu_backward, "x", 0.12, 2048),
    "mish": _kernel(mish, mish_backward, "x", 0.5, 512),
    "relu": _kernel(relu, relu_backward, "y", 0.12, 8192),
    "sigmoid": _kernel(sigmoid, sigmoid_backward, "y", 0.35, 512),
    "silu": _kernel(silu, silu_backward, "x", 0.4, 512),
    "tanh": _kernel(tanh, tanh_backward, "y", 0.4, 32768),
}
