"""Colours and sizes that all pictures share."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.tensor import Tensor

# Masataka Okabe and Kei Ito, "Color Universal Design", 2008.
OKABE_ITO = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
}
GREY = "#666666"


def plain(x: Any) -> np.ndarray[Any, Any]:
    """The values of a tensor, array or list, on the CPU."""
    x = x.array if isinstance(x, Tensor) else x
    return np.asarray(arrays.to_device(x, "cpu") if arrays.is_array(x) else x)


def new_figure(width: float, height: float) -> Any:
    """An empty figure of this size in inches, which nobody but the caller holds."""
    from matplotlib.figure import Figure

    if "ipykernel" in sys.modules:
        import matplotlib.pyplot  # noqa: F401  (tells the notebook how to display a Figure)
    return Figure(figsize=(width, height), layout="constrained", dpi=120)


def axes_in(ax: Any, width: float, height: float) -> tuple[Any, Any]:
    """(figure, axes): new, or those of the axes given."""
    if ax is not None:
        return ax.figure, ax
    figure = new_figure(width, height)
    return figure, figure.subplots()


def tidy(ax: Any) -> None:
    """Fewer lines around the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="#dddddd", linewidth=0.8)
    ax.set_axisbelow(True)
