"""Pictures of functions: the derivatives, the errors and the paths that are drawn are right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import plot
from tinynet.check import check_backward, check_gradients
from tinynet.errors import ArgumentError, GraphError, ShapeError


def drawn(ax: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The lines of a picture, by label."""
    return {
        str(line.get_label()): (np.asarray(line.get_xdata()), np.asarray(line.get_ydata()))
        for line in ax.lines
    }


# -- functions and their derivatives ---------------------------------------------------------------


def test_a_function_and_its_derivative() -> None:
    lines = drawn(plot.activation(tn.sigmoid, low=-3, high=5))
    x, y = lines["y = sigmoid(x)"]
    np.testing.assert_array_equal(lines["dy/dx"][0], x)
    assert (x[0], x[-1]) == (-3, 5)
    s = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(y, s, rtol=1e-12)
    np.testing.assert_allclose(lines["dy/dx"][1], s * (1 - s), rtol=1e-12)


def test_layers_constants_and_functions_without_a_name() -> None:
    assert plot.activation(tn.nn.ReLU()).get_title() == "ReLU"
    lines = drawn(plot.activation(lambda x: x * 0 + 2))
    assert set(lines["y = f(x)"][1]) == {2.0}
    assert set(lines["dy/dx"][1]) == {0.0}
    assert set(drawn(plot.activation(lambda x: tn.ones_like(x)))["dy/dx"][1]) == {0.0}


def test_poles_do_not_flatten_a_picture() -> None:
    ax = plot.activation(lambda x: 1 / x)
    assert ax.get_ylim()[1] < 1000  # 1/x² is 10⁴ beside 0
    x, slope = drawn(plot.activation(tn.log))["dy/dx"]
    assert np.isnan(slope[x <= 0]).all()  # log is not defined there
    np.testing.assert_allclose(slope[x > 0], 1 / x[x > 0])
    low, high = plot.activation(tn.exp).get_ylim()
    assert low < 0 < math.exp(4) < high


def test_what_is_no_function_of_one_number() -> None:
    with pytest.raises(ArgumentError, match="mixes entries"):
        plot.activation(lambda x: tn.softmax(x, 0))
    with pytest.raises(ShapeError, match="one number for each x"):
        plot.activation(lambda x: x.sum())
    with pytest.raises(ShapeError, match="one number for each x"):
        plot.activation(lambda x: 3.0)  # type: ignore[arg-type, return-value]


# -- differences -----------------------------------------------------------------------------------


def test_the_error_of_differences() -> None:
    lines = drawn(plot.finite_differences(tn.exp, 1.0))
    h, forward = lines["forward"]
    _, central = lines["central"]
    e = math.e
    middle = (h > 1e-5) & (h < 1e-2)  # truncation rules: e h / 2 and e h² / 6
    np.testing.assert_allclose(forward[middle], e * h[middle] / 2, rtol=0.02)
    coarse = (h > 1e-3) & (h < 1e-1)
    np.testing.assert_allclose(central[coarse], e * h[coarse] ** 2 / 6, rtol=0.02)
    tiny = h < 1e-12  # rounding rules, of values that may be off by a last digit
    assert (forward[tiny] <= 2 * np.finfo(float).eps * e / h[tiny]).all()
    assert forward[tiny].max() > 1e-4


@pytest.mark.parametrize(("f", "x"), [(tn.exp, 1.0), (tn.sin, 0.5), (tn.log, 3.0)])
def test_both_sides_of_the_v_have_their_slopes(f: Any, x: float) -> None:
    """Truncation rises with h and h², rounding falls with 1/h."""
    lines = drawn(plot.finite_differences(f, x))
    for name, order, window in (("forward", 1, (1e-5, 1e-2)), ("central", 2, (1e-3, 1e-1))):
        h, error = lines[name]
        rising = (h > window[0]) & (h < window[1])
        assert np.polyfit(np.log(h[rising]), np.log(error[rising]), 1)[0] == pytest.approx(
            order, abs=0.05
        )
        falling = (h < 1e-10) & (error > 0)
        slope = np.polyfit(np.log(h[falling]), np.log(error[falling]), 1)[0]
        assert slope == pytest.approx(-1, abs=0.2)
        assert error[rising].min() < error[falling].max()
    least = {name: error[error > 0].min() for name, (_, error) in lines.items() if name[0] in "fc"}
    assert least["central"] < least["forward"]


def test_the_best_step_is_where_the_bound_is_least() -> None:
    ax = plot.finite_differences(tn.exp, 1.0)
    stars = [line for line in ax.lines if line.get_marker() == "*"]
    bounds = [line for line in ax.lines if line.get_linestyle() == "--"]
    eps = 2.0**-52
    for star, bound, best in zip(
        stars, bounds, (math.sqrt(2 * eps), (1.5 * eps) ** (1 / 3)), strict=True
    ):
        assert star.get_xdata()[0] == pytest.approx(best, rel=1e-12)
        h, values = np.asarray(bound.get_xdata()), np.asarray(bound.get_ydata())
        assert abs(math.log(h[values.argmin()] / best)) < math.log(1.13)  # a step of the grid
        assert star.get_ydata()[0] == pytest.approx(values.min(), rel=0.02)


