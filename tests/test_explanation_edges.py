"""Names that formulas cannot carry as they are, values that cannot be explained, pictures, other
devices.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, GraphError
from tinynet.explanation.mathml import mathml
from tinynet.explanation.names import barred, latex_name

F = nn.functional
SVG = "{http://www.w3.org/2000/svg}"


def leaf(name: str | None = None, value: Any = 1.0) -> Any:
    return tn.tensor(value, requires_grad=True, name=name)


# -- names -----------------------------------------------------------------------------------------

NAMES = {
    "W1": "W_{1}",
    "W_ih_l0": r"W_{\mathrm{ih\_l0}}",
    "x_t": "x_{t}",
    "θ₁": r"\theta_{1}",
    "alpha2": r"\alpha_{2}",
    "ŷ": r"\hat{y}",
    "Ŵ_1": r"\hat{W}_{1}",
    "loss": r"\mathrm{loss}",
    "bias": r"\mathrm{bias}",
    "weight_ih_l0": r"\mathrm{weight\_ih\_l0}",
    "0.in_proj": r"\mathrm{0.in\_proj}",
    "100%": r"\mathrm{100\%}",
    "{x}": r"\mathrm{\{x\}}",
    r"a\b": r"\mathrm{a\backslash b}",
    "$x^~&#": r"\mathrm{\$x\wedge \sim \&\#}",
    "two words": r"\mathrm{two\ words}",
    "日本": r"\mathrm{日本}",
    "é": r"\mathrm{é}",
}


@pytest.mark.parametrize(("name", "latex"), NAMES.items())
def test_how_a_name_is_written(name: str, latex: str) -> None:
    assert latex_name(name) == latex
    why = tn.explain(leaf(name) * 2)
    assert latex in why.markdown()
    assert barred(name) in why.latex()
    ElementTree.fromstring(why.svg())
    ElementTree.fromstring(mathml(barred(name)))
    if latex.startswith(r"\mathrm"):
        (shown,) = ElementTree.fromstring(mathml(latex)).itertext()
        assert shown.replace("\N{NO-BREAK SPACE}", " ") == name


@pytest.mark.parametrize("name", ["<b>", 'q"uote', "</script>", "`${x}`", "a\nb", "\n", "x" * 90])
def test_a_name_cannot_break_a_page(name: str) -> None:
    why = tn.explain(leaf(name) * 2)
    text = why.html()
    assert text.count("<script>") == text.count("</script>") == 1
    assert "<b>" not in text.partition("<script>")[0]
    for box in ElementTree.fromstring(why.svg()).iter(f"{SVG}rect"):
        assert float(box.get("width")) < 400


def test_names_that_would_look_the_same_are_told_apart() -> None:
    first, second, third = leaf("W1"), leaf("W_1"), leaf("W1")
    why = tn.explain(first * second * third)
    shown = [latex_name(v.name) for v in why.graph.values]
    assert len(set(shown)) == len(shown)
    z = leaf("L") * leaf("v_1")
    assert len({latex_name(v.name) for v in tn.explain(z.exp()).graph.values}) == 4


def test_the_loss_has_the_name_that_it_was_given() -> None:
    x = leaf("x")
    cost = x * 2
    text = tn.explain(cost, {"E": cost}).markdown()
    assert r"\frac{\partial E}{\partial x} = \bar{x} = 2" in text
    assert "partial L" not in text


def inputs(loss: Any) -> list[tuple[str, tuple[int, ...]]]:
    return [(v.name, v.shape) for v in tn.explain(loss).graph.leaves if v.kind == "input"]


def test_a_constant_keeps_its_name_when_its_tensor_is_gone() -> None:
    w = leaf("w", np.ones((20, 20)))
    assert inputs((w * tn.tensor(np.ones((20, 20)), name="x")).sum()) == [("x", (20, 20))]
    assert inputs((w + tn.tensor(np.ones((20, 20)), name="x")).sum()) == [("x", (20, 20))]
    x = tn.tensor(np.ones((20, 20)))
    assert [n for n, _ in inputs((w + x).sum())] == ["v_1"]


def test_whole_numbers_keep_their_name() -> None:
    w = leaf("w", np.ones(3, np.float32))
    assert inputs((w * tn.tensor([1, 2, 3], name="x")).sum()) == [("x", (3,))]
    table = leaf("table", np.ones((4, 2)))
    ids = tn.tensor([[0, 3]], name="ids")
    assert inputs(F.embedding(ids, table).sum()) == [("ids", (1, 2))]
    assert inputs(F.cross_entropy(F.embedding(ids[0], table), tn.tensor([1, 0], name="t")))[1:] == [
        ("t", (2,))
    ]


def test_a_constant_that_is_used_twice_is_one_value() -> None:
    """Also where one step keeps its numbers and another does not."""
    x, w = tn.tensor(np.ones((20, 20)), name="x"), leaf("w", np.ones((20, 20)))
    assert inputs((x * w + x).sum()) == [("x", (20, 20))]
    del x
    x = tn.ones(20, 20, dtype=tn.float64)
    loss = (x * w + x).sum()
    del x
    assert len(inputs(loss)) == 1


def test_a_constant_under_another_shape_keeps_its_name() -> None:
    """A matrix times a vector takes the vector as a column."""
    W, x = leaf("W", np.ones((3, 2))), tn.tensor([1.0, 2.0], dtype=tn.float64, name="x")
    V = leaf("V", np.ones((3, 2)))
    assert inputs((W @ x + V @ x).sum()) == [("x", (2, 1))]
    assert inputs((W @ tn.tensor([1, 2], name="n")).sum()) == [("n", (2, 1))]
    M = tn.tensor(np.ones((2, 2)), name="M")
    assert [n for n, _ in inputs((W @ M.T).sum())] == ["v_1"]  # which is not M


@pytest.mark.parametrize("names", [["x"], {"x": 3}, {3: leaf()}, "x"])
def test_names_of_another_kind(names: Any) -> None:
    with pytest.raises(ArgumentError, match="names"):
        tn.explain(leaf() * 2, names)


# -- what cannot be explained ----------------------------------------------------------------------


def test_a_loss_is_one_number() -> None:
    several = leaf("x", [1.0, 2.0]) * 2
    for explained in (tn.explain, tn.explain.recursion):
        with pytest.raises(GraphError, match="several entries"):
            explained(several)
    assert tn.explain.cost(several).forward.flops == 2
    assert tn.explain((leaf() * 2).reshape(1, 1)).steps


def test_a_module_that_took_no_step() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    why = tn.explain(model(tn.ones(1, 2)).sum(), model)
    for picture in (why.svg, why.mermaid):
        with pytest.raises(ArgumentError, match=r"no step was taken"):
            picture("2")


def test_empty_arrays_and_numbers_that_are_not_finite() -> None:
    x = leaf("x", np.zeros((0, 3)))
    text = tn.explain((x * 2).sum()).markdown()
    assert "()$" not in text
    text = tn.explain(leaf("x", np.nan) * np.inf).markdown()
    assert r"\mathrm{nan}" in text
    assert r"\infty" in text
    assert tn.explain(leaf("x", 2e30) * 1).markdown().count(r"2 \cdot 10^{30}") == 1


class Two(tn.autograd.Function):
    """Two outputs."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * 2, x * 3

    @staticmethod
    def backward(ctx: Any, first: Any, second: Any) -> Any:
        return first * 2 + second * 3


