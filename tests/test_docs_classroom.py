"""The teacher's page: its commands work as they are typed, and its chapters are the book's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pages
import pytest

from tinynet import cli

TEXT = (pages.DOCS / "classroom.md").read_text(encoding="utf-8")
ROOT = Path(__file__).parents[1]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.skipif(sys.platform == "win32", reason="grading needs Linux or macOS")
def test_the_commands_work(tmp_path: Path) -> None:
    (tmp_path / "chapters").symlink_to(ROOT / "chapters")
    for block in _blocks("sh"):
        if "pip" in block or "nbgrader" in block or "submitted" in block:
            continue
        commands = block.replace("python -m tinynet", f"'{sys.executable}' -m tinynet")
        subprocess.run(["sh", "-ec", commands], cwd=tmp_path, check=True, env=_environment())
    assert (tmp_path / "graded" / "overview.html").is_file()
    assert (tmp_path / "graded" / "feedback" / "ada.04_losses_and_likelihood.html").is_file()
    (test,) = _blocks("python")
    (tmp_path / "test_assignment.py").write_text(test)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_assignment.py"],
        cwd=tmp_path,
        env=_environment(),
        capture_output=True,
        text=True,
    )
    assert "1 failed" in run.stdout
    assert "assert 0 == 7" in run.stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_the_workflow_calls_the_grader() -> None:
    (workflow,) = _blocks("yaml")
    folded = re.sub(r"\n +--", " --", workflow)  # YAML's >-
    (command,) = re.findall(r"python -m (tinynet classroom grade .*)", folded)
    args = cli._parser().parse_args(command.split()[1:])
    assert args.min_points == 7
    assert args.release == "handout"


def test_the_syllabus_names_the_chapters() -> None:
    titles = tomllib.loads((pages.DOCS / "sources.toml").read_text())["chapters"]
    full = re.findall(r"^\| \d+ \| (\d\d) ([^|;]+) \|", TEXT.split("**Fourteen")[1], re.MULTILINE)
    assert [number for number, _ in full] == [f"{n:02d}" for n in range(10)]
    assert {number: titles[number] for number, _ in full} == dict(full)
    for number, title in re.findall(r"(?:\| |; )(\d\d) ([^|;]+?) ?(?=[|;])", TEXT):
        assert titles[number].startswith(title)
