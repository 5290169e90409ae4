"""Every op of the registry has every property. No op can opt out; the exceptions stand in one list,
with reasons.
"""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from typing import Any

import numpy as np
import properties
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import ANALYTIC, ORACLES

import tinynet as tn
from tinynet.check.samples import Draw, sample
from tinynet.op import Derivation, Op, registry

OPS = sorted(registry)
SMOOTH = [name for name in OPS if registry[name].differentiable]

# (property, op): why it does not apply.
EXCEPTIONS: dict[tuple[str, str], str] = {
    (
        "float32",
        "to_dtype",
    ): "it is the op that changes the dtype; test_dispatch.py has its gradient",
    **{
        ("float32", name): "rounding to float32 may move a value across the step"
        for name in (
            "sign",
            "floor",
            "ceil",
            "trunc",
            "round",
            "argmax",
            "argmin",
            "argsort",
            "eq",
            "ne",
            "lt",
            "le",
            "gt",
            "ge",
        )
    },
}


def _apply(check: Any, name: str, data: st.DataObject) -> None:
    op, draw = registry[name], properties.Drawn(data)
    inputs, options = sample(op, draw)
    check(op, inputs, options, draw)


@pytest.mark.parametrize("name", OPS)
@given(data=st.data())
def test_value(name: str, data: st.DataObject) -> None:
    _apply(properties.check_value, name, data)


@pytest.mark.parametrize("name", SMOOTH)
@given(data=st.data())
def test_gradient(name: str, data: st.DataObject) -> None:
    _apply(properties.check_gradient, name, data)


@pytest.mark.parametrize("name", ANALYTIC)
@given(data=st.data())
def test_complex_step(name: str, data: st.DataObject) -> None:
    _apply(properties.check_complex_step, name, data)


@pytest.mark.parametrize("name", SMOOTH)
@given(data=st.data())
@settings(max_examples=12)
def test_second_derivative(name: str, data: st.DataObject) -> None:
    _apply(lambda *args: properties.check_order(2, *args), name, data)


@pytest.mark.parametrize("name", SMOOTH)
@given(data=st.data())
@settings(max_examples=6)
def test_third_derivative(name: str, data: st.DataObject) -> None:
    _apply(lambda *args: properties.check_order(3, *args), name, data)


@pytest.mark.parametrize("name", SMOOTH)
@given(data=st.data())
def test_jvp_is_the_transpose_of_vjp(name: str, data: st.DataObject) -> None:
    _apply(properties.check_jvp, name, data)


@pytest.mark.parametrize("name", OPS)
@given(data=st.data())
def test_memory_layout_does_not_matter(name: str, data: st.DataObject) -> None:
    _apply(properties.check_layouts, name, data)


@pytest.mark.parametrize("name", OPS)
@given(data=st.data())
def test_nothing_is_mutated_and_gradients_are_owned(name: str, data: st.DataObject) -> None:
    _apply(properties.check_ownership, name, data)


@pytest.mark.parametrize("name", [n for n in OPS if ("float32", n) not in EXCEPTIONS])
@given(data=st.data())
def test_float32(name: str, data: st.DataObject) -> None:
    _apply(properties.check_float32, name, data)


# -- nobody is left out ----------------------------------------------------------------------------


def test_every_op_has_an_oracle_a_formula_and_a_sample() -> None:
    assert sorted(ORACLES) == OPS
    assert [name for name in OPS if not registry[name].formula] == []
    for name in OPS:
        sample(registry[name], Draw(0))


def test_exceptions_are_few_and_have_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    for (what, name), reason in EXCEPTIONS.items():
        print(f"{what:10} {name:10} {reason}")
        assert name in registry
        assert len(reason) > 10
    assert len(EXCEPTIONS) < 20
    assert "to_dtype" in capsys.readouterr().out


def _forms(inputs: list[Any], options: dict[str, Any]) -> set[str]:
    """What this call exercises."""
    arrays = [x for x in inputs if isinstance(x, np.ndarray)]
    seen = {f"{k}={v}" for k, v in options.items() if isinstance(v, bool)}
    if any(x.ndim == 0 for x in arrays):
        seen.add("0-d")
    if any(x.size == 0 for x in arrays):
        seen.add("empty")
    if len({x.shape for x in arrays}) > 1:
        seen.add("broadcast")
    axis = options.get("axis", "no axis")
    if axis is None:
        seen.add("axis=None")
    for a in axis if isinstance(axis, tuple) else (axis,) if isinstance(axis, int) else ():
        seen.add("axis<0" if a < 0 else "axis>=0")
    if isinstance(axis, tuple):
        seen.add("several axes")
    return seen


