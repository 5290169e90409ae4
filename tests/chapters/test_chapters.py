"""Every chapter is whole, in step with its notebook, and its checks can fail."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import chapter_cells
import numpy as np
import pytest
from chapter_cells import TAGS, cells, functions, paths, run

import tinynet as tn
from tinynet.errors import TinynetError

CHAPTERS = pytest.mark.parametrize("path", paths(), ids=lambda path: path.stem)


def number(path: Path) -> str:
    return path.stem[:2]


def prose(path: Path) -> str:
    return "\n\n".join(cell.text for cell in cells(path) if not cell.code)


@cache
def solutions(chapter: str) -> Any:
    """The module of worked solutions of a chapter: RIGHT and WRONG, by exercise."""
    return importlib.import_module(f"solutions_{chapter}")


@CHAPTERS
def test_the_notebook_is_the_script_without_outputs(path: Path) -> None:
    jupytext = pytest.importorskip("jupytext")
    notebook = json.loads(path.with_suffix(".ipynb").read_text("utf-8"))
    script = jupytext.read(path)
    assert [c["cell_type"] for c in notebook["cells"]] == [c.cell_type for c in script.cells]
    for held, written in zip(notebook["cells"], script.cells, strict=True):
        assert "".join(held["source"]) == written.source
        assert held["metadata"].get("tags", []) == written.metadata.get("tags", [])
        if held["cell_type"] == "code":
            assert held["outputs"] == []
            assert held["execution_count"] is None


@CHAPTERS
def test_a_chapter_has_all_its_parts(path: Path) -> None:
    text = prose(path)
    assert text.startswith(f"# {number(path)} · ")
    for part in ("**After this chapter you can**", "**You need**", "**Time**", "**Sources**"):
        assert part in text, part
    goals = re.findall(r"^\d\. ", text.split("**You need**")[0], re.MULTILINE)
    assert 3 <= len(goals) <= 5
    for heading in ("What goes wrong", "Exercises", "Words", "What to read next"):
        assert re.search(rf"^## (\d+\. )?{heading}", text, re.MULTILINE), heading
    code = [cell for cell in cells(path) if cell.code]
    assert set().union(*(cell.tags for cell in code)) <= TAGS
    assert sum(cell.text.count("plt.show()") for cell in code) >= 3
    assert not any(re.match(r"[%!]", line) for cell in code for line in cell.text.splitlines())


@CHAPTERS
def test_new_words_have_their_chinese_ones(path: Path) -> None:
    table = prose(path).split("Words\n")[-1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE)
    assert rows
    assert all(re.search(r"[\u4e00-\u9fff]", chinese) for _, chinese in rows)


@CHAPTERS
def test_no_chapter_needs_a_later_one(path: Path) -> None:
    """What it needs are earlier chapters; what is to come is only pointed at."""
    needs = prose(path).split("**You need**")[1].split("**Time**")[0]
    assert all(later < number(path) for later in re.findall(r"\b\d\d\b", needs))


@CHAPTERS
def test_its_quick_cells_run(path: Path) -> None:
    run(path)


@pytest.mark.parametrize(
    ("path", "name"), [(p, name) for p in paths() for name in functions(p)], ids=str
)
def test_one_percent_is_noticed(path: Path, name: str) -> None:
    """With any formula of the chapter 1 % too large, a cell of the chapter fails."""
    with pytest.raises((AssertionError, TinynetError)):
        run(path, scaled=name)


# -- exercises -------------------------------------------------------------------------------------

EXERCISES = pytest.mark.parametrize(
    ("chapter", "name"),
    [(number(path), name) for path in paths() for name in tn.exercises.names(number(path))],
)


@CHAPTERS
def test_its_exercises_are_those_of_the_package(path: Path) -> None:
    asked = re.findall(
        r'tn\.exercise\("([^"]+)"\)\.check', "\n".join(c.text for c in cells(path) if c.code)
    )
    assert sorted(asked) == sorted(tn.exercises.names(number(path)))
    assert len(asked) >= 4
    known = solutions(number(path))
    assert set(known.RIGHT) == set(asked)
    assert set(known.WRONG) == set(asked)


@EXERCISES
def test_right_answers_pass(chapter: str, name: str) -> None:
    """More than one way is right."""
    for answer in solutions(chapter).RIGHT[name]:
        feedback = tn.exercise(name).check(answer)
        assert feedback.ok, feedback


@EXERCISES
def test_wrong_answers_fail_with_a_reason(chapter: str, name: str) -> None:
    """Each with words that name the mistake."""
    for answer, words in solutions(chapter).WRONG[name]:
        feedback = tn.exercise(name).check(answer)
        assert not feedback.ok
        assert re.search(words, repr(feedback)), feedback


@EXERCISES
def test_what_a_stub_is_told(chapter: str, name: str) -> None:
    """The cell as it stands in the notebook runs, and does not pass."""
    for answer in (lambda *_: None, lambda *_: ..., None, float("nan"), "text"):
        feedback = tn.exercise(name).check(answer)
        assert not feedback.ok
        assert all(o.message for o in feedback.outcomes if not o.ok)
        assert feedback._repr_html_()


@EXERCISES
def test_hints_say_more_and_more(chapter: str, name: str) -> None:
    exercise = tn.exercise(name)
    hints = [exercise.hint(level) for level in (1, 2, 3)]
    assert len(set(hints)) == 3
    with pytest.raises(TinynetError, match="1, 2 or 3"):
        exercise.hint(4)


def test_a_missing_hypothesis_is_not_held_against_an_answer() -> None:
    script = f"""
