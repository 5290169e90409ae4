"""pytest --gradcheck, the fixture, and what a failed assertion shows: in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from test_check_files import LAYERS, PAIR

ROOT = Path(__file__).parents[1]
TESTS = """
import numpy as np
from tinynet.check import check_backward

x = np.array([1.0, 2.0])

def wrong(g, x):
    return 2 * g * np.cos(x)

def test_called():
    assert check_backward(np.sin, wrong, x)

def test_ok():
    report = check_backward(np.sin, wrong, x)
    assert report.ok

def test_with_words():
    assert check_backward(np.sin, wrong, x), "the third layer"

def test_verdict():
    report = check_backward(np.sin, wrong, x)
    assert report.verdict == "pass"

def test_fixture(gradcheck):
    gradcheck(np.sin, lambda g, x: g * np.cos(x), x)
    gradcheck(lambda t: t.sin(), x)
    gradcheck(np.sin, wrong, x)

def test_other():
    assert len(x) == 3
"""


def run(folder: Path, *options: str, plugin: str = "pytest_tinynet") -> str:
    """What pytest prints in this folder."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", plugin, *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder / "site")])}
    environment.pop("PYTEST_ADDOPTS", None)
    (folder / "pytest.ini").touch()
    found = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    return found.stdout + found.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Somebody's project: two files with pairs, one that must not be imported."""
    (tmp_path / "layers.py").write_text(LAYERS)
    (tmp_path / "neighbour.py").write_text(PAIR)
    (tmp_path / "train.py").write_text("raise SystemExit('this trains for days')\n")
    return tmp_path


def test_every_pair_is_a_test(project: Path) -> None:
    printed = run(project, "--gradcheck", "-v", "-rfs")
    for line in (
        "layers.py::tanh FAILED",
        "layers.py::scale[0] PASSED",
        "layers.py::scale[1] PASSED",
        "layers.py::Exp PASSED",
        "neighbour.py::forward SKIPPED",
    ):
        assert line in printed
    assert "1 failed, 3 passed, 1 skipped" in printed
    assert "no arguments: write example_args = (x,) beside it" in printed
    assert re.search(r"^wrong: .*\n(.*\n)*  entry +analytic +numeric", printed, re.MULTILINE)
    assert "FAILED layers.py::tanh - wrong: " in printed
    assert "Traceback" not in printed


def test_in_several_processes_and_by_name(project: Path) -> None:
    pytest.importorskip("xdist")
    names = ("layers.py::tanh", "layers.py::Exp")
    printed = run(project, "--gradcheck", "-n", "2", *names, plugin="tinynet.check.pytest_plugin")
    assert "1 failed, 1 passed" in printed
    assert "wrong: " in printed


def test_arguments_that_do_not_fit_fail(project: Path) -> None:
    (project / "layers.py").write_text(PAIR + "example_args = (1.0, 2.0)\n")
    printed = run(project, "--gradcheck", "layers.py")
    assert "1 failed" in printed
    assert "forward(x) cannot be called with the 2 of example_args" in printed


def test_a_failed_assertion_shows_the_report(tmp_path: Path) -> None:
    (tmp_path / "test_them.py").write_text(TESTS)
    printed = run(tmp_path)
    assert "6 failed" in printed
    parts = re.split(r"^_+ (test_\w+) _+$", printed, flags=re.MULTILINE)
    shown = dict(zip(parts[1::2], parts[2::2], strict=True))
    for name in ("test_called", "test_ok", "test_with_words", "test_verdict", "test_fixture"):
        assert re.search(r"^E +.*wrong: ", shown[name], re.MULTILINE), name
        assert re.search(r"^E +entry +analytic +numeric +ratio", shown[name], re.MULTILINE), name
        assert "GradientReport(" not in shown[name]
    assert "the third layer" in shown["test_with_words"]
    assert "'wrong' == 'pass'" in shown["test_verdict"]
    assert "wrong: " not in shown["test_other"].partition("short test summary")[0]


def test_installed_it_costs_nothing_until_it_is_used(tmp_path: Path) -> None:
    """As pip leaves it: the entry point of pyproject.toml, and not `-p`."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        points = tomllib.load(file)["project"]["entry-points"]["pytest11"]
    about = tmp_path / "site" / "tinynet-0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tinynet\nVersion: 0\n")
    lines = [f"{name} = {module}" for name, module in points.items()]
    (about / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it(request):\n"
        "    assert request.config.getoption('gradcheck') is False\n"
        "    assert not {'tinynet', 'numpy'} & set(sys.modules)\n"
    )
    assert "1 passed" in run(tmp_path, "-p", "no:hypothesispytest", plugin="no:other")
