"""Pictures of what networks do: classes, places, weights and distributions are theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgba

import tinynet as tn
from tinynet import plot
from tinynet.errors import ArgumentError, OutOfRangeError, ShapeError
from tinynet.plot.style import point_style

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 2))
Y = RNG.integers(0, 3, 30)


def lines_of_three(x: Any) -> Any:
    """Scores of three classes: x, y, and 0."""
    return tn.stack([x[:, 0], x[:, 1], x[:, 0] * 0], 1)


def class_at(ax: Any, point: tuple[float, float]) -> list[int]:
    """The classes whose regions hold the point."""
    fills = [c for c in ax.collections if getattr(c, "filled", False)]
    found = []
    for fill in fills:
        colour = tuple(fill.get_facecolor()[0][:3])
        if any(path.contains_point(point) for path in fill.get_paths()):
            found += [c for c in range(4) if to_rgba(point_style(c)["color"])[:3] == colour]
    return found


# -- the decision boundary -------------------------------------------------------------------------


def test_regions_are_those_of_the_largest_score() -> None:
    ax = plot.decision_boundary(lines_of_three, X, Y)
    for point in ((1.0, 0.5), (0.5, 1.0), (-0.5, -1.0), (-1.0, 0.3), (0.3, -1.0)):
        scores = (*point, 0.0)
        assert class_at(ax, point) == [int(np.argmax(scores))], point
    places = {s.get_label(): np.asarray(s.get_offsets()) for s in ax.collections if s.get_label()}
    for c in range(3):
        np.testing.assert_allclose(places[str(c)], X[np.equal(Y, c)])


@pytest.mark.parametrize("shape", ["(n,)", "(n, 1)"])
def test_one_score_parts_the_plane_at_zero(shape: str) -> None:
    column = (lambda x: x[:, 1] - 0.25) if shape == "(n,)" else (lambda x: x[:, 1:] - 0.25)
    ax = plot.decision_boundary(column, tn.tensor(X), np.where(Y > 0, 1, -1))
    assert class_at(ax, (0.0, 0.3)) == [1]
    assert class_at(ax, (0.0, 0.2)) == [0]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["-1", "1"]
    borders = [c for c in ax.collections if not getattr(c, "filled", True)]
    for border in borders:
        for path in border.get_paths():
            np.testing.assert_allclose(path.vertices[:, 1], 0.25, atol=1e-9)


def test_a_model_is_asked_without_dropout_and_left_as_it_was() -> None:
    model = tn.nn.Sequential(tn.nn.Linear(2, 4), tn.nn.Dropout(0.5), tn.nn.Linear(4, 3))
    model[2].eval()
    before = [m.training for m in model.modules()]
    seen: list[tuple[bool, Any]] = []
    model[1].register_forward_hook(lambda m, args, y: seen.append((m.training, y.dtype)))
    plot.decision_boundary(model, X, Y)  # the points are float64, the model is float32
    assert seen == [(False, tn.float32)]
    assert [m.training for m in model.modules()] == before
    assert all(p.grad is None for p in model.parameters())


def test_points_on_a_line_and_integers() -> None:
    ax = plot.decision_boundary(lines_of_three, np.array([[0, 1], [3, 1]]), [0, 2])
    assert class_at(ax, (3.0, 1.0)) == [0]


@pytest.mark.parametrize(
    ("model", "points", "classes", "error"),
    [
        (lines_of_three, np.ones((4, 3)), np.zeros(4), ShapeError),
        (lines_of_three, np.ones((0, 2)), np.zeros(0), ShapeError),
        (lines_of_three, np.ones((4, 2)), np.zeros(3), ShapeError),
        (lines_of_three, np.ones((4, 2)), np.array([0, 1, 2, 3]), OutOfRangeError),
        (lambda x: x[:, 0], np.ones((4, 2)), np.array([0, 1, 2, 0]), OutOfRangeError),
        (lambda x: x[:7], np.ones((4, 2)), np.zeros(4), ShapeError),
        (lambda x: x.sum(), np.ones((4, 2)), np.zeros(4), ShapeError),
    ],
)
def test_what_has_no_boundary(model: Any, points: Any, classes: Any, error: Any) -> None:
    with pytest.raises(error):
        plot.decision_boundary(model, points, classes)


# -- embeddings ------------------------------------------------------------------------------------


def test_an_embedding_keeps_the_most_of_the_variance() -> None:
    vectors = RNG.normal(size=(20, 5)) * (1, 3, 0.2, 2, 0.1) + 7
    ax = plot.embedding(tn.tensor(vectors))
    places = np.asarray(ax.collections[0].get_offsets())
    values, axes = np.linalg.eigh(np.cov(vectors.T))
    centred = vectors - vectors.mean(axis=0)
    for k in range(2):  # the same up to a sign, which is chosen
        direction = axes[:, -1 - k]
        direction = direction * np.sign(direction[np.abs(direction).argmax()])
        np.testing.assert_allclose(places[:, k], centred @ direction, atol=1e-9)
    share = 100 * values[-1] / values.sum()
    assert ax.get_xlabel() == f"component 1 ({share:.0f} % of the variance)"
    share = 100 * values[-2] / values.sum()
    assert ax.get_ylabel() == f"component 2 ({share:.0f} % of the variance)"


def test_the_sign_of_a_component_does_not_depend_on_rounding() -> None:
    """Entries of one size, of both signs: the first of them is positive."""
    base = np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.1, 0.1, 0.3], [-0.1, -0.1, -0.3]])
    first = np.asarray(plot.embedding(base).collections[0].get_offsets())
    assert first[0, 0] > 0
    for _ in range(20):
        noise = base * (1 + 1e-13 * RNG.normal(size=base.shape))
        places = np.asarray(plot.embedding(noise).collections[0].get_offsets())
        np.testing.assert_allclose(places, first, atol=1e-9)


def test_vectors_on_a_line_have_one_component() -> None:
    line = np.outer(np.arange(5.0), [3.0, 4.0, 0.0]) + 1e3
    ax = plot.embedding(line)
    places = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_allclose(places[:, 0], 5 * np.arange(-2, 3), atol=1e-9)
    assert (places[:, 1] == 0).all()
    assert ax.get_xlabel() == "component 1 (100 % of the variance)"
    assert ax.get_ylabel() == "component 2 (0 % of the variance)"
    two = np.asarray(plot.embedding([[1.0, 2.0], [3.0, 4.0]]).collections[0].get_offsets())
    assert (two[:, 1] == 0).all()
    huge = np.asarray(plot.embedding(line * 1e200).collections[0].get_offsets())
    np.testing.assert_allclose(huge / 1e200, places, atol=1e-6)


def test_names_and_classes_of_an_embedding() -> None:
    vectors = RNG.normal(size=(4, 3))
    ax = plot.embedding(vectors, ["a", "b", "c", "d"])
    places = np.asarray(ax.collections[0].get_offsets())
    assert [(t.get_text(), t.xy) for t in ax.texts] == [
        (name, tuple(place)) for name, place in zip("abcd", places, strict=True)
    ]
    ax = plot.embedding(vectors, tn.tensor([10, 9, 10, 9]))
    groups = {s.get_label(): np.asarray(s.get_offsets()) for s in ax.collections}
    assert list(groups) == ["9", "10"]
    np.testing.assert_array_equal(groups["9"], places[[1, 3]])
    assert not np.isnan(
        np.asarray(plot.embedding(np.ones((3, 2))).collections[0].get_offsets())
    ).any()


def test_vectors_without_a_plane() -> None:
    for wrong in (np.ones(4), np.ones((1, 4)), np.ones((4, 1)), np.ones((2, 2, 2))):
        with pytest.raises(ShapeError, match="vectors are"):
            plot.embedding(wrong)
    with pytest.raises(ShapeError, match="3 labels"):
        plot.embedding(np.ones((4, 2)), ["a", "b", "c"])
    with pytest.raises(ArgumentError, match="too many classes"):
        plot.embedding(np.ones((160, 2)), np.repeat(np.arange(80), 2))


# -- attention -------------------------------------------------------------------------------------


def test_attention_rows_look_and_columns_are_looked_at() -> None:
    weights = np.array([[0.2, 0.8, 0.0], [0.5, 0.3, 0.2]])
    ax = plot.attention(tn.tensor(weights), ["le", "chat"], ["the", "black", "cat"])
    np.testing.assert_array_equal(ax.images[0].get_array(), weights)
    assert ax.images[0].get_clim() == (0, 0.8)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["le", "chat"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["the", "black", "cat"]
    for wrong in (weights[0], np.ones((2, 2, 3)), np.ones((0, 3))):
        with pytest.raises(ShapeError, match="one head"):
            plot.attention(wrong, ["le", "chat"])
    with pytest.raises(ShapeError, match="2 tokens for 3 columns"):
        plot.attention(weights, ["le", "chat"])


# -- layers ----------------------------------------------------------------------------------------


def test_histograms_count_activations_and_gradients() -> None:
    model = tn.nn.Sequential(tn.nn.Linear(3, 4), tn.nn.Tanh(), tn.nn.Linear(4, 2))
    inputs, targets = tn.randn(8, 3), tn.randn(8, 2)
    first = model[0].weight
    first.grad = kept = tn.ones(4, 3)
    panels = plot.histograms(model, (inputs, targets), tn.nn.MSELoss(), bins=10)
    assert panels.shape == (3, 2)
    assert first.grad is kept
    assert model[2].weight.grad is None
    assert [ax.get_ylabel() for ax in panels[:, 0]] == ["0 Linear", "1 Tanh", "2 Linear"]

    outputs = [model[0](inputs)]
    outputs += [model[1](outputs[0])]
    outputs += [model[2](outputs[1])]
    gradients = tn.autograd.grad(tn.nn.MSELoss()(outputs[2], targets), outputs)
    for column, arrays in enumerate(([y.detach() for y in outputs], gradients)):
        values = [np.asarray(a.numpy()).ravel() for a in arrays]
        ends = min(v.min() for v in values), max(v.max() for v in values)
        for ax, v in zip(panels[:, column], values, strict=True):
            heights = [bar.get_height() for bar in ax.patches]
            np.testing.assert_array_equal(heights, np.histogram(v, 10, ends)[0])
            assert ax.patches[0].get_x() == pytest.approx(ends[0])
            assert ax.texts[0].get_text() == f"σ = {v.std():.2g}"


def test_histograms_of_constants_and_of_numbers_that_are_not_finite() -> None:
    class Broken(tn.nn.Module):
        def forward(self, x: Any) -> Any:
            return x * np.inf

    model = tn.nn.Sequential(tn.nn.Linear(2, 2), Broken())
    with np.errstate(all="ignore"):
        panels = plot.histograms(model, (tn.ones(3, 2), tn.ones(3, 2)), tn.nn.MSELoss())
    assert sum(bar.get_height() for bar in panels[1, 0].patches) == 0
    zero = tn.nn.Sequential(tn.nn.Linear(2, 2))
    panels = plot.histograms(zero, (tn.ones(3, 2), None), lambda y, _: (y * 0).sum())
    assert sum(bar.get_height() for bar in panels[0, 1].patches) == 6


def test_what_has_no_histogram() -> None:
    model = tn.nn.Sequential(tn.nn.Linear(2, 2))
    with pytest.raises(ArgumentError, match="inputs, targets"):
        plot.histograms(model, tn.ones(3, 2), tn.nn.MSELoss())

    class Idle(tn.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = tn.nn.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            return x * 2

    x = tn.ones(3, 2, requires_grad=True)
    with pytest.raises(ArgumentError, match="no layer"):
        plot.histograms(Idle(), (x, tn.ones(3, 2)), tn.nn.MSELoss())
