"""Small programs written for PyTorch run when only their imports change.

Each file in `torch_programs/` is such a program: `make()` builds the model, `train(model)` trains
it and returns its losses. It is run with `tinynet` in place of `torch`; where it draws no random
numbers of its own, both sides start from the same weights and must report the same losses.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinynet as tn

FOLDER = Path(__file__).parent / "torch_programs"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py"))
RANDOM = {"gan", "own_dataset", "vae"}  # they draw as they train: their losses only fall


def with_tinynet(source: str) -> str:
    """A program with its imports changed, and nothing else."""
    source = re.sub(r"^import torch$", "import tinynet as torch", source, flags=re.M)
    return re.sub(r"^(import|from) torch\b", r"\1 tinynet", source, flags=re.M)


@cache
def program(name: str, side: str) -> Any:
    """A program as a module, run with tinynet or with PyTorch."""
    path = FOLDER / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    source = with_tinynet(source) if side == "tinynet" else source
    module = sys.modules[f"{side}_{name}"] = ModuleType(f"{side}_{name}")  # dataclasses look there
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def _needed(name: str) -> None:
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    (line,) = re.findall(r"^NEEDS = .*$", source, flags=re.M)
    missing = [layer for layer in re.findall(r'"(\w+)"', line) if not hasattr(tn.nn, layer)]
    if missing:
        pytest.skip(f"not there yet: {', '.join(missing)}")


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs_and_learns(name: str) -> None:
    _needed(name)
    tn.manual_seed(0)
    ours = program(name, "tinynet")
    losses = ours.train(ours.make())
    assert np.isfinite(losses).all()
    tenth = max(len(losses) // 10, 1)
    assert np.mean(losses[-2 * tenth : -tenth]) < 0.8 * np.mean(losses[:tenth])


SAME = [(name, ()) for name in PROGRAMS if name not in RANDOM]
SAME += [("char_rnn", ("RNN",)), ("char_rnn", ("GRU",))]


@pytest.mark.peers
@pytest.mark.parametrize(("name", "given"), SAME)
def test_the_losses_are_pytorchs(name: str, given: tuple[str, ...]) -> None:
    _needed(name)
    ours, theirs = program(name, "tinynet"), program(name, "torch")
    start, model = theirs.make(*given), ours.make(*given)
    model.load_state_dict({key: x.numpy().copy() for key, x in start.state_dict().items()})
    expected, found = theirs.train(start), ours.train(model)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-5)


def test_the_imports_are_changed_and_nothing_else() -> None:
    source = (
        "import torch\nimport torch.nn as nn\nfrom torch.utils import data\nx = torch.ones(2)\n"
    )
    assert with_tinynet(source) == (
        "import tinynet as torch\nimport tinynet.nn as nn\nfrom tinynet.utils import data\n"
        "x = torch.ones(2)\n"
    )


def test_a_language_model_writes() -> None:
    _needed("char_rnn")
    ours = program("char_rnn", "tinynet")
    model = ours.make()
    ours.train(model)
    assert set(ours.sample(model, length=8)) <= set(ours.CHARS)


def test_a_gpt_generates() -> None:
    _needed("gpt")
    ours = program("gpt", "tinynet")
    tn.manual_seed(0)
    model = ours.make()
    ours.train(model, steps=60)
    model.eval()
    written = model.generate(tn.tensor([[0, 1, 2, 3, 4]]), 10, top_k=1)
    assert written.tolist() == [[i % 11 for i in range(15)]]
    assert model.transformer.wte.weight is model.lm_head.weight
