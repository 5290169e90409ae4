"""The tape of an expression as a picture: the graph that `tn.explain` reads, in its layout."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tinynet.errors import ArgumentError
from tinynet.explanation.drawing import COLOURS
from tinynet.explanation.graph import Names, Step, Value, trace
from tinynet.explanation.layout import arranged
from tinynet.plot.style import GREY, axes_in, literal, need_matplotlib
from tinynet.plot.words import FRAME, extent
from tinynet.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LIMIT = 80  # more boxes than this nobody can read
_INCH = 80.0  # units of the layout
_WIDE, _LINE, _LAYER = 7.9, 19.0, 112.0  # a letter, a line of text, from one layer to the next
_SIZE = 9  # of the letters, in points
_LEAST = 4.0  # inches that the legend takes
_TALL = r"\dfrac"  # a fraction as high as one on a line of its own


def tape(tensor: Tensor, names: Names = None, *, ax: Axes | None = None) -> Axes:
    """The tape of a small expression: leaves above, the value below, an arrow for every use. In
    each box: its name and shape; of an op the formula; and where the value is one number, this
    number and its gradient, the derivative of the last value by it.

    The gradient travels along the same arrows, upwards.

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
    lines = {id(v): _lines(v) for v in graph.values}
    widths: dict[Hashable, float] = {key: _width(text) for key, text in lines.items()}
    edges = [(id(x), id(s.output)) for s in graph.steps for x in s.inputs if isinstance(x, Value)]
    place = arranged(widths, edges)
    y = {key: -_LAYER * place.layer[key] for key in lines}
    width = max((place.width + 40) / _INCH, _LEAST)
    height = (_LAYER * (place.layers - 1) + 90) / _INCH
    scale = 1.0
    if ax is None:
        ax = axes_in(None, width, height + 1.2)  # with the title and the legend
    else:  # letters shrink with the boxes
        across, down = extent(ax)
        scale = min(across / (72 * width), (FRAME * down / 72 - 1.2) / height, 1.0)
    for value in graph.values:
        _draw_box(ax, lines[id(value)], value.kind, place.x[id(value)], y[id(value)], scale)
    for a, b in dict.fromkeys(edges):
        uses = edges.count((a, b))
        points = [(x, -_LAYER * layer) for x, layer in place.paths[a, b]]
        for i in range(uses):
            shift = 18 * (i - (uses - 1) / 2)
            start = place.x[a], y[a] - _height(lines[a]) / 2
            end = place.x[b] + shift, y[b] + _height(lines[b]) / 2
            _draw_arrow(ax, [start, *points, end], scale)
    _draw_legend(ax, [v.kind for v in graph.values])
    ax.set(xlim=(-20, place.width + 20), ylim=(_LAYER * (1 - place.layers) - 45, 45))
    ax.set_aspect("equal")
    ax.axis("off")
    ax.set_title(f"The tape of {literal(graph.loss.name)}")
    return ax


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


def _call(step: Step) -> str:
    """The op and what went in, with the options that were chosen: mul(x, 2), sum(x, axis=0)."""
    given = [x.name if isinstance(x, Value) else f"{x:g}" for x in step.inputs if x is not None]
    usual = step.op.defaults if step.op is not None else {}
    given += [f"{k}={v}" for k, v in step.options.items() if k not in usual or usual[k] != v]
    return f"{step.title}({', '.join(given)})"


def can_draw(formula: str) -> bool:
    """Whether matplotlib's small TeX knows it, and it fits into a box."""
    from matplotlib.mathtext import MathTextParser

    try:
        size = MathTextParser("path").parse(f"${formula}$")
    except ValueError:
        return False
    return bool(formula) and bool(size.width < 90 and size.height < 16)


def _width(lines: Sequence[str]) -> float:
    return max(_WIDE * len(line) for line in lines if not line.startswith("$")) + 24


def _height(lines: Sequence[str]) -> float:
    return sum(map(_line, lines)) + 10


def _line(line: str) -> float:
    """How high a line is: one with a fraction takes more."""
    return 1.7 * _LINE if line.startswith("$") and _TALL in line else _LINE


def _draw_box(ax: Axes, lines: Sequence[str], kind: str, x: float, y: float, scale: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    wide, high = _width(lines), _height(lines)
    fill, border = COLOURS[kind]
    style = "round,pad=0,rounding_size=6"
    corner = x - wide / 2, y - high / 2
    box = FancyBboxPatch(corner, wide, high, boxstyle=style, fc=fill, ec=border, lw=1.4, zorder=3)
    ax.add_patch(box)
    height = y + (high - 10) / 2
    for i, line in enumerate(lines):
        height -= _line(line) / 2
        ink: dict[str, Any] = {
            "color": "black",
            "fontsize": _SIZE * scale,
            "weight": "normal" if i else "bold",
        }
        ax.text(x, height, line, ha="center", va="center", zorder=4, **ink)
        height -= _line(line) / 2


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


_MEANING = {
    "parameter": "leaf: its gradient is kept",
    "input": "constant: no gradient",
    "value": "made by an op, which passes the gradient on",
    "loss": "the last value",
}


def _draw_legend(ax: Axes, kinds: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    shown = {kind: text for kind, text in _MEANING.items() if kind in kinds}
    marks = [Patch(fc=COLOURS[kind][0], ec=COLOURS[kind][1], label=shown[kind]) for kind in shown]
    options: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "fontsize": 8}
    ax.legend(handles=marks, frameon=False, **options)
