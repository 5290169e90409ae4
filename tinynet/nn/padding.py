"""Padding as layers: entries added around the last axes. `functional.pad` says which they are."""

from __future__ import annotations

from typing import Any

from tinynet.errors import ArgumentError
from tinynet.nn import functional
from tinynet.nn.module import Module


class _Pad(Module):
    """`padding`: one number for all ends, or (before, after) of the last axis, then of the one
    before it, and so on. Negative numbers take entries away.
    """

    mode, axes, value = "constant", 0, 0.0

    def __init__(self, padding: Any) -> None:
        super().__init__()
        ends = 2 * self.axes
        given = tuple(padding) if isinstance(padding, list | tuple) else (padding,) * ends
        if len(given) != ends or not all(hasattr(n, "__index__") for n in given):
            raise ArgumentError(
                f"{type(self).__name__}: padding is a whole number, or {ends} of them",
                got=repr(padding),
            )
        self.padding = given

    def forward(self, input: Any) -> Any:
        return functional.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ZeroPad1d(_Pad):
    """Zeros at both ends of the last axis."""

    axes = 1


class ZeroPad2d(_Pad):
    """Zeros at the four sides of the last two axes.

    >>> import tinynet as tn
    >>> ZeroPad2d((1, 0, 0, 1))(tn.ones(1, 1, 2))
    tensor([[[0., 1., 1.],
             [0., 0., 0.]]])
    """

    axes = 2


class ZeroPad3d(_Pad):
    """Zeros at the six sides of the last three axes."""

    axes = 3


class ConstantPad1d(_ConstantPad):
    """`value` at both ends of the last axis."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """`value` at the four sides of the last two axes.

    >>> import tinynet as tn
    >>> ConstantPad2d((1, 0, 0, 0), 7.0)(tn.ones(1, 1, 2))
    tensor([[[7., 1., 1.]]])
    """

    axes = 2


class ConstantPad3d(_ConstantPad):
    """`value` at the six sides of the last three axes."""

    axes = 3


class _ReflectionPad(_Pad):
    mode = "reflect"


class ReflectionPad1d(_ReflectionPad):
    """The entries within, as in a mirror at the edge, at both ends of the last axis."""

    axes = 1


class ReflectionPad2d(_ReflectionPad):
    """The entries within, as in a mirror at the edge, at the four sides of the last two axes.

    >>> import tinynet as tn
    >>> ReflectionPad2d((2, 1, 0, 0))(tn.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[3., 2., 1., 2., 3., 2.]]])
    """

    axes = 2


class ReflectionPad3d(_ReflectionPad):
    """The entries within, as in a mirror at the edge, at the six sides of the last three axes."""

    axes = 3


class _ReplicationPad(_Pad):
    mode = "replicate"


class ReplicationPad1d(_ReplicationPad):
    """The entry at the edge at both ends of the last axis."""

    axes = 1


class ReplicationPad2d(_ReplicationPad):
    """The entry at the edge at the four sides of the last two axes.

    >>> import tinynet as tn
    >>> ReplicationPad2d((2, 1, 0, 0))(tn.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[1., 1., 1., 2., 3., 3.]]])
    """

    axes = 2


class ReplicationPad3d(_ReplicationPad):
    """The entry at the edge at the six sides of the last three axes."""

    axes = 3


class _CircularPad(_Pad):
    mode = "circular"


class CircularPad1d(_CircularPad):
    """The entries of the other end at both ends of the last axis."""

    axes = 1


class CircularPad2d(_CircularPad):
    """The entries of the other end at the four sides of the last two axes.

    >>> import tinynet as tn
    >>> CircularPad2d((2, 1, 0, 0))(tn.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[2., 3., 1., 2., 3., 1.]]])
    """

    axes = 2


class CircularPad3d(_CircularPad):
    """The entries of the other end at the six sides of the last three axes."""

    axes = 3
