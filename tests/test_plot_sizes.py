"""Letters have a size at which they are read: on a phone, in cells, in boxes, in legends."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text
from test_plot_legible import PICTURES, collisions, cut_off, neuron, visible
from test_plot_words import CROWD, LONG, WORDS, narrow

import tinynet as tn
from tinynet import plot
from tinynet.plot.words import few_ticks, write_in_cells

RNG = np.random.default_rng(0)
PHONE = 375  # CSS pixels across
LEAST = 5  # points


def deep(layers: int) -> Any:
    parts = [p for _ in range(layers) for p in (tn.nn.Linear(4, 4), tn.nn.Sigmoid())]
    return tn.nn.Sequential(*parts)


def tape_of_layers(layers: int) -> Any:
    return tn.nn.MSELoss()(deep(layers)(tn.randn(2, 4)), tn.zeros(2, 4))


MANY: dict[str, Callable[[], Any]] = PICTURES | {
    "confusion of ten": lambda: plot.confusion_matrix(RNG.integers(0, 99, (10, 10))),
    "curves of five": lambda: plot.learning_curves(
        {name: [3.0, 2.0, 1.0] for name in ("loss", "accuracy", "f1", "recall", "a_metric_of_mine")}
    ),
    "filters": lambda: plot.filters(RNG.normal(size=(16, 3, 3, 3))),
    "histograms": lambda: plot.histograms(
        deep(4), (tn.randn(8, 4), tn.zeros(8, 4)), tn.nn.MSELoss()
    ),
    "images": lambda: plot.images(np.zeros((20, 4, 4)), [7] * 20, [9] * 20),
    "images, long": lambda: plot.images(np.zeros((4, 4, 4)), LONG, LONG[::-1]),
    "similarity of ten": lambda: plot.similarity(RNG.normal(size=(10, 3)), WORDS[:10]),
    "weights of 64": lambda: plot.weights(np.eye(64)),
}


@pytest.mark.parametrize("name", MANY)
def test_a_phone_shows_letters_that_can_be_read(name: str) -> None:
    """The picture as wide as the screen: small letters of 7 pixels, the rest larger."""
    figure = np.ravel(MANY[name]())[0].figure
    figure.draw_without_rendering()
    shrunk = min(PHONE / (72 * figure.get_figwidth()), 1.4)  # no picture is blown up
    sizes = {t.get_text(): t.get_fontsize() * shrunk for t in visible(figure)}
    assert min(sizes.values()) > 6.7, sizes
    if name == "curves of five":
        assert all(ax.get_window_extent().width > 2 * figure.dpi for ax in figure.axes)
    assert not collisions(figure)
    assert not cut_off(figure)


# -- words in cells --------------------------------------------------------------------------------


def cell(ax: Any, i: float, j: float) -> Any:
    """The frame of cell (i, j) in pixels."""
    return ax.transData.transform([(j - 0.5, i + 0.5), (j + 0.5, i - 0.5)])


@pytest.mark.parametrize("width", [3.2, 6.4])
@pytest.mark.parametrize("n", [2, 9, 14, 30])
def test_words_in_cells_fit_and_are_as_large_as_they_can_be(n: int, width: float) -> None:
    ax = narrow(size=(width, 0.9 * width))
    plot.confusion_matrix(np.full((n, n), 123), ax=ax)
    ax.figure.draw_without_rendering()
    ((left, low), (right, high)) = cell(ax, 0, 0)
    for text in ax.texts:
        (x0, y0), (x1, y1) = cell(ax, *reversed(text.get_position()))
        box = Text.get_window_extent(text)
        assert x0 < box.x0
        assert box.x1 < x1
        assert y0 - 1 < box.y0
        assert box.y1 < y1 + 1
        assert LEAST <= text.get_fontsize() <= 8.4
    points = (right - left) * 72 / ax.figure.dpi, (high - low) * 72 / ax.figure.dpi
    if not ax.texts:  # 3 digits of the least size, about 0.64 of it wide
        assert points[0] < 1.3 * 3 * 0.64 * LEAST or points[1] < 1.5 * LEAST
    elif ax.texts[0].get_fontsize() < 8:
        assert 3 * 0.64 * ax.texts[0].get_fontsize() > 0.7 * points[0]
    plt.close(ax.figure)


@pytest.mark.parametrize("width", [3.2, 6.4])
@pytest.mark.parametrize("n", [4, 24, 40])
def test_names_of_rows_shrink_before_they_are_left_out(n: int, width: float) -> None:
    ax = plot.attention(np.eye(n), WORDS[:n], ax=narrow(size=(width, 0.9 * width)))
    ax.figure.draw_without_rendering()
    each = int(np.diff(ax.get_yticks())[0])
    names = ax.get_yticklabels()
    sizes = {t.get_fontsize() for t in (*names, *ax.get_xticklabels())}
    assert len(sizes) == 1
    (size,) = sizes
    high = abs(np.diff(cell(ax, 0, 0)[:, 1])[0])
    assert LEAST <= size <= 10
    assert size == LEAST or each == 1
    for text in names:
        assert Text.get_window_extent(text).height < each * high + 1
    assert (size == 10) == (high * 72 / ax.figure.dpi > 12)
    plt.close(ax.figure)


def test_cells_without_numbers() -> None:
    ax = narrow()
    ax.imshow(np.zeros((2, 2)))
    assert write_in_cells(ax, {})
    assert not ax.texts


# -- words in boxes --------------------------------------------------------------------------------


TAPES: dict[str, Callable[[], Any]] = {
    "neuron": neuron,
    "two layers": lambda: tape_of_layers(2),
    "seven layers": lambda: tape_of_layers(7),
}


@pytest.mark.parametrize("size", [(3.2, 2.8), (3.2, 12.0), (10.0, 5.0), None])
@pytest.mark.parametrize("name", TAPES)
def test_words_in_boxes_fit_and_can_be_read(name: str, size: Any) -> None:
    ax = plot.tape(TAPES[name](), ax=narrow(size=size) if size else None)
    figure: Any = ax.figure
    figure.draw_without_rendering()
    boxes = [p.get_window_extent() for p in ax.patches if isinstance(p, FancyBboxPatch)]
    for text in ax.texts:
        words = Text.get_window_extent(text)
        middle = (words.x0 + words.x1) / 2, (words.y0 + words.y1) / 2
        (box,) = (b for b in boxes if b.contains(*middle))
        assert box.x0 < words.x0
        assert words.x1 < box.x1
        assert LEAST <= text.get_fontsize() <= 9
    assert len(ax.texts) >= len(boxes) or not ax.texts
    assert ("too small for words" in ax.get_title().replace("\n", " ")) == (not ax.texts)
    assert not collisions(figure)
    assert not cut_off(figure)
    if size is None:
        assert {t.get_fontsize() for t in ax.texts} == {9}
    plt.close(figure)


def test_a_small_tape_in_narrow_axes_keeps_the_names() -> None:
    ax = plot.tape(neuron(), ax=narrow())
    assert [t.get_text() for t in ax.texts] == ["w", "mul", "b", "add", "sigmoid", "sub", "power"]
    plt.close(ax.figure)


def test_a_tape_grows_with_the_font() -> None:
    small, large = plot.tape(neuron()), None
    with plt.rc_context({"font.size": 15}):
        large = plot.tape(neuron())
    assert [t.get_text() for t in large.texts] == [t.get_text() for t in small.texts]
    assert large.texts[0].get_fontsize() == pytest.approx(1.5 * small.texts[0].get_fontsize())


# -- legends, scales, lines ------------------------------------------------------------------------


def adam(rate: float) -> Callable[[Any], Any]:
    return lambda p: tn.optim.Adam(p, lr=rate)


SIX = ["SGD", "momentum", "Nesterov", "RMSprop", "Adam", "AdamW"]


@pytest.mark.parametrize("names", [SIX, [f"optimizer number {i}" for i in range(6)]])
@pytest.mark.parametrize("size", [(3.2, 2.8), (10.0, 5.0)])
def test_a_long_legend_leaves_room_to_the_data(names: list[str], size: Any) -> None:
    optimizers = {name: adam(0.02 * (i + 1)) for i, name in enumerate(names)}
    ax = narrow(size=size)
    plot.loss_landscape(lambda x, y: x**2 + 40 * y**2, optimizers, start=(-1, 1), steps=9, ax=ax)
    ax.figure.draw_without_rendering()
    assert ax.get_window_extent().height > 0.28 * ax.figure.bbox.height
    assert not collisions(ax.figure)
    assert not cut_off(ax.figure)
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert legend == [*names, "start"]
    plt.close(ax.figure)


@pytest.mark.parametrize("name", PICTURES)
def test_large_letters(name: str) -> None:
    """As a class sees them from a projector."""
    with plt.rc_context({"font.size": 16}):
        figure = np.ravel(PICTURES[name]())[0].figure
        figure.draw_without_rendering()
        assert not collisions(figure)
        assert not cut_off(figure)
        in_cells = {t for ax in figure.axes for t in ax.texts if ax.images}
        assert min(t.get_fontsize() for t in visible(figure) if t not in in_cells) > 12


def test_six_paths_in_large_letters() -> None:
    with plt.rc_context({"font.size": 16}):
        for size in ((5.8, 4.6), (4.4, 3.6)):
            ax = narrow(size=size)
            optimizers = {name: adam(0.1) for name in SIX}
            plot.loss_landscape(lambda x, y: x**2 + 40 * y**2, optimizers, start=(-1, 1), ax=ax)
            ax.figure.draw_without_rendering()
            assert not collisions(ax.figure)
            assert not cut_off(ax.figure)
            plt.close(ax.figure)


def test_the_columns_of_a_legend_are_filled() -> None:
    """Five entries in two rows stand in three columns, not in four."""
    legend = plot.finite_differences(tn.exp, 1.0).get_legend()
    rows = [column.get_children() for column in legend._legend_handle_box.get_children()]
    assert [len(row) for row in rows] == [2, 2, 1]
    texts = [t.get_text() for t in legend.get_texts()]
    assert texts == ["forward", "best h = 2e-08", "central", "best h = 7e-06", "bounds"]


def test_the_layout_of_a_heat_map_settles() -> None:
    """The number of ticks must not depend on the room that their numbers take."""
    words = (
        [
            "king",
            "queen",
            "man",
            "prince",
            "princess",
            "orange",
            "cherry",
            "france",
            "england",
            "germany",
        ]
        * 7
    )[:64]
    weights = np.random.default_rng(0).dirichlet(np.full(64, 0.3), size=64)
    ax = plot.attention(weights, words, ax=narrow())
    places = []
    for _ in range(3):
        ax.figure.draw_without_rendering()
        places.append(ax.get_position().bounds)
        assert not cut_off(ax.figure)
    np.testing.assert_allclose(places[1], places[2], atol=0.01)
    assert len(few_ticks(30).tick_values(0, 1)) <= 3
    plt.close(ax.figure)


def test_twelve_curves_of_one_picture_differ() -> None:
    ax = None
    for i in range(12):
        ax = plot.roc(([0.2, 0.6, np.inf], [1, 1, 0], [0, 1, 1]), f"{i}", ax=ax)
    assert ax is not None
    styles = [(line.get_color(), line.get_linestyle()) for line in ax.lines[1:]]
    assert len(set(styles)) == 12
    assert all(a[1] != b[1] for a, b in pairwise(styles))  # not by the colour alone


@pytest.mark.parametrize("size", [(3.2, 2.8), (5.2, 4.2)])
@pytest.mark.parametrize("crowd", [CROWD, np.random.default_rng(1).normal(size=(120, 8))])
def test_no_line_to_a_name_crosses_another_name(crowd: Any, size: Any) -> None:
    names = [f"{word}{i}" for i in range(3) for word in WORDS][: len(crowd)]
    ax = plot.embedding(crowd, names, ax=narrow(size=size))
    ax.figure.draw_without_rendering()
    boxes = [Text.get_window_extent(t) for t in ax.texts]
    lines = 0
    for i, note in enumerate(ax.texts):
        if not note.arrow_patch.get_visible():
            continue
        lines += 1
        middle = (boxes[i].min + boxes[i].max) / 2
        way = np.linspace(ax.transData.transform(note.xy), middle, 200)
        for j, other in enumerate(boxes):
            assert j == i or not any(other.padded(-1).contains(x, y) for x, y in way)
    assert lines > 2
    for i, box in enumerate(boxes):  # names side by side have a gap between them
        for other in boxes[:i]:
            level = min(box.y1, other.y1) - max(box.y0, other.y0) > 1
            assert not level or max(box.x0, other.x0) - min(box.x1, other.x1) > 3
    plt.close(ax.figure)
