r"""How large the first weights should be.

Why not zero: all units of a layer would compute the same and receive the same gradient, for ever.
Why not just small: take y_o = Σ_i W_oi x_i with n = fan_in terms, W of mean 0 and independent of
x. The variances add,

    Var[y_o] = n Var[W] E[x²],

so after k layers the signal has grown by (n Var[W])^(k/2): it vanishes or explodes unless n
Var[W] = 1. Backward, the same sum runs over fan_out. Glorot and Bengio ask for both at once and
take the mean of the two, Var[W] = 2 / (fan_in + fan_out). He et al. note that relu keeps half of
a symmetric distribution, E[relu(z)²] = Var[z]/2, and double: Var[W] = 2 / fan_in. In general
Var[W] = gain² / fan, with the gain of the activation.

A uniform distribution on [−a, a) has the variance a²/3, hence the bounds a = √3 · std below.

Sources: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
networks", 2010; He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", 2015. All functions work
in place, outside of the tape.
"""

from __future__ import annotations

import math
from typing import Any

from tinynet.autograd import no_grad
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.random import Generator
from tinynet.tensor import Tensor


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that makes up for what an activation does to the size of its input.

    'leaky_relu' takes its negative slope as `param` (0.01 by default): √(2 / (1 + slope²)).

    >>> calculate_gain("relu"), calculate_gain("tanh"), calculate_gain("leaky_relu", 1.0)
    (1.4142, 1.6667, 1.0)
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2 / (1 + slope**2))
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    if nonlinearity not in gains:
        raise ArgumentError(
            "no gain is known for this nonlinearity",
            expected=", ".join(map(repr, (*gains, "leaky_relu"))),
            got=repr(nonlinearity),
        )
    return gains[nonlinearity]


def _fans(tensor: Tensor) -> tuple[int, int]:
    """How many inputs meet in one output, and how many outputs one input feeds."""
    if tensor.ndim < 2:
        raise ShapeError(
            "fan-in and fan-out need a weight with 2 axes or more", got=describe(tensor)
        )
    field = math.prod(tensor.shape[2:])  # the positions of a filter
    return tensor.shape[1] * field, tensor.shape[0] * field


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError("no such mode", expected="'fan_in' or 'fan_out'", got=repr(mode))
    fan = _fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def _xavier_std(tensor: Tensor, gain: float) -> float:
    return gain * math.sqrt(2 / max(sum(_fans(tensor)), 1))


def _call(tensor: Tensor, method: str, *args: Any, **kwargs: Any) -> Tensor:
    with no_grad():
        getattr(tensor, method)(*args, **kwargs)
    return tensor


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform on [a, b)."""
    return _call(tensor, "uniform_", a, b, generator=generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal with the given mean and standard deviation."""
    return _call(tensor, "normal_", mean, std, generator=generator)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One value everywhere.

    >>> import tinynet as tn
    >>> constant_(tn.empty(2, requires_grad=True), 0.5)
    tensor([0.5000, 0.5000], requires_grad=True)
    """
    return _call(tensor, "fill_", val)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros: right for biases, wrong for the weights of a hidden layer."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform on [−a, a), a = gain √(6 / (fan_in + fan_out)). Shape (out, in, …)."""
    a = math.sqrt(3) * _xavier_std(tensor, gain)
    return uniform_(tensor, -a, a, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with std = gain √(2 / (fan_in + fan_out)). Shape (out, in, …)."""
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform on [−b, b), b = gain √(3 / fan). `a` is leaky_relu's slope. Shape (out, in, …)."""
    b = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -b, b, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with std = gain / √fan. `a` is leaky_relu's slope. Shape (out, in, …)."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)
