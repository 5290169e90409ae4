"""Pages of the documentation as tests see them: their blocks, and what their cells print."""

from __future__ import annotations

import contextlib
import io
import linecache
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / "docs"
# A heading, or a fenced block: its kind, the word after it, what is in it.
PARTS = re.compile(
    r"^#+ ([^\n]+)$|^```(\{[\w-]+\}|\w+) ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


def anchor(heading: str) -> str:
    """As MyST makes it from a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def blocks(text: str, *kinds: str) -> list[tuple[str, str]]:
    """The heading above each block of these kinds, and the block without its options."""
    found, heading = [], ""
    for match in PARTS.finditer(text):
        if match[1]:
            heading = match[1]
        elif match[2] in kinds:
            found.append((heading, re.sub(r"\A(:.*\n)+\n?", "", match[4])))
    return found


def run(text: str) -> tuple[dict[str, str], dict[str, Any]]:
    """What the cells below each heading print, by anchor, and the names that they define."""
    import matplotlib.pyplot as plt

    printed: dict[str, str] = {}
    names: dict[str, Any] = {"__name__": "page"}
    with np.printoptions():  # a page may choose its own
        _run_cells(text, printed, names, plt)
    plt.close("all")
    return printed, names


def _run_cells(text: str, printed: dict[str, str], names: dict[str, Any], plt: Any) -> None:
    for n, (heading, code) in enumerate(blocks(text, "{code-cell}")):
        out = io.StringIO()
        place = f"ipykernel/{n}.py"  # as in a notebook
        linecache.cache[place] = (len(code), None, code.splitlines(keepends=True), place)
        with contextlib.redirect_stdout(out), pytest.MonkeyPatch.context() as patch:
            patch.setattr(plt, "show", lambda: None)
            exec(compile(code, place, "exec", dont_inherit=True), names)
        printed[anchor(heading)] = printed.get(anchor(heading), "") + out.getvalue()
