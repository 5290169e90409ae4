"""Words in pictures: in narrow axes, with long names, many classes and crowded points they are read
or left out, and never lie over each other or beyond the edge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text
from test_plot_legible import PICTURES, collisions, contrast, cut_off

import tinynet as tn
from tinynet import plot
from tinynet.bench.roofline import Point, Roof
from tinynet.plot.words import named, short, write_beside
from tinynet.train import LearningRates

RNG = np.random.default_rng(0)
ONE_PANEL = sorted(
    set(PICTURES)
    - {"feature_maps", "filters", "gradient_errors", "histograms", "images", "learning_curves"}
    - {"tape", "weights"}  # a tape in narrow axes has letters as small as its boxes
)
WORDS = [f"{first}{last}" for first in ("king", "apple", "run", "x") for last in "abcdefghij"]
LONG = ["a" * 40, "internationalisation_of_everything", "b", "positive, with reservations"]
PLANE = RNG.normal(size=(60, 2)).astype(np.float32)
CROWD = RNG.normal(size=(40, 6)) * np.where(np.arange(40) < 3, 5.0, 0.2)[:, None]


def narrow(style: str = "default", size: tuple[float, float] = (3.2, 2.8)) -> Any:
    with plt.style.context(style):
        return plt.figure(figsize=size, layout="constrained", dpi=120).subplots()


@pytest.mark.parametrize("size", [(3.2, 2.8), (10.0, 5.0)])
@pytest.mark.parametrize("name", ONE_PANEL)
def test_axes_of_ones_own_narrow_and_wide(name: str, size: tuple[float, float], into: Any) -> None:
    ax = narrow(size=size)
    assert into(ax, PICTURES[name]) is ax
    ax.figure.draw_without_rendering()
    assert not collisions(ax.figure)
    assert not cut_off(ax.figure)


@pytest.fixture
def into(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Draw a picture, which would make its own figure, into these axes."""

    def draw(ax: Any, picture: Callable[[], Any]) -> Any:
        for room in ("acceptance", "classes", "curves", "landscape", "maps", "speed"):
            monkeypatch.setattr(f"tinynet.plot.{room}.axes_in", lambda *_: ax)
        try:
            return picture()
        finally:
            plt.close(ax.figure)

    return draw


NARROW: dict[str, Callable[[Any], Any]] = {
    "attention, long": lambda ax: plot.attention(np.eye(4), LONG, ax=ax),
    "attention, 64": lambda ax: plot.attention(np.eye(64), (WORDS * 2)[:64], ax=ax),
    "attention, flat": lambda ax: plot.attention(np.eye(3, 20), WORDS[:3], WORDS[:20], ax=ax),
    "confusion, long": lambda ax: plot.confusion_matrix(np.eye(4), LONG, ax=ax),
    "confusion, 40": lambda ax: plot.confusion_matrix(np.eye(40), WORDS, ax=ax),
    "confusion, large": lambda ax: plot.confusion_matrix([[1234567, 3], [4, 7654321]], ax=ax),
    "confusion, wide": lambda ax: plot.confusion_matrix(np.full((6, 6), 123456), ax=ax),
    "similarity, 40": lambda ax: plot.similarity(RNG.normal(size=(40, 3)), WORDS, ax=ax),
    "similarity, long": lambda ax: plot.similarity(np.eye(4) + 1, LONG, ax=ax),
    "boundary, long": lambda ax: plot.decision_boundary(
        lambda x: x[:, 0], PLANE, np.where(PLANE[:, 0] > 0, LONG[0], LONG[1]), ax=ax
    ),
    "boundary, 30": lambda ax: plot.decision_boundary(
        tn.nn.Linear(2, 30), PLANE, np.arange(60) // 2, ax=ax
    ),
    "embedding, crowded": lambda ax: plot.embedding(CROWD, WORDS, ax=ax),
    "embedding, 20 classes": lambda ax: plot.embedding(CROWD, WORDS[:20] * 2, ax=ax),
    "embedding, long": lambda ax: plot.embedding(np.eye(4), LONG, ax=ax),
    "rates, one": lambda ax: plot.learning_rates(
        LearningRates([0.1], [1.0], [1.0], 0.1), ax=ax
    ),
    "roc, long": lambda ax: plot.roc(([0.2, 0.6, np.inf], [1, 1, 0], [0, 1, 1]), LONG[1], ax=ax),
    "roofline, crowded": lambda ax: plot.roofline(
        Roof(9e10, 2e11, 3e10, 2, [Point(f"rung {i}", 2e9, 3e7, 0.03) for i in range(8)]), ax=ax
    ),
}  # fmt: skip


