"""`where NAME`: the formula, the derivation and the lines of code behind a name."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tinynet.errors import ArgumentError


def declare(add: Callable[..., Any]) -> None:
    """Put the command into the parser."""
    command = add("where", _where, "where a name stands: formula, rule, file and line")
    command.add_argument(
        "name",
        help="an op, a derivation, a layer or a function; B4.2, a section of a source document",
    )


class Entry(NamedTuple):
    """Something with a name: what it is, and how to show it."""

    title: str
    show: Callable[[], Iterator[str]]


def _where(args: Any) -> int:
    found = _index()
    wanted = args.name.removeprefix("tinynet.").removeprefix("tn.").lower()
    entries = found.get(wanted) or found.get(wanted.rpartition(".")[2])
    section = re.fullmatch(r"([a-d])[\s,.]*([\d.]*)", wanted)
    if not entries and section:
        entries = _of_document(section[1].upper(), section[2].strip("."), found)
    if not entries:
        raise ArgumentError(f"nothing is called {args.name!r}", hint=nearest(args.name, found))
    for i, entry in enumerate(entries):
        print(("\n" if i else "") + entry.title)
        for line in entry.show():
            print(f"   {line}".rstrip())
    return 0


def _of_document(letter: str, section: str, found: dict[str, list[Entry]]) -> list[Entry]:
    """The derivations that name a source document, and a section of it (or a part of that one).

    The letters of the documents, and what they get wrong, stand in docs/errata.md.
    """
    from tinynet import derivations

    entries = []
    for name in derivations.__all__:
        module = getattr(derivations, name)
        text = " ".join(module.__doc__.split())
        named = re.findall(rf"[Dd]ocument {letter}, ((?:[\d.]+|, | and )*)", text)
        sections = [s.strip(".") for group in named for s in re.findall(r"\d[\d.]*", group)]
        if any(s == section or s.startswith(f"{section}.") or not section for s in sections):
            title = (
                f"{found[name][0].title}   document {letter}, {', '.join(dict.fromkeys(sections))}"
            )
            lines = [module.__doc__.splitlines()[0], f"at {_place(module.__file__, 1)}"]
            entries.append(Entry(title, lines.__iter__))
    return entries


def nearest(name: str, known: Any) -> str:
    """The known names that look most like this one."""
    names = [n for n in known if "." not in n]
    near = difflib.get_close_matches(name.lower(), names, n=5, cutoff=0.5)
    return ", ".join(near or [n for n in sorted(names) if n.startswith(name[:1].lower())][:5])


def _index() -> dict[str, list[Entry]]:
    """Every name that `where` knows, in small letters, alone and with its room in front."""
    import tinynet
    from tinynet import derivations
    from tinynet.op import Derivation, registry

    found: dict[str, list[Entry]] = {}

    def add(name: str, room: str, entry: Entry) -> None:
        for key in (name.lower(), f"{room}.{name}".lower()):
            found.setdefault(key, []).append(entry)

    for op in registry.values():
        kind = "derivation" if isinstance(op, Derivation) else "op"
        add(op.name, "ops", Entry(f"{op.name}   ({kind})", _shower(_show_op, op)))
    for name in derivations.__all__:
        module = getattr(derivations, name)
        if name not in registry:
            title = f"derivations.{name}   (derivation)"
            add(name, "derivations", Entry(title, _shower(_show_module, module)))
    seen: set[int] = set()
    for room in (
        "",
        "nn",
        "nn.functional",
        "nn.init",
        "nn.utils",
        "nn.utils.rnn",
        "func",
        "function",
        "optim",
        "metrics",
        "data",
        "train",
        "plot",
        "check",
    ):
        module = importlib.import_module(f"tinynet.{room}" if room else "tinynet")
        for name in getattr(module, "__all__", None) or vars(module):
            x = getattr(module, name)
            public = callable(x) and not name.startswith("_") and id(x) not in seen
            same = (
                name in registry and getattr(x, "__module__", "") == "tinynet.ops.public"
            )  # the op itself
            if public and not same and getattr(x, "__module__", "").startswith(tinynet.__name__):
                seen.add(id(x))
                kind = "class" if inspect.isclass(x) else "function"
                title = f"{room or 'tinynet'}.{name}   ({kind})"
                add(name, room or "tinynet", Entry(title, _shower(_show_object, x)))
    return found


def _shower(show: Callable[[Any], Iterator[str]], x: Any) -> Callable[[], Iterator[str]]:
    return lambda: show(x)


def _place(path: str, line: int) -> str:
    """file:line, with the file relative to where the reader stands if it is below."""
    full = Path(path).resolve()
    here = Path.cwd().resolve()
    return f"{full.relative_to(here) if full.is_relative_to(here) else full}:{line}"


def _show_op(op: Any) -> Iterator[str]:
    yield (
        ("" if op.formula.startswith("y") else "y = ")
        + op.formula
        + ("" if op.domain == "real" else f"    smooth where {op.domain}")
    )
    if op.room == "derivations":
        module = sys.modules[op.definition.__module__]
        yield from _show_module(module)
        return
    import tinynet

    folder = Path(tinynet.__file__).parent
    path = folder / "ops" / f"{op.room}.py"
    path = path if path.exists() else folder / f"{op.room}.py"
    start, lines = _statement(path, op.name)
    yield f"at {_place(str(path), start)}"
    yield ""
    yield from lines
    for rule in dict.fromkeys((op.rules,) if callable(op.rules) else op.rules):
        first = rule.__code__.co_firstlineno
        if rule.__name__ != "<lambda>" and not start <= first < start + len(lines):
            yield ""
            yield from inspect.getsource(rule).splitlines()


def _statement(path: Path, name: str) -> tuple[int, list[str]]:
    """The first statement of a file that names the op: where it begins, and its lines."""
    text = path.read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        heads = getattr(node, "decorator_list", None) or (
            [] if isinstance(node, ast.FunctionDef) else [node]
        )
        strings = [n for head in heads for n in ast.walk(head) if isinstance(n, ast.Constant)]
        if any(n.value == name for n in strings) and not isinstance(node, ast.ImportFrom):
            start = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
            return start, text.splitlines()[start - 1 : node.end_lineno]
    return 1, []


def _show_module(module: Any) -> Iterator[str]:
    """The derivation as it is written, and where its functions stand."""
    path = inspect.getsourcefile(module) or ""
    for name, function in vars(module).items():
        own = inspect.isfunction(function) and function.__module__ == module.__name__
        if own and not name.startswith("_"):
            yield f"{name:<11} at {_place(path, function.__code__.co_firstlineno)}"
    yield ""
    yield from inspect.cleandoc(module.__doc__ or "").splitlines()
    backward = getattr(module, "backward", None)
    if inspect.isfunction(backward):
        yield ""
        yield from inspect.getsource(backward).splitlines()


def _show_object(x: Any) -> Iterator[str]:
    """Signature, first paragraph of the docstring, file and line."""
    try:
        yield f"{x.__name__}{inspect.signature(x)}".replace("'", "")
    except (TypeError, ValueError):
        yield x.__name__
    target = inspect.unwrap(x)
    try:
        yield f"at {_place(inspect.getsourcefile(target) or '', inspect.getsourcelines(target)[1])}"
    except (OSError, TypeError):
        return
    yield ""
    yield from inspect.cleandoc(target.__doc__ or "").split("\n\n")[0].splitlines()
