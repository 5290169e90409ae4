"""The chapters as tests see them: their cells, what they define, and a run of those that are quick.

# %% tags=["check"]      holds a formula against another route to the same number
# %% tags=["picture"]    draws only; a test need not
# %% tags=["slow"]       trains, or uses what a training left
# %% tags=["wrong"]      a mistake on purpose
# %% tags=["exercise"]   waits for the reader
"""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
from pathlib import Path
from typing import Any

from tinynet.classroom.notebooks import script_cells as cells

CHAPTERS = Path(__file__).parents[2] / "chapters"
TAGS = {"check", "picture", "slow", "wrong", "exercise"}
QUIET = {"picture", "slow", "exercise"}  # cells that a quick run leaves out


def paths() -> list[Path]:
    """The scripts of all chapters, in order."""
    return sorted(CHAPTERS.glob("[0-9][0-9]_*.py"))


def functions(path: Path) -> list[str]:
    """The functions that a chapter writes as formulas: not those that are wrong on purpose, wait
    for the reader, or train.
    """
    names = []
    for cell in cells(path):
        if cell.code and not cell.tags & {"wrong", *QUIET}:
            names += [n.name for n in ast.parse(cell.text).body if isinstance(n, ast.FunctionDef)]
    return names


def definitions(path: Path) -> dict[str, Any]:
    """What a chapter's quick cells define: its own functions, not copies."""
    return run(path, leave={"check", "wrong", *QUIET})


def code_of(chapter: str) -> Any:
    """The definitions of the chapter with this number."""
    return definitions(next(path for path in paths() if path.stem.startswith(chapter)))


def run(path: Path, *, leave: set[str] = QUIET, scaled: str = "") -> dict[str, Any]:
    """The names after a run of a chapter's cells, without those with a tag of `leave`.

    scaled   a function whose results are 1 % too large in this run
    """
    import matplotlib.pyplot as plt
    import numpy as np

    names: dict[str, Any] = {"__name__": path.stem, "__chapter_scaled__": _one_percent_more}
    with contextlib.redirect_stdout(io.StringIO()), np.printoptions():
        for number, cell in enumerate(cells(path)):
            if cell.code and not cell.tags & leave:
                place = f"<{path.stem}, cell {number}>"
                text = "\n" * (cell.line - 1) + cell.text
                linecache.cache[place] = (len(text), None, text.splitlines(keepends=True), place)
                tree = ast.parse(text)
                for node in tree.body:
                    if isinstance(node, ast.FunctionDef) and node.name == scaled:
                        node.decorator_list.append(ast.Name("__chapter_scaled__", ast.Load()))
                code = compile(ast.fix_missing_locations(tree), place, "exec", dont_inherit=True)
                exec(code, names)
    plt.close("all")
    return names


def _one_percent_more(function: Any) -> Any:
    def scaled(*args: Any, **options: Any) -> Any:
        return _scaled(function(*args, **options))

    return scaled


def _scaled(result: Any) -> Any:
    if isinstance(result, tuple | list):
        return type(result)(_scaled(part) for part in result)
    return result if result is None or isinstance(result, str | bool) else 1.01 * result
