"""A Tensor that a Module owns and an optimizer changes."""

from __future__ import annotations

from typing import Any

from tinynet import arrays
from tinynet.tensor import Tensor, raw


class Parameter(Tensor):
    """A leaf that requires gradients by default; a Module registers it when it is assigned.

    `data` is a Tensor or an array, shared and not copied, or a number or nested lists.

    >>> Parameter([1.0, 2.0])
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        super().__init__(arrays.as_array(raw(data)), requires_grad=requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
