"""`python -m tinynet check FILE.py::NAME`: reports, statuses, and one line for each mistake."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tinynet import cli
from tinynet.check.pairs import find_pairs, may_hold_pairs

LAYERS = """
import numpy as np
import neighbour

def tanh_forward(x):
    return np.tanh(x)

def tanh_backward(g, x):
    return g * (1 - np.tanh(x))

tanh_example_args = (np.array([0.5, -1.0]),)

def forward_scale(x, w):
    return x * w

def backward_scale(g, x, w):
    return g * w, g * x

def scale_example_args():
    return [(np.ones(n), np.arange(1.0, n + 1)) for n in (1, 3)]

class Exp:
    example_args = np.array([1.0, 2.0])

    @staticmethod
    def forward(x):
        return np.exp(x)

    @staticmethod
    def backward(g, x):
        return g * np.exp(x)
"""
PAIR = "def forward(x):\n    return 2 * x\ndef backward(g, x):\n    return 2 * g\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: Any) -> Path:
    """A folder with files of somebody else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    (tmp_path / "layers.py").write_text(LAYERS)
    (tmp_path / "neighbour.py").write_text("")
    return tmp_path


def run(capsys: Any, *argv: str) -> tuple[int, str, str]:
    status = cli.main(["check", *argv])
    out, err = capsys.readouterr()
    return status, out, err


def test_all_pairs_of_a_file(folder: Path, capsys: Any) -> None:
    path = sys.path[:]
    status, out, err = run(capsys, "layers.py")
    assert (status, err) == (1, "")
    heads = re.findall(r"^(layers.py\S+(?: \[\d\])?)\n  (\w+): ", out, re.MULTILINE)
    assert heads == [
        ("layers.py::tanh", "wrong"),
        ("layers.py::scale [0]", "pass"),
        ("layers.py::scale [1]", "pass"),
        ("layers.py::Exp", "pass"),
    ]
    assert sys.path == path


@pytest.mark.parametrize(
    ("name", "status"),
    [("tanh", 1), ("tanh_forward", 1), ("tanh_backward", 1), ("backward_scale", 0), ("Exp", 0)],
)
def test_one_pair_by_each_of_its_names(folder: Path, capsys: Any, name: str, status: int) -> None:
    found, out, _ = run(capsys, f"layers.py::{name}")
    assert found == status
    assert len(re.findall("^layers.py::", out, re.MULTILINE)) == (2 if "scale" in name else 1)


@pytest.mark.parametrize(
    ("text", "target", "words"),
    [
        (None, "none.py", "there is no file none.py"),
        (PAIR, "a.py", "no arguments.*write example_args = \\(x,\\) beside it"),
        (PAIR + "example_args = (1.0, 2.0)\n", "a.py", "forward.x. cannot be called with the 2 of"),
        (PAIR.replace("(g, x)", "(g)") + "example_args = (1.0,)\n", "a.py", "backward.g. cannot"),
        (PAIR + "example_args = {'x': 1.0}\n", "a.py", "no tuple of arguments; got: dict"),
        (PAIR + "example_args = lambda: 1 / 0\n", "a.py", "raised ZeroDivisionError"),
        (PAIR + "example_args = (1,)\n", "a.py", "nothing to differentiate"),
        (PAIR + "example_args = (1.0,)\n", "a.py::sine", "no pair 'sine'.*try: forward"),
        ("x = 1\n", "a.py", "no pair to check; expected: forward and backward, NAME_forward"),
        ("def f(:\n", "a.py", "a.py, line 1: .*def f"),
        ("import nowhere\n", "a.py", "a.py, line 1: ModuleNotFoundError.*__main__"),
        ("import sys\nsys.exit(3)\n", "a.py", "a.py, line 2: SystemExit: 3"),
        ("x = int('a')\n", "a.py", "a.py, line 1: ValueError"),
        ("x = 1\n", "tanh a.py", "ops and files"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path, capsys: Any, text: str | None, target: str, words: str
) -> None:
    if text is not None:
        (folder / "a.py").write_text(text)
    status, out, err = run(capsys, *target.split())
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert re.search(words, err)


def test_what_is_not_checked_is_told_beside_what_is_wrong(folder: Path, capsys: Any) -> None:
    (folder / "layers.py").write_text(LAYERS + PAIR)
    status, out, _ = run(capsys, "layers.py")
    assert status == 1
    assert "not checked: there are no arguments to check forward at" in out
    status, out, _ = run(capsys, "layers.py::Exp", "layers.py::scale")
    assert status == 0


def test_a_module_of_a_package_and_one_with_a_taken_name(folder: Path, capsys: Any) -> None:
    package = folder / "mine" / "deep"
    package.mkdir(parents=True)
    for place in (package, package.parent):
        (place / "__init__.py").write_text("")
    (package / "other.py").write_text("example_args = (1.0,)\n")
    (package / "ops.py").write_text("from .other import example_args\n" + PAIR)
    assert run(capsys, "mine/deep/ops.py")[0] == 0
    (folder / "random.py").write_text(PAIR + "example_args = (1.0,)\n")
    assert run(capsys, "random.py")[0] == 0
    import random

    assert hasattr(random, "randrange")


def test_a_function_of_tinynet_and_classes_that_are_no_pairs(folder: Path, capsys: Any) -> None:
    text = """
import tinynet as tn

class Cube(tn.autograd.Function):
    example_args = (tn.tensor([1.0, 2.0]),)

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * FACTOR * x**2

class Module:
    def forward(self, x):
        return x

    def backward(self, g, x):
        return g

class Other:
    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, g):
        return g
"""
    (folder / "right.py").write_text(text.replace("FACTOR", "3"))
    (folder / "wrong.py").write_text(text.replace("FACTOR", "2"))
    assert run(capsys, "right.py")[0] == 0
    status, out, _ = run(capsys, "wrong.py::Cube")
    assert status == 1
    assert out.count("::") == 1


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (PAIR, True),
        ("try:\n    from a import relu_forward, relu_backward\nexcept ImportError: pass", True),
        ("forward_f = backward_f = abs", True),
        ("import a as forward, b as backward", True),
        ("class A:\n    forward = backward = staticmethod(abs)", True),
        ("class A(Module):\n    def forward(self): pass\n    def backward(self): pass", False),
        ("class A(Module):\n    def forward(self): pass\nloss.backward()", False),
        ("def tanh_forward(): pass\ndef relu_backward(): pass", False),
        ("def f(:", False),
    ],
)
def test_whether_a_file_is_worth_importing(source: str, found: bool) -> None:
    assert may_hold_pairs(source) is found


def test_what_is_imported_counts_only_with_arguments() -> None:
    namespace: dict[str, Any] = {"f_forward": abs, "f_backward": pow}
    assert find_pairs(namespace, "here") == []
    (pair,) = find_pairs({**namespace, "f_example_args": (1.0,)}, "here")
    assert (pair.name, pair.cases()) == ("f", [(1.0,)])
