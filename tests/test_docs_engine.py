"""The page on the engine: its example and its size are those of the code."""

from __future__ import annotations

import ast
import doctest
import io
import re
import tokenize
from pathlib import Path

import numpy as np
import pages

from tinynet.batching import Batch, Level

TEXT = (pages.DOCS / "engine.md").read_text(encoding="utf-8")
PACKAGE = pages.DOCS.parent / "tinynet"


def lines_of_code(path: Path) -> int:
    """The lines that hold something besides docstrings and comments."""
    text = path.read_text(encoding="utf-8")
    strings = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Expr)]
    strings = [n for n in strings if isinstance(n.value, ast.Constant)]
    left_out = {line for n in strings for line in range(n.lineno, (n.end_lineno or 0) + 1)}
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    used = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in layout and token.type != tokenize.ENDMARKER:
            used.update(range(token.start[0], token.end[0] + 1))
    return len(used - left_out)


def test_how_long_it_is() -> None:
    """As said, to 5 %."""
    (said,) = re.findall(r"(\d+) lines of code without docstrings and comments", TEXT)
    counted = sum(lines_of_code(PACKAGE / f"{n}.py") for n in ("op", "tensor", "autograd"))
    assert abs(counted / int(said) - 1) < 0.05, counted


def test_the_files_it_names_exist() -> None:
    for name in re.findall(r"`(\w+\.py|\w+/)`", TEXT):
        assert (PACKAGE / name).exists(), name


def test_the_example_gives_what_it_shows() -> None:
    names = {"np": np, "Batch": Batch, "Level": Level}
    text = TEXT.replace("```", "")
    test = doctest.DocTestParser().get_doctest(text, names, "engine", None, 0)
    assert len(test.examples) == 2
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
