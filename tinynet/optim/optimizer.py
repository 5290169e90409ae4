"""What all optimizers share: groups of parameters with their options, and a state per parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.batching import once_for_all
from tinynet.errors import ArgumentError, DTypeError, ShapeError, describe
from tinynet.grad_mode import enable_grad
from tinynet.tensor import Tensor

Closure = Callable[[], Any]

_NOT_NEGATIVE = (
    *("lr", "momentum", "weight_decay", "eps", "lr_decay", "initial_accumulator_value"),
    *("tolerance_grad", "tolerance_change"),
)


class Optimizer:
    """The base of all optimizers; a subclass says how one parameter is changed, in `_update`.

    params     Tensors, pairs (name, Tensor) such as `model.named_parameters()`, or dictionaries
               {'params': either of them, option: value, …}, one per group
    defaults   the options of a group that sets none of its own

    param_groups and state are PyTorch's: a list of dictionaries, and a dictionary from parameter
    to dictionary.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor | Mapping):
            raise DTypeError(
                "params is an iterable of Tensors or of dictionaries",
                got=describe(params),
                hint="[p], or model.parameters()",
            )
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._scratch: dict[Any, Any] = {}
        self._stepped = False  # schedules warn where they are stepped first
        given = list(params)
        if not given:
            raise ArgumentError(
                "the optimizer got an empty parameter list",
                hint="model.parameters() gives an iterator, which is empty when used a second time",
            )
        for group in given if isinstance(given[0], Mapping) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters with options of their own, {'params': Tensors, 'lr': …}.

        Pairs (name, Tensor) put the names into the group, as 'param_names'. Raises where the group
        is empty, a parameter was computed, or stands in a group already, and where some parameters
        have names and others none.
        """
        group = {**self.defaults, **param_group}
        params = group["params"]
        if isinstance(params, set):
            raise DTypeError("a set has no order: pass the parameters as a list")
        params = [params] if isinstance(params, Tensor) else list(params)
        if not params:
            raise ArgumentError("a parameter group is empty")
        names = [p[0] for p in params if isinstance(p, tuple)]
        if names:
            group["param_names"] = names
        if len(names) not in (0, len(params)) or any(
            ("param_names" in g) != ("param_names" in group) for g in self.param_groups
        ):
            raise ArgumentError("some parameters have names, others none")
        params = [p[1] if isinstance(p, tuple) else p for p in params]
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise DTypeError("an optimizer changes Tensors", got=describe(p))
            if not p.is_leaf:
                raise ArgumentError(
                    "a parameter must be a leaf; this one was computed", got=describe(p)
                )
            if id(p) in known:
                raise ArgumentError(
                    "a parameter stands in two groups, or twice in one", got=describe(p)
                )
            known.add(id(p))
        self._check(group)
        self.param_groups.append(
            {"params": params, **{k: v for k, v in group.items() if k != "params"}}
        )

    def _check(self, group: dict[str, Any]) -> None:
        """Raise for options that make no sense."""
        for name in _NOT_NEGATIVE:
            if not group.get(name, 0) >= 0:
                raise ArgumentError(f"{name} is not negative", got=f"{name} = {group[name]}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; with `set_to_none=False` fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p._grad is None:
                    p._grad = None
                else:
                    p._grad = Tensor(np.zeros_like(p._grad.array))

    def step(self, closure: Closure | None = None) -> Any:
        """Change every parameter that has a gradient, in place.

        `closure`, if given, computes the loss and its gradients first; its value is returned.
        """
        once_for_all("a step of an optimizer")
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p._grad is not None:
                    with arrays.home(p.array):
                        self._update(p, p._grad.array, self.state.setdefault(p, {}), group)
                    p._counter[0] += 1
        self._stepped = True
        return loss

    def _update(self, p: Tensor, g: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no _update()")

    def _room(self, x: Any, number: int = 0) -> Any:
        """Memory of x's shape for intermediate results, the same for all parameters in turn."""
        key = (x.dtype, arrays.device_of(x), number)
        room = self._scratch.get(key)
        if room is None or room.size < x.size:
            room = self._scratch[key] = np.empty_like(x, shape=(x.size,))
        return np.reshape(room[: x.size], x.shape)

    def state_dict(self) -> dict[str, Any]:
        """State and options in PyTorch's layout; parameters are numbered in their order.

        Tensors are shared, not copied.
        """
        order = self._order()
        number = {id(p): i for i, p in enumerate(order)}
        return {
            "state": {
                number[id(p)]: {
                    k: list(v) if isinstance(v, list) else v for k, v in self.state[p].items()
                }
                for p in order
                if self.state.get(p)
            },
            "param_groups": [
                {
                    **{k: v for k, v in group.items() if k != "params"},
                    "params": [number[id(p)] for p in group["params"]],
                }
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over state and options that `state_dict` gave; its Tensors are copied.

        Raises ShapeError where groups, or a state and its parameter, do not match in size.
        """
        groups = state_dict["param_groups"]
        theirs, ours = ([len(g["params"]) for g in gs] for gs in (groups, self.param_groups))
        if theirs != ours:
            raise ShapeError(
                "the saved parameter groups have other sizes", expected=str(ours), got=str(theirs)
            )
        order = self._order()
        names = [name for group in groups for name in group["params"]]
        saved = {str(key): value for key, value in state_dict["state"].items()}
        state: dict[Tensor, dict[str, Any]] = {}
        for p, name in zip(order, names, strict=True):
            if str(name) in saved:
                state[p] = {k: self._fitted(k, v, p) for k, v in saved[str(name)].items()}
        self.state = state
        for own, group in zip(self.param_groups, groups, strict=True):
            own.update({k: deepcopy(v) for k, v in group.items() if k != "params"})

    def _fitted(self, key: str, value: Any, p: Tensor) -> Any:
        """A saved value as it is kept here: a count as int, an array as a copy on p's device."""
        if key == "step":
            return int(value)
        if value is None or isinstance(value, bool | int | float | str):
            return value
        array = value.array if isinstance(value, Tensor) else arrays.as_array(value)
        if array.shape != p.shape:
            raise ShapeError(
                f"the saved {key} does not fit its parameter",
                expected=str(p.shape),
                got=str(array.shape),
            )
        with arrays.home(p.array):
            return Tensor(arrays.to_device(array, p.device).astype(p.dtype))

    def _order(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
        return "\n".join([*lines, ")"])
