"""Pictures of runs and of scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tinynet.errors import ArgumentError, ShapeError
from tinynet.plot.style import GREY, OKABE_ITO, axes_in, new_figure, plain, tidy


def learning_curves(history: Any) -> Any:
    """A panel for the loss and one for each metric: training and validation by epoch, with the best
    epoch marked.

    history   a `History`, or a dict name -> list with one number for each epoch

    >>> [ax.get_title() for ax in learning_curves({"loss": [2.0, 1.0]}).axes]
    ['loss']
    """
    curves: Mapping[str, Sequence[float]] = getattr(history, "curves", history)
    names = [name for name in curves if not name.startswith("val_") or name[4:] not in curves]
    if not names or not any(len(curves[name]) for name in names):
        raise ArgumentError("there is nothing to draw: the history has no epoch")
    best = getattr(history, "best_epoch", 0)
    figure = new_figure(4.6 * len(names), 3.4)
    for ax, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        shown = {"training": (curves[name], OKABE_ITO["blue"], "o")}
        if f"val_{name}" in curves:
            shown["validation"] = (curves[f"val_{name}"], OKABE_ITO["vermillion"], "s")
        for label, (values, colour, marker) in shown.items():
            epochs = range(1, len(values) + 1)
            marker = marker if len(values) <= 30 else ""
            ax.plot(epochs, values, color=colour, marker=marker, markersize=4, label=label)
        if best and len(curves[name]) > 1:
            ax.axvline(best, color=GREY, linestyle=":", label=f"best epoch ({best})")
        ax.set(xlabel="epoch", ylabel=name, title=name)
        ax.xaxis.get_major_locator().set_params(integer=True)
        tidy(ax)
        ax.legend(frameon=False)
    return figure


def confusion_matrix(matrix: Any, labels: Sequence[Any] | None = None, *, ax: Any = None) -> Any:
    """The counts of `metrics.confusion_matrix`: true classes down, predicted classes across.

    The colour is the share of the row, so that classes of different sizes can be compared.

    >>> confusion_matrix([[8, 2], [1, 9]], labels=["cat", "dog"]).axes[0].get_title()
    '85.0 % on the diagonal'
    """
    counts = plain(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ShapeError("a confusion matrix is square", got=str(counts.shape))
    n = len(counts)
    names = [str(label) for label in (range(n) if labels is None else labels)]
    if len(names) != n:
        raise ShapeError(f"{len(names)} labels for {n} classes")
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / (totals + (totals == 0))
    side = max(3.4, 0.48 * n + 1.4)
    figure, ax = axes_in(ax, side + 0.7, side)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i in range(n):
        for j in range(n):
            if counts[i, j]:
                colour = "white" if shares[i, j] > 0.5 else "black"
                ax.text(
                    j, i, f"{counts[i, j]:g}", ha="center", va="center", color=colour, fontsize=9
                )
    turn = 45 if max(map(len, names)) > 3 else 0
    ax.set_xticks(range(n), names, rotation=turn, ha="right" if turn else "center")
    ax.set_yticks(range(n), names)
    right = counts.trace() / max(math.fsum(counts.ravel()), 1)
    ax.set(
        xlabel="predicted class", ylabel="true class", title=f"{100 * right:.1f} % on the diagonal"
    )
    figure.colorbar(image, ax=ax, label="share of the row", shrink=0.85)
    return figure
