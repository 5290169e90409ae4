"""The index formulas that `tn.explain` shows: there is one for every op and every gradient, each
can be drawn, and each says what the code computes. The last is tried with a loop written from the
line; forward the op's oracle is that loop.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from formulas_loops import BACKWARD
from latex_value import value
from oracles import ORACLES

import tinynet as tn
from tinynet.check.samples import Draw, sample
from tinynet.check.sweep import differentiable, op_vjp
from tinynet.explanation.formulas import FORMULAS
from tinynet.explanation.formulas.template import backward_of
from tinynet.explanation.mathml import mathml
from tinynet.op import registry

STRUCTURED = sorted(
    op.name
    for op in registry.values()
    if op.differentiable and op.room not in ("elementwise", "activations")
)
SEEDS = 24


def arguments(name: str, seed: int) -> tuple[list[Any], dict[str, Any], Any]:
    """Random inputs and options of an op, and what arrives at its output."""
    draw = Draw(seed)
    inputs, options = sample(registry[name], draw)
    y = registry[name](*inputs, **options)
    return inputs, options, np.asarray(draw.rng.standard_normal(np.shape(y)))


def explained(name: str, seed: int) -> Any:
    """The link of a chain in which the op stands."""
    inputs, options, g = arguments(name, seed)
    own = differentiable(inputs)
    tensors = [
        tn.tensor(x, requires_grad=i in own, name=f"x{i}") if isinstance(x, np.ndarray) else x
        for i, x in enumerate(inputs)
    ]
    y = registry[name](*tensors, **options)
    why = tn.explain((y * tn.tensor(g)).sum(), {"y": y})
    return next(link for link in why.steps if link.step.output.name == "y")


def test_every_structured_op_has_formulas() -> None:
    assert sorted(FORMULAS) == STRUCTURED
    assert sorted(BACKWARD) == STRUCTURED


@pytest.mark.parametrize("name", STRUCTURED)
def test_every_gradient_has_a_formula_that_can_be_drawn(name: str) -> None:
    for seed in range(SEEDS):
        link = explained(name, seed)
        own = differentiable(arguments(name, seed)[0])
        told = [bool(backward_of(FORMULAS[name], i, link.step)) for i in own]
        assert all(told)
        others = set(range(len(link.step.inputs))) - set(own)
        mask = name == "attention"  # which has a gradient where it is of floats
        assert mask or not any(backward_of(FORMULAS[name], i, link.step) for i in others)
        assert len(link.lines) == len(own)
        for formula in (link.forward, *(line.formula for line in link.lines)):
            assert "@" not in formula
            assert "⟦" not in formula
            assert r"\partial" not in formula
            assert not any(word.isupper() and len(word) > 2 for word in formula.split("_"))
            ElementTree.fromstring(mathml(formula))


@pytest.mark.parametrize("name", STRUCTURED)
def test_a_formula_computes_what_the_op_computes(name: str) -> None:
    tried = 0
    for seed in range(SEEDS):
        inputs, options, g = arguments(name, seed)
        y, gradients = op_vjp(registry[name], inputs, options, g)
        forward = np.asarray(ORACLES[name](*inputs, **options), dtype=float)
        np.testing.assert_allclose(y, forward.reshape(y.shape), rtol=1e-9, atol=1e-9)
        found = BACKWARD[name](g, y, *inputs, **{**registry[name].defaults, **options})
        assert len(found) == len(gradients)
        for meant, loop in zip(gradients, found, strict=True):
            loop = np.asarray(loop, dtype=float)
            assert loop.shape == meant.shape
            np.testing.assert_allclose(loop, meant, rtol=1e-9, atol=1e-9)
            tried += bool(np.any(meant))
    assert tried > 5


# -- ops that work entry by entry ------------------------------------------------------------------

ENTRYWISE = sorted(
    op.name
    for op in registry.values()
    if op.differentiable and op.room in ("elementwise", "activations")
)


@pytest.mark.parametrize("name", [n for n in ENTRYWISE if n != "erf"])
def test_the_forward_formula_of_an_entrywise_op_is_true_as_it_is_written(name: str) -> None:
    for seed in range(SEEDS):
        inputs, options, _ = arguments(name, seed)
        names = ("p", "q", "r")[: len(inputs)]
        own = differentiable(inputs)
        tensors = [
            tn.tensor(x, requires_grad=i in own, name=names[i]) for i, x in enumerate(inputs)
        ]
        y = registry[name](*tensors, **options)
        if not y.requires_grad or not y.shape:
            continue
        why = tn.explain(y.sum(), {"s": y})
        (formula,) = (x.forward for x in why.steps if x.step.output.name == "s")
        ElementTree.fromstring(mathml(formula))
        entries = [np.broadcast_to(x, y.shape) for x in inputs]
        for k in np.ndindex(y.shape):
            letters = {c: x[k].item() for c, x in zip(names, entries, strict=True)}
            np.testing.assert_allclose(value(formula, letters), float(y.array[k]), rtol=1e-7)


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda x, _: x**2, "s = {a}^{2}"),
        (lambda x, _: x - (-1), r"s = a - \left(-1\right)"),
        (lambda x, _: x / 1e-5, r"s = a / \left(10^{-5}\right)"),
        (lambda x, _: 1e-5 ** x.exp(), r"s = \left(10^{-5}\right)^{v_{1}}"),
        (lambda x, _: tn.clamp(x, min=-1), r"s = \max({a}, -1)"),
        (
            lambda x, _: tn.nn.functional.leaky_relu(x, 0.1),
            r"s = \max({a}, 0) + 0.1 \, \min({a}, 0)",
        ),
        (
            lambda x, _: tn.nn.functional.elu(x),
            r"s = \max({a}, 0) + \left(e^{\min({a}, 0)} - 1\right)",
        ),
        (lambda x, _: tn.erf(x), r"s = \frac{2}{\sqrt\pi} \int_0^{a} e^{-t^2} dt"),
        (
            lambda x, b: tn.where(b, x, 0.5),
            r"s = \begin{cases} {a} & \text{if } {b} \\ {0.5} & \text{else} \end{cases}",
        ),
    ],
)
def test_how_options_and_numbers_are_written(make: Any, shown: str) -> None:
    x = tn.tensor(0.5, requires_grad=True, name="a")
    b = tn.tensor(True, name="b")
    y = make(x, b)
    why = tn.explain(y * 1, {"s": y})
    assert why.steps[1].forward.replace("{s}", "s", 1) == shown


# -- what is no op, and what is said beside a formula ----------------------------------------------


class Doubled(tn.autograd.Function):
    """A function of one's own."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 2


