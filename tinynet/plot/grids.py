"""Pictures of images, and of weights and feature maps as images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.plot.style import (
    GREY,
    OKABE_ITO,
    Array,
    AxesArray,
    ends,
    new_figure,
    numbers,
)
from tinynet.plot.words import LETTER, PAGE, few_ticks, named, points, short

MOST = 300  # frames in one picture
LONGEST = 40  # letters of a title


def images(
    images: Any,
    labels: Sequence[Any] | None = None,
    predictions: Sequence[Any] | None = None,
    *,
    columns: int | None = None,
) -> AxesArray:
    """Images in a grid, dark where the values are large, each with its label.

    images       (n, h, w) or (n, 1, h, w): grey; (n, 3, h, w) in red, green and blue: their own
                 colours, if they are bytes or lie in [0, 1], else stretched from the least to the
                 largest. A pixel of a grey image that is no number is vermillion.
    predictions  where one differs from the label, the title says so in colour: "5, read as 9"
    columns      as many as fit on a page by default

    >>> images(np.eye(3)[None], labels=[5], predictions=[9])[0].get_title()
    '5, read as 9'
    """
    values = numbers(images, "images")
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    coloured = values.ndim == 4 and values.shape[1] == 3
    if not (values.ndim == 3 or coloured) or not values.size:
        raise ShapeError(
            "images are (n, h, w) or (n, 3, h, w), at least one",
            got=str(values.shape),
            hint="image[None] of a single one, X.transpose(0, 3, 1, 2) of (n, h, w, 3)",
        )
    n = len(values)
    titles = [] if labels is None else named(labels, n, "labels", "images")
    read = titles if predictions is None else named(predictions, n, "predictions", "images")
    wrong = [a != b for a, b in zip(titles, read, strict=False)]
    titles = [f"{a}, read as {b}" if a != b else a for a, b in zip(titles, read, strict=False)]
    panels = _grid("Images", values, columns, titles)
    low, high = ends(values)
    for i, ax in enumerate(panels):
        if coloured:
            ax.imshow(_colours(values[i], low, high))
        else:
            ax.imshow(values[i], cmap="gray_r", vmin=low, vmax=high)
            ax.set_facecolor(OKABE_ITO["vermillion"])
        if titles:
            colour = {"color": OKABE_ITO["vermillion"]} if wrong[i] else {}
            ax.set_title(short(titles[i], LONGEST), fontsize="small", **colour)
    return panels


def _colours(image: Array, low: float, high: float) -> Array:
    """(3, h, w) -> (h, w, 3) in [0, 1]."""
    if image.dtype == np.uint8:
        low, high = 0.0, 255.0
    elif low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return np.nan_to_num(np.clip((image.transpose(1, 2, 0) - low) / (high - low), 0, 1))


def weights(
    W: Any,
    shape: tuple[int, int] | None = None,
    *,
    titles: Sequence[str] | None = None,
    columns: int | None = None,
) -> AxesArray:
    """Rows of a weight matrix as images on one scale, white at 0: where a neuron looks, and with
    which sign.

    W         (neurons, inputs), or (neurons, h, w), or filters (neurons, 1, h, w)
    shape     (h, w) of one image; the square root of `inputs` by default
    columns   as many as fit on a page by default

    >>> weights(np.eye(4), titles=["a", "b", "c", "d"])[3].get_title()
    'd'
    """
    values = numbers(W, "weights")
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        side = math.isqrt(values.shape[1])
        shape = (side, side) if shape is None else shape
        if np.shape(shape) != (2,) or math.prod(shape) != values.shape[1]:
            raise ShapeError(
                f"{values.shape[1]} inputs are no image of this shape",
                got=f"shape={shape}",
                hint="weights(W, shape=(h, w))",
            )
        values = values.reshape(-1, *shape)
    if values.ndim != 3 or not values.size:
        raise ShapeError(
            "expected (neurons, inputs) or (neurons, h, w)",
            got=str(values.shape),
            hint="filters(W) draws filters of several channels",
        )
    names = [] if titles is None else named(titles, len(values), "titles", "neurons")
    panels = _grid("Weights", values, columns, names, right=0.9)
    _signed(panels, values)
    for ax, name in zip(panels, names, strict=False):
        ax.set_title(short(name, LONGEST), fontsize="small")
    return panels


def filters(W: Any) -> AxesArray:
    """The filters of a convolution on one scale, white at 0: a row for each output channel, a
    column for each input channel.

    W   (out, in, h, w), as `Conv2d.weight`

    Returns Axes (out, in).

    >>> filters(np.ones((4, 3, 5, 5))).shape
    (4, 3)
    """
    values = numbers(W, "filters")
    if values.ndim != 4 or not values.size:
        raise ShapeError("filters are (out, in, h, w)", got=str(values.shape))
    out, channels = values.shape[:2]
    if out * channels > MOST:
        raise ArgumentError(
            f"{out} × {channels} filters are too many for a picture",
            expected=f"at most {MOST} of {values.shape[2]} × {values.shape[3]}",
            hint="filters(W[:16, :8]), the first ones",
        )
    flat = values.reshape(-1, *values.shape[2:])
    panels = _grid("Filters", flat, channels, right=1.5)
    _signed(panels, flat)
    panels = panels.reshape(out, channels)
    for i, ax in enumerate(panels[0]):
        ax.set_title(f"in {i}", fontsize="small")
    for i, ax in enumerate(panels[:, 0]):
        ax.set_ylabel(f"out {i}", fontsize="small", rotation=0, ha="right", va="center")
    return panels


def feature_maps(maps: Any, *, columns: int | None = None) -> AxesArray:
    """What the channels of a convolution answer to one image, on one scale, dark where the answer
    is large.

    maps      (c, h, w), or (1, c, h, w)
    columns   as many as fit on a page by default

    >>> [ax.get_title() for ax in feature_maps(np.ones((1, 2, 4, 4)))]
    ['channel 0', 'channel 1']
    """
    values = numbers(maps, "feature maps")
    if values.ndim == 4 and len(values) == 1:
        values = values[0]
    if values.ndim != 3 or not values.size:
        raise ShapeError(
            "the maps of one image are (c, h, w)", got=str(values.shape), hint="maps[0] of a batch"
        )
    titles = [f"channel {i}" for i in range(len(values))]
    panels = _grid("Feature maps", values, columns, titles, right=0.9)
    low, high = ends(values)
    for ax, value, title in zip(panels, values, titles, strict=True):
        image = ax.imshow(value, cmap="Blues", vmin=low, vmax=high)
        ax.set_title(title, fontsize="small")
    _scale(panels, image, "answer")
    return panels


def _signed(panels: AxesArray, values: Array) -> None:
    """One weight image in each panel, and their scale."""
    largest = float(np.max(np.abs(values), initial=0.0, where=np.isfinite(values))) or 1.0
    for ax, value in zip(panels, values, strict=True):
        image = ax.imshow(value, cmap="PuOr", vmin=-largest, vmax=largest)
    _scale(panels, image, "weight")


def _scale(panels: AxesArray, image: Any, label: str) -> None:
    figure = panels[0].figure
    wide, high = figure.get_size_inches()
    apart = 0.1 / max(wide - 1.5, 0.7)  # inches, as a share of what is beside the scale
    shape = {"shrink": 0.9, "aspect": 6 * high, "pad": apart}  # 0.15 inches wide
    ticks = few_ticks(72 * 0.9 * (high - 0.9))
    figure.colorbar(image, ax=list(panels), label=label, ticks=ticks, **shape)


def _grid(
    title: str,
    images: Array,
    columns: int | None,
    titles: Sequence[str] = (),
    *,
    right: float = 0.1,
) -> AxesArray:
    """An empty frame for each image, as wide as the widest title, and wider where there is room on
    the page. `right` is room for a colour bar.
    """
    n, pixels = len(images), images.shape[-2:]
    if columns is not None and (np.asarray(columns).dtype.kind != "i" or columns < 1):
        raise ArgumentError(
            "a grid has columns", expected="a whole number, at least 1", got=describe(columns)
        )
    if n > MOST:
        raise ArgumentError(
            f"{n} frames are too many for a picture", expected=f"at most {MOST}", hint="the first"
        )
    longest = min(max(map(len, titles), default=0), LONGEST)
    widest = max((LETTER * longest + 2) * points("small") / 72, 0.4)
    fit = max(int((PAGE - right) / max(widest, 0.7)), 1)
    columns = min(columns or -(-n // -(-n // fit)), n)  # rows that are about as long
    rows = -(-n // columns)
    side = max(widest, min(1.0, (PAGE - right) / columns, 8 / rows), 2.4 / max(rows, columns))
    high = side * min(max(pixels[0] / pixels[1], 0.25), 2.0)
    height = rows * (high + (0.25 if titles else 0.05)) + 0.6
    figure = new_figure(max(columns * side + right, 2.4), max(height, 1.6))
    figure.set_layout_engine("compressed")  # no gaps between images that are not square
    figure.suptitle(f"{title}, {pixels[0]} × {pixels[1]} pixels", fontsize="medium")
    panels: AxesArray = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in panels:
        ax.set(xticks=[], yticks=[], facecolor=GREY)
        ax.spines[:].set_color(GREY)
    for ax in panels[n:]:
        ax.remove()
    return panels[:n]
