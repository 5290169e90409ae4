"""Turns the docstrings of the package into the markup that Sphinx reads.

They are in a style of their own: paragraphs with `code` and $formulas$, indented formulas,
examples, and lists of `name   what it is`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

TERM = re.compile(r"(\S.{0,60}?)(?:  +|: )(\S.*)$")  # `name   what it is`, `name: what it is`
# Code, a formula; an index, as in x_{i,j}, x_i or W_ih; an exponent in brackets.
LITERAL = re.compile(r"(`[^`]+`|\$[^$]+\$|_\{[^{}]+\}|(?<=\b\w)_(?:\w|[a-z]{2,3})\b|\^\([^()]+\))")


def inline(text: str) -> str:
    """Code, formulas and indices as such; else what reStructuredText would read, escaped."""
    parts = LITERAL.split(text)
    parts[::2] = [re.sub(r"([\\*|_`])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"\\ {marked(part)}\\ " for part in parts[1::2]]
    return "".join(parts).removeprefix("\\ ")


def marked(part: str) -> str:
    """What `LITERAL` has found, in the markup of reStructuredText."""
    if part[0] == "`":
        return f"`{part}`"
    if part[0] == "$":
        return f":math:`{part[1:-1]}`"
    inner = part[1:].strip("{}()")
    return f":sub:`{inner}`" if part[0] == "_" else f":sup:`{inner}`"


def blocks(text: str) -> Iterator[str]:
    """The parts of a docstring between empty lines."""
    yield from re.split(r"\n\s*\n", text.strip("\n"))


def shown(block: str) -> str:
    """One part of a docstring as reStructuredText."""
    lines = block.splitlines()
    if lines[0].startswith(">>>"):
        return block
    if all(line.startswith("    ") for line in lines):
        return f".. code-block:: text\n\n{textwrap.indent(textwrap.dedent(block), '    ')}"
    items = [TERM.match(line) for line in lines if not line.startswith(" ")]
    listed = all(items) and (len(items) < len(lines) or "  " in lines[0])
    if not listed or lines[0].startswith("- "):
        return inline(block)
    items = re.findall(r"^(?! ).+(?:\n .+)*", block, re.MULTILINE)
    return "\n".join(map(described, items))


def described(item: str) -> str:
    """`name   what it is`, on one line or more, as an item of a list."""
    name, text = TERM.fullmatch(" ".join(item.split("\n"))).groups()
    return f"``{name}``\n    {inline(' '.join(text.split()))}"


def translate(_app: Any, _kind: str, _name: str, _of: Any, _opts: Any, lines: list[str]) -> None:
    """A docstring as Sphinx hands it over, changed in place."""
    lines[:] = "\n\n".join(map(shown, blocks("\n".join(lines)))).splitlines() if any(lines) else []


def setup(app: Any) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", translate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
