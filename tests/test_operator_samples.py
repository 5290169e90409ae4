"""PyTorch's own samples of its operators give on tinynet what they give on PyTorch; what differs is
listed, with reasons, in `operator_samples.REASONS`.
"""

from __future__ import annotations

from typing import Any

import pytest

import tinynet as tn

pytest.importorskip("torch")
samples = pytest.importorskip("operator_samples", exc_type=ImportError)  # PyTorch's own test lists
pytestmark = pytest.mark.peers


@pytest.mark.parametrize("name", samples.NAMES)
def test_an_op_agrees_but_for_the_listed_reasons(name: str) -> None:
    found = samples.tally(name)
    assert found.total > 0
    assert [(text, how) for text, how in found.differ if not samples.reason_of(text)] == []


def test_the_named_ops_are_there() -> None:
    assert [name for name in samples.NAMED if name not in samples.NAMES] == []
    assert len(samples.NAMED) > 150
    assert "swapaxes" in samples.tally("transpose").forms


@pytest.mark.parametrize("names", [samples.NAMED, samples.NAMES], ids=["named", "all"])
def test_at_least_98_percent_of_the_calls_agree(names: list[str]) -> None:
    good, total = samples.count(names)
    print(f"{good} of {total} calls agree: {good / total:.2%}")
    assert total > 3000
    assert good / total >= 0.98


def test_every_reason_is_needed_and_says_something() -> None:
    differing = [text for name in samples.NAMES for text, _ in samples.tally(name).differ]
    for (op, part), reason in samples.REASONS.items():
        assert len(reason) > 20
        assert any(text.startswith(f"{op}(") and part in text for text in differing), (op, part)


@pytest.mark.parametrize("form", ["function", "method", "in place", "operator", "concat"])
def test_the_forms_of_a_call_are_run(form: str) -> None:
    assert any(form in samples.tally(name).forms for name in ("add", "cat"))


def test_a_wrong_gradient_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tn.op.registry["sin"], "rule", lambda i: lambda g, y, u: g)
    differ = [samples.run(case) for case in samples.cases("sin")]
    assert all(how.startswith("gradient 0: at ") for how in differ if how is not None)
    assert any(differ)


@pytest.mark.parametrize(
    ("other", "how"),
    [
        (lambda x: x + 1e-3, "at (0, 0)"),
        (lambda x: x.float(), "float64 is not"),
        (lambda x: x[0], "is not (2,)"),
        (lambda x: 1.0, "is not 1.0"),
        (lambda x: None, "is not None"),
    ],
)
def test_a_wrong_value_is_noticed(other: Any, how: str) -> None:
    import torch

    x = torch.ones(3, 2, dtype=torch.float64)
    case = samples.Case("ones", "function", lambda x: x, other, samples.SampleInput(x))
    assert how in samples.run(case)
