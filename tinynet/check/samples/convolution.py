"""Arguments for convolution, its adjoint, unfold and fold: windows of all kinds, on few entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinynet.check.samples.draw import Draw, Sample, Shape


def _windows(draw: Draw) -> tuple[Shape, dict[str, Any]]:
    """A kernel, and stride, padding and dilation; often as one number for all axes."""
    axes = draw.choice((1, 2, 1, 2, 1, 3))
    largest = (3, 2, 1)[axes - 1]
    kernel = tuple(draw.integer(1, largest) for _ in range(axes))
    options: dict[str, Any] = {}
    for name, least, most in (("stride", 1, 2), ("padding", 0, 1), ("dilation", 1, 2)):
        each = tuple(draw.integer(least, most) for _ in range(axes))
        options[name] = draw.choice((each, each[0]))
    return kernel, options


def _each(value: Any, axes: int) -> Shape:
    return value if isinstance(value, tuple) else (value,) * axes


def _sizes(draw: Draw, kernel: Shape, options: dict[str, Any]) -> Shape:
    """Of an input in which at least one window has room; the last entries may be left over."""
    P, d = (_each(options[name], len(kernel)) for name in ("padding", "dilation"))
    least = (max(1, b * (K - 1) + 1 - 2 * a) for K, a, b in zip(kernel, P, d, strict=True))
    return tuple(n + draw.integer(0, 1 if len(kernel) > 1 else 3) for n in least)


def _channels(draw: Draw) -> tuple[int, int, int, int]:
    """Samples, groups, and the channels of one group on either side."""
    groups = draw.choice((1, 2))
    return draw.choice((1, 2, 1, 0)), groups, draw.integer(1, 2), draw.integer(1, 3 - groups)


def _with_bias(draw: Draw, inputs: list[Any], size: int) -> list[Any]:
    return inputs + ([draw.uniform((size,))] if draw.choice((True, False)) else [])


def _convolution(draw: Draw) -> Sample:
    kernel, options = _windows(draw)
    n, groups, C, filters = _channels(draw)
    x = draw.uniform((n, groups * C, *_sizes(draw, kernel, options)))
    W = draw.uniform((groups * filters, C, *kernel))
    return _with_bias(draw, [x, W], groups * filters), {**options, "groups": groups}


def _transposed(draw: Draw) -> Sample:
    kernel, options = _windows(draw)
    n, groups, C, filters = _channels(draw)
    axes = len(kernel)
    s, P, d = (_each(options[name], axes) for name in ("stride", "padding", "dilation"))
    most = (max(a, b) - 1 for a, b in zip(s, d, strict=True))
    r = tuple(draw.integer(0, m) for m in most)
    windows = zip(kernel, s, P, d, r, strict=True)  # so many places that something is left
    least = (max(1, -((b * (K - 1) + c - 2 * a) // t) + 1) for K, t, a, b, c in windows)
    sizes = tuple(m + draw.integer(0, 1) for m in least)
    x = draw.uniform((n, groups * C, *sizes))
    W = draw.uniform((groups * C, filters, *kernel))
    options |= {"output_padding": r, "groups": groups}
    return _with_bias(draw, [x, W], groups * filters), options


def _unfold(draw: Draw) -> Sample:
    kernel, options = _windows(draw)
    sizes = _sizes(draw, kernel, options)
    x = draw.uniform((draw.choice((1, 2, 1, 0)), draw.integer(1, 2), *sizes))
    return [x], {"kernel_size": kernel, **options}


def _fold(draw: Draw) -> Sample:
    kernel, options = _windows(draw)
    sizes, axes = _sizes(draw, kernel, options), len(kernel)
    s, P, d = (_each(options[name], axes) for name in ("stride", "padding", "dilation"))
    taps = places = 1
    for n, K, t, a, b in zip(sizes, kernel, s, P, d, strict=True):
        taps, places = taps * K, places * ((n + 2 * a - b * (K - 1) - 1) // t + 1)
    x = draw.uniform((draw.choice((1, 2, 1, 0)), draw.integer(1, 2) * taps, places))
    return [x], {"output_size": sizes, "kernel_size": kernel, **options}


SAMPLERS: dict[str, Callable[[Draw], Sample]] = {
    "conv2d": _convolution,
    "conv_transpose2d": _transposed,
    "unfold": _unfold,
    "fold": _fold,
}
