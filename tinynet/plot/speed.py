"""Pictures of speed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, describe
from tinynet.plot.style import GREY, OKABE_ITO, axes_in, literal, tidy
from tinynet.plot.words import legend_below, write_beside


def roofline(roof: Any, *, ax: Any = None) -> Any:
    """Flops a second over flops for each byte: the roof that the machine sets, and each kernel
    under it, with its Gflop/s.

    roof   what `tinynet.bench.roofline.roof()` returns

    >>> from tinynet.bench.roofline import Point, Roof
    >>> measured = Roof(5e10, 1e11, 2e10, 2, [Point("matmul", 2e9, 3e7, 0.03)])
    >>> roofline(measured).get_xlabel()
    'flops for each byte'
    """
    if not hasattr(roof, "bandwidth"):
        raise ArgumentError("a roof is what bench.roofline.roof returned", got=describe(roof))
    speeds = [roof.peak_of_one, roof.peak, roof.bandwidth]
    speeds += [v for point in roof.points for v in (point.intensity, point.speed)]
    if not all(0 < v < np.inf for v in speeds):
        raise ArgumentError("speeds and intensities are finite numbers above 0")
    ax = axes_in(ax, 6.4, 4.6)
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import NullFormatter

    corner = roof.peak / roof.bandwidth
    ends = [corner, *(point.intensity for point in roof.points)]
    x = np.geomspace(min(ends) / 2, max(ends) * 8, 200)
    ax.plot(x, [roof.limit(v) / 1e9 for v in x], color=OKABE_ITO["blue"], linewidth=2)
    one = f"one core: {roof.peak_of_one / 1e9:.0f} Gflop/s"
    ax.axhline(roof.peak_of_one / 1e9, color=GREY, linestyle=":", linewidth=1, label=one)
    ax.plot([], [], color=OKABE_ITO["blue"], linewidth=2, label=_limits(roof))
    places = np.array([(point.intensity, point.speed / 1e9) for point in roof.points])
    for place in places:
        ax.plot(*place, "o", color=OKABE_ITO["vermillion"])
    ax.set(xscale="log", yscale="log", xlabel="flops for each byte", ylabel="Gflop/s")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter(NullFormatter())
    ax.set_title("Roofline")
    lowest = min([roof.limit(x[0]), *(point.speed for point in roof.points)])
    highest = max(roof.peak, roof.peak_of_one, *(point.speed for point in roof.points)) / 1e9
    ax.set_ylim(lowest / 1e9 / 2, 3 * highest)
    tidy(ax)
    legend_below(ax)
    labels = [literal(f"{point.name}, {point.speed / 1e9:.3g}") for point in roof.points]
    halo = withStroke(linewidth=3, foreground=ax.get_facecolor())  # where one crosses the roof
    if labels and (left_out := write_beside(ax, places, labels, path_effects=[halo])):
        ax.set_title(f"Roofline, {len(labels) - left_out} of {len(labels)} named")
    return ax


def _limits(roof: Any) -> str:
    cores = f"{roof.threads} threads" if roof.threads > 1 else "one thread"
    return f"{cores}: {roof.peak / 1e9:.0f} Gflop/s, {roof.bandwidth / 1e9:.0f} GB/s"
