"""Pairs of forward and backward in a module, and the arguments at which to check them.

What a pair is is told by names alone, so that code need not know tinynet:

    forward, backward              example_args
    tanh_forward, tanh_backward    tanh_example_args
    forward_tanh, backward_tanh    tanh_example_args
    class Tanh with the static methods forward, backward, or an autograd.Function of tinynet:
                                   example_args, an attribute of the class

`example_args` is the tuple of the arguments; a list of such tuples, to check at several points; or
a function without parameters that returns either:

    tanh_example_args = (np.array([0.5, -1.0]),)
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinynet.check.doors import check_backward, check_gradients
from tinynet.check.report import GradientReport
from tinynet.errors import ArgumentError
from tinynet.function import Function

_ARGS = "example_args"


@dataclass(frozen=True)
class Pair:
    """A forward with its backward, found in a module.

    name       "tanh" for tanh_forward; "forward" where nothing else names it; that of a class
    backward   None for a Function of tinynet, whose gradient comes from the tape
    examples   what stands under `place`; None if nothing does
    place      where the arguments are to be given
    """

    name: str
    forward: Callable[..., Any]
    backward: Callable[..., Any] | None
    examples: Any
    place: str
    line: int = 1

    @property
    def how(self) -> str:
        """What to write so that it can be checked."""
        names = ", ".join(_parameter_names(self.forward) or ["x"])
        comma = "," if "," not in names else ""
        where = f"in class {self.name}" if "." in self.place else "beside it"
        own = self.place.rpartition(".")[2]
        return f"write {own} = ({names}{comma}) {where}, with an array for each"

    def cases(self) -> list[tuple[Any, ...]]:
        """The arguments, one tuple for each point. Raises `ArgumentError` where there are none, or
        not as many as forward and backward take.
        """
        found = self.examples
        if found is None:
            raise ArgumentError(f"there are no arguments to check {self.name} at", hint=self.how)
        if callable(found):
            try:
                found = found()
            except Exception as error:  # the learner's code may raise anything
                raise ArgumentError(
                    f"{self.place}() raised {type(error).__name__}: {error}", hint=self.how
                ) from error
        if isinstance(found, dict | str) or (isinstance(found, list) and not found):
            raise ArgumentError(
                f"{self.place} is no tuple of arguments", got=type(found).__name__, hint=self.how
            )
        if isinstance(found, list) and all(isinstance(case, tuple) for case in found):
            cases = found
        else:
            cases = [tuple(found) if isinstance(found, tuple | list) else (found,)]
        for case in cases:
            self._fits(case)
        return cases

    def _fits(self, case: Sequence[Any]) -> None:
        if self.backward is None:
            return
        for function, given, words in (
            (self.forward, case, ""),
            (self.backward, (None, *case), " g, the gradient that arrives, and"),
        ):
            try:
                signature = inspect.signature(function)
            except (TypeError, ValueError):
                continue
            try:
                signature.bind(*given)
            except TypeError:
                raise ArgumentError(
                    f"{getattr(function, '__name__', 'it')}{signature} cannot be called with"
                    f"{words} the {len(case)} of {self.place}",
                    hint="forward(*example_args) and backward(g, *example_args) must fit",
                ) from None

    def report(self, case: Sequence[Any]) -> GradientReport:
        """The check at one point."""
        if self.backward is None:
            return check_gradients(self.forward, *case)
        return check_backward(self.forward, self.backward, *case)


def _parameter_names(function: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def _partners(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """name -> forward, backward; told from the names alone.

    >>> _partners(["forward", "backward", "relu_forward", "relu_backward", "forward_hook"])
    {'forward': ('forward', 'backward'), 'relu': ('relu_forward', 'relu_backward')}
    """
    known = dict.fromkeys(names)
    found: dict[str, tuple[str, str]] = {}
    for name in known:
        core = name.removesuffix("_forward").removeprefix("forward_")
        if core == name != "forward":
            continue
        if name == "forward":
            partner = "backward"
        elif name.endswith("_forward"):
            partner = name.removesuffix("_forward") + "_backward"
        else:
            partner = "backward_" + name.removeprefix("forward_")
        if partner in known:
            found.setdefault(core, (name, partner))
    return found


def find_pairs(namespace: Mapping[str, Any], module: str) -> list[Pair]:
    """The pairs of a module, in the order of its lines. What is imported from elsewhere counts if
    arguments for it are given here.
    """
    found = []
    for name, (first, second) in _partners(namespace).items():
        forward, backward = namespace[first], namespace[second]
        if callable(forward) and callable(backward):
            place = _ARGS if name == "forward" else f"{name}_{_ARGS}"
            examples = namespace.get(place)
            if examples is not None or getattr(forward, "__module__", None) == module:
                found.append(Pair(name, forward, backward, examples, place, _line(forward)))
    for name, cls in namespace.items():
        if inspect.isclass(cls) and cls.__module__ == module:
            found += _of_class(name, cls)
    return sorted(found, key=lambda pair: pair.line)


def _of_class(name: str, cls: type) -> list[Pair]:
    """The pair of a class, if it has one. A method that wants `self` or a context is none."""
    place, examples = f"{name}.{_ARGS}", getattr(cls, _ARGS, None)
    if issubclass(cls, Function):
        own = cls.forward is not Function.forward and cls.backward is not Function.backward
        return [Pair(name, cls.apply, None, examples, place, _line(cls))] if own else []
    methods = [inspect.getattr_static(cls, part, None) for part in ("forward", "backward")]
    if not all(isinstance(method, staticmethod) for method in methods):
        return []
    forward, backward = cls.forward, cls.backward  # type: ignore[attr-defined]
    if _parameter_names(forward)[:1] == ["ctx"]:
        return []  # PyTorch's own Function
    return [Pair(name, forward, backward, examples, place, _line(cls))]


def _line(x: Any) -> int:
    try:
        return inspect.getsourcelines(inspect.unwrap(x))[1]
    except (OSError, TypeError):
        return 1


def may_hold_pairs(source: str) -> bool:
    """Whether a file is worth importing, from its text alone.

    >>> may_hold_pairs("def forward(x): ...")
    False
    >>> may_hold_pairs("from layers import forward, backward")
    True
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return False
    names: list[str] = []
    statements: list[Any] = list(tree.body)
    while statements:
        node = statements.pop(0)
        if isinstance(node, ast.ClassDef):
            methods = {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
            assigned = {t.id for n in node.body for t in _targets(n)}
            both = {"forward", "backward"} <= methods | assigned
            if both and (_static(node) or any(map(_is_function, node.bases))):
                return True
        elif isinstance(node, ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names += [alias.asname or alias.name for alias in node.names]
        else:
            names += [target.id for target in _targets(node)]
            for part in ("body", "orelse", "handlers", "finalbody"):
                statements += getattr(node, part, [])
    return bool(_partners(names))


def _targets(node: Any) -> list[ast.Name]:
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    flat = [e for t in targets for e in (t.elts if isinstance(t, ast.Tuple) else [t])]
    return [t for t in flat if isinstance(t, ast.Name)]


def _is_function(base: ast.expr) -> bool:
    return getattr(base, "id", getattr(base, "attr", "")) == "Function"


def _static(node: ast.ClassDef) -> bool:
    """Whether a class has a static method, or attributes in place of methods."""
    heads = [d for n in node.body for d in getattr(n, "decorator_list", [])]
    assigned = any(t.id == "forward" for n in node.body for t in _targets(n))
    return assigned or any(getattr(d, "id", "") == "staticmethod" for d in heads)
