"""Functions that see a gradient when it is complete, and may replace it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from tinynet.errors import GraphError, describe
from tinynet.tensor import Tensor

Hook: TypeAlias = Callable[[Tensor], Tensor | None]


def run_hooks(hooks: dict[int, Hook], g: Any) -> Any:
    """Show a finished gradient to the hooks; each may replace it. The final one is retained."""
    shown = g if isinstance(g, Tensor) else Tensor(np.copy(g))
    for hook in sorted(hooks.values(), key=lambda hook: isinstance(hook, Retain)):
        new: Any = hook(shown)
        if new is not None and (not isinstance(new, Tensor) or new.shape != shown.shape):
            raise GraphError(
                "a gradient hook must return a Tensor of the gradient's shape, or None",
                expected=str(shown.shape),
                got=describe(new),
            )
        shown = shown if new is None else new
    return shown if isinstance(g, Tensor) else shown.array


class Retain:
    """The hook behind `retain_grad`. It does not keep its tensor alive."""

    def __init__(self, tensor: Tensor) -> None:
        self.owner = weakref.ref(tensor)

    def __call__(self, g: Tensor) -> None:
        tensor = self.owner()
        if tensor is not None:
            tensor._grad = g if g._requires_grad else Tensor(np.copy(g.array))


class RemovableHandle:
    """What `register_hook` returns: `.remove()` takes the hook away again."""

    def __init__(self, hooks: dict[int, Any], key: int) -> None:
        self._hooks, self._key = hooks, key

    def remove(self) -> None:
        """Take the hook away."""
        self._hooks.pop(self._key, None)
