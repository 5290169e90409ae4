"""The measurements as a picture: one line for each row, one mark for each peer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinynet.bench.report import machine, versions
from tinynet.bench.stopwatch import Result
from tinynet.errors import ArgumentError
from tinynet.plot.style import GREY, OKABE_ITO, new_figure

# A colour and a shape for each: one of the two is enough to tell them apart.
_MARKS = {
    "torch": ("vermillion", "o"),
    "jax": ("blue", "s"),
    "mygrad": ("green", "^"),
    "autograd": ("purple", "v"),
    "numpy": ("black", "D"),
    "gemm": ("sky", "P"),
    "loop": ("orange", "X"),
}
_NAMES = {"torch": "PyTorch", "jax": "JAX", "mygrad": "MyGrad", "autograd": "HIPS autograd",
          "numpy": "NumPy by hand", "gemm": "compiled product alone",
          "loop": "tinynet, one by one"}  # fmt: skip


def ratios(results: Sequence[Result]) -> Any:
    """Ours as a multiple of each peer's, on a logarithmic axis: left of the line at 1, tinynet is
    faster, or needs less memory. A Figure. Raises ArgumentError where nothing was measured.
    """
    if not results:
        raise ArgumentError("bench: no row was measured")
    from matplotlib.ticker import LogLocator, NullLocator

    figure = new_figure(8.0, 1.6 + 0.26 * len(results))
    ax = figure.subplots()
    for peer, (colour, shape) in _MARKS.items():
        points = [(r.ratio(peer), i) for i, r in enumerate(results) if peer in r.spread]
        if points:
            ax.plot(
                *zip(*points, strict=True), shape, color=OKABE_ITO[colour], label=_NAMES[peer],
                markersize=6.5, markeredgecolor="white", markeredgewidth=0.6, clip_on=False,
            )  # fmt: skip
    ax.axvline(1.0, color=GREY, linewidth=1.2, zorder=0)
    ax.set_xscale("log")
    low, high = ax.get_xlim()  # over many decades the numbers between would touch
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1e3 * low else (1,)))
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_yticks(range(len(results)), [r.name for r in results])
    ax.set_ylim(len(results) - 0.5, -0.5)
    ax.set_xlabel("tinynet's time (or memory) / the peer's        left of 1: tinynet needs less")
    ax.grid(axis="both", color="#dddddd", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    figure.supxlabel(f"{machine()}\n{versions()}", fontsize=7, color=GREY)
    return figure
