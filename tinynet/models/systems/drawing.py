"""Pictures of models of texts: scores side by side, guesses of what follows, where heads look, what
words weigh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinynet.arrays import Array
from tinynet.plot.style import GREY, LINES, OKABE_ITO, axes_in, ink_on, new_figure, tidy

SHOWN = {" ": "␣", "\n": "⏎"}


def bars(values: Mapping[str, float], label: str) -> Any:
    """A bar for each name, the largest first.

    >>> [text.get_text() for text in bars({"a": 1.0, "b": 2.5}, "bits").texts]
    ['2.500', '1.000']
    """
    names = sorted(values, key=lambda name: -values[name])
    ax = axes_in(None, 6.4, 0.42 * len(names) + 1.1)
    ax.barh(names, [values[name] for name in names], color=LINES[0])
    for i, name in enumerate(names):
        ax.text(
            values[name], i, f"{values[name]:.3f}", va="center", ha="right", color=ink_on(LINES[0])
        )
    ax.invert_yaxis()
    ax.set(xlabel=label)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def next_tokens(p: Array, ids: Sequence[int], names: Sequence[str], most: int = 8) -> Any:
    """What a model expects behind each token of a line: the likeliest ones, the likeliest on top;
    a frame marks the one that came.

    p       (t, tokens), row n is about what follows ids[n]
    names   of all tokens
    """
    steps, most = len(ids) - 1, min(most, p.shape[1])
    ranked = np.argsort(-p[:steps], axis=1, kind="stable")[:, :most]  # (steps, most)
    shares = np.take_along_axis(p[:steps], ranked, axis=1).T
    ax = axes_in(None, 0.3 * steps + 2.0, 0.32 * most + 1.6)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for n in range(steps):
        for rank, token in enumerate(ranked[n]):
            ink = ink_on(image.cmap(image.norm(shares[rank, n])))
            ax.text(n, rank, _shown(names[token]), ha="center", va="center", color=ink, fontsize=8)
            if token == ids[n + 1]:
                _frame(ax, n, rank)
    ax.set_xticks(range(steps), [_shown(names[i]) for i in ids[:-1]])
    ax.set_yticks(range(most), [str(rank + 1) for rank in range(most)])
    ax.set(xlabel="the text so far ends with", ylabel="rank", title="What comes next?")
    ax.figure.colorbar(image, ax=ax, label="probability")
    return ax


def heads(maps: Sequence[Array], names: Sequence[str]) -> Any:
    """Attention of every head: a row of panels for each layer. Each row of a panel is a token that
    looks, each column one that is looked at; the darkness is the root of the weight, so that small
    ones are seen.

    maps    of each layer (heads, t, t)
    names   of the t tokens
    """
    figure = new_figure(2.6 * len(maps[0]) + 0.4, 2.75 * len(maps))
    panels = figure.subplots(len(maps), len(maps[0]), squeeze=False, sharex=True, sharey=True)
    ticks = [_shown(name) for name in names]
    for layer, row in enumerate(panels):
        for head, ax in enumerate(row):
            ax.imshow(np.sqrt(maps[layer][head]), cmap="Blues", vmin=0, vmax=1)
            ax.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=8)
            ax.set_xticks(range(len(ticks)), ticks, fontsize=5)
            ax.set_yticks(range(len(ticks)), ticks, fontsize=5)
    figure.supxlabel("looked at (key)", fontsize=9)
    figure.supylabel("looks (query)", fontsize=9)
    return panels


def strongest(weights: Array, words: Sequence[str], most: int = 12) -> Any:
    """The words with the largest and the smallest weights, beside each other."""
    order = np.argsort(weights, kind="stable")
    panels = new_figure(7.2, 0.27 * most + 1.0).subplots(1, 2)
    for ax, few, side, colour in (
        (panels[0], order[:most], "against", LINES[1]),
        (panels[1], order[: -most - 1 : -1], "for", LINES[0]),
    ):
        ax.barh([words[i] for i in few], weights[few], color=colour)
        ax.invert_yaxis()
        ax.set(title=side, xlabel="weight of the word")
        ax.spines[["top", "right"]].set_visible(False)
    return panels


def reading(texts: Sequence[tuple[Sequence[str], Sequence[float]]]) -> Any:
    """What a network thinks after each word of a text: a panel for each (words, probabilities)."""
    panels = new_figure(7.2, 2.3 * len(texts)).subplots(len(texts), 1, squeeze=False)[:, 0]
    for ax, (words, y) in zip(panels, texts, strict=True):
        ax.plot(range(len(words)), y, color=LINES[0], marker="o", markersize=4)
        ax.axhline(0.5, color=GREY, linestyle=":")
        ax.set_xticks(range(len(words)), words, rotation=30, ha="right")
        ax.set(ylim=(0, 1), ylabel="P(for)")
        tidy(ax)
    return panels


def _frame(ax: Any, x: float, y: float) -> None:
    from matplotlib.patches import Rectangle

    edge = OKABE_ITO["vermillion"]
    ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=edge, linewidth=2))


def _shown(name: str) -> str:
    return "".join(SHOWN.get(c, c if c.isprintable() else "�") for c in name)
