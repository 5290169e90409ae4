"""Pictures of a decision by a threshold: what it lets in and what it keeps out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.plot.style import GREY, LINES, Array, axes_in, finite, literal, numbers, tidy
from tinynet.plot.words import entitle, legend_below

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
    finite(np.asarray(0.0 if chosen is None else chosen), "the chosen threshold")
    scores = limits[:-1]
    margin = 0.05 * (scores[-1] - scores[0]) or 0.5
    # The rates of a threshold hold from just above the score below it up to itself.
    ends = np.concatenate([[scores[0] - margin], scores, [scores[-1] + margin]])
    ax = axes_in(ax, 6.2, 3.6)
    for name, rate, colour in zip(
        ("false accepts", "false rejects"), (accepts, rejects), (LINES[1], LINES[0]), strict=True
    ):
        ax.stairs(100 * rate, ends, baseline=None, color=colour, linewidth=2)
        ax.plot([], [], color=colour, linewidth=2, label=name)
    if chosen is not None:
        ax.axvline(chosen, color=GREY, linestyle="--", label=f"chosen: {chosen:.3g}")
    ax.set(xlabel="threshold", ylabel="share, %")
    entitle(ax, "Accepted: score ≥ threshold")
    legend_below(ax)
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
    i = len(ax.lines) - 1
    style: dict[str, Any] = {"color": LINES[i % 4], "linestyle": ("-", "--", "-.")[i % 3]}
    label = f"{literal(name)}: area {area:.4f}".removeprefix(": ")
    ax.plot(100 * x, 100 * y, label=label, linewidth=2, **style)
    ax.set(xlabel="false accepts, %", ylabel="true accepts, %", title="ROC")
    legend_below(ax)
    tidy(ax)
    return ax


def _columns(curve: Any) -> tuple[Array, Array, Array]:
    if not isinstance(curve, Sequence | np.ndarray):
        raise ArgumentError("a curve is what threshold_curve returned", got=describe(curve))
    columns = tuple(numbers(column, "a curve").astype(np.float64) for column in curve)
    if len(columns) != 3 or len({c.shape for c in columns}) != 1 or columns[0].ndim != 1:
        raise ShapeError(
            "a curve is thresholds, false accepts and false rejects, one of each in a row",
            got=", ".join(str(c.shape) for c in columns),
        )
    if len(columns[0]) < 2:
        raise ShapeError("a curve has two thresholds or more", got=str(columns[0].shape))
    limits, *rates = columns
    finite(limits[:-1], "thresholds")  # the last may be infinite: nothing is accepted
    if not all(((r >= 0) & (r <= 1)).all() for r in rates) or not (np.diff(limits) >= 0).all():
        raise ArgumentError("thresholds grow, and rates lie between 0 and 1")
    return limits, rates[0], rates[1]
