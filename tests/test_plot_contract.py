"""What every call keeps: it returns its Axes, draws where it is told, takes tensors, arrays and
lists alike, changes nothing that is not its own, and refuses bad input in words.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from test_plot_legible import PICTURES

import tinynet as tn
from tinynet import plot
from tinynet.errors import ArgumentError, DTypeError, TinynetError

RNG = np.random.default_rng(0)
NAN = float("nan")


@pytest.mark.parametrize("name", PICTURES)
def test_it_returns_axes_and_leaves_everything_else_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("nobody asked to show it"))
    plt.close("all")
    before = dict(matplotlib.rcParams)
    panels = np.ravel(PICTURES[name]())
    assert all(isinstance(ax, Axes) for ax in panels)
    assert len({id(ax.figure) for ax in panels}) == 1
    assert len(plt.get_fignums()) == 1
    assert dict(matplotlib.rcParams) == before
    plt.close("all")


ARRAYS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "attention": (lambda w, t: plot.attention(w, t), (np.eye(3), np.arange(3))),
    "confusion_matrix": (plot.confusion_matrix, (np.eye(3) * 4, np.arange(3))),
    "decision_boundary": (
        lambda X, y: plot.decision_boundary(lambda x: x[:, 0], X, y),
        (RNG.normal(size=(6, 2)), np.array([0, 1, 0, 1, 1, 0])),
    ),
    "embedding": (plot.embedding, (RNG.normal(size=(6, 3)), np.array([0, 1, 0, 1, 1, 0]))),
    "feature_maps": (plot.feature_maps, (RNG.normal(size=(2, 3, 3)),)),
    "filters": (plot.filters, (RNG.normal(size=(2, 2, 3, 3)),)),
    "images": (plot.images, (RNG.normal(size=(2, 3, 3)), np.arange(2), np.arange(2)[::-1])),
    "learning_curves": (
        lambda a, b: plot.learning_curves({"loss": a, "val_loss": b}),
        (np.array([3.0, 2.0]), np.array([3.5, 2.5])),
    ),
    "roc": (lambda *c: plot.roc(c), (np.array([0.1, 0.5]), np.array([1.0, 0]), np.array([0, 1.0]))),
    "saliency": (lambda x: plot.saliency(lambda v: (v**2).sum(), x), (RNG.normal(size=(3, 3)),)),
    "similarity": (plot.similarity, (RNG.normal(size=(3, 3)), np.arange(3))),
    "thresholds": (
        lambda *c: plot.thresholds(c),
        (np.array([0.1, 0.5]), np.array([1.0, 0]), np.array([0, 1.0])),
    ),
    "weights": (plot.weights, (RNG.normal(size=(2, 9)),)),
}


def shown(panels: Any) -> list[Any]:
    """All numbers and words of a picture."""
    found: list[Any] = []
    for ax in np.ravel(panels):
        found += [np.asarray(image.get_array()).tolist() for image in ax.images]
        found += [line.get_xydata().tolist() for line in ax.lines]
        found += [np.asarray(points.get_offsets()).tolist() for points in ax.collections]
        found += [t.get_text() for t in (ax.title, *ax.texts, *ax.get_yticklabels())]
    plt.close("all")
    return found


@pytest.mark.parametrize("name", ARRAYS)
def test_tensors_arrays_and_lists_are_drawn_alike_and_not_changed(name: str) -> None:
    draw, given = ARRAYS[name]
    kept = copy.deepcopy(given)
    want = shown(draw(*given))
    for mine, before in zip(given, kept, strict=True):
        np.testing.assert_array_equal(mine, before)
    assert shown(draw(*(x.tolist() for x in given))) == want
    assert shown(draw(*map(tn.tensor, given))) == want
    frozen = [x.copy() for x in given]
    for x in frozen:
        x.setflags(write=False)
    assert shown(draw(*frozen)) == want


@pytest.mark.parametrize("dtype", ["float16", "float32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("name", ["attention", "confusion_matrix", "feature_maps", "images"])
def test_all_real_dtypes_are_drawn(name: str, dtype: str) -> None:
    draw, given = ARRAYS[name]
    ax = np.ravel(draw(np.abs(given[0]).astype(dtype), *given[1:]))[0]
    ax.figure.draw_without_rendering()
    plt.close("all")


@pytest.mark.parametrize("panels", [1, 2])
def test_axes_of_a_figure_with_others(panels: int) -> None:
    """The second panel is drawn into, and only that."""
    figure, axes = plt.subplots(1, panels, squeeze=False, layout="constrained", figsize=(8, 3.5))
    ax = axes[0, -1]
    assert plot.attention(np.eye(3), "abc", ax=ax) is ax
    assert ax.get_title() == "Attention"
    if panels == 2:
        assert not axes[0, 0].has_data()
    assert plt.get_fignums() == [figure.number]
    plt.close(figure)


def test_a_part_of_a_figure() -> None:
    """A SubFigure has axes, too."""
    figure = plt.figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subfigures(1, 2)
    plot.confusion_matrix(np.eye(3), ax=left.subplots())
    plot.embedding(RNG.normal(size=(5, 3)), "abcde", ax=right.subplots())
    figure.draw_without_rendering()
    plt.close(figure)


IDENTITY = lambda x, y: x + y  # noqa: E731
BATCH = tn.ones(1, 2), tn.ones(1, 1)
BAD: dict[str, Callable[[], Any]] = {
    "activation of no function": lambda: plot.activation("tanh"),  # type: ignore[arg-type]
    "activation backwards": lambda: plot.activation(tn.tanh, low=2, high=1),
    "activation up to nowhere": lambda: plot.activation(tn.tanh, high=NAN),
    "activation where it is not": lambda: plot.activation(tn.log, low=-3, high=-1),
    "attention below 0": lambda: plot.attention(-np.eye(2), "ab"),
    "attention of ragged rows": lambda: plot.attention([[1, 0], [1]], "ab"),
    "attention of words": lambda: plot.attention([["a", "b"]], "a"),
    "attention of nothing": lambda: plot.attention(None, "a"),
    "attention without tokens": lambda: plot.attention(np.eye(2), None),  # type: ignore[arg-type]
    "attention of complex numbers": lambda: plot.attention(1j * np.eye(2), "ab"),
    "boundary of no model": lambda: plot.decision_boundary(None, np.ones((2, 2)), [0, 1]),
    "boundary of no answer": lambda: plot.decision_boundary(
        lambda x: None, np.ones((2, 2)), [0, 1]
    ),
    "boundary of ragged classes": lambda: plot.decision_boundary(
        lambda x: x[:, 0], np.ones((2, 2)), [[0], [0, 1]]
    ),
    "confusion of words": lambda: plot.confusion_matrix("abc"),
    "confusion of infinity": lambda: plot.confusion_matrix([[np.inf, 1], [1, 1]]),
    "confusion of a number of labels": lambda: plot.confusion_matrix(np.eye(2), 2),  # type: ignore[arg-type]
    "differences at NaN": lambda: plot.finite_differences(tn.exp, NAN),
    "differences at two points": lambda: plot.finite_differences(tn.exp, [1.0, 2.0]),  # type: ignore[arg-type]
    "differences where it is not": lambda: plot.finite_differences(tn.log, -1.0),
    "embedding of infinity": lambda: plot.embedding([[np.inf, 1.0], [0, 0]]),
    "embedding of ragged rows": lambda: plot.embedding([[1, 2], [3]]),
    "embedding of labels": lambda: plot.embedding(np.eye(3), ["a", "b"]),
    "errors of no report": lambda: plot.gradient_errors(None),
    "too many filters": lambda: plot.filters(np.ones((64, 64, 3, 3))),
    "too many images": lambda: plot.images(np.ones((2000, 2, 2))),
    "histograms without bins": lambda: plot.histograms(
        tn.nn.Linear(2, 1), BATCH, tn.nn.MSELoss(), bins=0
    ),
    "histograms without loss": lambda: plot.histograms(tn.nn.Linear(2, 1), BATCH, None),  # type: ignore[arg-type]
    "histograms of no model": lambda: plot.histograms(3, BATCH, tn.nn.MSELoss()),
    "images with the channels last": lambda: plot.images(np.ones((2, 8, 8, 3))),
    "images in half a column": lambda: plot.images(np.ones((2, 3, 3)), columns=0.5),  # type: ignore[arg-type]
    "curves of nothing": lambda: plot.learning_curves(None),
    "curves of words": lambda: plot.learning_curves({"loss": ["a"]}),
    "curves of one number": lambda: plot.learning_curves({"loss": 1.0}),
    "landscape of nothing": lambda: plot.loss_landscape(None),  # type: ignore[arg-type]
    "landscape with a list": lambda: plot.loss_landscape(IDENTITY, [tn.optim.SGD]),  # type: ignore[arg-type]
    "landscape from 3 numbers": lambda: plot.loss_landscape(IDENTITY, start=(1, 2, 3)),  # type: ignore[arg-type]
    "landscape backwards": lambda: plot.loss_landscape(IDENTITY, xlim=(1, 0)),
    "landscape without steps": lambda: plot.loss_landscape(IDENTITY, steps=0),
    "landscape from outside": lambda: plot.loss_landscape(
        IDENTITY, {"SGD": lambda p: tn.optim.SGD(p, lr=0.1)}, start=(5, 5), xlim=(-1, 1)
    ),
    "rates of nothing": lambda: plot.learning_rates(None),
    "roc of nothing": lambda: plot.roc(None),
    "roc of NaN": lambda: plot.roc(([1, 2], [NAN, 0], [0, 1])),
    "roc of shares above 1": lambda: plot.roc(([1, 2], [50, 0], [0, 100])),
    "roof of nothing": lambda: plot.roofline(None),
    "saliency of no loss": lambda: plot.saliency(None, np.ones((2, 2))),  # type: ignore[arg-type]
    "saliency of NaN": lambda: plot.saliency(lambda x: x.sum(), np.full((2, 2), NAN)),
    "similarity without names": lambda: plot.similarity(np.eye(2), None),  # type: ignore[arg-type]
    "tape of a number": lambda: plot.tape(3),  # type: ignore[arg-type]
    "thresholds that fall": lambda: plot.thresholds(([2, 1], [1, 0], [0, 1])),
    "thresholds, NaN chosen": lambda: plot.thresholds(([1, 2], [1, 0], [0, 1]), NAN),
    "weights of a side": lambda: plot.weights(np.ones((2, 6)), shape=3),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_words_before_there_is_a_figure(name: str) -> None:
    plt.close("all")
    with pytest.raises(TinynetError) as caught:
        BAD[name]()
    assert str(caught.value).strip()
    assert not plt.get_fignums()


def test_errors_tell_what_came_and_what_to_do() -> None:
    with pytest.raises(ArgumentError, match=r"not negative\n.*got: -1\n.*try: softmax"):
        plot.attention(-np.eye(2), "ab")
    with pytest.raises(TinynetError, match=r"\(n, 3, h, w\)(.|\n)*got: \(2, 8, 8, 3\)(.|\n)*trans"):
        plot.images(np.ones((2, 8, 8, 3)))
    with pytest.raises(DTypeError, match="real numbers"):
        plot.filters("filters")
    with pytest.raises(ArgumentError, match=r"64 × 64 filters(.|\n)*W\[:16"):
        plot.filters(np.ones((64, 64, 3, 3)))


def test_without_matplotlib_a_picture_says_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import numpy as np, tinynet as tn\n"
        "from tinynet import plot\n"
        "x = tn.tensor(1.0, requires_grad=True)\n"
        "calls = [lambda: plot.weights(np.eye(4)), lambda: plot.tape(x * x),\n"
        "         lambda: plot.embedding(np.eye(3)), lambda: plot.saliency(tn.sum, np.eye(3)),\n"
        "         lambda: plot.activation(tn.tanh), lambda: plot.loss_landscape(lambda x, y: x),\n"
        "         lambda: plot.decision_boundary(lambda x: x[:, 0], np.eye(2), [0, 1])]\n"
        "for call in calls:\n"
        "    try: call()\n"
        "    except ImportError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["tinynet.plot needs matplotlib: pip install matplotlib"] * 7
