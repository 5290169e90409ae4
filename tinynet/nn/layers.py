"""The layers: names, weights and modes. What each computes stands in `functional`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.errors import ArgumentError, OutOfRangeError
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


class Identity(Module):
    """The input itself; takes any arguments, and ignores them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class ReLU(Module):
    """max(x, 0), entry by entry."""

    def forward(self, input: Any) -> Any:
        return functional.relu(input)


class Tanh(Module):
    """tanh x, entry by entry."""

    def forward(self, input: Any) -> Any:
        return functional.tanh(input)


class Sigmoid(Module):
    """1 / (1 + e^(−x)), entry by entry."""

    def forward(self, input: Any) -> Any:
        return functional.sigmoid(input)


class Softmax(Module):
    """Weights that sum to 1 along `dim`. A classifier trained with CrossEntropyLoss needs none."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return functional.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """The logarithm of softmax along `dim`."""

    def forward(self, input: Any) -> Any:
        return functional.log_softmax(input, self.dim)


class Dropout(Module):
    """While training, zeros with probability p and the rest divided by 1 − p; else the input."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ArgumentError("Dropout: a probability lies between 0 and 1", got=f"p = {p}")
        self.p = p

    def forward(self, input: Any) -> Any:
        return functional.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Flatten(Module):
    """The axes from start_dim to end_dim made one; by default all but the batch."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class _Row(Module):
    """Modules in a row, under their numbers."""

    def _named_index(self, index: int) -> str:
        names = list(self._modules)
        if not -len(names) <= index < len(names):
            raise OutOfRangeError(
                f"there is no module {index}", expected=f"{-len(names)} … {len(names) - 1}"
            )
        return names[index]

    def __len__(self) -> int:
        return len(self._modules)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._sliced(index)
        return self._modules[self._named_index(index)]

    def _sliced(self, index: slice) -> Any:
        raise NotImplementedError

    def __setitem__(self, index: int, module: Module) -> None:
        self.register_module(self._named_index(index), module)

    def __delitem__(self, index: int) -> None:
        del self._modules[self._named_index(index)]
        if all(name.isdigit() for name in self._modules):
            modules = list(self._modules.values())
            self._modules.clear()
            self._modules.update({str(i): module for i, module in enumerate(modules)})

    def append(self, module: Module) -> Any:
        """Add one at the end, and return the row."""
        self.register_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add several at the end, and return the row."""
        for module in list(modules):
            self.append(module)
        return self


class Sequential(_Row):
    """Modules one after the other; named by numbers, or as in a dictionary.

    >>> model = Sequential(Linear(4, 3), ReLU(), Linear(3, 2))
    >>> model[0].out_features, len(model[:2])
    (3, 2)
    >>> model
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=True)  # 15 parameters
      (1): ReLU()
      (2): Linear(in_features=3, out_features=2, bias=True)  # 8 parameters
    )  # 23 parameters
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = len(args) == 1 and isinstance(args[0], Mapping)
        for name, module in args[0].items() if named else enumerate(args):
            self.register_module(str(name), module)

    def _sliced(self, index: slice) -> Any:
        return type(self)(dict(list(self._modules.items())[index]))

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input


class ModuleList(_Row):
    """A list of modules whose parameters are found; it computes nothing itself.

    >>> layers = ModuleList(Linear(2, 2) for _ in range(3))
    >>> len(list(layers.parameters()))
    6
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def _sliced(self, index: slice) -> ModuleList:
        return ModuleList([*self][index])

    def insert(self, index: int, module: Module) -> None:
        """Put one before number `index`."""
        modules = [*self]
        modules.insert(index, module)
        self._modules.clear()
        self.extend(modules)
