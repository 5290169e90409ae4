"""Writes the page of the ops from the registry, at build time, so that the two cannot differ.

The line ``<!-- ops -->`` of ``reference.md`` is replaced by a section for each room and, in it, a
row for each op, with a picture where the op is a function of one number (``op_curves.py``).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from op_curves import picture
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from written import written

PAGE = "reference"
MARK = "<!-- ops -->"
NEEDED = ("name", "room", "formula", "domain", "rules")


def registered_ops() -> Mapping[str, Any]:
    """The registry, complete; an error that names what is missing otherwise."""
    try:
        import tinynet  # noqa: F401  (the ops enter the registry when the package is imported)
        from tinynet.op import registry
    except ImportError as error:
        raise ExtensionError(f"the ops cannot be listed: {error}") from error
    if not registry:
        raise ExtensionError("the ops cannot be listed: tinynet.op.registry is empty")
    for key, op in registry.items():
        missing = [name for name in NEEDED if not hasattr(op, name)]
        if missing:
            raise ExtensionError(f"the op {key!r} has no {', '.join(missing)}")
        if not op.room:
            raise ExtensionError(f"the op {key!r} does not say which file holds it (room)")
    return registry


def gradients(op: Any) -> str:
    """The rules as they stand in the source, one for each input."""
    if hasattr(op, "backward"):
        return f"{{download}}`proof <../tinynet/derivations/{op.name}.py>`"
    rules = op.rules if isinstance(op.rules, tuple) else (op.rules,)
    return ", ".join(f"`{rule_text(rule)}`" for rule in rules) or "none"


def rule_text(rule: Any) -> str:
    """What a lambda returns, or the name of a function that takes more than a line."""
    if rule.__name__ != "<lambda>":
        return f"{rule.__name__}()"
    spots = [spot for spot in rule.__code__.co_positions() if None not in spot]
    first = min((line, column) for line, _, column, _ in spots if column)
    tree = ast.parse(Path(rule.__code__.co_filename).read_text(encoding="utf-8"))
    lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    before = [node for node in lambdas if (node.lineno, node.col_offset) <= first]
    return ast.unparse(max(before, key=lambda node: (node.lineno, node.col_offset)).body)


def row(op: Any) -> str:
    """One op as a row of a MyST list-table: its name and picture, its formula, its gradients."""
    formula = f"${' '.join(op.formula.split())}$"
    if op.domain != "real":
        formula += f"\n\n    for `{op.domain}`"
    return f"* - `{op.name}`\n\n    {picture(op)}\n  - {formula}\n  - {gradients(op)}"


def markdown(registry: Mapping[str, Any]) -> str:
    """The sections of all rooms, in the order of the registry, but the proofs towards the end."""
    rooms: dict[str, list[Any]] = {}
    for op in registry.values():
        rooms.setdefault(op.room, []).append(op)
    rooms.update({room: rooms.pop(room) for room in ("derivations", "dispatch")})
    sections = []
    for room, ops in rooms.items():
        table = "\n".join(["* - op\n  - $y$\n  - gradients", *map(row, ops)])
        title = room[:1].upper() + room[1:]
        sections.append(f"## {title}\n\n```{{list-table}}\n:header-rows: 1\n\n{table}\n```\n")
    return "\n".join(sections)


def fill_in(text: str) -> str:
    """The page with its sections."""
    if MARK not in text:
        raise ExtensionError(f"{PAGE}.md has no line {MARK}")
    return text.replace(MARK, markdown(registered_ops()))


def setup(app: Sphinx) -> dict[str, bool]:
    return written(app, PAGE, fill_in)