import sys
sys.modules["hypothesis"] = None
import tinynet as tn
for name in {tn.exercises.names()!r}:
    try:
        told = repr(tn.exercise(name).check(lambda *_: 1.0))
    except tn.errors.ArgumentError as error:
        told = str(error)
        assert "pip install hypothesis" in told, told
        print(name)
        continue
    assert "ypothesis" not in told, told
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "04.softmax\n" in run.stdout


def _bodies(source: str) -> set[str]:
    """Every function body and every longer expression of a source, as syntax, without names of
    functions and docstrings.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            body = node.body if isinstance(node.body, list) else [ast.Return(node.body)]
            found.add("\n".join(map(ast.dump, body)))
    return found


@CHAPTERS
def test_no_solution_is_in_the_notebook(path: Path) -> None:
    """Neither as text nor as syntax: no function of the solutions stands in the chapter."""
    module = solutions(number(path))
    source = Path(module.__file__).read_text("utf-8")
    code = "\n\n".join(cell.text for cell in cells(path) if cell.code)
    tree = ast.parse(source)
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    right = [n for n in functions if not n.name.startswith("_")]  # the others are wrong answers
    assert right
    shown = _bodies(code)
    text = re.sub(r"\s+", "", code)
    for function in right:
        assert not _bodies(ast.unparse(function)) & shown, function.name
        assert re.sub(r"\s+", "", "".join(map(ast.unparse, function.body))) not in text


def test_the_harness_sees_what_it_should(tmp_path: Path) -> None:
    """A chapter whose check is blind is found out."""
    path = tmp_path / "99_blind.py"
    path.write_text(
        "# %%\nimport numpy as np\ndef double(x):\n    return 2 * x\ndef total(x):\n"
        '    return x - x\n\n# %% tags=["check"]\nassert double(3) == 6\nassert total(3) == 0\n'
        '\n# %% tags=["slow"]\nraise RuntimeError\n',
        "utf-8",
    )
    assert functions(path) == ["double", "total"]
    assert chapter_cells.definitions(path)["double"](2) == 4
    with pytest.raises(AssertionError):
        run(path, scaled="double")
    run(path, scaled="total")  # 1 % of nothing: not seen, and so reported by the test above


def test_arguments_are_called_as_the_answer_calls_them() -> None:
    from tinynet.exercises import Failure, properties

    asked = properties.at(properties.right("add"), (1.0, np.ones(2)))
    with pytest.raises(Failure, match=r"(?s)\A *left = .*\n *right = "):
        asked.test(lambda left, right: left - right)
    with pytest.raises(Failure, match="right was written into"):
        asked.test(lambda left, right: right.__iadd__(left))
    with pytest.raises(Failure, match="argument 2 = "):
        asked.test(lambda *both: both[0])