class softmax(Doubled):
    """One that has the name of an op."""


@pytest.mark.parametrize("function", [Doubled, softmax])
def test_a_function_of_ones_own_has_a_derivative_without_a_formula(function: Any) -> None:
    x = tn.tensor([1.0, 2.0], requires_grad=True, name="x")
    y = function.apply(x)
    (_, step) = tn.explain(y.sum(), {"y": y}).steps
    assert step.forward == rf"y = \operatorname{{{function.__name__}}}(x)"
    assert [line.formula for line in step.lines] == [
        r"\bar{x} = \bar{y} \, \frac{\partial y}{\partial x}"
    ]
    np.testing.assert_array_equal(step.lines[0].gradient, [2.0, 2.0])


def test_a_checkpoint_has_a_derivative_without_a_formula() -> None:
    x = tn.tensor([1.0, 2.0], requires_grad=True, name="x")
    y = tn.utils.checkpoint.checkpoint(lambda x: x.exp(), x, use_reentrant=False)
    why = tn.explain(y.sum(), {"y": y})
    lines = [line for link in why.steps for line in link.lines if line.into.name == "x"]
    assert len(lines) == 1
    assert r"\frac{\partial" in lines[0].formula
    np.testing.assert_allclose(lines[0].gradient, np.exp([1.0, 2.0]))


def test_numbers_stand_behind_the_equation_and_before_what_it_refers_to() -> None:
    x = tn.tensor([1.0, 3.0], requires_grad=True, name="x")
    y = tn.var(x, correction=0)
    text = tn.explain(y, {"y": y}).markdown()
    assert r"\left({x}_i - m\right)^2 = 1, \; m = " in text
    assert r"\left({x}_i - m\right) = (-1,\, 1), \; m = " in text


def test_matrices_that_fit_are_not_called_repeated() -> None:
    u = tn.tensor(np.ones((2, 3)), requires_grad=True, name="u")
    v = tn.tensor(np.ones((5, 3, 4)), requires_grad=True, name="v")
    (link,) = tn.explain((u @ v).sum(), {}).steps[1:]
    of_u, of_v = link.lines
    assert of_u.notes == (
        "u (2, 3) was repeated to (5, 2, 3): the gradient is summed over the repeats",
    )
    assert of_u.formula.partition(" = ")[2].startswith(r"\sum_{\text{axis 0}} \sum_k")
    assert of_v.notes == ()
    assert "text" not in of_v.formula


def test_what_attention_was_not_given_is_not_shown() -> None:
    q, k, v = (tn.tensor(np.ones((2, 3)), requires_grad=True, name=c) for c in "qkv")
    y = tn.nn.functional.scaled_dot_product_attention(q, k, v)
    forward = tn.explain(y.sum(), {"y": y}).steps[-1].forward
    assert forward.startswith(r"{y}_{if} = \sum_j p_{ij} \, {v}_{jf}, \; ")
    assert "a_{ij}" not in forward
