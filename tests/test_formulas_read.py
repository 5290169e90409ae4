"""Index formulas computed from their own LaTeX, where they are made of sums, products and brackets
alone: what is printed, and not a loop beside it, gives the op's values and gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from latex_entries import BARS, INPUTS, entries
from latex_time import TOKEN as TIMES
from latex_time import Equations, Vector
from latex_value import SPACES

import tinynet as tn
from tinynet.check.samples import Draw, sample
from tinynet.check.sweep import differentiable
from tinynet.explanation.symbols import _OPPOSITE, Symbol
from tinynet.op import registry

_LOSSES = [{"reduction": reduction} for reduction in ("mean", "sum", "none")]
_IDS = np.array([2, 0, 2, 1])
_LABELS = np.array([1, 0, 2])

# For each op: shapes or arrays of its inputs, n where the formula has one, and its options.
CASES: dict[str, tuple[list[Any], float, list[dict[str, Any]]]] = {
    **dict.fromkeys(("sum", "logsumexp", "prod"), ([(4,)], 4, [{}])),
    **dict.fromkeys(("amax", "amin"), ([np.array([0.9, 0.2, 0.9, 0.2])], 4, [{}])),  # ties
    "mean": ([(4,)], 4, [{}]),
    "var": ([(4,)], 4, [{"ddof": 0}, {"ddof": 1}]),
    "std": ([(4,)], 4, [{"ddof": 0}, {"ddof": 1}]),
    "p_norm": ([(4,)], 4, [{"p": 2}, {"p": 3}, {"p": 1.5}]),
    "cumsum": ([(4,)], 4, [{"axis": 0}]),
    "cumprod": ([(4,)], 4, [{"axis": 0}]),
    "permute": ([(2, 3, 4)], 0, [{"axes": (2, 0, 1)}, {"axes": None}, {"axes": (0, 2, 1)}]),
    "flip": ([(4,)], 4, [{"axis": 0}]),
    "tril": ([(3, 4)], 0, [{"k": 0}, {"k": -1}, {"k": 2}]),
    "triu": ([(3, 4)], 0, [{"k": 0}, {"k": -1}, {"k": 2}]),
    "matmul": ([(2, 3), (3, 4)], 0, [{}]),
    "einsum": ([(2, 3), (3, 4), (4, 2)], 0, [{"subscripts": "ij,jk,kl->il"}]),
    "linear": ([(4, 3), (2, 3), (2,)], 0, [{}]),
    "neuron": (
        [(4, 3), (2, 3), (2,)],
        0,
        [{"act": act} for act in ("sigmoid", "tanh", "relu", "gelu")],
    ),
    "embedding": ([_IDS, (3, 2)], 0, [{}]),
    "matrix_factorisation": (
        [(3, 2), (3, 2), (3,), (3,), _IDS, _IDS[::-1].copy()],
        0,
        [{"mean": 0.5}],
    ),
    "softmax": ([(4,)], 0, [{"axis": 0}]),
    "log_softmax": ([(4,)], 0, [{"axis": 0}]),
    "dropout": ([(4,), np.array([True, False, True, True])], 0, [{"p": 0.0}, {"p": 0.2}]),
    "batch_norm": ([(3, 2, 2), (2,), (2,)], 6, [{"eps": 1e-5}, {"eps": 0.1}]),
    "layer_norm": ([(3, 4), (4,), (4,)], 4, [{"eps": 0.1, "dims": 1}]),
    "rms_norm": ([(3, 4), (4,)], 4, [{"eps": 0.1, "dims": 1}]),
    **dict.fromkeys(("mse", "mae", "bce"), ([(4,), (4,)], 4, _LOSSES)),
    "huber": ([(4,), (4,)], 4, [{**how, "delta": 0.4} for how in _LOSSES]),
    "kl": ([(4,), (4,)], 4, [{**r, "log_target": t} for r in _LOSSES for t in (True, False)]),
    "bernoulli": ([(4,), (4,)], 4, _LOSSES),
    "cross_entropy": (
        [(3, 4), _LABELS],
        3,
        [{**how, "ignore_index": i} for how in _LOSSES for i in (-100, 2)],
    ),
    "nll": ([(3, 4), _LABELS], 3, [{**how, "ignore_index": i} for how in _LOSSES for i in (5, 2)]),
    "soft_cross_entropy": (
        [(3, 4), (3, 4)],
        3,
        [{**how, "label_smoothing": e} for how in _LOSSES for e in (0.0, 0.1)],
    ),
    "conv2d": (
        [(2, 3, 6), (4, 3, 3), (4,)],
        0,
        [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "padding": 2}],
    ),
    "conv_transpose2d": (
        [(2, 3, 4), (3, 2, 3), (2,)],
        0,
        [{}, {"stride": 2, "padding": 1}, {"dilation": 2}],
    ),
    "max_pool": (
        [(6,)],
        0,
        [
            {"kernel": (k,), "stride": (s,), "padding": (p,), "dilation": (1,)}
            for k, s, p in ((2, 2, 0), (3, 1, 1))
        ],
    ),
    "avg_pool": (
        [(6,)],
        0,
        [
            {"kernel": (2,), "stride": (2,), "padding": (0,)},
            {"kernel": (3,), "stride": (1,), "padding": (1,), "count_include_pad": False},
        ],
    ),
    "attention": (
        [(3, 2), (4, 2), (4, 5), (3, 4), np.ones((3, 4), bool)],
        0,
        [{}, {"is_causal": True}, {"scale": 0.7, "p": 0.2}],
    ),
}


def inputs_of(shapes: list[Any]) -> list[Any]:
    """Random inputs between 0.1 and 0.9, so that they are in every domain."""
    rng = np.random.default_rng(3)
    return [rng.uniform(0.1, 0.9, x) if isinstance(x, tuple) else x for x in shapes]


def in_words(name: str, x: Any) -> dict[str, Any]:
    """What the backward lines of an op say in words: mean m and variance v."""
    axes = {"batch_norm": (0, 2), "layer_norm": (1,)}.get(name)
    return {} if axes is None else {"m": np.mean(x, axes), "v": np.var(x, axes)}


@pytest.mark.parametrize("name", CASES)
def test_a_line_is_true_as_it_is_printed(name: str) -> None:
    shapes, n, choices = CASES[name]
    for options in choices:
        inputs = inputs_of(shapes)
        tensors = [
            tn.tensor(x, requires_grad=x.dtype.kind == "f", name=c)
            for c, x in zip(INPUTS, inputs, strict=False)
        ]
        y = registry[name](*tensors, **options)
        g = np.random.default_rng(4).standard_normal(y.shape)
        why = tn.explain((y * tn.tensor(g)).sum(), {"Y": y})
        link = next(x for x in why.steps if x.step.output.name == "Y")
        arrays = {"Y": y.array, BARS["Y"]: g}
        arrays |= dict(zip(INPUTS, inputs, strict=False))
        scalars = {"n": n, "E": 2, "C": 4}
        np.testing.assert_allclose(
            entries(link.forward, arrays, scalars, arrays["Y"]), arrays["Y"], rtol=1e-7
        )
        arrays |= in_words(name, inputs[0])
        for line in link.lines:
            found = entries(line.formula, arrays, scalars, line.gradient)
            np.testing.assert_allclose(found, line.gradient, rtol=1e-7, atol=1e-12)


ELEMENTWISE = sorted(
    op.name
    for op in registry.values()
    if op.room in ("elementwise", "activations") and op.differentiable and not op.variadic
)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_rule_on_letters_is_true_as_it_is_printed(name: str) -> None:
    op, letters = registry[name], "gyuvw"
    for seed in range(4):
        inputs, options = sample(op, Draw(seed))
        options = {**op.defaults, **options}
        y = np.asarray(op(*inputs, **options))
        values = np.broadcast_arrays(np.ones(y.shape), y, *inputs)
        for i in differentiable(inputs):
            rule = op.rule(i)(*map(Symbol.letter, letters[: 2 + len(inputs)]), **options)
            if not isinstance(rule, Symbol):
                continue
            meant = op.rule(i)(*values, **options)
            for place in list(np.ndindex(y.shape))[:3]:
                at = {c: float(x[place]) for c, x in zip(letters, values, strict=False)}
                found = entries(f"R = {rule.latex()}", {}, at, np.empty(()))
                np.testing.assert_allclose(found, meant[place], rtol=1e-5)


def test_the_opposite_of_a_comparison_also_holds_where_both_are_equal() -> None:
    places = np.array([-1.0, 0.0, 1.0])
    for one, other in _OPPOSITE.items():
        np.testing.assert_array_equal(one(places, 0), ~other(places, 0))


RECURRENT = {  # how many gates, and the options
    "rnn": (1, [{}, {"nonlinearity": "relu"}, {"reverse": True}]),
    "gru": (3, [{}, {"reverse": True}]),
    "lstm": (4, [{}, {"reverse": True}]),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_the_equations_of_a_recurrent_layer_are_true_as_they_are_printed(name: str) -> None:
    """Forward, and back through time."""
    gates, choices = RECURRENT[name]
    T, N, E, H = 3, 2, 3, 2
    states, G = (2 if name == "lstm" else 1), gates * H
    shapes = [(T, N, E), *[(N, H)] * states, (G, E), (G, H), (G,), (G,)]
    letters = "ABCDFJK" if states == 2 else "ABDFJK"
    rng = np.random.default_rng(5)
    for options in choices:
        inputs = [rng.standard_normal(shape) for shape in shapes]
        leaves = [
            tn.tensor(x, requires_grad=True, name=c) for c, x in zip(letters, inputs, strict=True)
        ]
        y = registry[name](*leaves, **options)
        g = rng.standard_normal(y.shape)
        why = tn.explain((y * tn.tensor(g)).sum(), {"Y": y})
        link = next(x for x in why.steps if x.step.output.name == "Y")
        arrays = {**dict(zip(letters, inputs, strict=True)), "¯Y": g}
        forward, lines = _lines(link.forward), [_lines(x.formula) for x in link.lines]
        made = Equations(forward, arrays, T)
        _assert_true(made, forward[0], y.detach().numpy())
        back = Equations([*forward[1:], *lines[0][1:]], {**arrays, "Y": y.detach().numpy()}, T)
        for line, (main, *_) in zip(link.lines, lines, strict=True):
            _assert_true(back, main, line.gradient)


def _lines(formula: str) -> list[str]:
    main, _, rest = formula.partition(r", \; ")
    rest = rest.removeprefix(r"\begin{aligned} ").removesuffix(r" \end{aligned}")
    return [main, *(line.removeprefix("& ") for line in rest.split(r" \\ ") if line)]


def _assert_true(equations: Equations, main: str, meant: Any) -> None:
    """The right side of an equation, for each step or sequence of which it speaks."""
    right = [t for t in TIMES.findall(main.partition(" = ")[2]) if t not in SPACES]
    found = np.empty(meant.shape)
    if r"\sum" in right:
        found[...] = Vector(equations, right, 0).sum()
    else:
        for b in range(meant.shape[-2]):
            for t in range(1, equations.T + 1):
                equations.b = b
                at = (t - 1, b) if meant.ndim == 3 else b
                found[at] = Vector(equations, list(right), t).sum()
    np.testing.assert_allclose(found, meant, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name", ["getitem", "scatter"])
def test_what_an_index_says_is_true_as_it_is_printed(name: str) -> None:
    """i(k), where the index points for entry k, is read as the k-th number of a list."""
    rng, places = np.random.default_rng(6), np.array([2, 0, 2, 3])
    u = tn.tensor(rng.uniform(size=4), requires_grad=True, name="A")
    options = {"index": places} if name == "getitem" else {"index": places, "shape": (4,)}
    y = registry[name](u, **options)
    g = rng.standard_normal(4)
    why = tn.explain((y * tn.tensor(g)).sum(), {"Y": y})
    link = next(x for x in why.steps if x.step.output.name == "Y")
    arrays = {"A": u.detach().numpy(), "Y": y.detach().numpy(), BARS["Y"]: g, "Q": places}
    for formula, meant in (
        (link.forward, y.detach().numpy()),
        *((line.formula, line.gradient) for line in link.lines),
    ):
        found = entries(formula.replace("i(k)", "Q_k"), arrays, {}, meant)
        np.testing.assert_allclose(found, meant)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_the_weights_of_resampling_are_true_as_they_are_printed(mode: str) -> None:
    from tinynet.derivations.upsample import _weight
    from tinynet.explanation.formulas.windows import _WEIGHTS

    formula = _WEIGHTS[mode].replace("h(t) = ", "R = ").replace(r"\left|t\right|", "s")
    for t in (-2.5, -1.5, -1.0, -0.3, 0.0, 0.25, 0.9, 1.0, 1.25, 2.0, 3.0):
        found = entries(formula, {}, {"t": t, "s": abs(t)}, np.empty(()))
        assert found == pytest.approx(float(_weight(np.array(t), mode)))


def test_sums_products_and_powers_of_letters_are_true_as_they_are_printed() -> None:
    """Brackets stand where they are needed: random formulas, printed and read again."""
    rng = np.random.default_rng(7)
    functions = (np.add, np.subtract, np.multiply, np.true_divide)

    def grown(depth: int) -> Any:
        if depth == 0 or rng.uniform() < 0.15:
            return Symbol.letter("uvw"[rng.integers(3)]) if rng.uniform() < 0.7 else 1.5
        if rng.uniform() < 0.2:
            return (np.negative, np.square, np.exp)[rng.integers(3)](grown(depth - 1))
        return functions[rng.integers(4)](grown(depth - 1), grown(depth - 1))

    values, tried = {"u": 0.7, "v": -1.3, "w": 0.4}, 0
    for _ in range(300):
        formula = grown(4)
        if isinstance(formula, Symbol):
            with np.errstate(all="ignore"):
                meant = formula.evaluate(values)
            if np.isfinite(meant) and 1e-6 < abs(meant) < 1e6:
                found = entries(f"R = {formula.latex()}", {}, values, np.empty(()))
                np.testing.assert_allclose(found, meant, rtol=1e-4)
                tried += 1
    assert tried > 150
