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
from tinynet.metrics import confusion_matrix, threshold_curve
from tinynet.ops.creation import ones, tensor
from tinynet.train import History


def test_learning_curves_show_the_history() -> None:
    history = History(
        {"loss": [3.0, 2.0, 1.0], "accuracy": [0.1, 0.5, 0.9], "val_loss": [3.0, 1.5, 2.0]}
    )
    panels = history.plot()
    assert [ax.get_title() for ax in panels] == ["loss", "accuracy"]
    lines = {line.get_label(): line for line in panels[0].lines}
    assert list(lines["training"].get_ydata()) == [3.0, 2.0, 1.0]
    assert list(lines["training"].get_xdata()) == [1, 2, 3]
    assert list(lines["validation"].get_ydata()) == [3.0, 1.5, 2.0]
    assert list(lines["best epoch (2)"].get_xdata()) == [2, 2]
    assert panels[0].get_xlabel() == "epoch"
    assert len(plot.learning_curves({"val_score": [1.0]})) == 1
    (ax,) = plot.learning_curves({"loss": [0.5]})  # one epoch: its number, and no fractions
    ax.figure.draw_without_rendering()
    low, high = ax.get_xlim()
    assert [t for t in ax.get_xticks() if low <= t <= high] == [1]
    (ax,) = plot.learning_curves({"loss": [1e4, 1.0, 1e-4]})
    assert ax.get_yscale() == "log"
    (ax,) = plot.learning_curves({"reward": [-1e4, 1.0, 1e4]})
    assert ax.get_yscale() == "linear"
    (ax,) = plot.learning_curves({"loss": [1.0, np.nan, np.nan]})  # all epochs have their place
    assert ax.get_xlim()[1] > 3
    for empty in ({}, History(), {"loss": []}):
        with pytest.raises(ArgumentError):
            plot.learning_curves(empty)


def test_confusion_matrix_writes_every_count() -> None:
    matrix = confusion_matrix([0, 1, 1, 2, 2], [0, 1, 2, 2, 2])
    ax = plot.confusion_matrix(matrix, labels=["ant", "bee", "cat"])
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
    assert plot.confusion_matrix(np.eye(2), ax=left) is left
    assert plot.tape(x * x, ax=right) is right
    assert left.figure is own
    assert "x" in [t.get_text() for t in right.texts]


@pytest.mark.parametrize(
    "W", [np.ones((3, 64)), np.ones((3, 8, 8)), np.ones((3, 1, 8, 8)), ones(3, 64)]
)
def test_weights_are_on_one_scale_with_white_at_zero(W: Any) -> None:
    shown = plot.weights(W, titles=["a", "b", "c"])
    assert [ax.get_title() for ax in shown] == ["a", "b", "c"]
    assert {ax.images[0].get_clim() for ax in shown} == {(-1.0, 1.0)}
    assert shown[0].images[0].get_array().shape == (8, 8)


def test_images_say_what_was_misread() -> None:
    images = np.arange(3 * 4).reshape(3, 2, 2)
    panels = plot.images(images, labels=tensor([5, 6, 7]), predictions=[5, 9, 7], columns=2)
    assert [ax.get_title() for ax in panels] == ["5", "6, read as 9", "7"]
    np.testing.assert_array_equal(panels[1].images[0].get_array(), images[1])
    assert panels[0].title.get_color() != panels[1].title.get_color()


def test_images_in_colour() -> None:
    rng = np.random.default_rng(0)
    within = rng.uniform(size=(2, 3, 4, 5))
    shown = plot.images(within)[1].images[0].get_array()
    np.testing.assert_allclose(shown, within[1].transpose(1, 2, 0))
    bytes_ = (within * 200).astype(np.uint8)
    shown = plot.images(tensor(bytes_))[0].images[0].get_array()
    np.testing.assert_allclose(shown, bytes_[0].transpose(1, 2, 0) / 255)
    normalised = (within - 0.5) / 0.25  # from −2 to 2: stretched, all images alike
    low, high = normalised.min(), normalised.max()
    shown = plot.images(normalised)[1].images[0].get_array()
    np.testing.assert_allclose(shown, (normalised[1].transpose(1, 2, 0) - low) / (high - low))
    grey = plot.images(within[:, :1])[0].images[0].get_array()
    np.testing.assert_array_equal(grey, within[0, 0])


