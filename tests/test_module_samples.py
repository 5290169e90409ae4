"""PyTorch's own samples of its modules give on tinynet what they give on PyTorch; what differs is
listed, with reasons, in `module_samples.REASONS`.
"""

from __future__ import annotations

from typing import Any

import pytest

import tinynet as tn

pytest.importorskip("torch")
samples = pytest.importorskip("module_samples", exc_type=ImportError)  # PyTorch's own test lists
pytestmark = pytest.mark.peers


@pytest.mark.parametrize("name", samples.NAMES)
def test_a_module_agrees_but_for_the_listed_reasons(name: str) -> None:
    found = samples.tally(name)
    assert found.total > 0
    assert [(text, how) for text, how in found.differ if not samples.reason_of(text)] == []


def test_at_least_95_percent_of_the_samples_of_the_named_agree() -> None:
    good, total = samples.count(samples.NAMED)
    print(f"{good} of {total} samples agree: {good / total:.2%}")
    print(f"not there: {' '.join(samples.MISSING)}")
    assert total > 300
    assert good / total >= 0.95


def test_every_reason_is_needed_and_says_something() -> None:
    differing = [text for name in samples.NAMES for text, _ in samples.tally(name).differ]
    for (name, part), reason in samples.REASONS.items():
        assert len(reason) > 20
        assert any(text.startswith(f"{name}(") and part in text for text in differing), (name, part)


def test_both_modes_are_run() -> None:
    assert samples.tally("Dropout").forms.keys() == {"train", "eval"}


def _differ(name: str) -> list[str]:
    return [found for case in samples.cases(name) if (found := samples.run(case))]


def test_a_wrong_output_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = tn.nn.Linear.forward
    monkeypatch.setattr(tn.nn.Linear, "forward", lambda self, input: forward(self, input) + 1e-3)
    assert all("value: at" in how for how in _differ("Linear"))
    assert len(_differ("Linear")) == samples.tally("Linear").total


def test_a_wrong_gradient_of_a_parameter_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(self: Any, input: Any) -> Any:
        return tn.nn.functional.linear(input, self.weight, self.bias.detach())

    monkeypatch.setattr(tn.nn.Linear, "forward", forward)
    assert "gradient 2: at (0,)" in _differ("Linear")[0]


def test_another_layout_of_the_state_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(self: Any, n: int, m: int, bias: bool = True) -> None:
        tn.nn.Module.__init__(self)
        self.weight = tn.nn.Parameter(tn.zeros(n, m))

    monkeypatch.setattr(tn.nn.Linear, "__init__", init)
    assert all(how.startswith("state_dict: ") for how in _differ("Linear"))


def test_a_state_that_the_forward_pass_changes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(self: Any, input: Any) -> Any:
        y = tn.nn.functional.linear(input, self.weight.clone(), self.bias)
        with tn.no_grad():
            self.weight += 1
        return y

    monkeypatch.setattr(tn.nn.Linear, "forward", changed)
    assert all(how.startswith("weight afterwards: at (0, 0)") for how in _differ("Linear"))
    assert len(_differ("Linear")) == samples.tally("Linear").total