def test_where_nothing_bends_no_step_is_best() -> None:
    ax = plot.finite_differences(lambda x: 3 * x**2, 2.0)  # f''' = 0
    assert sum(line.get_marker() == "*" for line in ax.lines) == 1
    ax = plot.finite_differences(lambda x: 3 * x, 2.0)
    assert not any(line.get_marker() == "*" for line in ax.lines)


# -- a loss and the ways down ----------------------------------------------------------------------


def bowl(x: Any, y: Any) -> Any:
    return x**2 + 3 * y**2


def test_the_path_of_gradient_descent() -> None:
    ax = plot.loss_landscape(
        bowl,
        {"SGD": lambda p: tn.optim.SGD(p, lr=0.1), "L-BFGS": lambda p: tn.optim.LBFGS(p)},
        start=(1.0, -2.0),
        steps=4,
    )
    x, y = drawn(ax)["SGD"]
    np.testing.assert_allclose(x, 0.8 ** np.arange(5), rtol=1e-12)
    np.testing.assert_allclose(y, -2 * 0.4 ** np.arange(5), rtol=1e-12)
    assert abs(drawn(ax)["L-BFGS"][0][-1]) < 1e-4  # it evaluates the loss several times in a step
    assert drawn(ax)["start"] == (np.array([1.0]), np.array([-2.0]))


def test_the_levels_are_those_of_the_loss() -> None:
    ax = plot.loss_landscape(lambda x, y: bowl(x, y) + 5, xlim=(-1, 3), ylim=(-2, 2))
    lines = ax.collections[1]
    seen = 0
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        x, y = path.vertices.T
        if len(x) and level > 0.1:
            np.testing.assert_allclose(x**2 + 3 * y**2, level, rtol=0.02)
            seen += 1
    assert seen > 4
    assert ax.get_xlim() == (-1, 3)
    assert ax.get_ylim() == (-2, 2)
    assert not ax.lines


def test_a_path_may_diverge() -> None:
    wild = {"SGD": lambda p: tn.optim.SGD(p, lr=1e80)}
    lines = drawn(plot.loss_landscape(bowl, wild, start=(1.0, 1.0), steps=50))
    assert len(lines["SGD (leaves at step 1)"][0]) == 2


def test_paths_lie_on_the_drawn_area() -> None:
    """The window grows with them; where it is given, or they lead too far, the legend tells."""
    step = {"SGD": lambda p: tn.optim.SGD(p, lr=0.1)}
    over = {"SGD": lambda p: tn.optim.SGD(p, lr=0.3)}  # y ← −0.8 y
    ax = plot.loss_landscape(bowl, over, start=(-7.0, 4.0), steps=20)
    x, y = drawn(ax)["SGD"]
    for values, (low, high) in ((x, ax.get_xlim()), (y, ax.get_ylim())):
        assert low < values.min()
        assert values.max() < high
    ground = ax.collections[0].get_paths()
    corners = np.concatenate([p.vertices for p in ground if len(p.vertices)])
    np.testing.assert_allclose(corners.min(axis=0), (ax.get_xlim()[0], ax.get_ylim()[0]))
    np.testing.assert_allclose(corners.max(axis=0), (ax.get_xlim()[1], ax.get_ylim()[1]))
    far = {"SGD": lambda p: tn.optim.SGD(p, lr=0.4)}  # y ← −1.4 y
    lines = drawn(plot.loss_landscape(bowl, far, start=(1.0, 1.0), steps=30))
    assert "SGD (leaves at step 3)" in lines  # 1.4² < 2 < 1.4³
    ax = plot.loss_landscape(bowl, step, start=(1.0, 1.0), steps=20, xlim=(-1, 2), ylim=(0.5, 3))
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 2), (0.5, 3))
    assert "SGD (leaves at step 1)" in drawn(ax)


def test_paths_differ_in_colour_and_marker() -> None:
    many = {str(i): lambda p: tn.optim.SGD(p, lr=0.1) for i in range(6)}
    lines = plot.loss_landscape(bowl, many, start=(1.0, 1.0), steps=2).lines
    paths = [line for line in lines if line.get_label() in many]
    assert len({line.get_color() for line in paths}) == 6
    assert len({line.get_marker() for line in paths}) == 6


def test_a_path_ends_where_the_loss_does() -> None:
    log = {"SGD": lambda p: tn.optim.SGD(p, lr=0.3)}
    lines = drawn(plot.loss_landscape(lambda x, y: tn.log(x) + y**2, log, start=(1.0, 1.0)))
    (name,) = (label for label in lines if "not finite after step" in label)
    x, _ = lines[name]
    assert (x > 0).all()
    assert name.endswith(f"step {len(x) - 1})")
    assert x[-1] - 0.3 / x[-1] <= 0  # the step that is not drawn


