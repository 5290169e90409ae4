r"""Filling the first weights. Why they must differ, and how large they should be, is derived in
`tinynet/derivations/initialisation.py`: Var[W] = gain² / fan (He), or 2 gain² / (fan_in + fan_out)
(Xavier), with the gain of the activation.

A uniform distribution on [−a, a) has the variance a²/3, hence the bounds a = √3 · std below.

Source: Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in
deep linear neural networks", 2013, for orthogonal weights. All functions work in place, outside of
the tape.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet.derivations.initialisation import he_std, xavier_std
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.grad_mode import no_grad
from tinynet.random import Generator, default_generator
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
    gains |= {f"conv{transposed}{n}d": 1.0 for transposed in ("", "_transpose") for n in (1, 2, 3)}
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
    return he_std(fan, calculate_gain(nonlinearity, a))


def _xavier_std(tensor: Tensor, gain: float) -> float:
    return xavier_std(*_fans(tensor), gain)


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


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, but only values in [a, b], which are bounds of the value, not of multiples of std.

    What falls outside is drawn again; where little of the normal lies inside, a uniform draw on
    [a, b] is kept with a probability in proportion to the density. Raises ArgumentError unless
    a < b and std > 0.

    >>> import tinynet as tn
    >>> w = trunc_normal_(tn.empty(1000), std=3.0)
    >>> float(w.min()) >= -2 and float(w.max()) <= 2
    True
    """
    if not a < b or std <= 0:
        raise ArgumentError("a < b and std > 0 are expected", got=f"a={a}, b={b}, std={std}")
    source = generator or default_generator(tensor.device)
    nearest = min(max(mean, a), b)  # the most likely value of the interval
    inside = math.erf((b - mean) / std / math.sqrt(2)) - math.erf((a - mean) / std / math.sqrt(2))
    values = np.empty(tensor.array.size, tensor.dtype, like=tensor.array)
    left = np.arange(tensor.array.size, like=tensor.array)
    while left.size:
        if inside > 0.5:  # a quarter of all draws
            drawn = mean + std * source.standard_normal(left.shape, tensor.dtype)
            kept = (drawn >= a) & (drawn <= b)
        else:
            drawn = a + (b - a) * source.random(left.shape, tensor.dtype)
            log_ratio = ((nearest - mean) ** 2 - (drawn - mean) ** 2) / (2 * std**2)
            kept = source.random(left.shape, tensor.dtype) < np.exp(log_ratio)
        values[left[kept]] = drawn[kept]
        left = left[~kept]
    return _call(tensor, "copy_", Tensor(np.reshape(values, tensor.shape)))


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """gain · Q with orthonormal rows, or columns if these are fewer: a square Q keeps all lengths.

    Shape (out, …), read as a matrix (out, rest). Q comes from the QR factorisation of a normal
    matrix; with R's diagonal made positive, every orthogonal matrix is equally likely.

    >>> import tinynet as tn
    >>> W = orthogonal_(tn.empty(2, 5, dtype=tn.float64))
    >>> bool(np.allclose(W @ W.T, np.eye(2)))
    True
    """
    if tensor.ndim < 2:
        raise ShapeError("a weight with 2 axes or more is expected", got=describe(tensor))
    if not tensor.array.size:
        return tensor
    source = generator or default_generator(tensor.device)
    rows, columns = tensor.shape[0], tensor.array.size // tensor.shape[0]
    tall = source.standard_normal((max(rows, columns), min(rows, columns)), np.dtype("f8"))
    q, r = np.linalg.qr(tall)
    q = q * np.where(np.diagonal(r) < 0, -1, 1)
    q = np.swapaxes(q, 0, 1) if rows < columns else q
    return _call(tensor, "copy_", Tensor(gain * np.reshape(q, tensor.shape)))


def eye_(tensor: Tensor) -> Tensor:
    """Ones on the diagonal of a matrix, zeros elsewhere: the layer hands its input on.

    >>> import tinynet as tn
    >>> eye_(tn.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ShapeError("a matrix is expected", got=describe(tensor))
    eye = np.eye(*tensor.shape, dtype=tensor.dtype, like=tensor.array)
    return _call(tensor, "copy_", Tensor(eye))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Filters that hand their channel on: 1 in the middle of filter (i, i) of each group, else 0.

    Shape (out, in, …), 3 to 5 axes; `groups` divides out.

    >>> import tinynet as tn
    >>> dirac_(tn.empty(1, 2, 3))
    tensor([[[0., 1., 0.],
             [0., 0., 0.]]])
    """
    if tensor.ndim not in (3, 4, 5) or tensor.shape[0] % groups:
        raise ShapeError(
            "filters (out, in, …) with 3 to 5 axes are expected, groups dividing out",
            got=f"{describe(tensor)}, groups={groups}",
        )
    values = np.zeros_like(tensor.array)
    per_group = tensor.shape[0] // groups
    middle = tuple(n // 2 for n in tensor.shape[2:])
    for group in range(groups):
        for i in range(min(per_group, tensor.shape[1])):
            values[(group * per_group + i, i, *middle)] = 1
    return _call(tensor, "copy_", Tensor(values))


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Normal with mean 0, but a fraction `sparsity` of each column of a matrix is 0.

    >>> import tinynet as tn
    >>> int((sparse_(tn.empty(10, 3), sparsity=0.25) == 0).sum())  # 2.5 is rounded up
    9
    """
    if tensor.ndim != 2:
        raise ShapeError("a matrix is expected", got=describe(tensor))
    rows, columns = tensor.shape
    source = generator or default_generator(tensor.device)
    values = std * source.standard_normal(tensor.shape, tensor.dtype)
    for j in range(columns):
        values[source.permutation(rows)[: math.ceil(sparsity * rows)], j] = 0
    return _call(tensor, "copy_", Tensor(values))
