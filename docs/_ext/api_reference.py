"""Writes the reference of the rooms from their docstrings, at build time.

A line ``<!-- api: nn convolution padding -->`` of a page in ``api/`` is replaced by the public
names of `tinynet.nn` that those files hold, in the order of the files; without files, by all of
them. A name may stand for a file, too.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

MARK = re.compile(r"^<!-- api: (\S+)(.*) -->$", re.MULTILINE)
BACK = re.compile(r'(?<=#)[\w.]+(?=">\[docs\])')


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


def fill_in(app: Any, docname: str, source: list[str]) -> None:
    if docname.startswith("api/"):
        source[0] = MARK.sub(lambda mark: section(mark[1], mark[2].split()), source[0])


def mend_links(app: Any, pagename: str, _template: str, context: dict[str, Any], _: Any) -> None:
    """On the pages of source code, the way back to what is documented under another room's name."""
    if pagename.startswith("_modules/") and "body" in context:
        names = app.env.domains["py"].objects

        def named(match: re.Match[str]) -> str:
            end = "." + match[0].rpartition(".")[2]
            return match[0] if match[0] in names else next(n for n in names if n.endswith(end))

        context["body"] = BACK.sub(named, context["body"])


def always_read(app: Any, *_: Any) -> list[str]:
    """The pages depend on the package, which Sphinx does not watch."""
    return [name for name in app.project.docnames if name.startswith("api/")]


def setup(app: Any) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.viewcode")
    app.connect("source-read", fill_in)
    app.connect("html-page-context", mend_links)
    app.connect("env-get-outdated", always_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
