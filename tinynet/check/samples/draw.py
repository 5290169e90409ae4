"""Choices made at random: how the arguments of an op are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
Sample = tuple[list[Any], dict[str, Any]]  # inputs, options
Shape = tuple[int, ...]


class Draw:
    """Choices made by a NumPy generator. The property tests replace `integer` and `choice`."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def choice(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.integer(0, len(options) - 1)]

    def shape(self, least: int = 0, most: int = 3) -> Shape:
        """A small shape; a size may be 0 or 1."""
        sizes = (1, 2, 3, 4, 0)
        return tuple(self.choice(sizes) for _ in range(self.integer(least, most)))

    def uniform(self, shape: Shape, low: float = -2.0, high: float = 2.0) -> np.ndarray[Any, Any]:
        """Numbers between low and high."""
        return np.asarray(self.rng.uniform(low, high, shape))

    def spread(self, shape: Shape) -> np.ndarray[Any, Any]:
        """Numbers no two of which are close: no ties, and none near 0."""
        n = int(np.prod(shape))
        steps = self.rng.permutation(n) - n // 2 + 0.5
        return np.asarray(steps * 0.3 + self.rng.uniform(-0.05, 0.05, n)).reshape(shape)

    def broadcastable(self, shape: Shape) -> Shape:
        """A shape that broadcasts to the given one: leading axes may be missing, sizes may be 1."""
        kept = shape[self.integer(0, len(shape)) :] if shape else shape
        return tuple(self.choice((n, n, 1)) for n in kept)

    def axis(self, ndim: int) -> Any:
        """None, one axis, or several; counted from either end."""
        if not ndim or self.choice((True, False, False, False)):
            return None
        if self.choice((True, False)):
            return self.integer(-ndim, ndim - 1)
        axes = [a for a in range(ndim) if self.choice((True, False))] or [0]
        return tuple(a - ndim if self.choice((True, False)) else a for a in axes)
