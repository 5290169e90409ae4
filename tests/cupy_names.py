"""What the real CuPy has: written down from it once, so that the double offers nothing else.

`python tests/cupy_names.py > tests/cupy_names.txt`, where CuPy is installed (no GPU is needed),
writes one line for each name: its kind, the name, and then the parameters of a function or method,
or the loops of a ufunc (`ff->f`: two float32 in, one out).
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

MODULES = ("", "linalg", "lib", "lib.stride_tricks", "random", "cuda")
CLASSES = ("ndarray", "random.Generator")


def lines() -> Iterator[str]:
    """The lines of the list, from the CuPy that is installed."""
    import cupy
    import cupyx
    from cupyx.scipy import special

    yield f"version {cupy.__version__}"
    for path in MODULES:
        yield from _module(cupy, path)
    for path in CLASSES:
        owner = _at(cupy, path)
        for name in _public(owner):
            member = getattr(owner, name)
            parameters = _parameters(member) if callable(member) else ""
            yield f"{'method' if callable(member) else 'attribute'} {path}.{name}{parameters}"
    yield from (f"cupyx {name}" for name in _public(cupyx) if callable(getattr(cupyx, name)))
    yield from ("module cupyx.scipy", "module cupyx.scipy.special")
    for name in _public(special):
        if isinstance(value := getattr(special, name), cupy.ufunc):
            yield f"ufunc cupyx.scipy.special.{name} {' '.join(value.types)}"


def _module(cupy: Any, path: str) -> Iterator[str]:
    module = _at(cupy, path)
    for name in _public(module):
        value, full = getattr(module, name), f"{path}.{name}".lstrip(".")
        if isinstance(value, cupy.ufunc):
            yield f"ufunc {full} {' '.join(value.types)}"
        elif type(value).__name__ == "_GUFunc":
            yield f"gufunc {full}{_parameters(value)}"
        elif isinstance(value, types.ModuleType):
            if full in (*MODULES, "fft"):  # others come and go with what has been imported
                yield f"module {full}"
        elif value is vars(np).get(name, inspect):
            yield f"same {full}"  # the very object of NumPy
        elif isinstance(value, type):
            yield f"class {full}"
        else:
            yield f"function {full}{_parameters(value)}" if callable(value) else f"value {full}"


def _at(root: Any, path: str) -> Any:
    for part in path.split(".") if path else ():
        root = getattr(root, part)
    return root


def _public(owner: Any) -> list[str]:
    return sorted(n for n in dir(owner) if n[0] != "_" and n != "annotations")


def _parameters(function: Any) -> str:
    """`(a, axis=None)`: names and whether there is a default, without types."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # compiled: the first line of the docstring has them
        found = re.match(r"[\w.]+\((.*)\)", (function.__doc__ or "").partition("\n")[0])
        if found is None:
            return "(*args, **kwargs)"
        text = re.sub(r"\b(?:Py_ssize_t|int|_ndarray_base|bool|bytes) (?=\w)", "", found[1])
        text = re.sub(r"=[^,]*", "=None", text)
        return f"({text})"
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found_star, shown = False, []
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and not found_star:
            shown.append("*")
            found_star = True
        found_star |= p.kind is p.VAR_POSITIONAL
        default = "" if p.default is p.empty else "=None"
        shown.append(stars.get(p.kind, "") + p.name + default)
    return f"({', '.join(shown)})"


if __name__ == "__main__":
    print("\n".join(lines()))
