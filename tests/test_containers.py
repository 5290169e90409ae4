"""Lists and dictionaries of modules and of parameters: names, order, and PyTorch's keys."""

from __future__ import annotations

from typing import Any

import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, OutOfRangeError


def parts(library: Any, ones: Any) -> Any:
    """The same module in either library."""

    class Parts(library.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.row = library.nn.ModuleList([library.nn.Linear(1, 2), library.nn.Identity()])
            self.named = library.nn.ModuleDict({"b": library.nn.Linear(2, 1)})
            self.named["a"] = library.nn.PReLU()
            self.weights = library.nn.ParameterList([ones(2), ones(3)])
            self.biases = library.nn.ParameterDict({"y": ones(1), "x": ones(2)})

    return Parts()


KEYS = [
    *("row.0.weight", "row.0.bias", "named.b.weight", "named.b.bias", "named.a.weight"),
    *("weights.0", "weights.1", "biases.y", "biases.x"),
]


def test_keys_and_order() -> None:
    model = parts(tn, tn.ones)
    assert list(model.state_dict()) == KEYS
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.peers
def test_peer_keys() -> None:
    torch = pytest.importorskip("torch")
    theirs = parts(torch, lambda n: torch.nn.Parameter(torch.ones(n)))
    assert sorted(theirs.state_dict()) == sorted(KEYS)
    parts(tn, tn.ones).load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})


def test_module_lists_grow_and_shrink() -> None:
    row = nn.ModuleList([nn.Identity()])
    row += [nn.Tanh(), nn.ReLU()]
    assert isinstance(row.pop(1), nn.Tanh)
    assert isinstance(row.pop(), nn.ReLU)
    assert list(row._modules) == ["0"]
    with pytest.raises(OutOfRangeError, match="no module 4"):
        row.pop(4)


def test_module_dicts_are_dictionaries() -> None:
    choices = nn.ModuleDict([("one", nn.Identity()), ("two", nn.Tanh())])
    assert list(choices) == list(choices.keys()) == ["one", "two"]
    assert "two" in choices
    assert len(choices) == 2
    assert [type(m).__name__ for m in choices.values()] == ["Identity", "Tanh"]
    assert isinstance(choices.pop("two"), nn.Tanh)
    choices.update({"one": nn.ReLU(), "three": nn.ReLU()})
    assert [k for k, _ in choices.items()] == ["one", "three"]
    assert choices["one"] is choices.one
    del choices["one"]
    choices.clear()
    assert not len(choices)
    assert choices  # a module is true, even when empty
    with pytest.raises(KeyError):
        choices["one"]
    with pytest.raises(ArgumentError, match="has an attribute 'keys' already"):
        choices["keys"] = nn.Identity()
    with pytest.raises(DTypeError, match="not a Module"):
        choices["a"] = tn.ones(1)  # type: ignore[assignment]


def test_parameter_lists_and_dicts() -> None:
    weights = nn.ParameterList([tn.ones(2)])
    own = nn.Parameter(tn.zeros(1))
    weights += [own]
    assert weights[-1] is own
    assert isinstance(weights[:1], nn.ParameterList)
    weights[0] = tn.zeros(4)
    assert [p.shape for p in weights] == [(4,), (1,)]
    assert len(weights.append(tn.ones(1))) == 3
    with pytest.raises(OutOfRangeError, match="no parameter 3"):
        weights[3]
    named = nn.ParameterDict({"a": own})
    assert named["a"] is named.a is own
    named["b"] = tn.ones(2)
    assert isinstance(named["b"], nn.Parameter)
    assert [k for k, _ in named.named_parameters()] == ["a", "b"]
