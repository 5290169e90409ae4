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

MOST = 20 << 20  # bytes of a submission
_MOST_CELLS, _MOST_CODE = 1000, 1 << 18


@dataclass(frozen=True)
class Cell:
    """A cell of a chapter: code or text, its tags, its lines, and at which line they begin."""

    code: bool
    tags: frozenset[str]
    text: str
    line: int


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
        line = text.count("\n", 0, mark.end()) + 1
        found.append(Cell(code, frozenset(json.loads(tags[1]) if tags else ()), body, line))
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
    """What a student wrote: the code of each code cell, nothing for those that were locked.

    Raises `FileFormatError` for what is no notebook, or too large.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MOST + 1)
        if len(text) > MOST:
            raise ValueError(f"larger than {MOST >> 20} MiB")
        cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
        texts = ["" if _locked(c) else "".join(c["source"]) for c in cells]
        if len(texts) > _MOST_CELLS or sum(map(len, texts)) > _MOST_CODE:
            raise ValueError(f"more than {_MOST_CELLS} cells, or {_MOST_CODE >> 10} KiB of code")
    except OSError as error:
        raise FileFormatError(f"{path.name} cannot be read", got=error.strerror) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{path.name} is not a notebook", got=f"{error!s:.200}") from None
    return texts


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
