"""Modules that hold other modules, or parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tinynet.errors import OutOfRangeError
from tinynet.nn.module import Module
from tinynet.nn.parameter import Parameter


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

    def __iadd__(self, modules: Iterable[Module]) -> Any:
        return self.extend(modules)

    def pop(self, index: int = -1) -> Module:
        """Take one out, the last by default, and return it."""
        module: Module = self[index]
        del self[index]
        return module


class Sequential(_Row):
    """Modules one after the other; named by numbers, or as in a dictionary.

    >>> from tinynet.nn import Linear, ReLU
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

    >>> from tinynet.nn import Linear
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


class _Named(Module):
    """A dictionary whose entries are parts of the module. `_parts` is where they stand."""

    _register: str

    @property
    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = getattr(self, self._register)
        return parts

    def __getitem__(self, key: str) -> Any:
        return self._parts[key]

    def __delitem__(self, key: str) -> None:
        del self._parts[key]

    def __len__(self) -> int:
        return len(self._parts)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __contains__(self, key: str) -> bool:
        return key in self._parts

    def __setitem__(self, key: str, value: Any) -> None:
        raise NotImplementedError

    def keys(self) -> Any:
        """The names, in order."""
        return self._parts.keys()

    def values(self) -> Any:
        """The parts, in order."""
        return self._parts.values()

    def items(self) -> Any:
        """The pairs (name, part), in order."""
        return self._parts.items()

    def update(self, parts: Any) -> None:
        """Add or replace several: a mapping, or pairs."""
        for key, value in dict(parts).items():
            self[key] = value

    def pop(self, key: str) -> Any:
        """Take one out, and return it."""
        value = self[key]
        del self[key]
        return value

    def clear(self) -> None:
        """Take all out."""
        self._parts.clear()


class ModuleDict(_Named):
    """A dictionary of modules whose parameters are found; it computes nothing itself.

    >>> from tinynet.nn import Linear, ReLU
    >>> choices = ModuleDict({"relu": ReLU(), "linear": Linear(2, 2)})
    >>> list(choices.state_dict())
    ['linear.weight', 'linear.bias']
    """

    _register = "_modules"

    def __init__(self, modules: Any = ()) -> None:
        super().__init__()
        self.update(modules)

    def __setitem__(self, key: str, module: Module) -> None:
        self.register_module(key, module)


class ParameterDict(_Named):
    """A dictionary of parameters; Tensors become Parameters.

    >>> import tinynet as tn
    >>> list(ParameterDict({"left": tn.ones(2)}).parameters())
    [Parameter containing:
    tensor([1., 1.], requires_grad=True)]
    """

    _register = "_parameters"

    def __init__(self, parameters: Any = ()) -> None:
        super().__init__()
        self.update(parameters)

    def __setitem__(self, key: str, value: Any) -> None:
        self.register_parameter(key, _parameter(value))


class ParameterList(Module):
    """A list of parameters that are found; Tensors become Parameters.

    >>> import tinynet as tn
    >>> weights = ParameterList([tn.ones(2), tn.zeros(3)])
    >>> list(weights.state_dict()), weights[-1].shape
    (['0', '1'], (3,))
    """

    def __init__(self, values: Iterable[Any] = ()) -> None:
        super().__init__()
        self.extend(values)

    def __len__(self) -> int:
        return len(self._parameters)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parameters.values())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return ParameterList([*self][index])
        return self._parameters[self._name(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        self.register_parameter(self._name(index), _parameter(value))

    def _name(self, index: int) -> str:
        if not -len(self) <= index < len(self):
            raise OutOfRangeError(
                f"there is no parameter {index}", expected=f"{-len(self)} … {len(self) - 1}"
            )
        return str(index % len(self))

    def append(self, value: Any) -> ParameterList:
        """Add one at the end, and return the list."""
        self.register_parameter(str(len(self)), _parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add several at the end, and return the list."""
        for value in list(values):
            self.append(value)
        return self

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)


def _parameter(value: Any) -> Parameter:
    return value if isinstance(value, Parameter) else Parameter(value)
