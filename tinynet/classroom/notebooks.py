"""Chapters as scripts, assignments and submissions as notebooks: cells in, cells out."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinynet import files
from tinynet.errors import FileFormatError

_MOST = 20 << 20  # bytes of a submission


@dataclass(frozen=True)
class Cell:
    """A cell of a chapter: code or text, its tags, its lines."""

    code: bool
    tags: frozenset[str]
    text: str


def script_cells(path: Path) -> list[Cell]:
    """The cells of a script in the percent format, its heading left out."""
    text = path.read_text("utf-8")
    marks = list(re.finditer(r"^# %%(.*)\n", text, re.MULTILINE))
    found = []
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        body = text[mark.end() : after.start() if after else None].strip("\n")
        tags = re.search(r"tags=(\[.*\])", mark[1])
        code = "[markdown]" not in mark[1]
        if not code:
            body = re.sub(r"^# ?", "", body, flags=re.MULTILINE)
        found.append(Cell(code, frozenset(json.loads(tags[1]) if tags else ()), body))
    return found


def notebook(cells: list[dict[str, Any]]) -> bytes:
    """A notebook without outputs, always the same bytes for the same cells."""
    for number, cell in enumerate(cells):
        text = f"{number} {cell['cell_type']} {''.join(cell['source'])}"
        cell["id"] = hashlib.sha256(text.encode()).hexdigest()[:12]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def markdown(text: str, grade_id: str) -> dict[str, Any]:
    """A text cell that students cannot lose."""
    return {
        "cell_type": "markdown",
        "metadata": {"nbgrader": _nbgrader(grade_id, locked=True)},
        "source": text.splitlines(keepends=True),
    }


def code(text: str, grade_id: str, **about: Any) -> dict[str, Any]:
    """A code cell with nbgrader's marks: solution, grade with points, or locked."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"nbgrader": _nbgrader(grade_id, **about)},
        "outputs": [],
        "source": text.splitlines(keepends=True),
    }


def _nbgrader(grade_id: str, **about: Any) -> dict[str, Any]:
    marks = {"grade": False, "locked": False, "solution": False, "task": False, "schema_version": 3}
    return {**marks, "grade_id": grade_id, **about}


def student_cells(path: Path) -> list[str]:
    """The code that a student wrote: every code cell but those that were locked.

    Lines that begin with % or ! are for notebooks only, and are left out. Raises `FileFormatError`
    for what is no notebook.
    """
    try:
        if path.stat().st_size > _MOST:
            raise ValueError(f"larger than {_MOST >> 20} MiB")
        content = json.loads(path.read_text("utf-8"))
        cells = [c for c in content["cells"] if c["cell_type"] == "code"]
        texts = ["".join(c["source"]) for c in cells if not _locked(c)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{path.name} is not a notebook", got=f"{error!s:.200}") from None
    return [re.sub(r"^[ \t]*[%!].*$", "", text, flags=re.MULTILINE) for text in texts]


def _locked(cell: Any) -> bool:
    marks = cell.get("metadata", {}).get("nbgrader", {})
    return bool(marks.get("locked") or marks.get("grade"))


def answer_of(source: str) -> tuple[str, str]:
    """(exercise, name of the answer) of a cell with `tn.exercise("…").check(name)`."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "check"
            and isinstance(node.func.value, ast.Call)
        ):
            name, answer = node.func.value.args[0], node.args[0]
            if isinstance(name, ast.Constant) and isinstance(answer, ast.Name):
                return str(name.value), answer.id
    raise FileFormatError("the cell checks no answer", got=source[:80])


def write(path: Path, content: bytes) -> None:
    """Put bytes into a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.write_atomically(path) as file:
        file.write(content)
