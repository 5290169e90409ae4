"""Writes the plan of the house from the import contract in ``pyproject.toml``, at build time.

The line ``<!-- layers -->`` of ``contributing.md`` is replaced by a table: a row for each room,
highest layer first, with what it says it is.
"""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

from written import written

PAGE = "contributing"
MARK = "<!-- layers -->"
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def layers() -> list[list[str]]:
    """The rooms of each layer, highest first."""
    contracts = tomllib.loads(PROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (contract,) = (contract for contract in contracts if contract["type"] == "layers")
    return [line.split(" | ") for line in contract["layers"]]


def sentence(room: str) -> str:
    """What a room is: its docstring, up to the first full stop."""
    doc = importlib.import_module(f"tinynet.{room}").__doc__ or ""
    return re.split(r"\.\s", " ".join(doc.split()) + " ")[0]


def markdown() -> str:
    """The table."""
    rows = [
        f"| {level} | `{room}` | {sentence(room)} |"
        for level, rooms in enumerate(layers(), 1)
        for room in rooms
    ]
    return "\n".join(["| | room | what it is |", "|---|---|---|", *rows])


def setup(app: Any) -> dict[str, bool]:
    return written(app, PAGE, lambda text: text.replace(MARK, markdown()))
