"""Pairs of forward and backward in a file: `python -m tinynet check layers.py::tanh`.

The file is imported, and so it runs.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from tinynet.check.pairs import Pair, find_pairs
from tinynet.errors import ArgumentError

_FORMS = "forward and backward, NAME_forward and NAME_backward, or a class with both as static ones"


def names_a_file(text: str) -> bool:
    """Whether a word of the command line is a file, and not an op of the registry.

    >>> names_a_file("layers.py::tanh"), names_a_file("tanh")
    (True, False)
    """
    return "::" in text or text.endswith(".py") or "/" in text or "\\" in text


def check_file(target: str) -> bool:
    """Print the reports of the pairs in FILE or FILE::NAME; whether all are right.

    Raises `ArgumentError` where the file cannot be read or run, has no such pair, or gives a pair
    no arguments.
    """
    name, _, wanted = target.partition("::")
    path = Path(name)
    if not path.is_file():
        raise ArgumentError(
            f"there is no file {name}", hint="python -m tinynet check FILE.py::NAME"
        )
    right, mistakes = True, []
    with _importable(path):
        module = _loaded(path)
        for pair in _chosen(find_pairs(vars(module), module.__name__), wanted, name):
            try:
                right &= _printed(pair, name)
            except ArgumentError as error:
                mistakes.append(error)
    if mistakes and right:
        raise mistakes[0]
    for mistake in mistakes:  # a wrong gradient comes first: it decides the status
        print("not checked: " + "; ".join(map(str.strip, str(mistake).splitlines())))
    return right


def _printed(pair: Pair, name: str) -> bool:
    right = True
    cases = pair.cases()
    for i, case in enumerate(cases):
        report = pair.report(case)
        right &= report.ok
        print(f"{name}::{pair.name}" + (f" [{i}]" if len(cases) > 1 else ""))
        print("  " + str(report).replace("\n", "\n  "), flush=True)
    return right


def _chosen(pairs: Sequence[Pair], wanted: str, name: str) -> list[Pair]:
    """Those that were asked for: by their own name, or by that of a function of theirs."""
    if not pairs:
        raise ArgumentError(f"{name} has no pair to check", expected=_FORMS)
    if not wanted:
        return list(pairs)
    for pair in pairs:
        functions = [getattr(f, "__name__", "") for f in (pair.forward, pair.backward)]
        if wanted == pair.name or ("." not in pair.place and wanted in functions):
            return [pair]
    names = [pair.name for pair in pairs]
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5) or names[:5]
    raise ArgumentError(f"{name} has no pair {wanted!r}", expected=_FORMS, hint=", ".join(near))


@contextmanager
def _importable(path: Path) -> Iterator[None]:
    """While it is checked, a file can import its neighbours, as when it is run."""
    kept = sys.path[:]
    sys.path.insert(0, str(_root(path)))
    try:
        yield
    finally:
        sys.path[:] = kept


def _root(path: Path) -> Path:
    """The folder from which the file is imported: outside of its package."""
    folder = path.resolve().parent
    while (folder / "__init__.py").exists():
        folder = folder.parent
    return folder


def _loaded(path: Path) -> ModuleType:
    """The module of a file. One that is imported already is taken as it is."""
    full = path.resolve()
    parts = full.relative_to(_root(full)).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    known = sys.modules.get(name)
    if known is not None and Path(getattr(known, "__file__", None) or ".").resolve() == full:
        return known
    if known is not None or (len(parts) == 1 and name in sys.stdlib_module_names):
        name = f"checked_{name}"
    try:
        source = full.read_bytes()
        compile(source, str(path), "exec", dont_inherit=True)
        if len(parts) > 1 and not name.startswith("checked_"):
            return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location(name, full)
        if spec is None or spec.loader is None:
            raise ArgumentError(f"{path} is not a Python file", hint="its name must end in .py")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except ArgumentError:
        raise
    except (SyntaxError, ValueError) as error:
        raise _unreadable(path, error) from error
    except (Exception, SystemExit) as error:  # the file may do anything
        sys.modules.pop(name, None)
        raise _stopped(path, error) from error
    return module


def _unreadable(path: Path, error: SyntaxError | ValueError) -> ArgumentError:
    if not isinstance(error, SyntaxError):
        return _stopped(path, error)
    where = f"{error.filename or path}, line {error.lineno}"
    code = (error.text or "").strip()
    return ArgumentError(f"{where}: {error.msg}" + (f": {code}" if code else ""))


def _stopped(path: Path, error: BaseException) -> ArgumentError:
    """What stopped the file, and in which of its lines."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).resolve() == path.resolve()]
    where = f"{path}, line {own[-1].lineno}" if own else str(path)
    return ArgumentError(
        f"{where}: {type(error).__name__}: {error}",
        hint='the file is imported; what must not run then goes under if __name__ == "__main__":',
    )