def test_losses_that_cannot_be_drawn() -> None:
    with pytest.raises(ShapeError, match="one number for each"):
        plot.loss_landscape(lambda x, y: (x + y).sum())
    with pytest.raises(ArgumentError, match="not finite"):
        plot.loss_landscape(lambda x, y: x * math.nan)
    with pytest.raises(ArgumentError, match="too many paths"):
        plot.loss_landscape(bowl, {str(i): lambda p: tn.optim.SGD(p, lr=0.1) for i in range(7)})
    ready = tn.optim.SGD([tn.zeros(1, requires_grad=True)], lr=0.1)
    with pytest.raises(ArgumentError, match="for the parameters of this picture"):
        plot.loss_landscape(bowl, {"SGD": ready})  # type: ignore[dict-item]


# -- gradients -------------------------------------------------------------------------------------


def test_where_a_gradient_is_wrong() -> None:
    def backward(g: Any, X: Any, w: Any) -> tuple[Any, Any]:
        dX = g[:, None] * w
        dX[1, 2] += 0.5
        return dX, g @ X

    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(3, 4)), rng.normal(size=4)
    report = check_backward(lambda X, w: X @ w, backward, X, w)
    panels = plot.gradient_errors(report)
    assert [[ax.get_title() for ax in row] for row in panels] == [
        ["X: analytic", "X: numeric", "X: error"],
        ["w: analytic", "w: numeric", "w: error"],
    ]
    claim, true, error = (np.asarray(ax.images[0].get_array()) for ax in panels[0])
    expected = np.zeros((3, 4))
    expected[1, 2] = 0.5
    np.testing.assert_allclose(error, expected, atol=1e-6)
    np.testing.assert_allclose(claim - true, expected, atol=1e-6)
    assert panels[0, 2].images[0].get_clim() == pytest.approx((-0.5, 0.5))
    # w is right: its scale does not blow up rounding.
    right = np.abs(np.asarray(panels[1, 0].images[0].get_array())).max()
    assert panels[1, 2].images[0].get_clim()[1] == pytest.approx(1e-3 * right)
    assert [ax.get_title() for ax in report.plot()[0]] == [ax.get_title() for ax in panels[0]]


def test_a_report_without_numbers_is_not_drawn() -> None:
    report = check_backward(np.sin, lambda g, x: g[:1], np.ones(3))
    assert not report.ok
    with pytest.raises(ArgumentError, match="no gradient to draw"):
        report.plot()
    assert check_gradients(tn.sin, np.ones((2, 2, 3))).plot()[0, 0].images[0].get_array().shape == (
        4,
        3,
    )


def test_similarity_is_the_cosines() -> None:
    X = np.array([[2.0, 0.0], [0.0, 0.5], [-3.0, 3.0]])
    ax = plot.similarity(X, ["a", "b", "c"])
    right = np.array([[1, 0, -0.71], [0, 1, 0.71], [-0.71, 0.71, 1]])
    np.testing.assert_allclose(ax.images[0].get_array(), right)
    assert [t.get_text() for t in ax.texts][:3] == ["1.0", ".00", "-.71"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b", "c"]
    ax = plot.similarity(X, ["a sentence, long", "b", "c"])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "2", "3"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["1. a sentence, long", "2. b", "3. c"]
    with pytest.raises(ShapeError, match="2 names"):
        plot.similarity(X, ["a", "b"])
    with pytest.raises(ArgumentError, match="zeros"):
        plot.similarity([[0.0, 0.0]], ["nothing"])


def test_saliency_is_the_size_of_the_gradient() -> None:
    rng = np.random.default_rng(0)
    image, W = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
    ax = plot.saliency(lambda x: (x * W).sum(), image)
    np.testing.assert_allclose(ax.images[0].get_array(), image.mean(axis=0))
    np.testing.assert_allclose(ax.images[1].get_array(), np.abs(W).max(axis=0))
    ax = plot.saliency(lambda x: (x * W[0]).sum(), tn.tensor(image[0]))
    np.testing.assert_allclose(ax.images[0].get_array(), image[0])
    np.testing.assert_allclose(ax.images[1].get_array(), np.abs(W[0]))
    pixels = plot.saliency(lambda x: x[0, 0] * 2.0, np.eye(2, dtype=np.int64)).images[1].get_array()
    assert pixels.tolist() == [[2.0, 0.0], [0.0, 0.0]]


def test_images_and_losses_without_saliency() -> None:
    with pytest.raises(ShapeError, match="an image is"):
        plot.saliency(lambda x: x.sum(), np.ones(4))
    with pytest.raises(ShapeError, match="one number"):
        plot.saliency(lambda x: x * 2, np.ones((2, 2)))
    for constant in (lambda x: tn.ones(1), lambda x: x.detach().sum()):
        with pytest.raises(GraphError, match="does not depend"):
            plot.saliency(constant, np.ones((2, 2)))