def test_a_function_with_two_outputs() -> None:
    x = leaf("x", [1.0, 2.0])
    first, second = Two.apply(x)
    loss = (first * second).sum()
    why = tn.explain(loss)
    (found,) = [v.grad for v in why.graph.leaves if v.name == "x"]
    assert why.html()
    assert "x" in repr(tn.explain.recursion(loss))
    cost = tn.explain.cost(loss)
    assert "not counted: Two" in repr(cost)
    loss.backward()
    np.testing.assert_array_equal(found, x.grad.numpy())


# -- pictures and pages ----------------------------------------------------------------------------


def test_a_module_that_is_called_again_has_a_box_for_each_call() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            return self.inner(F.relu(self.inner(x)))

    model = Twice()
    loss = model(tn.ones(2, 3)).sum()
    why = tn.explain(loss, model)
    titles = [
        group.find(f"{SVG}text").text
        for group in ElementTree.fromstring(why.svg("")).iter(f"{SVG}g")
    ]
    assert titles.count("Linear") == 2
    rows = tn.explain.cost(loss, model).by_module()["inner"].rows
    assert [row.step.title for row in rows] == ["linear", "linear"]


def test_what_enters_a_model_is_shown_and_its_parameters_are_not() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    x = tn.tensor([[1.0, 2.0]], name="x")
    shown = tn.explain(model(x).sum(), model).svg("")
    assert ">x</text>" in shown
    assert ">0.weight</text>" not in shown


