"""Writes the reference of the rooms from their docstrings, at build time.

A line ``<!-- api: nn convolution padding -->`` of a page in ``api/`` is replaced by the public
names of `tinynet.nn` that those files hold, in the order of the files; without files, by all of
them. A name may stand for a file, too. The docstrings are in a style of their own (paragraphs,
indented formulas, `name   what it is`), which is turned into the markup of Sphinx here.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

MARK = re.compile(r"^<!-- api: (\S+)(.*) -->$", re.MULTILINE)
TERM = re.compile(r"(\S.{0,60}?)(?:  +|: )(\S.*)$")  # `name   what it is`, `name: what it is`
# Code, a formula; an index, as in x_{i,j} or x_i; an exponent in brackets.
LITERAL = re.compile(r"(`[^`]+`|\$[^$]+\$|_\{[^{}]+\}|(?<=\b\w)_\w\b|\^\([^()]+\))")


# -- which names -----------------------------------------------------------------------------------


def public(room: str) -> dict[str, Any]:
    """The functions and classes that a room offers, by name; `tinynet` is a room, too."""
    module = importlib.import_module(full(room))
    names = getattr(module, "__all__", None) or [n for n in dir(module) if not n.startswith("_")]
    # What a room without a list of its names has imported for itself is not what it offers.
    within = "tinynet" if room == "tinynet" or hasattr(module, "__all__") else full(room)
    return {
        name: thing
        for name, thing in ((name, getattr(module, name)) for name in names)
        if (inspect.isroutine(thing) or inspect.isclass(thing))
        and f"{thing.__module__}.".startswith(f"{within}.")
        and thing.__module__ != "tinynet.ops.public"  # these stand on the page of the ops
    }


def full(room: str) -> str:
    """The name of a room's module."""
    return "tinynet" if room == "tinynet" else f"tinynet.{room}"


def chosen(room: str, words: list[str]) -> list[tuple[str, Any, list[str]]]:
    """(name, what it is, its other names) of what these files of a room hold."""
    found: dict[int, tuple[int, str, Any, list[str]]] = {}
    for name, thing in public(room).items():
        ends = (i for i, word in enumerate(words) if f"{thing.__module__}".endswith(f".{word}"))
        spot = words.index(name) if name in words else next(ends, -1)
        if spot < 0 and words:
            continue
        names = [name, *(found[id(thing)][3] if id(thing) in found else [])]
        names.sort(key=lambda n: (n != thing.__name__, len(n)))  # its own name first
        found[id(thing)] = (spot, thing.__module__, thing, names)
    entries = sorted(found.values(), key=lambda entry: (entry[:2], line(entry[2])))
    return [(names[0], thing, names[1:]) for *_, thing, names in entries]


def line(thing: Any) -> int:
    """Where it stands in its file."""
    return inspect.getsourcelines(inspect.unwrap(thing))[1]


def section(room: str, words: list[str]) -> str:
    """The directives for these names."""
    lines = []
    for name, thing, others in chosen(room, words):
        kind = "class" if inspect.isclass(thing) else "function"
        lines.append(f".. auto{kind}:: {full(room)}.{name}")
        if kind == "class" and members(thing):
            lines.append(f"   :members: {', '.join(members(thing))}")
        if others:
            lines += ["", f"   Also called {', '.join(f'``{other}``' for other in others)}."]
        lines.append("")
    return "\n".join(["```{eval-rst}", *lines, "```"])


def members(thing: type) -> list[str]:
    """The public methods and properties with a docstring that stand in the class itself."""
    return [
        name
        for name, member in vars(thing).items()
        if not name.startswith("_")
        and (inspect.isroutine(member) or isinstance(member, property))
        and inspect.unwrap(getattr(member, "fget", member)).__module__ == thing.__module__
        and getattr(member, "__doc__", None)
        and name not in ("extra_repr", "reset_parameters")
    ]


# -- how a docstring is shown ----------------------------------------------------------------------


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


def fill_in(app: Any, docname: str, source: list[str]) -> None:
    if docname.startswith("api/"):
        source[0] = MARK.sub(lambda mark: section(mark[1], mark[2].split()), source[0])


def always_read(app: Any, *_: Any) -> list[str]:
    """The pages depend on the package, which Sphinx does not watch."""
    return [name for name in app.project.docnames if name.startswith("api/")]


def setup(app: Any) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", translate)
    app.connect("source-read", fill_in)
    app.connect("env-get-outdated", always_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
