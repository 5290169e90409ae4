"""Where the random numbers of a run stand, so that a resumed run draws those that would have come.

They come from four places:

    default generators      dropout, and what is drawn where no generator is given: the CPU's, and
                            those of the devices that the model lives on
    order                   a generator that a loader or its sampler holds
    data                    one that the data set holds, or `collate_fn`
    model                   one that a module holds as an attribute

A pass over the data takes one number at its start (see `DataLoader`) and makes the order, and each
batch, from that. To take up a pass in the middle, its start is repeated (`at_start`), so that the
same order comes; then everything else is put to where it stood when the checkpoint was written. The
generators of the order are not: the repeated pass has moved them.

Python's `random` and NumPy's global `np.random.seed` are not looked after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tinynet import random
from tinynet.arrays import is_array
from tinynet.errors import ArgumentError
from tinynet.random import Generator
from tinynet.tensor import Tensor

_MANY = 100  # entries of a list that is data, not settings
_DEEP = 8  # attributes of attributes
_NOT_ENTERED = (Tensor, ModuleType, type, FunctionType, BuiltinFunctionType, MethodType, str, bytes)


class Randomness:
    """The generators of a run, each with the name under which a checkpoint keeps its state."""

    def __init__(self, model: Any, loader: Any, held_out: Any) -> None:
        seen: set[int] = set()
        parts = [getattr(loader, name, None) for name in ("dataset", "collate_fn")]
        drawn = [g for part in parts for g in _generators(part, "data", seen)]
        if getattr(loader, "num_workers", 0) > 0 and drawn:
            raise ArgumentError(
                f"{drawn[0][0]} is a generator that several threads draw from ahead of time: "
                "no run can be repeated",
                hint="leave the generator out: the default one gives each batch numbers of its "
                "own; or num_workers=0",
            )
        self.order = dict(_generators(loader, "order", seen))
        self.others = dict([*drawn, *_generators(held_out, "validation", seen)])
        for path, module in model.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Generator):
                    self.others[f"model.{path}.{name}"] = value
        self.devices = {"cpu", *(p.device for p in model.parameters())}

    def state(self) -> dict[str, Any]:
        """Where everything stands now."""
        known = {**self.order, **self.others}
        return {
            "default": random.positions(self.devices),
            "generators": {name: _position(generator) for name, generator in known.items()},
        }

    def restore(self, state: Mapping[str, Any], *, order: bool = True) -> None:
        """Put everything to where it stood; with order=False all but the generators of the
        order.
        """
        random.set_positions(state["default"])
        for name, generator in {**(self.order if order else {}), **self.others}.items():
            position = state["generators"][name]
            if isinstance(generator, Generator):
                generator.set_state(position)
            else:
                generator.bit_generator.state = position

    def names(self) -> list[str]:
        """The generators besides the default ones."""
        return sorted({**self.order, **self.others})


def _position(generator: Any) -> Any:
    if isinstance(generator, Generator):
        return generator.get_state()
    return generator.bit_generator.state


def _generators(x: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """The generators that an object holds, directly or in what it holds, each once."""
    if x is None or id(x) in seen or is_array(x) or isinstance(x, _NOT_ENTERED):
        return
    if path.count(".") > _DEEP:
        return
    seen.add(id(x))
    if isinstance(x, Generator | np.random.Generator):
        yield path, x
        return
    inside: Any = ()
    if isinstance(x, list | tuple | dict):
        if len(x) <= _MANY:
            inside = x.items() if isinstance(x, dict) else enumerate(x)
    elif hasattr(x, "__dict__"):
        inside = vars(x).items()
    for name, value in inside:
        yield from _generators(value, f"{path}.{name}", seen)
