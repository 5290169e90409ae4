"""The layers: names, weights and modes. What each computes stands in `functional`.

`activations` and `losses` hold no weights, `containers` holds other modules.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.errors import ArgumentError, OutOfRangeError, ShapeError, describe
from tinynet.nn import functional, init
from tinynet.nn.module import Module
from tinynet.nn.parameter import Parameter
from tinynet.tensor import raw


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
        kind = dtype or arrays.get_default_dtype()
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
        kind = dtype or arrays.get_default_dtype()
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


class Embedding(Module):
    """One learnt vector for each of V ids. Shapes: ids (…), y (…, embedding_dim), weight
    (num_embeddings, embedding_dim).

    It starts normal with variance 1. The row `padding_idx` starts at 0 and stays there: it gets no
    gradient. Raises OutOfRangeError where there is no such row.

    >>> import tinynet as tn
    >>> layer = Embedding(10, 3, padding_idx=0)
    >>> layer(tn.tensor([[1, 2, 0]])).shape, layer(tn.tensor(0)).detach()
    ((1, 3, 3), tensor([0., 0., 0.]))
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise OutOfRangeError(
                    "Embedding: padding_idx has no row",
                    expected=f"{-num_embeddings} … {num_embeddings - 1}",
                    got=f"{padding_idx}",
                )
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx
        kind = dtype or arrays.get_default_dtype()
        self.weight = Parameter(np.empty((num_embeddings, embedding_dim), kind))
        self.reset_parameters()
        if device is not None:
            self.to(device=device)

    def reset_parameters(self) -> None:
        """Draw the first vectors again."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """An Embedding with these vectors (V, d), shared and not copied; frozen unless told.

        >>> import tinynet as tn
        >>> Embedding.from_pretrained(tn.tensor([[1.0, 2.0], [3.0, 4.0]]))(tn.tensor([1]))
        tensor([[3., 4.]])
        """
        if embeddings.ndim != 2:
            raise ShapeError("vectors (V, d) are expected", got=describe(embeddings))
        count, size = embeddings.shape
        layer = cls(count, size, padding_idx)
        layer.weight = Parameter(raw(embeddings), requires_grad=not freeze)
        return layer

    def forward(self, input: Any) -> Any:
        return functional.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class Identity(Module):
    """The input itself; takes any arguments, and ignores them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Dropout(Module):
    """While training, zeros with probability p and the rest divided by 1 − p; else the input."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ArgumentError("Dropout: a probability lies between 0 and 1", got=f"p = {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Any) -> Any:
        return functional.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}" + (", inplace=True" if self.inplace else "")


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