NEVER_EMPTY = {"amax", "amin", "argmax", "argmin", "logsumexp", "var", "std", "p_norm"}
NEVER_EMPTY |= {"softmax", "log_softmax", "bce", "bernoulli", "mse", "mae", "huber", "kl"}
NEVER_EMPTY |= {"cross_entropy", "nll", "einsum", "solve"}


@pytest.mark.parametrize("name", OPS)
def test_the_samples_cover_all_forms(name: str) -> None:
    """Coverage is counted, not declared: what 300 draws were seen to exercise."""
    op, seen = registry[name], Counter()
    for seed in range(300):
        seen.update(_forms(*sample(op, Draw(seed))))
    needed = set() if name in NEVER_EMPTY else {"empty"}
    needed |= {
        f"{k}={b}" for k, v in op.defaults.items() if isinstance(v, bool) for b in (True, False)
    }
    if "axis" in op.options:
        needed |= {"axis<0", "axis>=0"}
    if op.room in ("elementwise", "activations"):
        needed |= {"0-d"} | ({"broadcast"} if op.arity > 1 else set())
    if name in ("sum", "mean", "var", "std", "prod", "amax", "amin", "logsumexp", "any", "all"):
        needed |= {"axis=None", "several axes"}
    assert needed <= set(seen), f"never seen: {needed - set(seen)}"


# -- the rule contract -----------------------------------------------------------------------------

ATTRIBUTES = {"shape", "ndim", "dtype"}
ATTRIBUTES |= {"items", "index", "join", "append"}  # of dicts, strings and lists; arrays have none


def _rules(op: Op) -> list[Any]:
    if isinstance(op, Derivation):
        return []
    return [op.rules] if callable(op.rules) else list(op.rules)


def _syntax(rule: Any) -> ast.AST:
    """The syntax tree of a rule: the smallest function around the rule's compiled code."""
    with open(inspect.getsourcefile(rule)) as file:
        module = ast.parse(file.read())
    spots = [p for p in rule.__code__.co_positions() if None not in p and p[2] < p[3]]
    first, last = min(p[0::2] for p in spots), max(p[1::2] for p in spots)
    around = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.Lambda | ast.FunctionDef)
        and (node.lineno, node.col_offset) <= first
        and (node.end_lineno, node.end_col_offset) >= last
    ]
    return max(around, key=lambda node: (node.lineno, node.col_offset))


def _violations(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            root = node.value
            module = isinstance(root, ast.Name) and root.id in ("np", "math")
            if not module and node.attr not in ATTRIBUTES:
                found.append(f".{node.attr} is not part of the contract")
        if isinstance(node, ast.AugAssign | ast.Delete):
            found.append("nothing may be changed in place")
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Subscript) for t in node.targets):
            found.append("nothing may be changed in place")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            root = node.func.value
            first = node.args[0]
            if isinstance(root, ast.Name) and root.id == "np" and isinstance(first, ast.Constant):
                found.append(f"np.{node.func.attr} of a Python number makes a float64: use math")
    return found


@pytest.mark.parametrize("name", [n for n in SMOOTH if _rules(registry[n])])
def test_rules_keep_their_contract(name: str) -> None:
    for rule in _rules(registry[name]):
        tree = _syntax(rule)
        assert _violations(tree) == []
        code = rule.__code__
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        attributes_only = _only_shape(tree)
        start = 3 if registry[name].variadic else 1
        for parameter in code.co_varnames[start : start + 1 + max(registry[name].arity, 0)]:
            if parameter.startswith("_"):
                assert parameter not in used or parameter in attributes_only
            else:
                assert parameter in used, f"{parameter} is not used: write _{parameter}"


def _only_shape(tree: ast.AST) -> set[str]:
    """Names starting with _ that are used for .shape, .ndim or .dtype, or handed on to a helper."""
    bare = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id.startswith("_")}
    return {b for b in bare if b != "_"}


@pytest.mark.parametrize(
    "source",
    ["lambda g, y, u: g.sum()", "lambda g, y, u: g * np.sqrt(2)", "lambda g, y, u: g.T * u"],
)
def test_the_contract_test_can_fail(source: str) -> None:
    assert _violations(ast.parse(source))


def test_a_numpy_function_without_entry_is_named() -> None:
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(tn.errors.GraphError, match=r"np\.sinc has no derivative"):
        np.sinc(x)
