"""Memory for time: forget a stretch of the computation, and compute it again when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinynet import autocasting, random
from tinynet.autograd import Edge, Node, clock, place, propagate, reachable
from tinynet.errors import ArgumentError, describe
from tinynet.grad_mode import enable_grad, is_grad_enabled
from tinynet.tensor import Tensor


class CheckpointNode(Node):
    """A stretch of the computation that was forgotten; the backward pass computes it again."""

    __slots__ = ("autocast", "function", "rng")

    def __init__(self, edges: Sequence[Edge], function: Callable[[], Tensor], rng: Any) -> None:
        super().__init__(edges)
        self.function: Callable[[], Tensor] | None = function
        self.rng, self.autocast = rng, autocasting.current()

    def again(self) -> Tensor:
        """The stretch, computed once more with the same random numbers, and recorded."""
        assert self.function is not None
        with enable_grad(), random.replay(self.rng), autocasting.as_before(self.autocast):
            return self.function()

    def gradients(self, g: Any, wanted: Sequence[Edge | None], create_graph: bool) -> Sequence[Any]:
        oldest = next(clock)
        y = self.again()
        ends = [e for e in wanted if e is not None]
        found = propagate(
            [y], [g], targets=ends, create_graph=create_graph, keep=create_graph, oldest=oldest
        )
        return [None if e is None else found.get(e) for e in wanted]

    def release(self) -> None:
        super().release()
        self.function = None


def checkpoint(
    function: Callable[..., Tensor], *args: Any, use_reentrant: bool = False, **kwargs: Any
) -> Tensor:
    """`function(*args, **kwargs)`, keeping none of its intermediate values: backward computes them
    once more.

    Memory falls from the whole stretch to its inputs, for one more forward pass of time. Random
    numbers (dropout) are drawn again from the same state, so both passes agree. `use_reentrant`
    chooses between two ways in PyTorch; here there is one.

    >>> import tinynet as tn
    >>> x = tn.tensor(0.5, requires_grad=True)
    >>> tn.utils.checkpoint.checkpoint(lambda x: x.exp().exp(), x).backward()
    >>> x.grad
    tensor(8.5739)
    """
    if not is_grad_enabled():
        return function(*args, **kwargs)
    devices = {"cpu", *(x.device for x in args if isinstance(x, Tensor))}
    oldest, rng = next(clock), random.positions(devices)
    y = function(*args, **kwargs)
    if not isinstance(y, Tensor):
        raise ArgumentError(
            "checkpoint() needs a function that returns one Tensor", got=describe(y)
        )
    if y._node is None or y._node.order < oldest:
        return y  # nothing was recorded inside
    inside = reachable([y._node], oldest)
    outside = {
        e: None for node in inside for e in node.edges or () if e is not None and e not in inside
    }
    return place(y.array, CheckpointNode(list(outside), lambda: function(*args, **kwargs), rng))
