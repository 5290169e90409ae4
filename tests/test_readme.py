"""Everything in the README works as typed."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def test_the_examples_give_what_they_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = README.read_text(encoding="utf-8")
    test = doctest.DocTestParser().get_doctest(text, {}, "README", str(README), 0)
    assert len(test.examples) > 20
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_its_commands_exist() -> None:
    from tinynet.cli import main

    text = README.read_text(encoding="utf-8")
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) - {"it"}:
        assert f"\n{target}:" in makefile
    for name in re.findall(r"python -m tinynet where (\w+)", text):
        assert main(["where", name]) == 0


def test_the_files_it_names_exist() -> None:
    root = README.parent
    for name in re.findall(
        r"`((?:tinynet|tests|ops)/[\w./]+)`", README.read_text(encoding="utf-8")
    ):
        place = root / name if name.startswith(("tinynet", "tests")) else root / "tinynet" / name
        assert place.exists(), name
