"""The activations without memory. Their rules stand in `ops/activations.py`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tinynet.dtypes import (
    finfo,
    is_floating,
)
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.ops import activations as table
from tinynet.ops.elementwise import clamp
from tinynet.ops.inplace import in_place
from tinynet.ops.public import exports, with_numpy_spelling
from tinynet.random import Generator, default_generator
from tinynet.tensor import Tensor

tanh = exports["tanh"]
sigmoid = exports["sigmoid"]

# With `inplace`, the result is written over the input, which is also what comes back.


def _apply(function: Any, input: Any, inplace: bool, **options: Any) -> Any:
    return (in_place(function) if inplace else function)(input, **options)


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0), entry by entry.

    >>> import tinynet as tn
    >>> relu(tn.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return _apply(exports["relu"], input, inplace)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where x > 0, else negative_slope · x.

    >>> import tinynet as tn
    >>> leaky_relu(tn.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1000,  2.0000])
    """
    return _apply(table.leaky_relu, input, inplace, negative_slope=negative_slope)


def prelu(input: Any, weight: Any) -> Any:
    """x where x > 0, else weight · x: `leaky_relu` with a slope that is learnt.

    Shapes: input (n, C, …) and weight (C,), one slope for each channel, or (1,) for all.
    Raises ShapeError where weight has another number of entries.

    >>> import tinynet as tn
    >>> prelu(tn.tensor([[-1.0, -1.0]]), tn.tensor([0.1, 0.2]))
    tensor([[-0.1000, -0.2000]])
    """
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.array.size not in (1, channels):
        raise ShapeError(
            "prelu: one slope, or one for each channel, is expected",
            expected=f"(1,) or ({channels},)",
            got=describe(weight),
        )
    axes = (1, -1, *(1,) * (input.ndim - 2)) if input.ndim > 1 else (1,) * input.ndim
    return table.prelu(input, np.reshape(weight, axes))


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x pulled back into [min_val, max_val]; unlike `clamp`, no gradient passes at the edges.

    Whole numbers stay whole. Raises ArgumentError where min_val > max_val.

    >>> import tinynet as tn
    >>> hardtanh(tn.tensor([-3.0, 0.5, 3.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """
    if not min_val <= max_val:
        raise ArgumentError("hardtanh: min_val is above max_val", got=f"{min_val}, {max_val}")
    if not is_floating(input.dtype):
        return _apply(clamp, input, inplace, min=int(min_val), max=int(max_val))
    return _apply(table.hardtanh, input, inplace, min_val=min_val, max_val=max_val)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6).

    >>> import tinynet as tn
    >>> relu6(tn.tensor([-1.0, 2.0, 9.0]))
    tensor([0., 2., 6.])
    """
    return hardtanh(input, 0.0, 6.0, inplace)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else alpha (eˣ − 1): the negative side levels off at −alpha.

    >>> import tinynet as tn
    >>> elu(tn.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return _apply(table.elu, input, inplace, alpha=alpha)


def selu(input: Any, inplace: bool = False) -> Any:
    """1.0507 · elu(x, 1.6733): the two numbers for which mean 0 and variance 1 are kept.

    Source: Klambauer et al., "Self-Normalizing Neural Networks", 2017.

    >>> import tinynet as tn
    >>> selu(tn.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """
    return _apply(_selu, input, inplace)


def _selu(input: Any) -> Any:
    return 1.0507009873554804934193349852946 * elu(input, 1.6732632423543772848170429916717)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else alpha (e^(x/alpha) − 1): `elu` whose slope at 0 is 1 for every alpha.

    >>> import tinynet as tn
    >>> celu(tn.tensor([-1.0, 2.0]), 2.0)
    tensor([-0.7869,  2.0000])
    """
    return _apply(lambda x: alpha * elu(x / alpha), input, inplace)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """relu6(x + 3) / 6: straight lines that resemble σ.

    >>> import tinynet as tn
    >>> hardsigmoid(tn.tensor([-4.0, 0.0, 1.5]))
    tensor([0.0000, 0.5000, 0.7500])
    """
    return _apply(lambda x: relu6(x + 3) / 6, input, inplace)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x · hardsigmoid(x), which resembles silu.

    Source: Howard et al., "Searching for MobileNetV3", 2019.

    >>> import tinynet as tn
    >>> hardswish(tn.tensor([-4.0, 0.0, 1.0]))
    tensor([-0.0000,  0.0000,  0.6667])
    """
    return _apply(lambda x: x * hardsigmoid(x), input, inplace)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x where |x| > lambd, else 0.

    >>> import tinynet as tn
    >>> hardshrink(tn.tensor([-2.0, 0.3]))
    tensor([-2.,  0.])
    """
    return np.where(np.abs(input) <= lambd, 0, input)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x, moved towards 0 by lambd, but no further.

    Raises ArgumentError where lambd is negative.

    >>> import tinynet as tn
    >>> softshrink(tn.tensor([-2.0, 0.3]))
    tensor([-1.5000,  0.0000])
    """
    if lambd < 0:
        raise ArgumentError("softshrink: lambd is not negative", got=f"{lambd}")
    return input - clamp(input, -lambd, lambd)


def tanhshrink(input: Any) -> Any:
    """x − tanh(x).

    >>> import tinynet as tn
    >>> tanhshrink(tn.tensor([0.0, 2.0]))
    tensor([0.0000, 1.0360])
    """
    return input - tanh(input)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where x > threshold, else value.

    >>> import tinynet as tn
    >>> threshold(tn.tensor([-1.0, 0.1, 2.0]), 0.5, -9.0)
    tensor([-9., -9.,  2.])
    """
    return _apply(lambda x: np.where(x <= threshold, value, x), input, inplace)


def gelu(input: Any, approximate: str = "none") -> Any:
    """x Φ(x), Φ the distribution function of the normal; 'tanh' approximates Φ as GPT-2 does.

    Raises ArgumentError for another approximation.

    >>> import tinynet as tn
    >>> gelu(tn.tensor([-1.0, 2.0])), gelu(tn.tensor([-1.0, 2.0]), approximate="tanh")
    (tensor([-0.1587,  1.9545]), tensor([-0.1588,  1.9546]))
    """
    if approximate not in ("none", "tanh"):
        raise ArgumentError(
            "gelu: no such approximation", expected="'none' or 'tanh'", got=repr(approximate)
        )
    return (table.gelu if approximate == "none" else table.gelu_tanh)(input)


def silu(input: Any, inplace: bool = False) -> Any:
    """x σ(x), also called swish.

    >>> import tinynet as tn
    >>> silu(tn.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """
    return _apply(table.silu, input, inplace)


def mish(input: Any, inplace: bool = False) -> Any:
    """x tanh(softplus(x)).

    >>> import tinynet as tn
    >>> mish(tn.tensor([-1.0, 2.0]))
    tensor([-0.3034,  1.9440])
    """
    return _apply(table.mish, input, inplace)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """(1/beta) log(1 + e^(beta x)), a smooth max(x, 0); x itself where beta x > threshold.

    >>> import tinynet as tn
    >>> softplus(tn.tensor([0.0, 30.0]))
    tensor([ 0.6931, 30.0000])
    """
    return table.softplus(input, beta=beta, threshold=threshold)


def logsigmoid(input: Any) -> Any:
    """log σ(x), which does not underflow.

    >>> import tinynet as tn
    >>> logsigmoid(tn.tensor([0.0, -200.0]))
    tensor([  -0.6931, -200.0000])
    """
    return table.logsigmoid(input)


def softsign(input: Any) -> Any:
    """x / (1 + |x|).

    >>> import tinynet as tn
    >>> softsign(tn.tensor([-1.0, 3.0]))
    tensor([-0.5000,  0.7500])
    """
    return table.softsign(input)


def glu(input: Any, dim: int = -1) -> Any:
    """a σ(b), a the first half of the input along `dim` and b, the gate, the second.

    Raises ShapeError where the size of that axis is odd.

    >>> import tinynet as tn
    >>> glu(tn.tensor([1.0, 2.0, 0.0, 100.0]))
    tensor([0.5000, 2.0000])
    """
    n = input.size(dim)
    if n % 2:
        raise ShapeError(f"glu: axis {dim} cannot be halved", got=describe(input))
    x = np.moveaxis(input, dim, 0)
    return np.moveaxis(x[: n // 2] * sigmoid(x[n // 2 :]), 0, dim)


@with_numpy_spelling
def softmax(input: Any, dim: int | None = None, *, dtype: Any = None) -> Any:
    """exp(x_i) / Σ_k exp(x_k) along `dim`. Derived in `tinynet/derivations/softmax.py`.

    Without `dim` PyTorch's old choice is taken, with its warning: axis 0 of an input of 0, 1 or 3
    axes, else axis 1.

    >>> import tinynet as tn
    >>> softmax(tn.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([0.0900, 0.2447, 0.6652])
    """
    return exports["softmax"](input, _chosen(dim, input), dtype=dtype)


@with_numpy_spelling
def log_softmax(input: Any, dim: int | None = None, *, dtype: Any = None) -> Any:
    """x_i − log Σ_k exp(x_k) along `dim`. Derived in `tinynet/derivations/log_softmax.py`.

    >>> import tinynet as tn
    >>> log_softmax(tn.tensor([0.0, -1000.0]), dim=0)
    tensor([    0., -1000.])
    """
    return exports["log_softmax"](input, _chosen(dim, input), dtype=dtype)


def _chosen(dim: int | None, input: Any) -> int:
    if dim is not None:
        return dim
    warnings.warn("softmax without dim: name the axis of the classes", stacklevel=4)
    return 0 if input.ndim in (0, 1, 3) else 1


@with_numpy_spelling
def softmin(input: Any, dim: int | None = None, *, dtype: Any = None) -> Any:
    """softmax(−x): the smallest entry weighs most.

    >>> import tinynet as tn
    >>> softmin(tn.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([0.6652, 0.2447, 0.0900])
    """
    return exports["softmax"](-input, _chosen(dim, input), dtype=dtype)


def gumbel_softmax(
    logits: Any,
    tau: float = 1.0,
    hard: bool = False,
    dim: int = -1,
    *,
    generator: Generator | None = None,
) -> Any:
    """softmax((logits + G) / tau), G being −log(−log U) of uniform U: a smooth draw of one class
    with the probabilities softmax(logits). With `hard` it is 0 or 1, with the smooth gradient.

    Source: Jang, Gu and Poole, "Categorical Reparameterization with Gumbel-Softmax", 2017.

    >>> import tinynet as tn
    >>> gumbel_softmax(tn.zeros(2, 3), hard=True).sum(1)
    tensor([1., 1.])
    """
    source = generator or default_generator(logits.device)
    tiny = finfo(logits.dtype).tiny
    u = np.maximum(source.random(logits.shape, logits.dtype), tiny)
    noise = Tensor(-np.log(np.maximum(-np.log(u), tiny)))
    soft = exports["softmax"]((logits + noise) / tau, dim)
    if not hard:
        return soft
    largest = soft.detach().argmax(dim, keepdim=True)
    return np.zeros_like(soft.detach()).scatter(dim, largest, 1.0) - soft.detach() + soft
