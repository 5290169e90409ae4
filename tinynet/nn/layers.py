"""The layers: names, weights and modes. What each computes stands in `functional`.

`normalisation` and `embeddings` have files of their own; `activations`, `dropouts` and `losses`
hold no weights, `containers` holds other modules.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet import dtypes
from tinynet.errors import ArgumentError
from tinynet.nn import functional, init
from tinynet.nn.module import Module
from tinynet.nn.parameter import Parameter


class Linear(Module):
    """y = x Wᵀ + b. Shapes: x (…, in_features), y (…, out_features), weight (out, in), bias (out,).

    Both start uniform on [−1/√in, 1/√in), as in PyTorch: `kaiming_uniform_` with a = √5.

    >>> import tinynet as tn
    >>> layer = Linear(3, 2)
    >>> layer(tn.ones(5, 3)).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if min(in_features, out_features) < 0:
            raise ArgumentError(
                "Linear: sizes are not negative", got=f"{in_features}, {out_features}"
            )
        self.in_features, self.out_features = in_features, out_features
        kind = dtype or dtypes.get_default_dtype()
        self.weight = Parameter(np.empty((out_features, in_features), kind))
        self.register_parameter("bias", Parameter(np.empty(out_features, kind)) if bias else None)
        self.reset_parameters()
        if device is not None:
            self.to(device=device)

    def reset_parameters(self) -> None:
        """Draw the first weights again."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any) -> Any:
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Bilinear(Module):
    """y_o = Σ_ij u_i A_oij v_j + b_o. Shapes: u (…, in1), v (…, in2), y (…, out), weight
    (out, in1, in2), bias (out,).

    Both start uniform on [−1/√in1, 1/√in1), as in PyTorch.

    >>> import tinynet as tn
    >>> Bilinear(3, 4, 2)(tn.ones(5, 3), tn.ones(5, 4)).shape
    (5, 2)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ArgumentError("Bilinear: in1_features is positive", got=f"{in1_features}")
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features
        kind = dtype or dtypes.get_default_dtype()
        self.weight = Parameter(np.empty((out_features, in1_features, in2_features), kind))
        self.register_parameter("bias", Parameter(np.empty(out_features, kind)) if bias else None)
        self.reset_parameters()
        if device is not None:
            self.to(device=device)

    def reset_parameters(self) -> None:
        """Draw the first weights again."""
        bound = 1 / math.sqrt(self.in1_features)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def forward(self, input1: Any, input2: Any) -> Any:
        return functional.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """The input itself; takes any arguments, and ignores them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Flatten(Module):
    """The axes from start_dim to end_dim made one; by default all but the batch."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """The axis `dim` made several, of the given sizes: undoes Flatten.

    >>> import tinynet as tn
    >>> Unflatten(1, (3, 4))(tn.ones(2, 12)).shape
    (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Any) -> Any:
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
