"""The activations as modules: options only, but for PReLU, whose slope is learnt.

Where there is `inplace`, the result is written over the input.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet import dtypes
from tinynet.errors import ShapeError, describe
from tinynet.nn import functional
from tinynet.nn.module import Module
from tinynet.nn.parameter import Parameter
from tinynet.nn.stateless import Stateless


class ReLU(Stateless):
    """max(x, 0), entry by entry."""

    function = staticmethod(functional.relu)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class LeakyReLU(Stateless):
    """x where x > 0, else negative_slope · x."""

    function = staticmethod(functional.leaky_relu)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(negative_slope=negative_slope, inplace=inplace)


class PReLU(Module):
    """x where x > 0, else weight · x, with a learnt slope for each channel, or one for all.

    >>> import tinynet as tn
    >>> PReLU()(tn.tensor([-1.0, 2.0])).detach()
    tensor([-0.2500,  2.0000])
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        kind = dtype or dtypes.get_default_dtype()
        self.weight = Parameter(np.full(num_parameters, init, kind))
        if device is not None:
            self.to(device=device)

    def forward(self, input: Any) -> Any:
        return functional.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ReLU6(Stateless):
    """min(max(x, 0), 6)."""

    function = staticmethod(functional.relu6)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class Hardtanh(Stateless):
    """x pulled back into [min_val, max_val]."""

    function = staticmethod(functional.hardtanh)

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(min_val=min_val, max_val=max_val, inplace=inplace)


class ELU(Stateless):
    """x where x > 0, else alpha (eˣ − 1)."""

    function = staticmethod(functional.elu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha=alpha, inplace=inplace)


class SELU(Stateless):
    """1.0507 · elu(x, 1.6733), which keeps mean 0 and variance 1."""

    function = staticmethod(functional.selu)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class CELU(Stateless):
    """x where x > 0, else alpha (e^(x/alpha) − 1)."""

    function = staticmethod(functional.celu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha=alpha, inplace=inplace)


class Hardsigmoid(Stateless):
    """relu6(x + 3) / 6."""

    function = staticmethod(functional.hardsigmoid)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class Hardswish(Stateless):
    """x · hardsigmoid(x)."""

    function = staticmethod(functional.hardswish)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class Hardshrink(Stateless):
    """x where |x| > lambd, else 0."""

    function = staticmethod(functional.hardshrink)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd=lambd)


class Softshrink(Stateless):
    """x, moved towards 0 by lambd, but no further."""

    function = staticmethod(functional.softshrink)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd=lambd)


class Tanhshrink(Stateless):
    """x − tanh(x)."""

    function = staticmethod(functional.tanhshrink)


class Threshold(Stateless):
    """x where x > threshold, else value."""

    function = staticmethod(functional.threshold)

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(threshold=threshold, value=value, inplace=inplace)


class GELU(Stateless):
    """x Φ(x), Φ the distribution function of the normal; 'tanh' approximates Φ."""

    function = staticmethod(functional.gelu)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate=approximate)


class SiLU(Stateless):
    """x σ(x)."""

    function = staticmethod(functional.silu)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class Mish(Stateless):
    """x tanh(softplus(x))."""

    function = staticmethod(functional.mish)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(inplace=inplace)


class Softplus(Stateless):
    """(1/beta) log(1 + e^(beta x)); x itself where beta x > threshold."""

    function = staticmethod(functional.softplus)

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta=beta, threshold=threshold)


class Softsign(Stateless):
    """x / (1 + |x|)."""

    function = staticmethod(functional.softsign)


class Tanh(Stateless):
    """tanh x, entry by entry."""

    function = staticmethod(functional.tanh)


class Sigmoid(Stateless):
    """1 / (1 + e^(−x)), entry by entry."""

    function = staticmethod(functional.sigmoid)


class LogSigmoid(Stateless):
    """log σ(x)."""

    function = staticmethod(functional.logsigmoid)


class GLU(Stateless):
    """a σ(b), a the first half of the input along `dim`, b the second."""

    function = staticmethod(functional.glu)

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim=dim)


class Softmax(Stateless):
    """Weights that sum to 1 along `dim`. A classifier trained with CrossEntropyLoss needs none."""

    function = staticmethod(functional.softmax)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(dim=dim)


class LogSoftmax(Softmax):
    """The logarithm of softmax along `dim`."""

    function = staticmethod(functional.log_softmax)


class Softmin(Softmax):
    """softmax(−x) along `dim`."""

    function = staticmethod(functional.softmin)


class Softmax2d(Stateless):
    """Softmax over the channels of images (n, c, h, w) or (c, h, w)."""

    function = staticmethod(functional.softmax)

    def __init__(self) -> None:
        super().__init__(dim=-3)

    def forward(self, *inputs: Any) -> Any:
        if inputs[0].ndim not in (3, 4):
            raise ShapeError("Softmax2d: images are expected", got=describe(inputs[0]))
        return super().forward(*inputs)

    def extra_repr(self) -> str:
        return ""
