"""Pictures of a decision by a threshold: what it lets in and what it keeps out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinynet.errors import ShapeError
from tinynet.plot.style import GREY, LINES, Array, axes_in, plain, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def thresholds(curve: Any, chosen: float | None = None, *, ax: Axes | None = None) -> Axes:
    """False accepts and false rejects against the threshold: one falls, the other rises.

    curve    `metrics.threshold_curve(scores, labels)`
    chosen   a threshold to mark

    >>> ax = thresholds(([0.2, 0.6, np.inf], [1, 0, 0], [0, 0, 1]), chosen=0.4)
    >>> [line.get_label() for line in ax.lines]
    ['false accepts', 'false rejects', 'chosen: 0.4']
    """
    limits, accepts, rejects = _columns(curve)
    finite = limits[:-1]
    margin = 0.05 * (finite[-1] - finite[0]) or 0.5
    # The rates of a threshold hold from just above the score below it up to itself.
    ends = np.concatenate([[finite[0] - margin], finite, [finite[-1] + margin]])
    ax = axes_in(ax, 6.2, 3.6)
    for name, rate, colour in zip(
        ("false accepts", "false rejects"), (accepts, rejects), (LINES[1], LINES[0]), strict=True
    ):
        ax.stairs(100 * rate, ends, baseline=None, color=colour, linewidth=2)
        ax.plot([], [], color=colour, linewidth=2, label=name)
    if chosen is not None:
        ax.axvline(chosen, color=GREY, linestyle="--", label=f"chosen: {chosen:.3g}")
    ax.set(xlabel="threshold", ylabel="share, %", title="Accepted: score ≥ threshold")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    tidy(ax)
    return ax


def roc(curve: Any, name: str = "", *, ax: Axes | None = None) -> Axes:
    """The receiver operating characteristic: the share of the right ones that is accepted against
    the share of the wrong ones that is, for all thresholds; the area below is the chance that a
    right one scores higher. Called again with `ax`, it draws a second curve.

    curve   `metrics.threshold_curve(scores, labels)`

    >>> ax = roc(([0.2, 0.6, np.inf], [1, 0, 0], [0, 0, 1]), "perfect")
    >>> ax.get_legend().get_texts()[0].get_text()
    'perfect: area 1.0000'
    """
    _, accepts, rejects = _columns(curve)
    x, y = accepts[::-1], 1 - rejects[::-1]
    area = float(np.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1])) / 2)
    first = ax is None or not ax.lines
    ax = axes_in(ax, 4.4, 4.0)
    if first:
        ax.plot([0, 100], [0, 100], color=GREY, linestyle=":", linewidth=1)  # by chance
    colour = LINES[(len(ax.lines) - 1) % len(LINES)]
    label = f"{name}: area {area:.4f}".removeprefix(": ")
    ax.plot(100 * x, 100 * y, color=colour, linewidth=2, label=label)
    ax.set(xlabel="false accepts, %", ylabel="true accepts, %", title="ROC")
    ax.legend(frameon=False, loc="lower right")
    tidy(ax)
    return ax


def _columns(curve: Any) -> tuple[Array, Array, Array]:
    columns = tuple(plain(column).astype(np.float64) for column in curve)
    if len(columns) != 3 or len({c.shape for c in columns}) != 1 or columns[0].ndim != 1:
        raise ShapeError(
            "a curve is thresholds, false accepts and false rejects, one of each in a row",
            got=", ".join(str(c.shape) for c in columns),
        )
    if len(columns[0]) < 2:
        raise ShapeError("a curve has two thresholds or more", got=str(columns[0].shape))
    return columns[0], columns[1], columns[2]
