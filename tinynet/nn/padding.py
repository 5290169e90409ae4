"""Layers that pad: the widths of the edges, of one axis, two or three. `functional.pad` does it.

`padding` is one number for all edges, or (left, right), (left, right, top, bottom), and so on.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tinynet.errors import ShapeError, describe
from tinynet.nn import functional
from tinynet.nn.module import Module


class _Pad(Module):
    """`axes` are padded, those at the end; before them stand the channels, and the batch or not."""

    axes: ClassVar[int]
    mode: ClassVar[str] = "constant"

    def __init__(self, padding: Any, value: float = 0.0) -> None:
        super().__init__()
        count = 2 * self.axes
        self.padding = (padding,) * count if isinstance(padding, int) else tuple(padding)
        self.value = value
        if len(self.padding) != count:
            raise ShapeError(
                f"{type(self).__name__}: {count} widths are expected", got=f"{padding}"
            )

    def forward(self, input: Any) -> Any:
        if input.ndim <= self.axes:
            raise ShapeError(
                f"{type(self).__name__}: channels and {self.axes} axes are expected",
                got=describe(input),
            )
        value = self.value if self.mode == "constant" else None
        return functional.pad(input, self.padding, self.mode, value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad1d(_Pad):
    """One value on both sides of the last axis.

    >>> import tinynet as tn
    >>> ConstantPad1d(1, 9.0)(tn.ones(1, 2))
    tensor([[9., 1., 1., 9.]])
    """

    axes = 1

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding, value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad2d(ConstantPad1d):
    """One value around images."""

    axes = 2


class ConstantPad3d(ConstantPad1d):
    """One value around volumes."""

    axes = 3


class _ZeroPad(_Pad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding)


class ZeroPad1d(_ZeroPad):
    """0 on both sides of the last axis."""

    axes = 1


class ZeroPad2d(_ZeroPad):
    """0 around images."""

    axes = 2


class ZeroPad3d(_ZeroPad):
    """0 around volumes."""

    axes = 3


class ReflectionPad1d(_ZeroPad):
    """The entries within, as in a mirror at the edge.

    >>> import tinynet as tn
    >>> ReflectionPad1d(2)(tn.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 2., 1., 2., 3., 2., 1.]])
    """

    axes, mode = 1, "reflect"


class ReflectionPad2d(ReflectionPad1d):
    """Images, mirrored at their edges."""

    axes = 2


class ReflectionPad3d(ReflectionPad1d):
    """Volumes, mirrored at their faces."""

    axes = 3


class ReplicationPad1d(_ZeroPad):
    """The entry at the edge, again and again."""

    axes, mode = 1, "replicate"


class ReplicationPad2d(ReplicationPad1d):
    """The edges of images continued."""

    axes = 2


class ReplicationPad3d(ReplicationPad1d):
    """The faces of volumes continued."""

    axes = 3


class CircularPad1d(_ZeroPad):
    """The entries of the other end."""

    axes, mode = 1, "circular"


class CircularPad2d(CircularPad1d):
    """Images, repeated around."""

    axes = 2


class CircularPad3d(CircularPad1d):
    """Volumes, repeated around."""

    axes = 3
