"""Writes the glossary from the tables "Words" at the ends of the chapters, at build time.

The line ``<!-- words -->`` of ``glossary.md`` is replaced by one table of all of them, sorted, with
links to the chapters. Where a row names several things on both sides, each gets a row of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from written import written

PAGE = "glossary"
MARK = "<!-- words -->"
CHAPTERS = Path(__file__).parents[2] / "chapters"


def rows(script: str) -> Iterator[tuple[str, str]]:
    """(word, Chinese word) of the table of one chapter."""
    table = script.partition("# ## Words\n")[2].partition("\n# ## ")[0]
    for english, chinese in re.findall(r"^# \| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE):
        names = [english.split("; "), chinese.split("; ")]
        if len(names[0]) == len(names[1]):
            yield from zip(*names, strict=True)
        else:
            yield english, chinese


def words() -> dict[str, tuple[set[str], list[Path]]]:
    """For each word its Chinese ones and the chapters that have it."""
    found: dict[str, tuple[set[str], list[Path]]] = {}
    for script in sorted(CHAPTERS.glob("[0-9][0-9]_*.py")):
        for english, chinese in rows(script.read_text("utf-8")):
            names, chapters = found.setdefault(english, (set(), []))
            names.add(chinese)
            chapters.append(script)
    return found


def markdown() -> str:
    """The table."""
    lines = ["| word | 中文 | chapter |", "|---|---|---|"]
    for english, (names, chapters) in sorted(words().items(), key=lambda item: item[0].lower()):
        links = ", ".join(f"[{path.stem[:2]}](chapters/{path.name})" for path in chapters)
        lines.append(f"| {english} | {'; '.join(sorted(names))} | {links} |")
    return "\n".join(lines)


def setup(app: Any) -> dict[str, bool]:
    return written(app, PAGE, lambda text: text.replace(MARK, markdown()))
