"""Writes the map of the proofs from the derivations themselves, at build time.

A line ``<!-- proofs: NAME NAME ... -->`` of ``derivations.md`` is replaced by an item for each: its
file, the first sentence of its docstring, and its formula.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from written import written

PAGE = "derivations"
MARK = re.compile(r"^<!-- proofs: (.+) -->$", re.MULTILINE)
ROOT = Path(__file__).parents[2]


def names(page: str) -> list[str]:
    """The derivations of the page, in its order."""
    return [name for line in MARK.findall(page) for name in line.split()]


def sentence(module: ModuleType) -> str:
    """What is proved: the docstring up to its first full stop."""
    return re.split(r"\.\s", " ".join((module.__doc__ or "").split()) + " ")[0]


def formula(module: ModuleType) -> str:
    """That of its op; without an op, the first equations that stand by themselves in the proof."""
    op = getattr(module, "op", None)
    if op is not None:
        return rf"$\displaystyle {' '.join(op.formula.split())}$"
    for block in re.findall(r"(?:^    .+\n)+", module.__doc__ or "", re.MULTILINE):
        parts = [part.strip(" .,") for part in re.split(r"\s{2,}|\n", block)]
        equations = [part for part in parts if re.search("[=←≤≈]", part)]
        if equations:
            return ", ".join(f"`{equation}`" for equation in equations)
    return ""


def item(name: str) -> str:
    """One derivation as an item of a list."""
    module = importlib.import_module(f"tinynet.derivations.{name}")
    path = Path(module.__file__ or "").relative_to(ROOT)
    shown = formula(module)
    return f"- **{{download}}`{name} <../{path}>`** {sentence(module)}." + (
        f"\\\n  {shown}" if shown else ""
    )


def markdown(page: str) -> str:
    """The page with its lists."""
    return MARK.sub(lambda mark: "\n".join(map(item, mark[1].split())), page)


def setup(app: Any) -> dict[str, bool]:
    return written(app, PAGE, markdown)
