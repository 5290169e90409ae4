"""In and out of a batch: Tensors whose arrays are Batches, and the graph between them and the rest.

A Tensor that holds a `Batch` is recorded like any other; only where a value goes in or comes out,
a node stands between. The two ways are each other's adjoint. Where a value that all examples share
went in, the gradients of all examples come out as their sum; so a weight outside of `vmap` receives
its gradient, and a graph leads through `vmap` at every order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tinynet.batch_rules  # noqa: F401  fills the table that a Batch reads
from tinynet.arrays import is_array
from tinynet.autograd import Edge, Node, edge_of, place
from tinynet.batching import Batch, Level, batched, current, level_of, unbatched
from tinynet.grad_mode import is_grad_enabled
from tinynet.tensor import Tensor, raw


class CrossingNode(Node):
    """A value that went into a batch or came out; its gradient goes `back`."""

    __slots__ = ("back",)

    def __init__(self, edge: Edge, back: Callable[[Any], Any]) -> None:
        super().__init__([edge])
        self.back = back

    def gradients(self, g: Any, wanted: Sequence[Edge | None], create_graph: bool) -> Sequence[Any]:
        return [self.back(g)]


def enter(x: Any, axis: int | None, level: Level) -> Any:
    """An array or Tensor whose examples stand along `axis` (with None: that they share), as one."""
    y = _across(x, batched(raw(x), axis, level), lambda g: leave(g, axis, level))
    if isinstance(x, Tensor):
        y._counter = x._counter  # the same memory: a change of one is noticed by the other
    return y


def leave(x: Any, axis: int | None, level: Level) -> Any:
    """All examples along `axis`, or with None their sum. Only when the run is over: as long as it
    lasts, gradients are those of one example.
    """
    if level.active:
        level.refuse("vmap: a gradient is asked for of a value that all examples share")
    if isinstance(x, Tensor) and _level(x) is not level:
        x = enter(x, None, level)
    return _across(x, unbatched(raw(x), axis, level), lambda g: enter(g, axis, level))


def _across(x: Any, array: Any, back: Callable[[Any], Any]) -> Any:
    if not isinstance(x, Tensor):
        return array
    edge = edge_of(x) if is_grad_enabled() else None
    return Tensor(array) if edge is None else place(array, CrossingNode(edge, back))


def inside(x: Any) -> Any:
    """A Tensor that the running vmap can differentiate by: each example has its own."""
    level = current.get()
    return x if level is None or _level(x) is level else enter(x, None, level)


def alike(*values: Any) -> tuple[Any, ...]:
    """Arrays and Tensors: where one of them is a batch, all are."""
    levels = [level for level in map(_level, values) if level is not None]
    if not levels:
        return values
    inner = max(levels, key=lambda level: level.depth)
    return tuple(
        enter(x, None, inner) if is_array(raw(x)) and _level(x) is not inner else x for x in values
    )


def beside(x: Any, index: Any) -> Any:
    """x as a batch too, where a part of its index is one."""
    level, own = level_of(index), _level(x)
    deeper = level is not None and (own is None or own.depth < level.depth)
    return enter(x, None, level) if level is not None and deeper else x


def _level(x: Any) -> Level | None:
    array = raw(x)
    return array.level if isinstance(array, Batch) else None
