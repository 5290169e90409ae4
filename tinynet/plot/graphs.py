"""The tape of an expression as a picture: the graph that `tn.explain` reads, in its layout.

Boxes are measured in units of which 80 are an inch, where letters have `_SIZE` points.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tinynet.errors import ArgumentError
from tinynet.explanation.drawing import COLOURS
from tinynet.explanation.graph import Graph, Names, Step, Value, trace
from tinynet.explanation.layout import arranged
from tinynet.plot.style import GREY, axes_in, literal, need_matplotlib
from tinynet.plot.words import LEAST, entitle, extent, points, settle
from tinynet.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LIMIT = 80  # more boxes than this nobody can read
_INCH = 80.0
_SIZE = 9.0
_LINE = 19.0  # a line of text
_LEAST = 4.0  # inches that the legend takes
_TALL = r"\dfrac"  # a fraction as high as one on a line of its own
_MEANING = {
    "parameter": "leaf: its gradient is kept",
    "input": "constant: no gradient",
    "value": "made by an op, which passes the gradient on",
    "loss": "the last value",
}
_WORD = {"parameter": "leaf", "input": "constant", "value": "op", "loss": "last"}


def tape(tensor: Tensor, names: Names = None, *, ax: Axes | None = None) -> Axes:
    """The tape of a small expression: leaves above, the value below, an arrow for every use. In
    each box: its name and shape; of an op the formula; and where the value is one number, this
    number and its gradient, the derivative of the last value by it.

    The gradient travels along the same arrows, upwards. In axes too small for all this a box holds
    only the name of its leaf or op; or nothing, and then the title says so.

    names   what values are called, as for `tn.explain`

    Raises `ArgumentError` for more than 80 boxes, `GraphError` where nothing was recorded or the
    graph was freed by `backward()`.

    >>> import tinynet as tn
    >>> x = tn.tensor(3.0, requires_grad=True, name="x")
    >>> tape(x * x).texts[0].get_text(), tape(x * x).texts[1].get_text()
    ('x', '3,  gradient 6')
    """
    need_matplotlib()
    graph = trace(tensor, names)
    if len(graph.values) > _LIMIT:
        raise ArgumentError(
            f"{len(graph.values)} values are too many for a picture",
            expected=f"at most {_LIMIT}",
            hint="tn.explain(loss, model).svg() folds a model's layers",
        )
    told = f"The tape of {literal(graph.loss.name)}"
    plan = _Plan(graph, _lines, 112.0, _MEANING)
    if ax is None:
        zoom = points("medium") / 10
        wide, high = max(plan.width / _INCH + 0.1, _LEAST), plan.height / _INCH + 1.4  # the legend
        ax = axes_in(None, zoom * wide, zoom * high)
        scale = plan.frame(ax, told)
    elif _SIZE * (scale := plan.frame(ax, told)) < LEAST:
        plan = _Plan(graph, _brief, 40.0, _WORD)
        if _SIZE * (scale := plan.frame(ax, told)) < LEAST:
            scale = plan.frame(ax, told, "(too small for words)")
    plan.draw(ax, scale)
    return ax


class _Plan:
    """Boxes and arrows in their places: what a box says is `write(value)`, `gap` is the way from
    one layer to the next, `meaning` what the legend says.
    """

    def __init__(
        self,
        graph: Graph,
        write: Callable[[Value], list[str]],
        gap: float,
        meaning: Mapping[str, str],
    ) -> None:
        self.values, self.meaning = graph.values, meaning
        self.lines: dict[Hashable, list[str]] = {id(v): write(v) for v in graph.values}
        self.edges: list[tuple[Hashable, Hashable]] = [
            (id(x), id(s.output)) for s in graph.steps for x in s.inputs if isinstance(x, Value)
        ]
        place = arranged({key: _width(text) for key, text in self.lines.items()}, self.edges)
        self.centre = {key: (place.x[key], -gap * place.layer[key]) for key in self.lines}
        self.paths = {
            edge: [(x, -gap * layer) for x, layer in path] for edge, path in place.paths.items()
        }
        self.margin = max(map(_height, self.lines.values())) / 2 + 8
        self.width = place.width + 40
        self.height = gap * (place.layers - 1) + 2 * self.margin

    def frame(self, ax: Axes, *title: str) -> float:
        """Prepare the axes; how large the boxes will be, 1 where 80 units are an inch."""
        ax.set(xlim=(-20, self.width - 20), ylim=(self.margin - self.height, self.margin))
        ax.set_aspect("equal")
        ax.axis("off")
        entitle(ax, *title)
        _draw_legend(ax, {v.kind: self.meaning[v.kind] for v in self.values})
        settle(ax)
        return min(_INCH / 72 * extent(ax)[0] / self.width, points("medium") / 10)

    def draw(self, ax: Axes, scale: float) -> None:
        """Boxes, and arrows side by side where a value is used more than once."""
        for value in self.values:
            lines = self.lines[id(value)]
            _draw_box(ax, lines, value.kind, *self.centre[id(value)], scale)
        for (a, b), path in self.paths.items():
            uses = self.edges.count((a, b))
            (xa, ya), (xb, yb) = self.centre[a], self.centre[b]
            start = xa, ya - _height(self.lines[a]) / 2
            for i in range(uses):
                end = xb + 18 * (i - (uses - 1) / 2), yb + _height(self.lines[b]) / 2
                _draw_arrow(ax, [start, *path, end], scale)


def _lines(value: Value) -> list[str]:
    """What stands in a box."""
    step = value.made_by
    lines = [literal(value.name if step is None else f"{value.name} = {_call(step)}")]
    if step is not None and step.op is not None and can_draw(step.op.formula):
        lines.append("$" + step.op.formula.replace(r"\frac", _TALL) + "$")
    if value.shape == () and value.array is not None:
        gradient = "" if value.grad is None else f",  gradient {float(value.grad):.4g}"
        lines.append(f"{float(value.array):.4g}{gradient}")
    else:
        lines.append(str(value.shape))
    return lines


def _brief(value: Value) -> list[str]:
    """The least that stands in a box."""
    return [literal(value.name if value.made_by is None else value.made_by.title)]


def _call(step: Step) -> str:
    """The op and what went in, with the options that were chosen: mul(x, 2), sum(x, axis=0)."""
    given = [x.name if isinstance(x, Value) else f"{x:g}" for x in step.inputs if x is not None]
    usual = step.op.defaults if step.op is not None else {}
    given += [f"{k}={v}" for k, v in step.options.items() if k not in usual or usual[k] != v]
    return f"{step.title}({', '.join(given)})"


def can_draw(formula: str) -> bool:
    """Whether matplotlib's small TeX knows it, and it fits into a box."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import MathTextParser

    try:
        size = MathTextParser("path").parse(f"${formula}$", prop=FontProperties(size=10))
    except ValueError:
        return False
    return bool(formula) and bool(size.width < 90 and size.height < 16)