@pytest.mark.parametrize("style", ["default", "dark_background"])
@pytest.mark.parametrize("name", NARROW)
def test_much_to_say_in_narrow_axes(name: str, style: str) -> None:
    with plt.style.context(style):
        ax = narrow(style)
        assert NARROW[name](ax) is ax
        ax.figure.draw_without_rendering()  # a layout that does not fit warns: an error here
        assert not collisions(ax.figure)
        assert not cut_off(ax.figure)
        plt.close(ax.figure)


def test_crowded_names_are_left_out_and_counted() -> None:
    ax = plot.embedding(CROWD, WORDS)
    shown = [t.get_text() for t in ax.texts]
    assert 10 < len(shown) < 40
    assert len(set(shown)) == len(shown)
    left_out = "" if len(shown) == 40 else f", {len(shown)} named"
    assert ax.get_title() == f"Principal components of 40 vectors{left_out}"
    again = plot.embedding(CROWD, WORDS)
    assert [(t.get_text(), t.xyann) for t in again.texts] == [
        (t.get_text(), t.xyann) for t in ax.texts
    ]
    ax = plot.embedding(np.ones((40, 3)), WORDS)  # all at one place
    assert f", {len(ax.texts)} named" in ax.get_title()
    assert not collisions(ax.figure)


def test_a_name_covers_no_point_and_has_a_line_where_it_is_far() -> None:
    ax = plot.embedding(CROWD, WORDS)
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    dots = ax.transData.transform(np.asarray(ax.collections[0].get_offsets()))
    for note in ax.texts:
        box = Text.get_window_extent(note)
        assert not any(box.contains(x, y) for x, y in dots)
        place = ax.transData.transform(note.xy)
        near = np.clip(place, box.min, box.max)
        far = np.hypot(*(near - place)) > 8 * ax.figure.dpi / 72
        assert note.arrow_patch.get_visible() or not far


def test_every_name_is_written_where_there_is_room() -> None:
    ax = narrow(size=(6, 5))
    places = np.array([(x, y) for x in (0.0, 1.0, 2.0) for y in (0.0, 1.0, 2.0)])
    ax.scatter(*places.T)
    ax.margins(0.3)
    assert write_beside(ax, places, WORDS[:9]) == 0
    assert all(note.xyann == (4, 4) for note in ax.texts)
    assert not any(note.arrow_patch.get_visible() for note in ax.texts)


def test_numbers_that_do_not_fit_into_cells_are_left_out_and_that_is_said() -> None:
    ax = plot.confusion_matrix(np.full((40, 40), 12345), ax=narrow())
    assert not ax.texts
    assert "too small for" in ax.get_title().replace("\n", " ")
    few = plot.confusion_matrix([[1234567, 0.25], [0.5, 4]])
    assert {t.get_text() for t in few.texts} == {"1234567", "0.25", "0.5", "4"}


@pytest.mark.parametrize("n", [2, 10, 40, 100])
def test_figures_do_not_outgrow_the_page(n: int) -> None:
    for ax in (plot.confusion_matrix(np.eye(n)), plot.attention(np.eye(n), range(n))):
        figure: Any = ax.figure
        assert max(figure.get_size_inches()) < 13
        figure.draw_without_rendering()
        assert not collisions(figure)
        ticks = [t.get_text() for t in ax.get_yticklabels()]
        each = int(ticks[1])
        assert ticks == [str(i) for i in range(0, n, each)]
        assert (f"every {each}" in ax.get_ylabel()) == (each > 1)


@pytest.mark.parametrize("filters", [(16, 3, 7, 7), (12, 1, 3, 3), (3, 8, 1, 7), (13, 11, 3, 3)])
def test_filters_have_all_their_names_on_the_page(filters: tuple[int, ...]) -> None:
    figure = plot.filters(RNG.normal(size=filters))[0, 0].figure
    figure.draw_without_rendering()
    assert max(figure.get_size_inches()) < 15
    assert not collisions(figure)
    assert not cut_off(figure)


