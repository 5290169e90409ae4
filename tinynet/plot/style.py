"""Colours and sizes that all pictures share.

Light and dark: figure, text and ticks take matplotlib's `rcParams`, so `plt.style.use(...)` works
as in any other picture, and without one the background is white on a dark page too. What has a
colour of its own is legible on both: lines take `LINES`, each with a contrast of at least 3 to
white and to black; text inside a box or a cell is chosen by what it stands on (`ink_on`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tinynet import arrays
from tinynet.errors import ArgumentError, DTypeError, ShapeError, describe
from tinynet.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, Any]
AxesArray: TypeAlias = np.ndarray[Any, Any]  # of Axes

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
GREY = "#808080"
LINES = tuple(OKABE_ITO[name] for name in ("blue", "vermillion", "green", "purple"))
# Points have an edge, so paler colours will do.
POINTS = (*LINES, OKABE_ITO["orange"], OKABE_ITO["sky"], OKABE_ITO["yellow"])
MARKERS = "osD^vP*X<>"


def plain(x: Any) -> Array:
    """The values of a tensor, array or list, on the CPU."""
    x = x.array if isinstance(x, Tensor) else x
    try:
        return np.asarray(arrays.to_device(x, "cpu") if arrays.is_array(x) else x)
    except ValueError:
        raise ShapeError("the rows are not all of one length", got=describe(x)) from None


def numbers(x: Any, what: str) -> Array:
    """The same of what has to be real numbers."""
    values = plain(x)
    if values.dtype.kind not in "biuf":
        raise DTypeError(f"{what}: real numbers are drawn", got=f"{describe(x)}, {values.dtype}")
    return values.astype(np.float64) if values.dtype.kind == "b" else values


def callable_or_raise(f: Any, what: str, example: str) -> None:
    """Raise where f is no function."""
    if not callable(f):
        raise ArgumentError(f"{what} is a function", expected=f"such as {example}", got=describe(f))


def literal(x: Any) -> str:
    """A name as it is: matplotlib takes what stands between two $ for a formula.

    >>> print(literal("$5 or $6"))
    \\$5 or \\$6
    """
    return str(x).replace("$", r"\$").replace("\n", r"\n").replace("\t", r"\t")


def need_matplotlib() -> None:
    """Raise where matplotlib is missing, and say how to get it."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as missing:
        raise ImportError("tinynet.plot needs matplotlib: pip install matplotlib") from missing


def new_figure(width: float, height: float) -> Any:
    """An empty figure of this size in inches.

    Where pyplot is loaded it is pyplot's, so that a notebook or `plt.show()` displays it; elsewhere
    nobody holds it but the caller.
    """
    need_matplotlib()
    from matplotlib.figure import Figure

    make: Any = Figure
    if "ipykernel" in sys.modules or "matplotlib.pyplot" in sys.modules:
        from matplotlib.pyplot import figure as make
    return make(figsize=(width, height), layout="constrained", dpi=120)


def axes_in(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes given, or new ones in a figure of this size in inches."""
    made: Axes = new_figure(width, height).subplots() if ax is None else ax
    return made


def tidy(ax: Axes) -> None:
    """Fewer lines around the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color=GREY, linewidth=0.8, alpha=0.3)
    ax.set_axisbelow(True)


def finite(x: Array, what: str) -> Array:
    """x, if every entry is a finite number."""
    if not np.isfinite(x).all():
        bad = np.argwhere(~np.isfinite(x))[0].tolist()
        raise ArgumentError(
            f"{what}: finite numbers are drawn", got=f"{x[tuple(bad)]} at {bad}" if bad else str(x)
        )
    return x


def ends(x: Array) -> tuple[float, float]:
    """The least and the largest finite entry; one more than that where all are the same."""
    known = x[np.isfinite(x)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    return (low, high) if high > low else (low, low + 1)


def ink_on(colour: Any) -> str:
    """Black or white, whichever is easier to read on this colour.

    >>> ink_on("yellow"), ink_on("navy")
    ('black', 'white')
    """
    return "black" if luminance(colour) > 0.179 else "white"  # where both have the same contrast


def luminance(colour: Any) -> float:
    """Relative luminance, 0 (black) to 1 (white), as the Web Content Accessibility Guidelines 2.1
    define it.
    """
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def point_style(i: int) -> dict[str, Any]:
    """How the points of class i are drawn, by colour and marker:
    no two of the first 70 share both."""
    from matplotlib import rcParams

    if i >= len(POINTS) * len(MARKERS):
        raise ArgumentError(
            "too many classes to tell apart", expected=f"at most {len(POINTS) * len(MARKERS)}"
        )
    return {
        "color": POINTS[i % len(POINTS)],
        "marker": MARKERS[i % len(MARKERS)],
        "edgecolors": rcParams["text.color"],
        "linewidths": 0.5,
        "s": 22,
    }
