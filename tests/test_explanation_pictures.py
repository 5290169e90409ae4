"""What `tn.explain` draws: no text leaves its box, no boxes overlap, no line runs through a box,
nothing lies outside of the picture, and the page has something to say about each box.

Letters are measured with a font that is wider than most.
"""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.explanation.chain import forward
from tinynet.explanation.drawing import Box
from tinynet.explanation.mathml import mathml
from tinynet.explanation.page import _line
from tinynet.op import registry

F = nn.functional
SVG = "{http://www.w3.org/2000/svg}"


def leaf(name: str | None = None, value: Any = 1.0) -> Any:
    return tn.tensor(value, requires_grad=True, name=name)


# -- computations ----------------------------------------------------------------------------------


def neuron() -> tuple[Any, Any]:
    z = (leaf("w", [3.0, -1.0]) * tn.tensor([1.0, 2.0], name="x")).sum() + leaf("b")
    return (z.sigmoid() - 1) ** 2, {"z": z}


def twice() -> tuple[Any, Any]:
    b = leaf("a") * 1
    for _ in range(3):
        b = b + b
    return b * b * b, None


def lstm_cells() -> tuple[Any, Any]:
    cell, h, c = nn.LSTMCell(3, 4), tn.zeros(2, 4), tn.zeros(2, 4)
    for _ in range(4):
        h, c = cell(tn.ones(2, 3), (h, c))
    return (h * h).sum(), cell


def lstm() -> tuple[Any, Any]:
    model = nn.LSTM(4, 5, num_layers=2, bidirectional=True)
    return model(tn.ones(3, 2, 4))[0].sum(), model


def transformer() -> tuple[Any, Any]:
    layer = [nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2)]
    model = nn.Sequential(nn.Embedding(7, 8), *layer)
    return model(tn.tensor([[1, 2, 3]])).sum(), model


def gates() -> tuple[Any, Any]:
    """An LSTM by hand: many values that are used far away."""
    W = {k: leaf(f"W_{k}", np.ones((3, 5))) for k in "ifgo"}
    h, c = tn.tensor(np.zeros(3), name="h0"), tn.tensor(np.zeros(3), name="c0")
    for t in range(2):
        z = tn.cat([tn.tensor(np.ones(2), name=f"x{t}"), h])
        i, f, o = ((W[k] @ z).sigmoid() for k in "ifo")
        c = f * c + i * (W["g"] @ z).tanh()
        h = o * c.tanh()
    return (h * h).sum(), None


NAMES = (
    *("the_first_encoder_of_the_whole_model", "W" * 60, "M%@mw", "encoder.layers.0.self_attn.bias"),
    *("输入数据的矩阵", "входная_проекция", "δ_out", "eine_Größe", "MMMMMMMM.WWWWWWWW.weight", "…"),
)


def names() -> tuple[Any, Any]:
    total = leaf(NAMES[0])
    for name in NAMES[1:]:
        total = total * leaf(name)
    return total, {"loss_OF_THE_WHOLE_MODEL": total}


KNOWN = [neuron, twice, lstm_cells, lstm, transformer, gates, names]


def composed(seed: int) -> tuple[Any, Any]:
    """Some steps, each of up to three of the values before it; one of them may be a module."""
    rng = np.random.default_rng(seed)
    model = nn.ModuleList([nn.Linear(3, 3), nn.LayerNorm(3), nn.GRUCell(3, 3)])
    pool = [leaf(f"x{i}", np.ones((2, 3), np.float32)) for i in range(3)]
    for _ in range(rng.integers(2, 30)):
        u, v, w = (pool[-1 - int(rng.integers(min(len(pool), 9)))] for _ in "uvw")
        part = model[int(rng.integers(2))]
        steps = (
            *(u + v, u * u, u @ v.T @ w, tn.cat([u, v, v, w])[:2], (u - 0.5).softmax(-1)),
            *(part(u), model[2](u, v)),
        )
        pool.append(steps[int(rng.integers(len(steps)))])
    return sum(pool[-3:]).sum(), [None, model][seed % 2]


def pictures(loss: Any, model: Any) -> list[str]:
    """All that the page shows of it."""
    return re.findall(
        "<svg.*?</svg>", why(loss, model).html().partition('id="derivation"')[0], re.S
    )


def why(loss: Any, model: Any) -> Any:
    return tn.explain(loss, model)


# -- geometry --------------------------------------------------------------------------------------


@cache
def font(bold: bool) -> Any:
    manager = pytest.importorskip("matplotlib.font_manager")
    ft2font = pytest.importorskip("matplotlib.ft2font")
    weight = "bold" if bold else "normal"
    found = ft2font.FT2Font(manager.findfont(f"DejaVu Sans:{weight}"))
    found.set_size(13, 72)
    return found


def width(text: Any) -> float:
    """Of a line in pixels; a character that the font does not have is as wide as it is high."""
    found = font(text.get("font-weight") == "600")
    known = "".join(c for c in text.text if found.get_char_index(ord(c)))
    found.set_text(known)
    return float(found.get_width_height()[0] / 64 + 13 * (len(text.text) - len(known)))


def numbers(element: Any, *keys: str) -> list[float]:
    return [float(element.get(key)) for key in keys]


