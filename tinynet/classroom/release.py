"""From chapters to what students receive: notebooks with tasks and stubs, and a manifest."""

from __future__ import annotations

import ast
import hashlib
import itertools
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tinynet
from tinynet.classroom.notebooks import (
    Cell,
    answer_of,
    code,
    markdown,
    notebook,
    script_cells,
    write,
)
from tinynet.errors import ArgumentError
from tinynet.exercises import exercise

MANIFEST = "manifest.json"
_BEGIN, _END = "### BEGIN SOLUTION", "### END SOLUTION"

_HOW = """\
# {title}: assignment

Write your answers into the cells that say `...` or hold a mistake to be found. The cell below each
answer checks it at once; `tn.exercise("…").hint()` gives a hint, three times. Keep the names of the
functions. You may add cells.

The grade comes from the same properties at other arguments, {points} points in all. Before you hand
in: *Restart the kernel and run all cells*."""

_NBGRADER = '''\
"""Configuration of nbgrader for these assignments: `nbgrader generate_assignment NAME` …"""

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "tinynet"
c.ClearSolutions.code_stub = {"python": "..."}
c.ExecutePreprocessor.timeout = 120
'''


def release(
    chapters: Sequence[str], to: str | Path, *, source: str | Path, nbgrader: bool = False
) -> dict[str, Any]:
    """Make the students' notebooks of some chapters; the manifest comes back.

    chapters    "04", "08" …
    to          a folder, for one notebook per chapter and `manifest.json`
    source      the folder with the chapters' scripts
    nbgrader    lay the folder out as a course of nbgrader: source/NAME/NAME.ipynb, with a
                configuration

    The same chapters give the same bytes. Raises `ArgumentError` for a chapter that is not there,
    or has no exercises.
    """
    folder, made = Path(to), {}
    for chapter in chapters:
        path = _script(chapter, Path(source))
        name = path.stem
        cells, asked = _assignment(path, nbgrader)
        content = notebook(cells)
        file = Path("source", name, f"{name}.ipynb") if nbgrader else Path(f"{name}.ipynb")
        write(folder / file, content)
        made[name] = {
            "file": file.as_posix(),
            "sha256": hashlib.sha256(content).hexdigest(),
            "given": _given_source(path),
            "exercises": asked,
        }
    manifest = {"format": 1, **versions(), "assignments": made}
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write(folder / MANIFEST, text.encode())
    if nbgrader:
        write(folder / "nbgrader_config.py", _NBGRADER.encode())
    return manifest


def versions() -> dict[str, str]:
    """What is here of the packages that draw and judge the arguments of a property. Raises
    `ArgumentError` where there is no Hypothesis.
    """
    try:
        drawn_by = version("hypothesis")
    except PackageNotFoundError:
        raise ArgumentError(
            "assignments are graded with Hypothesis, which is not here",
            hint='pip install "tinynet[check]"',
        ) from None
    return {"tinynet": tinynet.__version__, "numpy": version("numpy"), "hypothesis": drawn_by}


def _script(chapter: str, source: Path) -> Path:
    found = sorted(source.glob(f"{chapter}_*.py"))
    if len(found) != 1:
        there = ", ".join(path.stem for path in sorted(source.glob("[0-9][0-9]_*.py")))
        raise ArgumentError(
            f"there is no chapter {chapter!r} in {source}",
            expected=there or "a folder with the chapters' scripts: --chapters DIR",
        )
    return found[0]


def _assignment(path: Path, nbgrader: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The notebook's cells, and what the manifest says of each exercise."""
    number, cells = path.stem[:2], script_cells(path)
    title = cells[0].text.splitlines()[0].removeprefix("# ")
    tasks: list[dict[str, Any]] = []
    asked: list[dict[str, Any]] = []
    for before, cell in itertools.pairwise(cells):
        if "exercise" not in cell.tags:
            continue
        name, answer = answer_of(cell.text)
        grade_id = name.replace(".", "-")
        points = sum(p.points for p in exercise(name).properties)
        text = f"{before.text.split('## Exercises')[-1].strip()}\n\n`{exercise(name).signature}`"
        tasks += [
            markdown(text, f"{grade_id}-task"),
            code(_stub(cell, nbgrader), f"{grade_id}-answer", solution=True),
            code(_test(name, answer), grade_id, grade=True, locked=True, points=points),
        ]
        asked.append({"name": name, "answer": answer, "points": points, "grade_id": grade_id})
    if not asked:
        raise ArgumentError(f"{path.stem} has no exercises")
    top = [
        markdown(_HOW.format(title=title, points=sum(e["points"] for e in asked)), f"{number}-how"),
        code(_given_source(path), f"{number}-given", locked=True),
    ]
    return top + tasks, asked


def _stub(cell: Cell, nbgrader: bool) -> str:
    """The cell as the chapter has it, without its last statement, the check."""
    tree = ast.parse(cell.text)
    lines = cell.text.splitlines()[: tree.body[-1].lineno - 1]
    text = "\n".join(lines).rstrip()
    return f"{text}\n{_BEGIN}\n{_END}" if nbgrader else text


def _test(name: str, answer: str) -> str:
    return f'feedback = tn.exercise("{name}").check({answer})\nassert feedback, feedback'


def _given_source(path: Path) -> str:
    """What the stubs need: the chapter's imports, and those of its functions that they use."""
    cells = script_cells(path)
    imports = next(cell.text for cell in cells if cell.code)
    functions = {
        node.name: ast.get_source_segment(cell.text, node) or ""
        for cell in cells
        if cell.code and not cell.tags & {"exercise", "slow", "wrong", "picture"}
        for node in ast.parse(cell.text).body
        if isinstance(node, ast.FunctionDef)
    }
    wanted = [cell.text for cell in cells if "exercise" in cell.tags]
    needed: dict[str, str] = {}
    while wanted:
        for node in ast.walk(ast.parse(wanted.pop())):
            if isinstance(node, ast.Name) and node.id in functions and node.id not in needed:
                needed[node.id] = functions[node.id]
                wanted.append(functions[node.id])
    ordered = [functions[name] for name in functions if name in needed]
    return "\n\n\n".join([imports, *ordered])
