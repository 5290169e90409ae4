"""`tn.explain`: every formula that is shown is the code that runs, and all steps together give the
gradient that `backward` gives.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from formulas_loops import BACKWARD
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet.autograd import edge_of, reachable
from tinynet.check.samples import Draw, sample
from tinynet.check.sweep import differentiable
from tinynet.dispatch import OpNode
from tinynet.errors import ArgumentError, GraphError
from tinynet.explanation.chain import bar
from tinynet.explanation.graph import Value
from tinynet.explanation.mathml import mathml
from tinynet.explanation.names import latex_name
from tinynet.explanation.symbols import Symbol
from tinynet.op import registry

ELEMENTWISE = sorted(
    op.name
    for op in registry.values()
    if op.room in ("elementwise", "activations") and op.differentiable and not op.variadic
)


# -- rules on letters ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_the_formula_of_a_rule_computes_what_the_rule_computes(name: str) -> None:
    op = registry[name]
    for seed in range(12):
        draw = Draw(seed)
        inputs, options = sample(op, draw)
        options = {**op.defaults, **options}
        y = np.asarray(op(*inputs, **options))
        g = np.asarray(draw.rng.standard_normal(y.shape))
        letters = [Symbol.letter(f"u{i}") for i in range(len(inputs))]
        values = {"g": g, "y": y, **{f"u{i}": x for i, x in enumerate(inputs)}}
        for i in differentiable(inputs):
            meant = op.rule(i)(g, y, *inputs, **options)
            formula = op.rule(i)(Symbol.letter("g"), Symbol.letter("y"), *letters, **options)
            if isinstance(formula, Symbol):
                assert "g" in formula.latex()
                found = formula.evaluate(values)
            else:
                found = np.full(np.shape(meant), formula)
            np.testing.assert_allclose(found, meant, rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("tanh", r"g \, \left(1 - {y}^{2}\right)"),
        ("relu", r"g \, [y > 0]"),
        ("sigmoid", r"g \, y \, \left(1 - y\right)"),
        ("rsqrt", r"-\frac{g \, {y}^{3}}{2}"),
        ("log2", r"\frac{g}{u \, \ln 2}"),
        ("logsigmoid", r"g \, \sigma\!\left(-u\right)"),
    ],
)
def test_how_formulas_are_printed(name: str, latex: str) -> None:
    letters = (Symbol.letter(x) for x in "gyu")
    assert registry[name].rule(0)(*letters).latex() == latex


# -- whole computations ----------------------------------------------------------------------------


def multiplied_out(why: Any) -> dict[str, Any]:
    """The gradient of each value from the lines alone: from the loss back, each line is computed
    from its formula with what the lines before it gave.
    """
    bars: dict[int, Any] = {id(why.graph.loss): np.ones(why.graph.loss.shape)}
    arrays = {latex_name(v.name): v.array for v in why.graph.values}
    for link in why.steps:
        g = bars[id(link.step.output)]
        for line, found in zip(link.lines, contributions(link, g, arrays), strict=True):
            np.testing.assert_allclose(found, line.gradient, rtol=1e-9, atol=1e-9)
            bars[id(line.into)] = bars.get(id(line.into), 0) + found
    return {v.name: bars[id(v)] for v in why.graph.leaves if id(v) in bars}


def contributions(link: Any, g: Any, arrays: dict[str, Any]) -> list[Any]:
    """What the lines of a step say: formulas on letters are evaluated, index formulas are loops."""
    step = link.step
    if step.title in BACKWARD:
        inputs = [x.array if isinstance(x, Value) else x for x in step.inputs]
        options = {**step.op.defaults, **step.options}
        loops = BACKWARD[step.title](g, step.output.array, *inputs, **options)
        all_of_them = dict(zip(differentiable(inputs), loops, strict=True))
        wanted = [i for i, d in enumerate(step.handed) if d is not None]
        return [np.asarray(all_of_them[i], dtype=float) for i in wanted]
    letters = {**arrays, bar(step.output): g}
    return [
        reduced(
            line.local.evaluate(letters) if isinstance(line.local, Symbol) else line.local,
            line,
            step.output.shape,
        )
        for line in link.lines
    ]


def reduced(found: Any, line: Any, shape: tuple[int, ...]) -> Any:
    """Summed over what was repeated: over the axes that the line prints."""
    printed = re.search(r"= \\sum_\{\\text\{ax[ei]s ([\d, ]+)\}\}", line.formula)
    if printed is None:
        return np.broadcast_to(found, line.into.shape) if np.ndim(found) == 0 else found
    whole = np.broadcast_to(found, shape)
    return np.sum(whole, axis=tuple(map(int, printed[1].split(", ")))).reshape(line.into.shape)


def assert_explained_as_differentiated(loss: Any, leaves: list[Any]) -> None:
    why = tn.explain(loss)
    found = multiplied_out(why)
    assert all(leaf.grad is None for leaf in leaves)
    loss.backward()  # the graph was not freed
    for leaf in leaves:
        if leaf.grad is None:
            assert leaf.name not in found
        else:
            np.testing.assert_allclose(found[leaf.name], leaf.grad.numpy(), rtol=1e-9, atol=1e-9)
    assert why.markdown()
    assert why.latex().startswith(r"\begin{align*}")


@pytest.mark.parametrize("name", sorted(n for n, op in registry.items() if op.differentiable))
def test_every_op_in_a_composition(name: str) -> None:
    """Inputs that are sums over two paths; an output that is used twice, and once repeated."""
    op, tried = registry[name], 0
    for seed in range(4):
        draw = Draw(seed)
        inputs, options = sample(op, draw)
        own = differentiable(inputs)
        leaves = {i: tn.tensor(inputs[i], requires_grad=True, name=f"x{i}") for i in own}
        tensors = [
            (leaves[i] + leaves[i]) / 2
            if i in leaves
            else tn.tensor(x)
            if isinstance(x, np.ndarray)
            else x
            for i, x in enumerate(inputs)
        ]
        y = op(*tensors, **options)
        weight, scale = (
            tn.tensor(draw.rng.standard_normal(shape), requires_grad=True, name=n)
            for n, shape in (("w", (2, *y.shape)), ("s", ()))
        )
        loss = (y * weight).sum() + scale * y.tanh().sum()
        assert_explained_as_differentiated(loss, [*leaves.values(), weight, scale])
        tried += y.requires_grad
    assert tried


CHOICES = ("add", "mul", "sub", "tanh", "sigmoid", "exp", "matmul", "sum", "softmax", "relu", "T")


@given(words=st.lists(st.sampled_from(CHOICES), min_size=1, max_size=12), seed=st.integers(0, 999))
def test_random_compositions(words: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    leaves = [tn.tensor(rng.standard_normal((3, 3)) / 2, requires_grad=True, name=n) for n in "abc"]
    pool = list(leaves)
    for word in words:
        x, y = (pool[int(rng.integers(len(pool)))] for _ in range(2))
        made = {
            "add": lambda x=x, y=y: x + y,
            "mul": lambda x=x, y=y: x * y,
            "sub": lambda x=x, y=y: x - y.mean(0),
            "matmul": lambda x=x, y=y: x @ y,
            "sum": lambda x=x, y=y: x.sum(1, keepdim=True) * y,
            "softmax": lambda x=x, y=y: tn.softmax(x, 1),
            "T": lambda x=x, y=y: x.T,
        }
        pool.append(made[word]() if word in made else getattr(tn, word)(x))
    assert_explained_as_differentiated(
        (pool[-1] * tn.tensor(rng.standard_normal((3, 3)))).sum(), leaves
    )


TOGETHER = 5  # ops in one composition
ALL = sorted(name for name, op in registry.items() if op.differentiable)


def fed(x: Any, pool: list[Any], rng: np.random.Generator) -> Any:
    """An input near x that depends on one or two of the values before it, whatever their shapes."""
    found = tn.tensor(x)
    for before in rng.choice(len(pool), rng.integers(1, 3)):
        if pool[before].numel():
            places = rng.integers(pool[before].numel(), size=x.shape)
            found = found + pool[before].reshape(-1)[places].tanh() * 1e-3
    return found


@pytest.mark.parametrize("seed", range(3 * -(-len(ALL) // TOGETHER)))
def test_every_op_in_random_compositions(seed: int) -> None:
    """Each op three times, after and before others that are drawn anew each time."""
    round_, group = divmod(seed, -(-len(ALL) // TOGETHER))
    names = np.random.default_rng(round_).permutation(ALL)
    rng = np.random.default_rng(seed)
    leaves = [
        tn.tensor(rng.standard_normal(shape), requires_grad=True, name=n)
        for n, shape in (("a", (2, 3)), ("b", (4,)), ("c", ()))
    ]
    pool = list(leaves)
    loss = leaves[2] * 1
    for name in names[group * TOGETHER : (group + 1) * TOGETHER]:
        op = registry[name]
        inputs, options = sample(op, Draw(int(rng.integers(16))))
        own = differentiable(inputs)
        tensors = [
            fed(x, pool, rng) if i in own else tn.tensor(x) if isinstance(x, np.ndarray) else x
            for i, x in enumerate(inputs)
        ]
        with np.errstate(all="ignore"):
            y = op(*tensors, **options)
        if y.requires_grad:
            pool.append(y)
            loss = loss + (y * tn.tensor(rng.standard_normal(y.shape))).sum()
    assert_explained_as_differentiated(loss, leaves)


def test_a_value_used_twice_is_a_sum_over_paths() -> None:
    a = tn.tensor(1.0, requires_grad=True, name="a")
    b = a + a
    why = tn.explain(b + b, {"b": b})
    (last, first) = why.steps
    assert [line.formula for line in last.lines] == [
        r"\bar{b}^{(1)} = \bar{L}",
        r"\bar{b}^{(2)} = \bar{L}",
    ]
    assert first.gathered == r"\bar{b} = \bar{b}^{(1)} + \bar{b}^{(2)}"
    assert float(why.graph.leaves[0].grad) == 4


def test_names() -> None:
    x = tn.tensor([1.0, 2.0], name="x")
    w = tn.tensor([3.0, 4.0], requires_grad=True, name="W1")
    z = w * x
    why = tn.explain(z.sum(), {"z": z})
    names = [v.name for v in why.graph.values]
    assert sorted(names) == ["L", "W1", "x", "z"]
    assert latex_name("W1") == "W_{1}"
    kinds = {v.name: v.kind for v in why.graph.values}
    assert kinds == {"L": "loss", "W1": "parameter", "x": "input", "z": "value"}


def test_broadcasting_is_said() -> None:
    x = tn.tensor(np.ones((4, 3)))
    b = tn.tensor(np.ones(3), requires_grad=True, name="b")
    why = tn.explain((x + b).sum())
    (note,) = why.steps[-1].lines[0].notes
    assert "b (3) was repeated to (4, 3)" in note


def test_what_cannot_be_explained() -> None:
    with pytest.raises(ArgumentError, match="a Tensor is explained"):
        tn.explain(3.0)
    with pytest.raises(GraphError, match="nothing was recorded"):
        tn.explain(tn.tensor(1.0) * 2)
    w = tn.tensor(1.0, requires_grad=True)
    loss = w * w
    loss.backward()
    with pytest.raises(GraphError, match="freed"):
        tn.explain(loss)


def test_values_are_what_the_forward_pass_made() -> None:
    x = tn.tensor([0.5, -0.5], requires_grad=True, name="x")
    a = x.exp()
    b = a + 1
    why = tn.explain((b * b).sum(), {"a": a, "b": b})
    for value in why.graph.values:
        assert isinstance(value, Value)
    numbers = {v.name: v.array for v in why.graph.values}
    np.testing.assert_array_equal(numbers["a"], a.detach().numpy())
    np.testing.assert_array_equal(numbers["b"], b.detach().numpy())


@pytest.mark.compiler
def test_gradients_are_those_of_the_rules_not_of_kernels(monkeypatch: Any) -> None:
    with tn.kernels.use("compiled"):
        model, loss = gpt(1)
    nodes = [node for node in reachable([edge_of(loss)], -1) if isinstance(node, OpNode)]
    kernels = {node.by for node in nodes if node.by is not None}
    assert len(kernels) > 5

    def compiled(*_: Any, **__: Any) -> None:
        raise AssertionError("a kernel ran")

    with monkeypatch.context() as patch:
        for kernel in kernels:
            patch.setattr(kernel, "backward", compiled)
        why = tn.explain(loss, model)
    loss.backward()
    found = {v.name: v.grad for v in why.graph.leaves}
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(found[name], parameter.grad.numpy(), rtol=1e-3, atol=1e-6)


# -- pictures and pages ----------------------------------------------------------------------------


def gpt(layers: int = 4) -> tuple[Any, Any]:
    nn = tn.nn
    tn.manual_seed(0)
    layer = [
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True)
        for _ in range(layers)
    ]
    model = nn.Sequential(nn.Embedding(7, 8), nn.Sequential(*layer), nn.Linear(8, 7))
    ids = tn.tensor(np.arange(12).reshape(2, 6) % 7)
    return model, nn.functional.cross_entropy(model(ids).reshape(-1, 7), ids.reshape(-1))


def drawn(svg: str) -> list[str]:
    """The first line of each box."""
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    return [group.find(f"{space}text").text for group in root.iter(f"{space}g")]


def test_equal_layers_become_one_box() -> None:
    model, loss = gpt()
    why = tn.explain(loss, model)
    assert len(why.steps) > 40
    titles = drawn(why.svg())
    assert "TransformerEncoderLayer ×4" in titles
    assert "Embedding" in titles
    assert titles[-1] == "cross_entropy"
    inside = drawn(why.svg("1.0"))
    assert inside.count("LayerNorm") == 2
    assert "MultiheadAttention" in inside
    assert "matmul" not in titles


def test_unequal_layers_stay_apart() -> None:
    nn = tn.nn
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3), nn.Tanh())
    loss = (model(tn.ones(2, 4)) ** 2).sum()
    titles = drawn(tn.explain(loss, model).svg(""))
    assert [t for t in titles if "Linear" in t] == ["Linear ×2", "Linear"]


def test_mermaid_has_a_line_for_each_edge() -> None:
    a = tn.tensor(1.0, requires_grad=True, name="a")
    b = a * 2
    text = tn.explain(b * a, {"b": b}).mermaid()
    assert text.startswith("flowchart TD")
    assert text.count("-->") == 3
    assert '(["a<br/>scalar"])' in text


def test_mermaid_shows_names_as_they_are() -> None:
    """Whether Mermaid takes them for Markdown, as some versions do, or not."""

    def shown(name: str) -> str:
        lines = tn.explain(leaf_named(name) + 1).mermaid().splitlines()
        assert lines[2].startswith('    n1["+\N{NO-BREAK SPACE}1<br/>L')
        label = re.fullmatch(r'    n0\(\["(.*)<br/>scalar"\]\)', lines[1])
        assert label
        return re.sub("#(\\d+);", lambda m: chr(int(m[1])), label[1])

    assert shown("f'(x) #1; <b>&\"") == "f'(x) #1; <b>&\"".replace(" ", "\N{NO-BREAK SPACE}")
    assert shown("a_b.weight") == "a_b.weight"
    for name in ("*a*", "_a_", "__a__", "~~a~~", "`a`", "a.__b__.c", "[a](b)", "$$a$$", "fa:fa-a"):
        assert len(re.sub("\u200b", "", shown(name))) == len(name)
        assert not re.search(r"[*`~]|\]\(|\$\$|a:f|(?<!\w)_|_(?!\w)", shown(name))


def leaf_named(name: str) -> Any:
    return tn.tensor(1.0, requires_grad=True, name=name)


def test_mermaid_folds_as_the_picture_does() -> None:
    model, loss = gpt()
    text = tn.explain(loss, model).mermaid()
    assert "TransformerEncoderLayer\N{NO-BREAK SPACE}×4<br/>1.0" in text
    assert len(text.splitlines()) < 20
    assert tn.explain(loss, model).mermaid("1.0").count("LayerNorm") == 2


@pytest.mark.parametrize("name", sorted(registry))
def test_every_formula_has_a_mathml_form(name: str) -> None:
    formula = registry[name].formula
    assert not formula or ElementTree.fromstring(mathml(formula)).tag == "math"


def test_mathml_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ArgumentError, match="no MathML is known"):
        mathml(r"\unheard{x}")


def test_the_page_stands_alone(tmp_path: Path) -> None:
    model, loss = gpt(2)
    file = tmp_path / "why.html"
    text = tn.explain(loss, model).html(str(file))
    assert file.read_text(encoding="utf-8") == text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert text.count('class="view"') >= 3
    assert tn.explain(loss, model)._repr_html_().startswith("<iframe srcdoc=")


def test_the_readme_shows_what_is_drawn() -> None:
    x = tn.tensor([1.0, 2.0], name="x")
    w = tn.tensor([3.0, -1.0], requires_grad=True, name="w")
    b = tn.tensor(0.5, requires_grad=True, name="b")
    z = (w * x).sum() + b
    prediction = z.sigmoid()
    why = tn.explain((prediction - 1) ** 2, {"z": z, "ŷ": prediction})
    file = Path(__file__).parents[1] / "docs" / "neuron.svg"
    assert file.read_text(encoding="utf-8") == why.svg() + "\n"
