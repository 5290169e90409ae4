"""What is typed: every command works, a mistake is one line and status 2."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tinynet import cli

SYSTEMS = ("train", "evaluate", "generate", "embed")


def run(capsys: Any, *argv: str) -> tuple[int, str, str]:
    status = cli.main(list(argv))
    out, err = capsys.readouterr()
    return status, out, err


def test_without_a_command_help_with_an_example_of_each(capsys: Any) -> None:
    status, out, _ = run(capsys)
    assert status == 0
    listed = re.search(r"commands:\n  COMMAND\n(.*?)\n\n", out, re.DOTALL)
    assert listed
    names = re.findall(r"^    (\w+)", listed[1], re.MULTILINE)
    assert names == ["tour", "where", "check", "data", *SYSTEMS, "classroom", "bench", "info"]
    for name in names:
        assert f"python -m tinynet {name}" in out


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("exp", ["e^{u}", "ops/elementwise.py:", 'elementwise("exp"', "g * y"]),
        ("eq", ["u = v", "np.equal"]),
        ("einsum", ["ops/products.py:", "def _einsum_rule", "Einstein"]),
        ("to_dtype", ["dispatch.py:"]),
        ("softmax", ["derivations/softmax.py:", "Derivation.", "def backward", "nn.Softmax"]),
        ("perceptron", ["Rosenblatt", "derivations/perceptron.py:"]),
        ("LINEAR", ["derivations/linear.py:", "nn.Linear", "nn.functional.linear"]),
        ("tn.nn.Linear", ["nn/layers.py:"]),
        ("optim.SGD", ["optim/sgd.py:"]),
        ("roc_auc", ["metrics.py:", "scores"]),
        ("DataLoader", ["data/loading.py:", "batches"]),
        ("fit", ["train/loop.py:"]),
    ],
)
def test_where(capsys: Any, name: str, parts: list[str]) -> None:
    status, out, _ = run(capsys, "where", name)
    assert status == 0
    for part in parts:
        assert part in out


def test_where_names_the_right_line(capsys: Any, monkeypatch: Any) -> None:
    """For every op: at file:line stands the statement that is shown."""
    from tinynet.op import Derivation, registry

    monkeypatch.chdir("/")
    for op in registry.values():
        if isinstance(op, Derivation):
            continue
        _, out, _ = run(capsys, "where", f"ops.{op.name}")
        path, line = re.search(r"   at (\S+):(\d+)\n\n   (.*)\n", out).group(1, 2)
        shown = re.search(r"   at \S+\n\n   (.*)\n", out).group(1)
        assert Path("/", path).read_text(encoding="utf-8").splitlines()[int(line) - 1] == shown
        assert f'"{op.name}"' in out


@pytest.mark.parametrize(
    ("section", "there", "not_there"),
    [
        ("B4.2", ["neuron ", "bce ", "derivations/bce.py:1"], ["softmax", "mse ", "linear"]),
        ("D 4", ["bigram ", "nll ", "document D, 4.2"], ["bce "]),
        ("a", ["softmax "], ["bigram"]),
    ],
)
def test_where_of_a_section_of_a_document(
    capsys: Any, section: str, there: list[str], not_there: list[str]
) -> None:
    """The derivations whose docstring names it."""
    status, out, _ = run(capsys, "where", section)
    assert status == 0
    assert all(part in out for part in there)
    assert not any(part in out for part in not_there)
    assert run(capsys, "where", "B 7.9")[0] == 2


def test_where_of_a_name_that_is_none(capsys: Any) -> None:
    status, out, err = run(capsys, "where", "sofmax")
    assert (status, out) == (2, "")
    assert err.startswith("tinynet: nothing is called 'sofmax'; try: softmax")
    assert err.count("\n") == 1


def test_check(capsys: Any, monkeypatch: Any) -> None:
    status, out, _ = run(capsys, "check", "tanh", "softmax", "eq")
    assert status == 0
    assert re.search(r"^tanh +elementwise +\d+ +\de-\d\d +\de-\d\d  ok", out, re.MULTILINE)
    assert re.search(r"^eq +elementwise +0 +– +–", out, re.MULTILINE)
    status, _, err = run(capsys, "check", "tahn")
    assert (status, err.count("\n")) == (2, 1)
    assert "tanh" in err

    from tinynet.op import registry

    wrong = [lambda g, y, _u: g * (1 - y)]
    monkeypatch.setattr(registry["tanh"], "rule", wrong.__getitem__)
    status, out, _ = run(capsys, "check", "tanh", "exp")
    assert status == 1
    assert re.search(r"^tanh .* WRONG", out, re.MULTILINE)
    assert re.search(r"^exp .* ok", out, re.MULTILINE)


def test_train_and_evaluate_a_system(capsys: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    argv = ["train", "digits-mlp", "--quick", "--set", "epochs=2", "--out", str(folder)]
    status, text, _ = run(capsys, *argv)
    assert status == 0
    scores = json.loads((folder / "metrics.json").read_text("utf-8"))["tinynet"]
    assert re.search(rf"^ +accuracy +{scores['accuracy']:.4f}$", text, re.MULTILINE)
    status, text, _ = run(capsys, "evaluate", "digits-mlp", "--from", str(folder))
    assert status == 0
    assert text.split() == ["accuracy", f"{scores['splits'][0]:.4f}"]
    status, _, err = run(capsys, "generate", "digits-mlp", "--from", str(folder))
    assert (status, err) == (2, "tinynet: digits-mlp does not write texts\n")


def test_train_alone_lists_the_systems(capsys: Any) -> None:
    from tinynet.models import NAMES

    status, text, _ = run(capsys, "train")
    assert status == 0
    assert [line.split()[0] for line in text.splitlines()] == list(NAMES)


@pytest.mark.parametrize(
    "argv",
    [
        ["nothing"],
        ["where"],
        ["evaluate"],
    ],
)
def test_mistakes_in_the_command_line(capsys: Any, argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["train", "cats"],
        ["train", "digits-mlp", "--quick", "--out", "/dev/null/x"],
        ["train", "digits-mlp", "--set", "seed=-1"],
        ["train", "digits-mlp", "--set", "epochs=0"],
        ["train", "digits-mlp", "--set", "epochs=many"],
        ["train", "digits-mlp", "--set", "colour=red"],
        ["evaluate", "digits-mlp", "--from", "/no/such/folder"],
        ["bench", "nothing"],
        ["bench", "engine", "--device", "toaster"],
    ],
)
def test_other_mistakes_are_one_line(capsys: Any, argv: list[str]) -> None:
    status, _, err = run(capsys, *argv)
    assert status == 2
    assert re.fullmatch(r"tinynet: [^\n]+\n", err)


def test_info(capsys: Any) -> None:
    status, out, _ = run(capsys, "info")
    assert status == 0
    for part in ("tinynet ", "machine ", "numpy ", "devices "):
        assert part in out


def test_a_reader_that_stops_early_and_ctrl_c() -> None:
    command = [sys.executable, "-m", "tinynet", "check"]
    root = str(Path(cli.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_train_all(capsys: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """One that fails is said, and the others are trained."""
    from tinynet import models

    def train(name: str, *, out: Path, **_: Any) -> Any:
        if name != "digits-mlp":
            raise OSError("no such data")
        return models.Result(name, None, {"tinynet": {"accuracy": 0.5}}, None, out)

    monkeypatch.setattr(models, "NAMES", ["digits-mlp", "other"])
    monkeypatch.setattr(models, "train", train)
    status, out, _ = run(capsys, "train", "all", "--quick", "--out", str(tmp_path))
    assert status == 1
    assert re.search(r"^digits-mlp .* tinynet: accuracy 0.5000$", out, re.MULTILINE)
    assert re.search(r"^other .* failed$", out, re.MULTILINE)
    assert "no such data" in out