def curves(root: Any) -> Any:
    """Points on all lines; their arrows are left out."""
    t = np.linspace(0, 1, 30)[:, None]
    weights = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
    paths = [path.get("d") for path in root.findall(f"{SVG}path") if " l" not in path.get("d")]
    places = [np.array(re.findall(r"-?[\d.]+", d), float).reshape(-1, 2) for d in paths]
    parts = [ends[i : i + 4] for ends in places for i in range(0, len(ends) - 1, 3)]
    return np.concatenate(
        [sum(w * p for w, p in zip(weights, part, strict=True)) for part in parts]
    )


def readable(svg: str) -> None:
    """Everything is inside of the picture, each text in its box, and nothing hides another."""
    root = ElementTree.fromstring(svg)
    left, top, wide, high = (float(x) for x in root.get("viewBox", "").split())
    boxes = []
    for group in root.iter(f"{SVG}g"):
        (rect,) = group.findall(f"{SVG}rect")
        x, y, w, h = numbers(rect, "x", "y", "width", "height")
        assert left + 1 < x < x + w < left + wide - 1
        assert top + 1 < y < y + h < top + high - 1
        lines = group.findall(f"{SVG}text")
        for text in lines:
            assert width(text) <= w - 12, text.text
            (middle, base) = numbers(text, "x", "y")
            assert abs(middle - (x + w / 2)) < 0.2
            assert y + 11 <= base <= y + h - 5
        heights = [float(text.get("y")) for text in lines]
        assert min(np.diff(heights), default=16) >= 15
        boxes.append((x, y, w, h))
    for (x, y, w, h), (a, b, c, d) in combinations(boxes, 2):
        assert x + w + 8 <= a or a + c + 8 <= x or y + h + 8 <= b or b + d + 8 <= y
    points, (x, y, w, h) = curves(root)[:, None], np.array(boxes).T
    assert (points > (left, top)).all()
    assert (points < (left + wide, top + high)).all()
    across = (points[..., 0] > x - 6) & (points[..., 0] < x + w + 6)
    assert not (across & (points[..., 1] > y + 1) & (points[..., 1] < y + h - 1)).any()


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: case.__name__)
def test_pictures_can_be_read(case: Any) -> None:
    found = pictures(*case())
    assert found
    for svg in found:
        readable(svg)


@pytest.mark.parametrize("seed", range(16))
def test_pictures_of_anything_can_be_read(seed: int) -> None:
    found = pictures(*composed(seed))
    assert found
    for svg in found:
        readable(svg)


@pytest.mark.parametrize("name", sorted(registry))
def test_the_name_of_an_op_fits_into_its_box(name: str) -> None:
    box = Box(0, (name, "v_10 (2, 3)"), "value", "")
    text = ElementTree.Element("text", {"font-weight": "600"})
    text.text = name
    assert width(text) <= box.width - 12


def test_many_parameters_of_one_step_stand_in_several_layers() -> None:
    """So that an LSTM fits on a phone, at three quarters of its size."""
    model = nn.LSTM(4, 5)
    for loss, module in (lstm_cells(), (model(tn.ones(3, 2, 4))[0].sum(), model)):
        found = [
            float(ElementTree.fromstring(svg).get("width", "")) for svg in pictures(loss, module)
        ]
        assert max(found) < 640


def test_a_value_that_is_used_often_has_one_line_that_branches() -> None:
    x = y = leaf("x")
    for _ in range(6):
        y = y.tanh() * x
    root = ElementTree.fromstring(tn.explain(y).svg())
    assert float(root.get("width", "")) < 240


# -- the page --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [*KNOWN, lambda: composed(1), lambda: composed(3)])
def test_the_replay_has_something_to_say_about_each_box(case: Any) -> None:
    """Also inside of modules; and a module of many steps can be stepped into."""
    text = why(*case()).html()
    frames = json.loads(re.search(r"const frames = (\{.*?\});\n", text)[1])  # type: ignore[index]
    views = re.findall(r'<div class="view" data-path="([^"]*)">(.*?</svg>)', text, re.S)
    assert [path for path, _ in views] == list(frames)
    for path, svg in views:
        units = [int(n) for n in re.findall(r'data-unit="(\d+)"', svg)]
        opens = set(re.findall(r'class="opens" data-path="([^"]*)"', svg))
        assert units == list(range(len(units)))
        assert len(frames[path]) == 2 * len(units)
        assert opens <= set(frames)
        for said in frames[path]:
            through = re.search(r"through ([^:<]*?)(?: ×\d+)?: \d+ steps\.", said)
            assert through[1] in opens if through else "<math" in said or "Backward" in said


def shown(html: str) -> str:
    return "".join("".join(ElementTree.fromstring(f"<p>{html}</p>").itertext()).split())


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: case.__name__)
def test_a_formula_in_pieces_is_the_whole_formula(case: Any) -> None:
    for step in why(*case()).graph.steps:
        formula = forward(step)
        whole = shown(mathml(formula.replace(r", \; ", " ", 1)))
        assert shown(_line(formula).replace("<wbr>", "")) == whole


def test_lines_may_end_between_terms_and_within_words() -> None:
    text = _line(r"y = \sum_i x_i + b, \; i \text{ counts all} \cdot 10", np.array([1.0, -2.0]))
    pieces = [shown(piece) for piece in re.findall("<math.*?</math>", text)]
    assert pieces == ["y", "=∑ixi", "+b", "=(1,", "−2)", "i", "·10"]
    assert "counts all" in text
    assert len(re.findall("<math", _line(r"y = f(a + b) - 10^{-3} \cdot 10^{-2}"))) == 3
    text = _line(r"y = x_w, \; w = \{a\} \text{, those inside}")
    assert "<mtext>,</mtext></mrow></math> those inside" in text  # no line begins with a comma
