"""Pictures of what happens inside a network, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, describe
from tinynet.explanation.health import observe
from tinynet.plot.style import (
    LINES,
    Array,
    AxesArray,
    callable_or_raise,
    ends,
    literal,
    new_figure,
    plain,
)
from tinynet.plot.words import PAGE, short
from tinynet.tensor import Tensor


def histograms(model: Any, batch: Any, loss: Callable[..., Any], *, bins: int = 40) -> AxesArray:
    """One forward and backward pass: histograms of the activations y of each layer and of the
    gradients ∂L/∂y that come back to it, in the order of the forward pass.

    batch   (inputs, targets);   loss   loss(model(inputs), targets) is the loss

    All activations share one scale, and all gradients another, so that a signal that fades can be
    seen; beside each histogram stands its standard deviation σ. Returns Axes (layers, 2). The
    model's `.grad` are left as they were.

    >>> import tinynet as tn
    >>> model = tn.nn.Sequential(tn.nn.Linear(2, 3), tn.nn.ReLU())
    >>> panels = histograms(model, (tn.ones(4, 2), tn.zeros(4, 3)), tn.nn.MSELoss())
    >>> [ax.get_ylabel() for ax in panels[:, 0]]
    ['0 Linear', '1 ReLU']
    """
    callable_or_raise(loss, "the loss", "tn.nn.MSELoss()")
    if np.asarray(bins).dtype.kind != "i" or bins < 1:
        raise ArgumentError(
            "a histogram has bins", expected="a whole number, at least 1", got=describe(bins)
        )
    seen, _ = observe(model, batch, loss, _numbers)
    if not seen:
        raise ArgumentError("no layer of the model made a value that has a gradient")
    labels = [short(literal(name), 24) for name, _ in seen]
    figure = new_figure(PAGE, (0.75 if len(seen) <= 12 else 0.45) * len(seen) + 0.9)
    panels: AxesArray = figure.subplots(len(seen), 2, squeeze=False, sharex="col")
    for column in (0, 1):
        values = [numbers[column] for _, numbers in seen]
        shown = ends(np.concatenate(values))
        for ax, v in zip(panels[:, column], values, strict=True):
            known = np.isfinite(v)
            ax.hist(v[known], bins, range=shown, color=LINES[column])
            told = f"σ = {v[known].std():.2g}" if known.any() else ""
            told += "" if known.all() else f"\n{v.size - known.sum()} not finite"
            ax.text(1.01, 0.5, told.strip(), transform=ax.transAxes, va="center", fontsize="small")
            ax.set_yticks([])
            ax.spines[["top", "right", "left"]].set_visible(False)
    for ax, label in zip(panels[:, 0], labels, strict=True):
        ax.set_ylabel(label, rotation=0, ha="right", va="center")
    panels[0, 0].set_title("activations y")
    panels[0, 1].set_title("gradients ∂L/∂y")
    for ax in panels[-1]:
        ax.set_xlabel("value\n(height: entries)")
        ax.locator_params(axis="x", nbins=2)
        ax.tick_params(labelsize="small")
        ax.ticklabel_format(axis="x", style="sci", scilimits=(-3, 4))
    return panels


def _numbers(path: str, module: Any, y: Tensor) -> tuple[str, tuple[Array, Array]]:
    g = np.zeros(y.shape) if y.grad is None else plain(y.grad)
    kind = type(module).__name__
    return kind if path == kind else f"{path} {kind}", (plain(y).ravel(), g.ravel())