def test_legends_lie_beside_or_below_the_data() -> None:
    for name in ("activation", "finite_differences", "loss_landscape", "roc", "decision_boundary"):
        ax = PICTURES[name]()
        ax.figure.draw_without_rendering()
        legend, data = ax.get_legend().get_window_extent(), ax.get_window_extent()
        assert legend.y1 < data.y0 or legend.x0 > data.x1, name


def test_letters_grow_with_the_size_of_the_font() -> None:
    """As a teacher with a projector sets it."""
    for size in (8, 16):
        with plt.rc_context({"font.size": size}):
            ax = plot.activation(tn.tanh)
            texts = [ax.title, ax.xaxis.label, *ax.get_xticklabels(), *ax.get_legend().get_texts()]
            assert min(t.get_fontsize() for t in texts) >= 0.8 * size
            ax.figure.draw_without_rendering()
            assert not collisions(ax.figure)
            assert not cut_off(ax.figure)


def test_names_are_shown_as_they_are() -> None:
    labels = ["$x$ and $y$", "a\nb", "\t"]
    ax = plot.attention(np.eye(3), labels)
    ax.figure.draw_without_rendering()
    assert [t.get_text() for t in ax.get_yticklabels()] == [r"\$x\$ and \$y\$", r"a\nb", r"\t"]
    assert named(tn.tensor([1, 2]), 2, "labels", "things") == ["1", "2"]
    assert named([tn.tensor(3), np.float64(0.5), None], 3, "", "") == ["3", "0.5", "None"]
    assert short("abc", 3) == "abc"


def test_more_classes_than_fit_are_counted() -> None:
    ax = plot.embedding(CROWD, WORDS[:20] * 2, ax=narrow())
    texts = [t.get_text() for t in ax.get_legend().get_texts()]
    kinds = sorted(WORDS[:20])
    assert texts[:-1] == kinds[: len(texts) - 1]
    assert texts[-1] == f"… {20 - len(texts) + 1} more"
    assert len(ax.collections) >= 20  # all of them are drawn


# -- colours ---------------------------------------------------------------------------------------

# Gustavo Machado, Manuel Oliveira, Leandro Fernandes, "A Physiologically-based Model for Simulation
# of Color Vision Deficiency", 2009: no red cones, no green cones; on linear RGB.
BLIND = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


def lab(colours: Any, eyes: str = "") -> np.ndarray:
    """CIE L*a*b* of sRGB colours, as such eyes see them."""
    rgb = np.asarray(colours, dtype=float)[..., :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    if eyes:
        linear = np.clip(linear @ np.transpose(BLIND[eyes]), 0, 1)
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    xyz = linear @ np.transpose(to_xyz) / (0.95047, 1.0, 1.08883)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@pytest.mark.parametrize("eyes", ["", *BLIND])
def test_lines_are_told_apart_by_all_eyes(eyes: str) -> None:
    from matplotlib.colors import to_rgb

    from tinynet.plot.style import LINES

    seen = lab([to_rgb(c) for c in LINES], eyes)
    for i in range(len(LINES)):
        for j in range(i):
            assert np.linalg.norm(seen[i] - seen[j]) > 15, (LINES[i], LINES[j])


@pytest.mark.parametrize("eyes", ["", *BLIND])
@pytest.mark.parametrize("cmap", ["Blues", "RdBu_r", "PuOr"])
def test_scales_grow_lighter_or_darker_for_all_eyes(cmap: str, eyes: str) -> None:
    """One hue from light to dark, or two from the middle on, which stay different."""
    import matplotlib

    seen = lab(matplotlib.colormaps[cmap](np.linspace(0, 1, 21)), eyes)
    lightness = seen[:, 0]
    if cmap == "Blues":
        assert (np.diff(lightness) < 0).all()
    else:
        assert (np.diff(lightness[:10]) > 0).all()
        assert (np.diff(lightness[11:]) < 0).all()
        assert min(np.linalg.norm(seen[i] - seen[20 - i]) for i in range(7)) > 15


def test_dark_axes_in_a_transparent_figure() -> None:
    """As a notebook on a dark page has it."""
    with plt.style.context(["dark_background", {"figure.facecolor": "none"}]):
        ax = plot.embedding(PLANE, np.arange(60) % 3)
        texts = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.get_legend().get_texts()]
        assert all(contrast(t.get_color(), "black") > 10 for t in texts)
        plt.close(ax.figure)
