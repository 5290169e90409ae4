"""Larger and smaller images. What is computed stands in `derivations/upsample.py`."""

from __future__ import annotations

from typing import Any

from tinynet.derivations import adaptive_avg_pool as _adaptive_avg
from tinynet.derivations import upsample as _upsample
from tinynet.derivations.windows import per_axis
from tinynet.errors import ArgumentError, ShapeError, describe

# PyTorch's name of each mode: the derivation's, and for how many axes.
_MODES = {
    "nearest": ("nearest", (1, 2, 3)),
    "nearest-exact": ("nearest-exact", (1, 2, 3)),
    "area": ("area", (1, 2, 3)),
    "linear": ("linear", (1,)),
    "bilinear": ("linear", (2,)),
    "trilinear": ("linear", (3,)),
    "bicubic": ("cubic", (2,)),
}


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """The input resampled to `size`, or to ⌊size · scale_factor⌋. Shapes: (n, c, n1, …) ->
    (n, c, m1, …), with one to three axes.

    mode            "nearest", "nearest-exact", "area" (the mean of what an output covers), "linear"
                    (one axis), "bilinear", "bicubic" (two), "trilinear" (three)
    align_corners   whether the middles of the corner entries stay where they are, or the edges of
                    the image do (the default); for the modes whose name ends in linear or cubic
    recompute_scale_factor
                    whether points are found from the sizes alone; else `scale_factor`, if given,
                    is used as it is, although ⌊ ⌋ made the size smaller

    Raises ArgumentError for options that do not go together. `antialias` is not there. Derived in
    `tinynet/derivations/upsample.py`.

    >>> import tinynet as tn
    >>> x = tn.tensor([[[0.0, 4.0]]])
    >>> interpolate(x, 4)
    tensor([[[0., 0., 4., 4.]]])
    >>> interpolate(x, 4, mode="linear"), interpolate(x, 3, mode="linear", align_corners=True)
    (tensor([[[0., 1., 3., 4.]]]), tensor([[[0., 2., 4.]]]))
    """
    axes = input.ndim - 2
    kind = _checked_mode(input, mode, align_corners, antialias)
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate: give size or scale_factor, one of them")
    if recompute_scale_factor and size is not None:
        raise ArgumentError("interpolate: with size there is no scale factor to recompute")
    scale: tuple[Any, ...] = (None,) * axes
    if scale_factor is not None:
        scale = _scales(scale_factor, axes)
        size = tuple(int(n * s) for n, s in zip(input.shape[2:], scale, strict=True))
        if recompute_scale_factor:
            scale = (None,) * axes
    size = per_axis("size", size, axes, 0)
    if kind == "area":
        return _adaptive_avg.op(input, output_size=size)
    return _upsample.op(input, size=size, scale=scale, mode=kind, align_corners=bool(align_corners))


def _scales(factor: Any, axes: int) -> tuple[Any, ...]:
    """One factor for each axis; a single one serves them all."""
    given = tuple(factor) if isinstance(factor, list | tuple) else (factor,)
    given = given * axes if len(given) == 1 else given
    if len(given) != axes or not all(isinstance(s, int | float) and s > 0 for s in given):
        raise ArgumentError(
            "interpolate: scale_factor is a positive number, or one for each axis",
            got=f"scale_factor={factor!r}",
        )
    return given


def _checked_mode(input: Any, mode: str, align_corners: bool | None, antialias: bool) -> str:
    """The derivation's name of the mode, if all fits together."""
    if mode not in _MODES:
        raise ArgumentError("interpolate: no such mode", expected=", ".join(_MODES), got=repr(mode))
    kind, axes = _MODES[mode]
    if input.ndim - 2 not in axes:
        raise ShapeError(
            f"interpolate: {mode} is for another number of axes",
            expected=" or ".join(f"(n, c, {', '.join('d' * n)})" for n in axes),
            got=describe(input),
        )
    if align_corners is not None and kind not in ("linear", "cubic"):
        raise ArgumentError(
            f"interpolate: {mode} has no corners to align", got=f"align_corners={align_corners}"
        )
    if antialias:
        raise ArgumentError(
            "interpolate: antialias is not there", hint='mode="area" to make an image smaller'
        )
    return kind


def upsample(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """An older name of `interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """An older name of `interpolate` with mode "nearest"."""
    return interpolate(input, size, scale_factor)


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """An older name of `interpolate` with mode "bilinear" and align_corners=True."""
    return interpolate(input, size, scale_factor, "bilinear", True)
