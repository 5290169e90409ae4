"""PyTorch's face: dtypes, and what arguments of each kind give, as on `torch`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

rng = np.random.default_rng(0)
A, B, C = rng.standard_normal((3, 4)), rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
V, S, T3 = rng.standard_normal(4), rng.standard_normal(()), rng.standard_normal((2, 3, 4))
P = rng.uniform(0.3, 2.0, (3, 4))

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
operands = st.one_of(
    st.sampled_from([True, 3, 2.5]),
    st.tuples(st.sampled_from(DTYPES), st.sampled_from([(), (2,)])),
)


def _operand(m: Any, spec: Any) -> Any:
    if isinstance(spec, tuple):
        return m.ones(spec[1], dtype=getattr(m, spec[0]))
    return spec


@given(operands, operands, st.sampled_from(["add", "mul", "truediv", "maximum", "pow", "lt"]))
def test_promotion_is_pytorchs(a: Any, b: Any, op: str) -> None:
    if not isinstance(a, tuple) and not isinstance(b, tuple):
        return
    if op == "maximum" and not (isinstance(a, tuple) and isinstance(b, tuple)):
        return

    def result(m: Any) -> str:
        u, v = _operand(m, a), _operand(m, b)
        calls = {
            "add": lambda: u + v,
            "mul": lambda: u * v,
            "truediv": lambda: u / v,
            "maximum": lambda: m.maximum(u, v),
            "pow": lambda: u**v,
            "lt": lambda: u < v,
        }
        return str(calls[op]().dtype).removeprefix("torch.")

    try:
        expected = result(torch)
    except (RuntimeError, TypeError):
        return  # PyTorch refuses the combination
    if op == "pow" and expected == "bool":
        return
    assert result(tn) == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name",
    [
        *("exp", "sqrt", "sigmoid", "tanh", "sum", "relu", "abs", "square", "argmax"),
        *("log2", "rsqrt", "reciprocal", "sinh", "acosh", "erf", "trunc"),
    ],
)
def test_result_dtypes_are_pytorchs(name: str, dtype: str) -> None:
    if (name, dtype) == ("square", "bool"):
        return  # NumPy has no square of truth values; PyTorch counts them as integers
    x = torch.ones(2, dtype=getattr(torch, dtype))
    try:
        expected = str(getattr(torch, name)(x).dtype).removeprefix("torch.")
    except (RuntimeError, TypeError):
        return
    assert str(getattr(tn, name)(tn.ones(2, dtype=dtype)).dtype) == expected


@pytest.mark.parametrize(
    "data", [1, 1.5, True, [1, 2.0], [[True]], [], np.float32(2), np.arange(3), [np.float64(1)]]
)
def test_tensor_infers_pytorchs_dtype(data: Any) -> None:
    assert str(tn.tensor(data).dtype) == str(torch.tensor(data).dtype).removeprefix("torch.")
    assert tn.tensor(data).shape == tuple(torch.tensor(data).shape)


CREATIONS = [
    lambda m: m.zeros(2, 3),
    lambda m: m.ones((2,), dtype=m.int64),
    lambda m: m.full((2, 2), 7),
    lambda m: m.full((1,), 2.5),
    lambda m: m.eye(3),
    lambda m: m.eye(2, 3),
    lambda m: m.arange(5),
    lambda m: m.arange(1, 2, 0.25),
    lambda m: m.arange(5, 0, -2),
    lambda m: m.linspace(0, 1, 5),
    lambda m: m.logspace(-1, 1, 4, base=2.0),
    lambda m: m.tril_indices(3, 4, -1),
    lambda m: m.triu_indices(3, 4, 1),
    lambda m: m.meshgrid(m.arange(2), m.arange(3), indexing="ij")[0],
    lambda m: m.meshgrid(m.arange(2), m.arange(3), indexing="xy")[1],
    lambda m: m.isclose(m.ones(3), m.tensor([1.0, 1.0 + 1e-7, 2])),
    lambda m: m.tensor(m.allclose(m.ones(2), m.ones(2))) | m.equal(m.ones(2), m.zeros(2)),
    lambda m: m.zeros_like(m.ones(2, dtype=m.int32)),
    lambda m: m.ones(size=(2, 3)) + m.zeros(size=(3,)) + m.linspace(m.tensor(0), m.tensor(2.5), 3),
    lambda m: m.flip(m.permute(m.reshape(m.arange(6), shape=(2, 3)), dims=(1, 0)), dims=(0,)),
    lambda m: m.tensor([True, False]).masked_fill(m.tensor([False, True]), 3),
    lambda m: m.arange(3).scatter(0, m.tensor([1]), 7.5),
    lambda m: m.arange(3).masked_fill(m.tensor([True, False, False]), 2.5),
    lambda m: m.ones_like(m.zeros(2, 2)),
    lambda m: m.full_like(m.zeros(2), 3),
    lambda m: m.tensor([[1, 2], [3, 4]]).float().mean(0),
]


@pytest.mark.parametrize("number", range(len(CREATIONS)))
def test_creation_is_pytorchs(number: int) -> None:
    ours, theirs = CREATIONS[number](tn), CREATIONS[number](torch)
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_allclose(ours, theirs.numpy())
