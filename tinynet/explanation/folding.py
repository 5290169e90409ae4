"""Large graphs made small: the steps of a module become one box, and equal layers in a row one box
with their number.

Which steps belong to which module is known from the time at which it was called: nodes are numbered
as they are recorded, so a call covers a stretch of numbers, and the calls inside it smaller ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from tinynet.errors import ArgumentError
from tinynet.explanation.graph import Graph, Step, Value


@dataclass(eq=False)
class Unit:
    """What is one box in a picture: a step, or a module with all its steps.

    path    of the module; None for a step
    count   how many equal modules in a row it stands for
    """

    steps: list[Step]
    path: str | None = None
    count: int = 1

    @property
    def output(self) -> Value:
        """What the last step made."""
        return self.steps[-1].output

    def signature(self) -> Any:
        """Equal for modules that do the same to arrays of the same shapes."""
        return self.path is not None, [(s.title, s.output.shape) for s in self.steps]


@dataclass
class View:
    """What a picture shows: units in the order of the forward pass, the leaves (and values from
    outside) that stand beside them, and what leads into each unit.
    """

    units: list[Unit]
    sources: list[Value]
    edges: list[tuple[Value | Unit, Unit]]
    hidden: dict[int, list[Value]] = field(default_factory=dict)  # by id of the unit


def view(graph: Graph, path: str | None = None) -> View:
    """The inside of the module `path` ("" is the whole), its parts folded; None folds nothing.

    Raises ArgumentError where no step was taken in `path`.
    """
    inside = [s for s in graph.steps if path is None or _within(s.module, path)]
    if not inside:
        raise ArgumentError(
            "no step was taken in this module",
            expected=", ".join(["''", *map(repr, graph.modules)]),
            got=repr(path),
        )
    units = _repeats(list(_units(inside, path, graph.modules)))
    home = {id(step): unit for unit in units for step in unit.steps}
    shown = View(units, [], [])
    for unit in units:
        for step in unit.steps:
            for x in step.inputs:
                if isinstance(x, Value):
                    _connect(shown, x, unit, home)
    return shown


def _connect(shown: View, x: Value, unit: Unit, home: dict[int, Unit]) -> None:
    maker = home.get(id(x.made_by))
    if maker is unit:
        return
    edge = (x if maker is None else maker), unit
    if unit.path is not None and edge in shown.edges:  # a step has an edge for each use of a value
        return
    if maker is not None:
        shown.edges.append(edge)
    elif _own(x, unit) and all(home.get(id(s)) is unit for s in x.uses):
        mine = shown.hidden.setdefault(id(unit), [])
        mine += [] if x in mine else [x]
    else:
        shown.sources += [] if x in shown.sources else [x]
        shown.edges.append(edge)


def _own(x: Value, unit: Unit) -> bool:
    """Whether a value is part of a module: its parameters, and what it made for itself. What it was
    given comes from outside, and what goes into its first step: a copy may have been given.
    """
    enters = unit.path in x.enters or (x.kind == "input" and unit.steps[0].inputs[0] is x)
    return unit.path is not None and x.made_by is None and not enters


def _within(module: str, path: str) -> bool:
    return path == "" or module == path or module.startswith(path + ".")


def _units(steps: list[Step], path: str | None, modules: dict[str, str]) -> Iterator[Unit]:
    """A unit for each step outside of all parts, and for each stretch of steps in one part."""

    def part(step: Step) -> str | None:
        return None if path is None else _part(step.module, path, modules)

    for home, stretch in groupby(steps, part):
        inside = list(stretch)
        yield from [Unit([step]) for step in inside] if home is None else [Unit(inside, home)]


def _part(module: str, path: str, modules: dict[str, str]) -> str | None:
    """The part of `path` in which a step of `module` stands: the outermost that was called."""
    names = module.split(".")
    for depth in range(1, len(names) + 1):
        name = ".".join(names[:depth])
        if name in modules and name != path and _within(name, path) and name:
            return name
    return None


def _repeats(units: list[Unit]) -> list[Unit]:
    """Equal modules, each fed by the one before it, made one."""
    found: list[Unit] = []
    for unit in units:
        last = found[-1] if found else None
        if last is not None and unit.path is not None and _follows(unit, last):
            last.steps += unit.steps
            last.count += 1
        else:
            found.append(unit)
    return found


def _follows(unit: Unit, last: Unit) -> bool:
    each = len(last.steps) // last.count
    first = Unit(last.steps[:each], last.path)
    fed = any(x is last.output for step in unit.steps for x in step.inputs)
    return fed and unit.signature() == first.signature()
