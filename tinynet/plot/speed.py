"""Pictures of speed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.plot.style import GREY, OKABE_ITO, axes_in, literal, tidy


def roofline(roof: Any, *, ax: Any = None) -> Any:
    """Flops a second over flops for each byte: the roof that the machine sets, and each kernel
    under it.

    roof   what `tinynet.bench.roofline.roof()` returns

    >>> from tinynet.bench.roofline import Point, Roof
    >>> measured = Roof(5e10, 1e11, 2e10, 2, [Point("matmul", 2e9, 3e7, 0.03)])
    >>> roofline(measured).get_xlabel()
    'flops for each byte'
    """
    from matplotlib.patheffects import withStroke

    ax = axes_in(ax, 6.4, 4.2)
    corner = roof.peak / roof.bandwidth
    ends = [corner, *(point.intensity for point in roof.points)]
    x = np.geomspace(min(ends) / 2, max(ends) * 8, 200)
    ax.plot(x, [roof.limit(v) / 1e9 for v in x], color=OKABE_ITO["blue"], linewidth=2)
    one = f"one core: {roof.peak_of_one / 1e9:.0f} Gflop/s"
    ax.axhline(roof.peak_of_one / 1e9, color=GREY, linestyle=":", linewidth=1, label=one)
    ax.plot([], [], color=OKABE_ITO["blue"], linewidth=2, label=_limits(roof))
    for point in roof.points:
        ax.plot(point.intensity, point.speed / 1e9, "o", color=OKABE_ITO["vermillion"])
        label = f"{point.name}, {point.speed / 1e9:.3g}"
        place = {"xytext": (7, -3), "textcoords": "offset points", "fontsize": 9}
        halo = withStroke(linewidth=3, foreground=ax.get_facecolor())  # where it crosses the roof
        where = point.intensity, point.speed / 1e9
        ax.annotate(literal(label), where, **place, path_effects=[halo])
    ax.set(xscale="log", yscale="log", xlabel="flops for each byte", ylabel="Gflop/s")
    ax.set_title("Roofline")
    lowest = min([roof.limit(x[0]), *(point.speed for point in roof.points)])
    ax.set_ylim(lowest / 1e9 / 2, roof.peak / 1e9 * 8)  # room for the legend
    tidy(ax)
    ax.legend(frameon=False, loc="upper left", fontsize=9)
    return ax


def _limits(roof: Any) -> str:
    cores = f"{roof.threads} threads" if roof.threads > 1 else "one thread"
    return f"{cores}: {roof.peak / 1e9:.0f} Gflop/s, {roof.bandwidth / 1e9:.0f} GB/s"
