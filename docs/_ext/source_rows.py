"""Writes the page of the source documents from ``sources.toml``, with today's lines of code.

The line ``<!-- sources -->`` of ``sources.md`` is replaced by a list of the derivations and one
of the systems. ``python docs/_ext/source_rows.py`` lists which of the names that are planned
(`later`) have come.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from written import written

PAGE = "sources"
MARK = "<!-- sources -->"
DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent

Place = tuple[Path, int]  # a file below the root, a line


def rows() -> dict[str, Any]:
    """The data: chapters, derivations, systems."""
    with (DOCS / "sources.toml").open("rb") as file:
        return tomllib.load(file)


def find(name: str) -> Place | None:
    """Where ``tinynet.<name>`` is defined; None where there is no such thing.

    A derivation is shown at its definition, another module at its first function or class.
    """
    import tinynet

    thing: Any = tinynet
    for part in name.split("."):
        path = f"{thing.__name__}.{part}" if isinstance(thing, ModuleType) else ""
        try:
            thing = getattr(thing, part) if hasattr(thing, part) else importlib.import_module(path)
        except (ImportError, ValueError):
            return None
    if isinstance(thing, ModuleType):
        own = [f for f in vars(thing).values() if getattr(f, "__module__", "") == thing.__name__]
        own = [f for f in own if inspect.isfunction(f) or inspect.isclass(f)]
        public = [f for f in own if not f.__name__.startswith("_")]
        thing = getattr(thing, "definition", public[0])
    thing = inspect.unwrap(thing)
    if not inspect.isroutine(thing) and not inspect.isclass(thing):
        thing = type(thing)  # of an object that can be called
    path = Path(inspect.getsourcefile(thing) or "")
    return path.relative_to(ROOT), inspect.getsourcelines(thing)[1]


def find_test(name: str) -> Place | None:
    """Where a test ``FILE::NAME`` stands."""
    file, _, function = name.partition("::")
    path = ROOT / "tests" / file
    if path.exists():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name == function:
                return path.relative_to(ROOT), node.lineno
    return None


def chapter(number: str, chapters: dict[str, str]) -> str:
    """Its number and title, with a link where there is a file; or that it is not there yet."""
    title = f"{number} {chapters[number]}"
    for file in sorted((ROOT / "chapters").glob(f"{number}_*.ipynb")):
        return f"{{download}}`{title} <../{file.relative_to(ROOT)}>`"
    return f"{title} (not yet)"


def linked(names: list[str], lookup: Callable[[str], Place | None]) -> Iterator[str]:
    """Each name as a link to its file, and its line; or, unlinked, that it is not there yet."""
    for name in names:
        place = lookup(name)
        shown = name.rpartition("::")[2]
        if place is None:
            yield f"`{shown}` (not yet)"
        else:
            path, line = place
            plain = path.as_posix().replace("__", r"\_\_")  # else it would be bold
            yield f"{{download}}`{shown} <../{path}>` ({plain}:{line})"


def entry(row: dict[str, Any], chapters: dict[str, str]) -> str:
    """One row, as an item of a list with an item for each kind of thing below it."""
    links = [f"[{a.replace('-', ' ')}](errata.md#{a})" for a in row.get("errata", ())]
    status = f"*{row['status'][:1].upper()}{row['status'][1:]}*" + (": " if links else "")
    code = [*linked(row["code"] + row.get("later", []), find)]
    tests = [*linked(row["tests"], find_test)] or ["not yet"]
    lines = [
        f"- **{', '.join(row['where'])}** {row['says']} {status}{', '.join(links)}.",
        f"  - Code: {'; '.join(code)}",
        f"  - Tests: {'; '.join(tests)}",
        f"  - Chapter {chapter(row['chapter'], chapters)}",
    ]
    return "\n".join(lines)


def markdown() -> str:
    """Both lists."""
    data = rows()
    parts = (("Derivations", "derivation"), ("Systems", "system"))
    return "\n\n".join(
        f"## {head}\n\n" + "\n".join(entry(row, data["chapters"]) for row in data[kind])
        for head, kind in parts
    )


def setup(app: Any) -> dict[str, bool]:
    return written(app, PAGE, lambda text: text.replace(MARK, markdown()))


if __name__ == "__main__":
    for row in [*rows()["derivation"], *rows()["system"]]:
        for name in filter(find, row.get("later", ())):
            print(f"{name} has come: move it from `later` to `code` ({', '.join(row['where'])})")