def _width(lines: Sequence[str]) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    wide = 0.0
    for line, weight in zip(lines, ("bold", "normal", "normal"), strict=False):
        font, formula = FontProperties(size=_SIZE, weight=weight), line.startswith("$")
        wide = max(wide, text_to_path.get_text_width_height_descent(line, font, formula)[0])
    return wide * _INCH / 72 + 24


def _height(lines: Sequence[str]) -> float:
    return sum(map(_line, lines)) + 10


def _line(line: str) -> float:
    """How high a line is: one with a fraction takes more."""
    return 1.7 * _LINE if line.startswith("$") and _TALL in line else _LINE


def _draw_box(ax: Axes, lines: Sequence[str], kind: str, x: float, y: float, scale: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    wide, high = _width(lines), _height(lines)
    style = "round,pad=0,rounding_size=6"
    corner = x - wide / 2, y - high / 2
    ink = _ink(kind, scale)
    ax.add_patch(FancyBboxPatch(corner, wide, high, boxstyle=style, zorder=3, **ink))
    height = y + (high - 10) / 2
    for i, line in enumerate(lines if _SIZE * scale > LEAST else ()):
        height -= _line(line) / 2
        letters: dict[str, Any] = {"color": "black", "fontsize": _SIZE * scale}
        letters |= {"weight": "normal" if i else "bold", "ha": "center", "va": "center"}
        ax.text(x, height, line, zorder=4, **letters)
        height -= _line(line) / 2


def _ink(kind: str, scale: float) -> dict[str, Any]:
    """The colours of a box; that of the last value is told by its border, too."""
    fill, border = COLOURS[kind]
    return {"fc": fill, "ec": border, "lw": (2.8 if kind == "loss" else 1.4) * scale}


def _draw_arrow(ax: Axes, points: Sequence[tuple[float, float]], scale: float) -> None:
    """A smooth line downwards through the points."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    vertices, codes = [points[0]], [Path.MOVETO]
    for (xa, ya), (xb, yb) in pairwise(points):
        middle = (ya + yb) / 2
        vertices += [(xa, middle), (xb, middle), (xb, yb)]
        codes += [Path.CURVE4] * 3
    style: dict[str, Any] = {
        "arrowstyle": "-|>",
        "mutation_scale": 10 * scale,
        "lw": 1.2 * scale,
        "color": GREY,
        "zorder": 2,
    }
    ax.add_patch(FancyArrowPatch(path=Path(np.array(vertices), codes), **style))


def _draw_legend(ax: Axes, meaning: Mapping[str, str]) -> None:
    from matplotlib.patches import Patch

    marks = [Patch(label=meaning[k], **_ink(k, 1.0)) for k in _MEANING if k in meaning]
    columns = len(meaning) if sum(map(len, meaning.values())) < 30 else 1
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "ncols": columns}
    ax.legend(handles=marks, frameon=False, fontsize="small", columnspacing=1.0, **place)
