"""Pictures of images, and of weights as images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet.errors import ShapeError
from tinynet.plot.style import OKABE_ITO, new_figure, plain


def images(
    images: Any,
    labels: Sequence[Any] | None = None,
    predictions: Sequence[Any] | None = None,
    *,
    columns: int = 8,
) -> Any:
    """Images in a grid, dark where the values are large, each with its label.

    images       (n, h, w)
    predictions  where one differs from the label, the title says so in colour: "5, read as 9"

    >>> figure = images(np.eye(3)[None], labels=[5], predictions=[9])
    >>> figure.axes[0].get_title()
    '5, read as 9'
    """
    values = plain(images)
    if values.ndim != 3 or not len(values):
        raise ShapeError("images are (n, h, w), at least one", got=str(values.shape))
    n = len(values)
    for what, given in (("labels", labels), ("predictions", predictions)):
        if given is not None and len(given) != n:
            raise ShapeError(f"{len(given)} {what} for {n} images")
    wide = predictions is not None and labels is not None
    figure, axes = _grid(n, columns, 1.2 if wide else 1.0, titled=labels is not None)
    for i, ax in enumerate(axes):
        ax.imshow(values[i], cmap="gray_r", vmin=values.min(), vmax=values.max() or 1)
        if labels is not None:
            label, colour = f"{_text(labels[i])}", "black"
            if predictions is not None and _text(predictions[i]) != label:
                label, colour = f"{label}, read as {_text(predictions[i])}", OKABE_ITO["vermillion"]
            ax.set_title(label, fontsize=9, color=colour)
    return figure


def weights(
    W: Any,
    shape: tuple[int, int] | None = None,
    *,
    titles: Sequence[str] | None = None,
    columns: int = 8,
) -> Any:
    """Rows of a weight matrix as images on one scale, white at 0: where a neuron looks, and with
    which sign.

    W       (neurons, inputs), or (neurons, h, w), or filters (neurons, 1, h, w)
    shape   (h, w) of one image; the square root of `inputs` by default

    >>> weights(np.eye(4), titles=["a", "b", "c", "d"]).axes[3].get_title()
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
    if values.ndim != 3 or not len(values):
        raise ShapeError("expected (neurons, inputs) or (neurons, h, w)", got=str(values.shape))
    if titles is not None and len(titles) != len(values):
        raise ShapeError(f"{len(titles)} titles for {len(values)} neurons")
    figure, axes = _grid(len(values), columns, 1.0, titled=titles is not None, right=0.9)
    largest = float(np.abs(values).max()) or 1.0
    for i, ax in enumerate(axes):
        image = ax.imshow(values[i], cmap="PuOr", vmin=-largest, vmax=largest)
        if titles is not None:
            ax.set_title(titles[i], fontsize=9)
    figure.colorbar(image, ax=figure.axes, label="weight", shrink=0.9, aspect=30, pad=0.02)
    return figure


def _text(x: Any) -> str:
    return str(x.item() if hasattr(x, "item") else x)


def _grid(
    n: int, columns: int, side: float, *, titled: bool, right: float = 0.1
) -> tuple[Any, list[Any]]:
    """A figure with n empty frames of this side in inches, and the frames. `right` is room for a
    colour bar.
    """
    columns = min(columns, n)
    side = max(side, 2.4 / columns)
    rows = -(-n // columns)
    figure = new_figure(
        max(columns * side + right, 2.0), rows * (side + (0.2 if titled else 0)) + 0.1
    )
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for ax in axes:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_color("#bbbbbb")
    for ax in axes[n:]:
        ax.remove()
    return figure, axes[:n]
