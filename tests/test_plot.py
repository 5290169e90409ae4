"""Pictures hold what they should: the numbers that are drawn are the numbers that were given."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from tinynet import plot
from tinynet.errors import ArgumentError, GraphError, ShapeError
from tinynet.metrics import confusion_matrix
from tinynet.ops.creation import ones, tensor
from tinynet.train import History


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for ax in figure.axes for t in ax.texts]


def test_learning_curves_show_the_history() -> None:
    history = History(
        {"loss": [3.0, 2.0, 1.0], "accuracy": [0.1, 0.5, 0.9], "val_loss": [3.0, 1.5, 2.0]}
    )
    figure = history.plot()
    assert [ax.get_title() for ax in figure.axes] == ["loss", "accuracy"]
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(lines["training"].get_ydata()) == [3.0, 2.0, 1.0]
    assert list(lines["training"].get_xdata()) == [1, 2, 3]
    assert list(lines["validation"].get_ydata()) == [3.0, 1.5, 2.0]
    assert list(lines["best epoch (2)"].get_xdata()) == [2, 2]
    assert figure.axes[0].get_xlabel() == "epoch"
    assert len(plot.learning_curves({"val_score": [1.0]}).axes) == 1
    for empty in ({}, History(), {"loss": []}):
        with pytest.raises(ArgumentError):
            plot.learning_curves(empty)


def test_confusion_matrix_writes_every_count() -> None:
    matrix = confusion_matrix([0, 1, 1, 2, 2], [0, 1, 2, 2, 2])
    figure = plot.confusion_matrix(matrix, labels=["ant", "bee", "cat"])
    ax = figure.axes[0]
    places = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in ax.texts}
    assert places == {(0, 0): "1", (1, 1): "1", (2, 2): "2", (2, 1): "1"}
    assert [t.get_text() for t in ax.get_yticklabels()] == ["ant", "bee", "cat"]
    assert "80.0 %" in ax.get_title()
    shares = np.asarray(ax.images[0].get_array())
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    for wrong in (np.ones((2, 3)), np.ones(3), np.ones((0, 0))):
        with pytest.raises(ShapeError):
            plot.confusion_matrix(wrong)
    with pytest.raises(ShapeError):
        plot.confusion_matrix(matrix, labels=["ant"])


def test_drawing_into_axes_of_ones_own() -> None:
    own = Figure()
    left, right = own.subplots(1, 2)
    x = tensor(2.0, requires_grad=True, name="x")
    assert plot.confusion_matrix(np.eye(2), ax=left) is own
    assert plot.tape(x * x, ax=right) is own
    assert "x" in [t.get_text() for t in right.texts]


@pytest.mark.parametrize(
    "W", [np.ones((3, 64)), np.ones((3, 8, 8)), np.ones((3, 1, 8, 8)), ones(3, 64)]
)
def test_weights_are_on_one_scale_with_white_at_zero(W: Any) -> None:
    figure = plot.weights(W, titles=["a", "b", "c"])
    shown = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in shown] == ["a", "b", "c"]
    assert {ax.images[0].get_clim() for ax in shown} == {(-1.0, 1.0)}
    assert shown[0].images[0].get_array().shape == (8, 8)


def test_images_say_what_was_misread() -> None:
    images = np.arange(3 * 4).reshape(3, 2, 2)
    figure = plot.images(images, labels=tensor([5, 6, 7]), predictions=[5, 9, 7], columns=2)
    assert [ax.get_title() for ax in figure.axes] == ["5", "6, read as 9", "7"]
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), images[1])
    assert figure.axes[0].title.get_color() != figure.axes[1].title.get_color()


@pytest.mark.parametrize(
    "call",
    [
        lambda: plot.weights(np.ones((2, 63))),
        lambda: plot.weights(np.ones((2, 64)), shape=(8, 9)),
        lambda: plot.weights(np.ones((2, 3, 8, 8))),
        lambda: plot.weights(np.ones((2, 64)), titles=["one"]),
        lambda: plot.images(np.ones((8, 8))),
        lambda: plot.images(np.ones((0, 8, 8))),
        lambda: plot.images(np.ones((2, 8, 8)), labels=[1]),
    ],
)
def test_shapes_that_are_no_images(call: Any) -> None:
    with pytest.raises(ShapeError):
        call()


# -- the tape --------------------------------------------------------------------------------------


def test_steps_tell_how_a_value_was_made() -> None:
    X = ones(2, 3, requires_grad=True)
    W = ones(3, 4, requires_grad=True)
    X.name, W.name = "X", "W"
    y = ((X @ W) * 2.0 + X.sum()).exp()
    found = plot.steps(y)
    assert [(s.label, s.kind, s.shape) for s in found] == [
        ("X", "leaf", (2, 3)),
        ("W", "leaf", (3, 4)),
        ("matmul", "op", (2, 4)),
        ("2", "constant", None),
        ("mul", "op", (2, 4)),
        ("sum", "op", ()),
        ("add", "op", (2, 4)),
        ("exp", "op", (2, 4)),
    ]
    for i, step in enumerate(found):
        assert all(below in found[:i] for below in step.inputs)
    assert [s.label for s in found[6].inputs] == ["mul", "sum"]
    assert found[0] in found[5].inputs  # X is one box, used twice


def test_the_picture_has_a_box_for_every_step_and_an_arrow_for_every_use() -> None:
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    x = tensor(2.0, requires_grad=True, name="x")
    figure = plot.tape((x * x + x).exp() * x)
    patches = figure.axes[0].patches
    boxes = [p for p in patches if isinstance(p, FancyBboxPatch)]
    assert len(boxes) == 5
    assert sum(isinstance(p, FancyArrowPatch) for p in patches) == 7
    places = [(p.get_x(), p.get_y()) for p in boxes]
    assert len(set(places)) == 5
    assert {"x", "mul", "add", "exp", "$u + v$", "$e^{u}$"} <= set(texts(figure))


def test_tapes_that_cannot_be_drawn() -> None:
    x = tensor(2.0, requires_grad=True)
    with pytest.raises(GraphError, match="nothing was recorded"):
        plot.tape(x)
    y = x * x
    y.backward()
    with pytest.raises(GraphError, match="freed"):
        plot.tape(y)
    y = x
    for _ in range(100):
        y = y * 2.0
    with pytest.raises(ArgumentError, match="too many"):
        plot.tape(y)


def test_every_op_has_a_formula_that_can_be_drawn_or_is_left_out() -> None:
    from tinynet.op import registry
    from tinynet.plot.graphs import _can_draw

    drawn = [op.name for op in registry.values() if op.formula and _can_draw(op.formula)]
    assert {"add", "mul", "exp", "sigmoid"} <= set(drawn)
    figure = Figure()
    for i, name in enumerate(drawn):
        figure.text(0, i / len(drawn), f"${registry[name].formula}$")
    figure.canvas.draw()


def test_matplotlib_is_imported_only_when_drawing_and_pyplot_never() -> None:
    code = (
        "import sys; from tinynet import plot; assert 'matplotlib' not in sys.modules;"
        "plot.weights([[1.0, 2.0, 3.0, 4.0]]); assert 'matplotlib.figure' in sys.modules;"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
