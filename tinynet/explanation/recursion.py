"""Why the order of the backward pass matters: the tape's order beside two naive recursions.

A value that is used twice gets its gradient in two parts, and may pass it on only when both have
arrived. With a = 1, b = a + a, c = b + b:

- newest first: every step once, each with the whole sum;
- recursion that passes on what has just arrived: right, but a value is visited once for each path
  to the loss, 2ⁿ times after n doublings;
- recursion that adds to `.grad` and passes that on: what arrived first is counted again with every
  later part, and the result is wrong: dc/da = 6 in the place of 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.errors import OutOfRangeError
from tinynet.explanation.graph import Graph, Value, hand_back
from tinynet.explanation.table import as_html, as_text

LIMIT = 100_000  # visits, after which a recursion is given up


@dataclass
class Walk:
    """One way back through the graph: how often each value was visited, and the gradient it got."""

    visits: dict[str, int] = field(default_factory=dict)
    gradients: dict[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """All visits together."""
        return sum(self.visits.values())

    def arrive(self, value: Value, g: Any) -> Any:
        """Count a visit and add what arrived; the sum so far."""
        self.visits[value.name] = self.visits.get(value.name, 0) + 1
        if self.steps > LIMIT:
            raise OutOfRangeError(
                f"the recursion made more than {LIMIT} visits",
                hint="a smaller graph: visits double with every value that is used twice",
            )
        before = self.gradients.get(value.name)
        self.gradients[value.name] = g if before is None else before + g
        return self.gradients[value.name]


class Recursions:
    """The three walks side by side: `newest_first`, `passing_arrivals`, `passing_sums`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.newest_first = Walk()
        for value in graph.values:
            if value.grad is not None:
                self.newest_first.arrive(value, value.grad)
        self.passing_arrivals = _recursive(graph, lambda arrived, total: arrived)
        self.passing_sums = _recursive(graph, lambda arrived, total: total)

    def _lines(self) -> list[list[str]]:
        walks = (self.newest_first, self.passing_arrivals, self.passing_sums)
        lines = [["", "newest first", "passing arrivals", "passing sums"]]
        lines += [[n, *(_told(walk, n) for walk in walks)] for n in self.newest_first.visits]
        return [*lines, ["visits", *(str(walk.steps) for walk in walks)]]

    def __repr__(self) -> str:
        return as_text(self._lines(), words=4)

    def _repr_html_(self) -> str:
        return as_html(self._lines(), words=4)


def _told(walk: Walk, name: str) -> str:
    g = walk.gradients[name]
    if not arrays.is_array(g):  # of several outputs of a Function
        return f"in {walk.visits[name]}"
    shown = f"{float(g.sum()):.4g}" if g.size == 1 else f"mean {float(g.mean()):.4g}"
    return f"{shown} in {walk.visits[name]}"


def _recursive(graph: Graph, passes: Callable[[Any, Any], Any]) -> Walk:
    walk = Walk()

    def visit(value: Value, arrived: Any) -> None:
        total = walk.arrive(value, arrived)
        step = value.made_by
        if step is None:
            return
        handed = hand_back(step.node, passes(arrived, total))
        for x, d in zip(step.inputs, handed, strict=False):
            if isinstance(x, Value) and d is not None:
                visit(x, d)

    visit(graph.loss, np.ones_like(graph.loss.array))
    return walk
