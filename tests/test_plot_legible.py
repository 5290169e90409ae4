"""Every picture can be read on light and on dark pages: contrast, and no text over text."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

import tinynet as tn
from tinynet import plot
from tinynet.bench.roofline import Point, Roof
from tinynet.check import check_backward
from tinynet.errors import ArgumentError
from tinynet.metrics import threshold_curve
from tinynet.plot.style import LINES, OKABE_ITO, ink_on, luminance, point_style
from tinynet.train import LearningRates

RNG = np.random.default_rng(0)
PLANE = RNG.normal(size=(30, 2))
NET = tn.nn.Sequential(tn.nn.Linear(2, 3), tn.nn.Sigmoid(), tn.nn.Linear(3, 3))
STEPS = {
    "SGD": lambda p: tn.optim.SGD(p, lr=0.05),
    "momentum": lambda p: tn.optim.SGD(p, lr=0.05, momentum=0.9),
    "Adam": lambda p: tn.optim.Adam(p, lr=0.1),
}


def neuron() -> Any:
    w, b = (tn.tensor(v, requires_grad=True, name=n) for n, v in (("w", -1.5), ("b", 0.5)))
    return (tn.sigmoid(2.0 * w + b) - 1.0) ** 2


def report() -> Any:
    wrong = lambda g, X, w: (2 * g[:, None] * w, g @ X)  # noqa: E731
    return check_backward(lambda X, w: X @ w, wrong, RNG.normal(size=(3, 4)), RNG.normal(size=4))


ROOF = Roof(179e9, 113e9, 30e9, 2, [Point("naive", 2e9, 3e8, 1.5), Point("matmul", 2e9, 3e7, 0.02)])

CURVE = threshold_curve(RNG.uniform(size=40), np.arange(40) % 2)

PICTURES: dict[str, Callable[[], Any]] = {
    "activation": lambda: plot.activation(tn.tanh),
    "attention": lambda: plot.attention(np.eye(5) / 2 + 0.1, ["the", "cat", "sat", "on", "mats"]),
    "confusion_matrix": lambda: plot.confusion_matrix(
        [[8, 2, 0], [1, 9, 0], [3, 3, 5]], ["antelope", "bee", "cat"]
    ),
    "decision_boundary": lambda: plot.decision_boundary(NET, PLANE, np.arange(30) % 3),
    "embedding": lambda: plot.embedding(RNG.normal(size=(30, 4)), np.arange(30) % 10),
    "feature_maps": lambda: plot.feature_maps(RNG.normal(size=(12, 6, 6))),
    "filters": lambda: plot.filters(RNG.normal(size=(4, 3, 3, 3))),
    "finite_differences": lambda: plot.finite_differences(tn.exp, 1.0),
    "gradient_errors": lambda: plot.gradient_errors(report()),
    "histograms": lambda: plot.histograms(NET, (tn.randn(32, 2), tn.randn(32, 3)), tn.nn.MSELoss()),
    "images": lambda: plot.images(RNG.uniform(size=(12, 6, 6)), range(12), [5] * 12),
    "learning_curves": lambda: plot.learning_curves(
        {"loss": [2.0, 1.0, 0.5], "val_loss": [2.0, 1.5, 1.6], "accuracy": [0.2, 0.5, 0.8]}
    ),
    "learning_rates": lambda: plot.learning_rates(
        LearningRates([0.1, 1.0, 10.0], [3.0, 1.0, 4.0], [3.0, 2.0, 3.0], 1.0)
    ),
    "loss_landscape": lambda: plot.loss_landscape(
        lambda x, y: x**2 + 4 * y**2, STEPS, start=(-1.5, 1.5), steps=20
    ),
    "roc": lambda: plot.roc(CURVE, "noise"),
    "roofline": lambda: plot.roofline(ROOF),
    "saliency": lambda: plot.saliency(lambda x: (x**2).sum(), RNG.normal(size=(5, 5))),
    "tape": lambda: plot.tape(neuron()),
    "similarity": lambda: plot.similarity(
        np.random.default_rng(0).normal(size=(5, 3)),
        ["A cat sits on the mat.", "The kitten lies on a rug.", "Stocks fell.", "Rain", "Snow"],
    ),
    "thresholds": lambda: plot.thresholds(CURVE, chosen=0.5),
    "weights": lambda: plot.weights(RNG.normal(size=(12, 16)), titles=[f"{i}" for i in range(12)]),
}


COLOURED = {"attention", "confusion_matrix", "feature_maps", "filters", "gradient_errors"}
COLOURED |= {"loss_landscape", "saliency", "similarity", "weights"}


def contrast(a: Any, b: Any) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def visible(figure: Any) -> list[Any]:
    """The texts that are drawn: not empty, and no tick outside of its axis."""
    hidden = set()
    for ax in figure.findobj(Axes):
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low <= tick.get_loc() <= high or not ax.axison:
                    hidden |= {tick.label1, tick.label2}
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    return [t for t in texts if t not in hidden]


def collisions(figure: Any) -> list[tuple[str, str]]:
    """Texts that lie over each other; of slanted ones the boxes say nothing."""
    found = [(t, Text.get_window_extent(t)) for t in visible(figure)]  # without a line to it
    slanted = [t for t, _ in found if t.get_rotation() % 90]
    return [
        (a.get_text(), b.get_text())
        for (a, box), (b, other) in itertools.combinations(found, 2)
        if min(box.x1, other.x1) - max(box.x0, other.x0) > 0.5
        and min(box.y1, other.y1) - max(box.y0, other.y0) > 0.5
        and not (a in slanted and b in slanted)
    ]


def cut_off(figure: Any) -> list[str]:
    """Texts that reach over the edge of the figure."""
    page = figure.bbox.padded(1)
    boxes = {t.get_text(): Text.get_window_extent(t) for t in visible(figure)}
    return [
        name
        for name, box in boxes.items()
        if not page.contains(*box.min) or not page.contains(*box.max)
    ]


def test_every_function_has_a_picture_here() -> None:
    assert set(PICTURES) == set(plot.__all__) - {"OKABE_ITO"}


def labelled(name: str, panels: Any) -> None:
    """It has a title, axis labels, and a label at its colours. Grids of images are labelled image
    by image.
    """
    if name not in ("images", "weights", "filters"):
        assert all(ax.get_title() for ax in panels[0])
    if name == "histograms":
        assert all(ax.get_ylabel() for ax in panels[:, 0])
        assert all("entries" in ax.get_xlabel() for ax in panels[-1])
    elif name == "gradient_errors":
        assert all(ax.get_xlabel() for ax in panels.ravel())
        assert panels[0, 0].get_ylabel() == "axis 0"
    elif name not in ("tape", "feature_maps", "images", "weights", "filters"):
        for ax in panels.ravel():
            assert ax.get_xlabel()
            assert ax.get_ylabel()
    bars = [ax for ax in panels.ravel()[0].figure.findobj(Axes) if hasattr(ax, "_colorbar")]
    assert bool(bars) == (name in COLOURED)
    assert all(bar.get_ylabel() for bar in bars)


@pytest.mark.parametrize("style", ["default", "dark_background"])
@pytest.mark.parametrize("name", PICTURES)
def test_it_can_be_read(name: str, style: str) -> None:
    import matplotlib.pyplot as plt

    with plt.style.context(style):
        panels = np.atleast_2d(PICTURES[name]())
        labelled(name, panels)
        panels = panels.ravel()
        figure = panels[0].figure
        figure.canvas.draw()
        page = figure.get_facecolor()
        on_paint = {t for ax in figure.axes for t in ax.texts if name != "embedding"}
        texts = visible(figure)
        for text in texts:
            assert text in on_paint or contrast(text.get_color(), page) >= 3, text
        if name != "loss_landscape":  # whose paths have a border
            for line in (line for ax in panels for line in ax.lines):
                assert contrast(line.get_color(), page) >= 3, line
        assert not collisions(figure)
        assert not cut_off(figure)
        plt.close(figure)


def test_paths_have_a_white_border() -> None:
    lines = PICTURES["loss_landscape"]().lines
    for name, colour in zip(STEPS, LINES, strict=False):
        (path,) = (line for line in lines if line.get_label() == name)
        assert path.get_color() == colour
        borders = [
            line for line in lines if line.get_color() == "white" and len(line.get_xdata()) > 1
        ]
        (border,) = (b for b in borders if np.array_equal(b.get_xydata(), path.get_xydata()))
        assert border.get_linewidth() > path.get_linewidth()
        assert border.get_zorder() < min(line.get_zorder() for line in lines if line not in borders)


def test_text_in_a_cell_is_read_on_its_colour() -> None:
    ax = plot.confusion_matrix([[9, 1, 0], [5, 5, 0], [2, 4, 4]])
    for text in ax.texts:
        j, i = (int(v) for v in text.get_position())
        cell = ax.images[0].to_rgba(ax.images[0].get_array()[i, j])
        assert contrast(text.get_color(), cell) >= 4.5


def test_text_in_a_box_is_read_on_its_colour() -> None:
    from tinynet.explanation.drawing import COLOURS

    assert {t.get_color() for t in plot.tape(neuron()).texts} == {"black"}
    assert min(contrast("black", fill) for fill, _ in COLOURS.values()) > 10


def test_colours() -> None:
    assert all(contrast(c, page) >= 3 for c in LINES for page in ("white", "black"))
    assert luminance("white") == pytest.approx(1)
    assert luminance("#808080") == pytest.approx(0.2159, abs=1e-4)
    for colour in OKABE_ITO.values():
        best = max(contrast(colour, ink) for ink in ("black", "white"))
        assert contrast(colour, ink_on(colour)) == best
    styles = {(point_style(i)["color"], point_style(i)["marker"]) for i in range(70)}
    assert len(styles) == 70


LONG = ["a" * 40, "internationalisation_of_everything", "b"]
AWKWARD: dict[str, Callable[[], Any]] = {
    "attention": lambda: plot.attention(np.eye(3), LONG),
    "confusion_matrix": lambda: plot.confusion_matrix(np.eye(3), LONG),
    "similarity": lambda: plot.similarity(np.eye(3) + 1, LONG),
    "images": lambda: plot.images(np.zeros((3, 4, 4)), LONG, LONG[::-1]),
    "weights": lambda: plot.weights(np.eye(4)[:3], titles=LONG),
    "embedding": lambda: plot.embedding(np.ones((3, 4)), [*LONG[1:], "c"]),
    "embedding of 30 classes": lambda: plot.embedding(PLANE, np.arange(30) // 2),
    "decision_boundary of 30 classes": lambda: plot.decision_boundary(
        tn.nn.Linear(2, 30), PLANE.astype(np.float32), np.arange(30)
    ),
    "learning_curves": lambda: plot.learning_curves(
        {name: [1.0, np.nan, 0.5] for name in ("loss", "accuracy", "f1", "a_metric_of_mine")}
    ),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_it_can_be_read_with_long_names_and_many_classes(name: str) -> None:
    figure = np.ravel(AWKWARD[name]())[0].figure
    figure.draw_without_rendering()  # a layout that does not fit warns, and warnings are errors
    assert not collisions(figure)


NAN = np.full((3, 4), np.nan)
REFUSED: dict[str, Callable[[], Any]] = {
    "confusion_matrix": lambda: plot.confusion_matrix(NAN[:, :3]),
    "confusion_matrix of less than nothing": lambda: plot.confusion_matrix([[-1, 1], [1, 1]]),
    "embedding": lambda: plot.embedding(NAN),
    "decision_boundary": lambda: plot.decision_boundary(NET, NAN[:, :2], [0, 1, 2]),
    "decision_boundary of no scores": lambda: plot.decision_boundary(
        lambda x: x * np.nan, PLANE, np.arange(30) % 2
    ),
    "similarity": lambda: plot.similarity(NAN, "abc"),
    "saliency": lambda: plot.saliency(lambda x: (x * np.nan).sum(), np.ones((3, 4))),
    "gradient_errors": lambda: plot.gradient_errors(3),
    "finite_differences": lambda: plot.finite_differences(lambda x: x * 0, 1.0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_drawn(name: str) -> None:
    with pytest.raises(ArgumentError, match=r"finite|negative|report"):
        REFUSED[name]()


def test_what_is_not_finite_is_seen() -> None:
    ax = plot.attention([[np.nan, 0.4], [0.5, 0.5]], ["a", "b"])
    assert ax.images[0].norm.vmax == 0.5
    (ax,) = plot.learning_curves({"loss": [1.0, np.nan, np.inf]})
    assert ax.lines[0].get_label() == "training (2 not finite)"
    batch = tn.tensor([[np.nan, 1.0]]), tn.ones(1, 1)
    ax = plot.histograms(tn.nn.Linear(2, 1), batch, tn.nn.MSELoss())[0, 0]
    assert ax.texts[0].get_text() == "1 not finite"
    assert ax.get_ylabel() == "Linear"
    plot.activation(tn.log)
    plot.finite_differences(tn.exp, 700.0)


def test_equal_maps_have_one_colour() -> None:
    panels = plot.feature_maps(np.ones((3, 4, 4)))
    colours = {tuple(ax.images[0].to_rgba(ax.images[0].get_array()[0, 0])) for ax in panels}
    assert len(colours) == 1


def test_one_class_of_two() -> None:
    ax = plot.decision_boundary(lambda x: x[:, 0], PLANE, np.ones(30, int))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0", "1"]