def test_grids_have_a_title_with_the_pixels() -> None:
    for panels, title in (
        (plot.images(np.ones((2, 3, 4))), "Images, 3 × 4 pixels"),
        (plot.weights(np.ones((2, 6)), (2, 3)), "Weights, 2 × 3 pixels"),
        (plot.filters(np.ones((2, 1, 5, 5))), "Filters, 5 × 5 pixels"),
        (plot.feature_maps(np.ones((2, 7, 5))), "Feature maps, 7 × 5 pixels"),
    ):
        assert np.ravel(panels)[0].figure.get_suptitle() == title


def test_a_pixel_that_is_no_number_is_seen() -> None:
    image = np.array([[[0.0, np.nan], [1.0, 0.5]]])
    (ax,) = plot.images(image)
    assert np.ma.getmaskarray(ax.images[0].get_array()).tolist() == [[False, True], [False, False]]
    assert ax.get_facecolor()[:3] == pytest.approx((0xD5 / 255, 0x5E / 255, 0))


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
        lambda: plot.images(np.ones((2, 0, 8))),
        lambda: plot.filters(np.ones((2, 8, 8))),
        lambda: plot.filters(np.ones((0, 3, 8, 8))),
        lambda: plot.feature_maps(np.ones((2, 3, 8, 8))),
        lambda: plot.feature_maps(np.ones(8)),
    ],
)
def test_shapes_that_are_no_images(call: Any) -> None:
    with pytest.raises(ShapeError):
        call()


def test_filters_have_a_row_for_each_output_channel() -> None:
    W = np.arange(2.0 * 3 * 2 * 2).reshape(2, 3, 2, 2) - 20
    panels = plot.filters(tensor(W))
    assert panels.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(panels[i, j].images[0].get_array(), W[i, j])
        assert panels[i, j].images[0].get_clim() == (-20, 20)
    assert [ax.get_title() for ax in panels[0]] == ["in 0", "in 1", "in 2"]
    assert [ax.get_ylabel() for ax in panels[:, 0]] == ["out 0", "out 1"]


def test_feature_maps_share_one_scale() -> None:
    maps = np.arange(12.0).reshape(3, 2, 2)
    for given in (maps, maps[None]):
        panels = plot.feature_maps(given, columns=2)
        for ax, channel in zip(panels, maps, strict=True):
            np.testing.assert_array_equal(ax.images[0].get_array(), channel)
            assert ax.images[0].get_clim() == (0, 11)
    with pytest.raises(ArgumentError, match="columns"):
        plot.feature_maps(maps, columns=0)


# -- the tape --------------------------------------------------------------------------------------


def boxes(ax: Any) -> list[str]:
    """The text in each box, from the top of the picture, line by line."""
    from matplotlib.patches import FancyBboxPatch

    found = []
    for box in (p for p in ax.patches if isinstance(p, FancyBboxPatch)):
        x, y = box.get_x() + box.get_width() / 2, box.get_y()
        inside = [t for t in ax.texts if abs(t.get_position()[0] - x) < 1e-9]
        inside = [t for t in inside if y < t.get_position()[1] < y + box.get_height()]
        found.append((-y, [t.get_text() for t in inside]))
    return [" | ".join(lines) for _, lines in sorted(found)]


def test_a_box_tells_formula_number_and_gradient() -> None:
    x = tensor(2.0, requires_grad=True, name="x")
    assert boxes(plot.tape((x * 3.0 + x) ** 2)) == [
        "x | 2,  gradient 64",
        "v_1 = mul(x, 3) | $u \\cdot v$ | 6,  gradient 16",
        "v_2 = add(v_1, x) | $u + v$ | 8,  gradient 16",
        "L = power(v_2, exponent=2) | $u^{n}$ | 64,  gradient 1",
    ]
    W = ones(3, 2, requires_grad=True)
    z = W.sum(0)
    top, bottom = boxes(plot.tape(z, {"W": W, "z": z}))
    assert top == "W | (3, 2)"
    assert bottom.startswith("z = sum(W, axis=")
    assert bottom.endswith(" | (2,)")


