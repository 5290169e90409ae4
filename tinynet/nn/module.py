"""Memory: a tree of modules that own parameters and buffers.

A Module knows its parts by the attributes they were assigned to. A Parameter, a buffer (state
that is not trained) and a Module each go into a dictionary of their own, in the order of
assignment; `state_dict` joins their names with dots.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from weakref import ref

import numpy as np

from tinynet import arrays, dtypes
from tinynet.autograd import clock
from tinynet.errors import ArgumentError, DTypeError, ShapeError, describe
from tinynet.hooks import RemovableHandle
from tinynet.nn.parameter import Parameter
from tinynet.ops.moving import destination
from tinynet.tensor import Tensor, raw

Self = TypeVar("Self", bound="Module")

_REGISTERS = ("_parameters", "_buffers", "_modules")
CALLS = 256  # of a module that are remembered, for `tn.explain`: a cell is called for each word


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """The base of every layer and model: assign parts in `__init__`, compute in `forward`.

    >>> from tinynet import nn
    >>> class Twice(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.inner = nn.Linear(2, 2, bias=False)
    ...     def forward(self, x):
    ...         return self.inner(self.inner(x))
    >>> Twice()
    Twice(
      (inner): Linear(in_features=2, out_features=2, bias=False)  # 4 parameters
    )  # 4 parameters
    >>> list(Twice().state_dict())
    ['inner.weight']
    """

    training: bool
    # For `explain`: between which numbers of nodes its calls lie, and the arrays that went in.
    last_calls: Sequence[tuple[int, int, list[ref[Any]]]] = ()
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def __init__(self) -> None:
        own = self.__dict__
        own["training"] = True
        own["_parameters"], own["_buffers"], own["_modules"] = {}, {}, {}
        own["_non_persistent"] = {}  # names of buffers that state_dict leaves out, in order
        own["_forward_hooks"], own["_forward_pre_hooks"], own["_next_hook"] = {}, {}, 0

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes. Every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        start = next(clock)
        hooked = self._forward_hooks or self._forward_pre_hooks
        result = self._with_hooks(args, kwargs) if hooked else self.forward(*args, **kwargs)
        own = self.__dict__
        if "last_calls" not in own:
            own["last_calls"] = deque(maxlen=CALLS)
        given = [ref(x.array) for x in (*args, *kwargs.values()) if isinstance(x, Tensor)]
        own["last_calls"].append((start, next(clock), given))  # the nodes in between are its own
        return result

    def _with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for hook in list(self._forward_pre_hooks.values()):
            new = hook(self, args)
            if new is not None:
                args = new if isinstance(new, tuple) else (new,)
        result = self.forward(*args, **kwargs)
        for hook in list(self._forward_hooks.values()):
            new = hook(self, args, result)
            result = result if new is None else new
        return result

    # -- parts as attributes -------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        if "_modules" not in own:
            if isinstance(value, Tensor | Module):
                raise ArgumentError(
                    f"{type(self).__name__}.{name} is assigned before super().__init__() ran",
                    hint="super().__init__() as the first line of __init__",
                )
            own[name] = value
        elif isinstance(value, Parameter):
            self._forget(name)
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._forget(name)
            self.register_module(name, value)
        elif name in own["_parameters"] and value is not None:
            raise DTypeError(
                f"{type(self).__name__}.{name} is a parameter, and can be replaced by one only",
                got=describe(value),
                hint="nn.Parameter(value), or None",
            )
        else:
            for register in _REGISTERS:
                if name in own[register]:
                    own[register][name] = value
                    return
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        for register in _REGISTERS:
            if name in own.get(register, ()):
                return own[register][name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        if not self._forget(name):
            object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._parameters, *self._buffers, *self._modules]

    def _forget(self, name: str) -> bool:
        """Take a part, or a plain attribute that would hide one, out of where it stands."""
        own = self.__dict__
        self._non_persistent.pop(name, None)
        found = [r for r in (own, *(own[register] for register in _REGISTERS)) if name in r]
        for register in found:
            del register[name]
        return bool(found)

    def _check_name(self, name: str, register: dict[str, Any]) -> None:
        if "." in name or not name:
            raise ArgumentError("the name of a part is not empty and has no dot", got=repr(name))
        if name not in register and (name in self.__dict__ or hasattr(self, name)):
            raise ArgumentError(f"{type(self).__name__} has an attribute {name!r} already")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name; None reserves the name. Raises where param is not one."""
        self._check_name(name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise DTypeError(f"{name!r} is not a Parameter", got=describe(param))
        if param is not None and not param.is_leaf:
            raise DTypeError(f"parameter {name!r} was computed: a parameter is a leaf")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a Tensor that moves with the module and is not trained, such as running means.

        A buffer that is not persistent stands in no `state_dict`.

        >>> import tinynet as tn
        >>> module = Module()
        >>> module.register_buffer("mean", tn.zeros(2)); module.mean
        tensor([0., 0.])
        """
        self._check_name(name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise DTypeError(f"buffer {name!r} is not a Tensor", got=describe(tensor))
        self._buffers[name] = tensor
        self._non_persistent.pop(name, None)
        if not persistent:
            self._non_persistent[name] = None

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a child under a name, which may be a number, as in Sequential."""
        self._check_name(name, self._modules)
        if module is not None and not isinstance(module, Module):
            raise DTypeError(f"{name!r} is not a Module", got=describe(module))
        self._modules[name] = module

    def add_module(self, name: str, module: Module | None) -> None:
        """`register_module`."""
        self.register_module(name, module)

    # -- walking the tree ----------------------------------------------------------------------

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(name, module) of this module and all below it, each once, parents first."""
        seen: dict[int, None] = {}
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            name, module = stack.pop()
            if id(module) in seen:
                continue
            seen[id(module)] = None
            yield name, module
            below = [(f"{name}.{k}" if name else k, m) for k, m in module._modules.items() if m]
            stack.extend(reversed(below))

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the parts directly below, each once."""
        seen: dict[int, None] = {}
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen[id(module)] = None
                yield name, module

    def children(self) -> Iterator[Module]:
        """The parts directly below, each once."""
        return (module for _, module in self.named_children())

    def _named(
        self, register: str, prefix: str, recurse: bool, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        seen: dict[int, None] = {}
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, value in getattr(module, register).items():
                if value is not None and not (remove_duplicate and id(value) in seen):
                    seen[id(value)] = None
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(name, parameter) in the order of assignment; one that is shared comes once."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, in the order of assignment, each once.

        >>> from tinynet import nn
        >>> [p.shape for p in nn.Linear(3, 2).parameters()]
        [(2, 3), (2,)]
        """
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """(name, buffer) in the order of registration."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module under a dotted name; the empty name is the module itself."""
        module: Any = self
        for name in target.split(".") if target else ():
            if name not in module._modules or module._modules[name] is None:
                raise AttributeError(
                    f"{type(module).__name__} has no part {name!r} (of {target!r})"
                )
            module = module._modules[name]
        return module  # type: ignore[no-any-return]

    # -- changing all of it --------------------------------------------------------------------

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module below and then on this one: the place to initialise weights."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self: Self, mode: bool = True) -> Self:
        """Training behaviour (dropout drops) here and below; `train(False)` is `eval()`."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self: Self) -> Self:
        """Evaluation behaviour (dropout does nothing) here and below."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Train all parameters, or freeze them."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; with `set_to_none=False` fill them with zeros."""
        for p in self.parameters():
            if set_to_none or p._grad is None:
                p._grad = None
            else:
                p._grad = Tensor(np.zeros_like(p._grad.array))

    def to(
        self: Self, *args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False
    ) -> Self:
        """Move parameters and buffers to a device, to a floating dtype, or to those of a Tensor.

        The module changes in place, its parameters stay the same objects; integer buffers keep
        their dtype. `non_blocking` is taken as by `Tensor.to`.

        >>> from tinynet import nn
        >>> nn.Linear(1, 1).to("float64").weight.dtype
        dtype('float64')
        """
        kind, device, _ = destination(args, dtype, device)
        if kind is not None and not dtypes.is_floating(kind):
            raise DTypeError("a module's parameters are floating point", got=str(kind))

        def moved(array: Any) -> Any:
            if device is not None:
                array = arrays.to_device(array, device, non_blocking=non_blocking)
            if kind is None or not dtypes.is_floating(array.dtype):
                return array
            with arrays.home(array):
                return array.astype(kind, copy=False)

        return self._convert(moved)

    def _convert(self: Self, function: Callable[[Any], Any]) -> Self:
        for x in (*self.parameters(), *self.buffers()):
            array = function(x.array)
            if array is not x.array:
                x.data = Tensor(array)
            if x._grad is not None:
                x._grad = Tensor(function(x._grad.array))
        return self

    def half(self: Self) -> Self:
        """All floating parameters and buffers as float16."""
        return self.to(dtype=dtypes.float16)

    def float(self: Self) -> Self:
        """All floating parameters and buffers as float32."""
        return self.to(dtype=dtypes.float32)

    def double(self: Self) -> Self:
        """All floating parameters and buffers as float64."""
        return self.to(dtype=dtypes.float64)

    def cpu(self: Self) -> Self:
        """To the computer's own memory."""
        return self.to(device="cpu")

    def cuda(self: Self, device: Any = None) -> Self:
        """To the GPU; needs CuPy. `device`: its number or name; the current one if left out."""
        return self.to(device="cuda" if device is None else arrays.Device(device))

    # -- state ---------------------------------------------------------------------------------

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Dotted name -> values, of parameters and persistent buffers: PyTorch's keys and order.

        The Tensors share memory with the module: copy them to keep a moment of training.

        >>> from tinynet import nn
        >>> list(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).state_dict())
        ['0.weight', '0.bias', '2.weight', '2.bias']
        """
        state = {}
        for name, value in (*self._parameters.items(), *self._buffers.items()):
            if value is not None and name not in self._non_persistent:
                state[prefix + name] = value.detach()
        for name, module in self._modules.items():
            if module is not None:
                state.update(module.state_dict(f"{prefix}{name}."))
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy values into parameters and buffers, cast to their dtype; Tensors or arrays.

        Returns the keys that are missing in `state_dict` and those that have no place here; with
        `strict` they are an error. A wrong shape is an error always. Nothing is changed where an
        error is raised.
        """
        own = self.state_dict()
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        given = {key: arrays.as_array(raw(state_dict[key])) for key in own if key in state_dict}
        wrong = [
            f"{key}: {x.shape} where {own[key].shape} is expected"
            for key, x in given.items()
            if x.shape != own[key].shape
        ]
        if wrong or (strict and (missing or unexpected)):
            groups = {"missing keys": missing, "unexpected keys": unexpected, "wrong shapes": wrong}
            found = "; ".join(f"{what} {', '.join(keys)}" for what, keys in groups.items() if keys)
            raise ShapeError(
                f"the state does not fit {type(self).__name__}: {found}",
                hint=None if wrong else "strict=False to load what fits",
            )
        for key, x in given.items():
            own[key].array[...] = arrays.to_device(x, own[key].device)
            own[key]._counter[0] += 1
        return IncompatibleKeys(missing, unexpected)

    # -- hooks ---------------------------------------------------------------------------------

    def register_forward_hook(
        self, hook: Callable[[Any, tuple[Any, ...], Any], Any]
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after forward; what it returns replaces the output.

        >>> from tinynet import nn
        >>> import tinynet as tn
        >>> layer = nn.Identity()
        >>> handle = layer.register_forward_hook(lambda module, args, output: output * 2)
        >>> layer(tn.ones(2)); handle.remove(); layer(tn.ones(2))
        tensor([2., 2.])
        tensor([1., 1.])
        """
        return self._add_hook(self._forward_hooks, hook)

    def register_forward_pre_hook(
        self, hook: Callable[[Any, tuple[Any, ...]], Any]
    ) -> RemovableHandle:
        """Call `hook(module, args)` before forward; what it returns replaces the arguments."""
        return self._add_hook(self._forward_pre_hooks, hook)

    def _add_hook(self, hooks: dict[int, Any], hook: Any) -> RemovableHandle:
        key = self._next_hook
        self.__dict__["_next_hook"] = key + 1
        hooks[key] = hook
        return RemovableHandle(hooks, key)

    # -- for people ----------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The arguments that a printed module shows."""
        return ""

    def __repr__(self) -> str:
        lines = []
        for name, module in self._modules.items():
            lines.append(f"({name}): " + repr(module).replace("\n", "\n  "))
        extra = self.extra_repr()
        body = "\n  ".join(([extra] if extra else []) + lines)
        inner = f"\n  {body}\n" if lines else extra
        count = sum(p.array.size for p in self.parameters())
        return f"{type(self).__name__}({inner})" + (f"  # {count:,} parameters" if count else "")