def test_the_page_draws_each_view_once_and_shows_shapes(tmp_path: Path) -> None:
    x = leaf("x", np.ones((2, 9)))
    why = tn.explain((x.exp() * 2).sum())
    text = why.html(str(tmp_path / "why.html"))
    assert text.count("<svg") == 1
    assert "(2, 9)</span>" in text
    assert [path.name for path in tmp_path.iterdir()] == ["why.html"]
    assert not re.findall(r"(?:src|href|@import|url)\s*[=(]", text)


def test_a_bar_is_as_long_as_the_word_in_any_font() -> None:
    assert "<mover>" in mathml(barred("W1"))
    assert mathml(barred("loss")) == mathml(latex_name("loss")).replace(
        "<mi", '<mi style="text-decoration: overline"'
    )


def test_a_value_that_a_step_uses_twice_has_two_lines() -> None:
    a = leaf("a")
    b = a + a
    why = tn.explain(b + b, {"b": b})
    lines = [p.get("d") for p in ElementTree.fromstring(why.svg()).findall(f"{SVG}path")]
    assert len(set(lines)) == len(lines) == 8  # each with its arrow
    assert why.mermaid().count("-->") == 4


def test_what_a_module_is_given_stands_outside_of_its_box() -> None:
    """Also where its first step reads a parameter; what it draws for itself stays inside."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.5, batch_first=True)
    model = nn.Sequential(layer, nn.Linear(4, 1))
    svg = tn.explain(model(tn.ones(2, 3, 4)).sum(), model).svg("")
    shapes = [
        [t.text for t in group.findall(f"{SVG}text")][-1]
        for group in ElementTree.fromstring(svg).iter(f"{SVG}g")
    ]
    assert len(shapes) == 4
    assert "(2, 3, 4)" in shapes


@pytest.mark.parametrize("name", ["encoder.layers.0.self_attn.in_proj_weight", "a." * 30, "x" * 60])
def test_names_in_boxes_are_short_and_differ(name: str) -> None:
    from tinynet.explanation.drawing import LONGEST, _short

    assert len(_short(name)) <= LONGEST
    assert _short(name.replace("0", "1")) != _short(name) or "0" not in name


def test_the_signal_goes_straight_down() -> None:
    """Parameters stand beside the way and do not bend it."""
    model = nn.Sequential(*[m for _ in range(6) for m in (nn.Linear(4, 4), nn.Tanh())])
    why = tn.explain(model(tn.ones(2, 4)).sum(), model)
    places = [
        float(box.get("x")) + float(box.get("width")) / 2
        for group in ElementTree.fromstring(why.svg()).iter(f"{SVG}g")
        if group.get("data-unit")
        for box in group.findall(f"{SVG}rect")
    ]
    assert len(places) == 13
    assert max(places) - min(places) < 3


def test_what_a_step_needs_stands_directly_above_it() -> None:
    """So that a network that is unrolled in time is as wide as one of its steps."""
    W, U, h = leaf("W", np.ones((3, 3))), leaf("U", np.ones((3, 2))), leaf("h", np.ones((3, 1)))
    for t in range(5):
        h = (W @ h + U @ tn.tensor(np.ones((2, 1)), name=f"x{t}")).tanh()
    root = ElementTree.fromstring(tn.explain(h.sum()).svg())
    rows: dict[str, int] = {}
    for box in root.iter(f"{SVG}rect"):
        rows[box.get("y", "")] = rows.get(box.get("y", ""), 0) + 1
    assert max(rows.values()) <= 4


def test_the_page_shows_all_steps_and_the_modules() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    text = tn.explain(model(tn.ones(1, 2)).sum(), model).html()
    assert re.findall('class="view" data-path="([^"]*)"', text) == ["*", "", "0", "1"]
    text = tn.explain((leaf("x") * 2).exp()).html()
    assert re.findall('class="view" data-path="([^"]*)"', text) == ["*"]


def test_a_brace_is_as_high_as_its_rows_in_any_font() -> None:
    two = mathml(r"\begin{cases} a & b \\ c & d \end{cases}")
    three = mathml(r"\begin{cases} a & b \\ c & d \\ e & f \end{cases}")
    high = [
        float(ElementTree.fromstring(x).find(f".//{SVG}svg").get("height").removesuffix("em"))
        for x in (two, three)
    ]
    assert high[1] == pytest.approx(1.5 * high[0])


def test_brackets_grow_only_where_they_are_told_to() -> None:
    assert mathml(r"(\frac{a}{b}) \{c\}").count('stretchy="false"') == 4
    assert "stretchy" not in mathml(r"\left(a\right) \left\{b\right\}")


def test_an_index_of_an_indexed_name_stands_apart() -> None:
    assert "<mspace" in mathml("{v_{1}}_{n}")
    assert "<mspace" not in mathml("v_{1n}")


def test_tables_in_a_notebook_have_what_the_text_has() -> None:
    a = leaf("<a>", np.ones((8, 2)))
    loss = ((a * 2).exp() + a).sum()
    model = nn.Linear(2, 2)
    shown = (
        tn.explain.cost(loss),
        tn.explain.recursion(loss),
        tn.explain.health(model, (tn.ones(8, 2), tn.ones(8, 2))),
    )
    for table in shown:
        html = table._repr_html_()
        root = ElementTree.fromstring(f"<body>{html}</body>")
        cells = [text for row in root.iter("tr") for text in "".join(row.itertext()).split()]
        told = [text for item in root.iter("li") for text in (item.text or "").split()]
        assert "".join([*cells, *told]) == "".join(repr(table).split())
    assert "&lt;a&gt;" in shown[1]._repr_html_()


# -- other devices ---------------------------------------------------------------------------------


def test_a_model_on_a_gpu_is_explained_as_on_the_cpu(cupy: Any) -> None:
    tn.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 4), nn.LayerNorm(4)
    )
    batch = tn.randn(3, 1, 6, 6), tn.tensor([0, 1, 0])

    def seen(batch: Any) -> tuple[Any, ...]:
        loss = F.cross_entropy(model(batch[0]), batch[1])
        why, cost = tn.explain(loss, model), tn.explain.cost(loss, model)
        return (
            repr(tn.explain.health(model, batch, F.cross_entropy)),
            re.sub(r"\d\.\d+", "", why.html()),
            repr(tn.explain.recursion(loss, model)),
            {name: (c.forward, c.backward) for name, c in cost.by_op().items()},
        )

    here = seen(batch)
    model.to("cuda")
    assert seen(tuple(x.to("cuda") for x in batch)) == here