def test_the_picture_has_a_box_for_every_step_and_an_arrow_for_every_use() -> None:
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    x = tensor(2.0, requires_grad=True, name="x")
    ax = plot.tape((x * x + x).exp() * x)
    drawn = [p for p in ax.patches if isinstance(p, FancyBboxPatch)]
    assert len(drawn) == 5
    assert sum(isinstance(p, FancyArrowPatch) for p in ax.patches) == 7
    places = [(p.get_x(), p.get_y()) for p in drawn]
    assert len(set(places)) == 5
    ends = [p.get_path().vertices for p in ax.patches if isinstance(p, FancyArrowPatch)]
    for points in ends:
        tip = points[points[:-1, 1].argmin()]  # the last one only closes the path
        assert any(touches(p, points[0], p.get_y()) for p in drawn)
        assert any(touches(p, tip, p.get_y() + p.get_height()) for p in drawn)


def touches(box: Any, point: Any, side: float) -> bool:
    """Whether the point lies on the upper or lower side of the box."""
    inside = box.get_x() <= point[0] <= box.get_x() + box.get_width()
    return inside and abs(point[1] - side) < 2


def test_a_narrow_tape_is_not_squeezed_by_its_legend() -> None:
    from matplotlib.patches import FancyBboxPatch

    x = tensor(1.0, requires_grad=True, name="x")
    y = x + x
    ax = plot.tape(y + y)
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    around = [p.get_window_extent() for p in ax.patches if isinstance(p, FancyBboxPatch)]
    for text in ax.texts:
        shown = text.get_window_extent()
        assert any(b.x0 < shown.x0 and shown.x1 < b.x1 for b in around), text.get_text()


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
    from tinynet.plot.graphs import can_draw

    drawn = [op.name for op in registry.values() if op.formula and can_draw(op.formula)]
    assert {"add", "mul", "exp", "sigmoid"} <= set(drawn)
    figure = Figure()
    for i, name in enumerate(drawn):
        figure.text(0, i / len(drawn), f"${registry[name].formula}$")
    figure.canvas.draw()


# -- matplotlib ------------------------------------------------------------------------------------


def test_matplotlib_is_imported_only_when_drawing_and_pyplot_never() -> None:
    code = (
        "import sys; from tinynet import plot; assert 'matplotlib' not in sys.modules;"
        "plot.weights([[1.0, 2.0, 3.0, 4.0]]); assert 'matplotlib.figure' in sys.modules;"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_where_pyplot_is_loaded_it_shows_the_picture() -> None:
    import matplotlib.pyplot as plt

    plt.close("all")
    ax = plot.confusion_matrix(np.eye(2))
    assert plt.gcf() is ax.figure
    plt.close("all")


def test_the_rates_of_a_threshold_are_drawn_where_it_lies() -> None:
    curve = threshold_curve([0.2, 0.4, 0.6, 0.8], [0, 1, 0, 1])
    ax = plot.thresholds(curve, chosen=0.5)
    drawn = [patch.get_data() for patch in ax.patches]
    for rates, stairs in zip(curve[1:], drawn, strict=True):
        np.testing.assert_allclose(stairs.values, 100 * rates)
        np.testing.assert_allclose(stairs.edges[1:-1], curve.thresholds[:-1])
    assert list(ax.lines[-1].get_xdata()) == [0.5, 0.5]
    assert len(plot.thresholds(([1.0, np.inf], [1, 0], [0, 1])).lines) == 2  # one score


def test_two_rocs_in_one_picture() -> None:
    scores, labels = np.array([0.2, 0.4, 0.6, 0.8]), np.array([0, 1, 0, 1])
    ax = plot.roc(threshold_curve(scores, labels), "rising")
    assert plot.roc(threshold_curve(-scores, labels), "falling", ax=ax) is ax
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["rising: area 0.7500", "falling: area 0.2500"]
    chance, first, second = ax.lines
    assert chance.get_linestyle() == ":"
    assert list(first.get_xdata()) == [0, 0, 50, 50, 100]
    assert list(first.get_ydata()) == [0, 50, 50, 100, 100]
    assert first.get_color() != second.get_color()


@pytest.mark.parametrize(
    "curve",
    [([0.1], [1], [0]), ([0.1, 0.2], [1, 0]), ([0.1, 0.2], [1, 0], [0]), np.ones((3, 2, 2))],
)
def test_what_is_no_threshold_curve(curve: Any) -> None:
    for draw in (plot.thresholds, plot.roc):
        with pytest.raises(ShapeError):
            draw(curve)
