"""Pictures of images, and of weights and feature maps as images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, ShapeError
from tinynet.plot.style import GREY, OKABE_ITO, Array, AxesArray, ends, literal, new_figure, plain


def images(
    images: Any,
    labels: Sequence[Any] | None = None,
    predictions: Sequence[Any] | None = None,
    *,
    columns: int = 8,
) -> AxesArray:
    """Images in a grid, dark where the values are large, each with its label.

    images       (n, h, w)
    predictions  where one differs from the label, the title says so in colour: "5, read as 9"

    >>> images(np.eye(3)[None], labels=[5], predictions=[9])[0].get_title()
    '5, read as 9'
    """
    values = plain(images)
    if values.ndim != 3 or not values.size:
        raise ShapeError("images are (n, h, w), at least one", got=str(values.shape))
    n = len(values)
    for what, given in (("labels", labels), ("predictions", predictions)):
        if given is not None and len(given) != n:
            raise ShapeError(f"{len(given)} {what} for {n} images")
    wide = predictions is not None and labels is not None
    titles = [] if labels is None else [_text(x) for x in labels]
    read = titles if predictions is None else [_text(x) for x in predictions]
    wrong = [a != b for a, b in zip(titles, read, strict=False)]
    titles = [f"{a}, read as {b}" if a != b else a for a, b in zip(titles, read, strict=False)]
    panels = _grid(n, columns, _side(titles, 1.2 if wide else 1.0), titled=bool(titles))
    low, high = ends(values)
    for i, ax in enumerate(panels):
        ax.imshow(values[i], cmap="gray_r", vmin=low, vmax=high)
        if titles:
            colour = {"color": OKABE_ITO["vermillion"]} if wrong[i] else {}
            ax.set_title(titles[i], fontsize=9, **colour)
    return panels


def weights(
    W: Any,
    shape: tuple[int, int] | None = None,
    *,
    titles: Sequence[str] | None = None,
    columns: int = 8,
) -> AxesArray:
    """Rows of a weight matrix as images on one scale, white at 0: where a neuron looks, and with
    which sign.

    W       (neurons, inputs), or (neurons, h, w), or filters (neurons, 1, h, w)
    shape   (h, w) of one image; the square root of `inputs` by default

    >>> weights(np.eye(4), titles=["a", "b", "c", "d"])[3].get_title()
    'd'
    """
    values = plain(W)
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        side = math.isqrt(values.shape[1])
        shape = shape or (side, side)
        if shape[0] * shape[1] != values.shape[1]:
            raise ShapeError(
                f"{values.shape[1]} inputs are no image of {shape[0]} × {shape[1]}",
                hint="weights(W, shape=(h, w))",
            )
        values = values.reshape(-1, *shape)
    if values.ndim != 3 or not values.size:
        raise ShapeError(
            "expected (neurons, inputs) or (neurons, h, w)",
            got=str(values.shape),
            hint="filters(W) draws filters of several channels",
        )
    if titles is not None and len(titles) != len(values):
        raise ShapeError(f"{len(titles)} titles for {len(values)} neurons")
    wide = _side(titles or (), 1.0)
    panels = _grid(len(values), columns, wide, titled=titles is not None, right=0.9)
    _signed(panels, values)
    for ax, title in zip(panels, titles or (), strict=False):
        ax.set_title(literal(title), fontsize=9)
    return panels


def filters(W: Any) -> AxesArray:
    """The filters of a convolution on one scale, white at 0: a row for each output channel, a
    column for each input channel.

    W   (out, in, h, w), as `Conv2d.weight`

    Returns Axes (out, in).

    >>> filters(np.ones((4, 3, 5, 5))).shape
    (4, 3)
    """
    values = plain(W)
    if values.ndim != 4 or not values.size:
        raise ShapeError("filters are (out, in, h, w)", got=str(values.shape))
    out, channels = values.shape[:2]
    panels = _grid(out * channels, channels, 0.8, titled=False, right=1.3)
    _signed(panels, values.reshape(-1, *values.shape[2:]))
    panels = panels.reshape(out, channels)
    for i, ax in enumerate(panels[0]):
        ax.set_title(f"in {i}", fontsize=9)
    for i, ax in enumerate(panels[:, 0]):
        ax.set_ylabel(f"out {i}", fontsize=9, rotation=0, ha="right", va="center")
    return panels


def feature_maps(maps: Any, *, columns: int = 8) -> AxesArray:
    """What the channels of a convolution answer to one image, on one scale, dark where the answer
    is large.

    maps   (c, h, w), or (1, c, h, w)

    >>> [ax.get_title() for ax in feature_maps(np.ones((1, 2, 4, 4)))]
    ['channel 0', 'channel 1']
    """
    values = plain(maps)
    if values.ndim == 4 and len(values) == 1:
        values = values[0]
    if values.ndim != 3 or not values.size:
        raise ShapeError(
            "the maps of one image are (c, h, w)", got=str(values.shape), hint="maps[0] of a batch"
        )
    panels = _grid(len(values), columns, 1.0, titled=True, right=0.9)
    low, high = ends(values)
    for i, ax in enumerate(panels):
        image = ax.imshow(values[i], cmap="Blues", vmin=low, vmax=high)
        ax.set_title(f"channel {i}", fontsize=9)
    _scale(panels, image, "answer")
    return panels


def _signed(panels: AxesArray, values: Array) -> None:
    """One weight image in each panel, and their scale."""
    largest = float(np.max(np.abs(values), initial=0.0, where=np.isfinite(values))) or 1.0
    for ax, value in zip(panels, values, strict=True):
        image = ax.imshow(value, cmap="PuOr", vmin=-largest, vmax=largest)
    _scale(panels, image, "weight")


def _scale(panels: AxesArray, image: Any, label: str) -> None:
    panels[0].figure.colorbar(image, ax=list(panels), label=label, shrink=0.9, aspect=30, pad=0.02)


def _side(titles: Sequence[str], side: float) -> float:
    """The side of a frame in inches: as wide as its title."""
    return max([side, *(0.075 * len(str(title)) + 0.1 for title in titles)])


def _text(x: Any) -> str:
    return literal(x.item() if hasattr(x, "item") else x)


def _grid(n: int, columns: int, side: float, *, titled: bool, right: float = 0.1) -> AxesArray:
    """n empty frames of this side in inches. `right` is room for a colour bar."""
    if columns < 1:
        raise ArgumentError("a grid has columns", expected="at least 1", got=str(columns))
    columns = min(columns, n)
    rows = -(-n // columns)
    side = max(side, 2.4 / max(rows, columns))
    height = rows * (side + (0.2 if titled else 0)) + 0.1
    figure = new_figure(max(columns * side + right, 2.0), height)
    panels: AxesArray = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in panels:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_color(GREY)
    for ax in panels[n:]:
        ax.remove()
    return panels[:n]
