"""The tape of an expression, as a list of steps and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tinynet.errors import ArgumentError, GraphError
from tinynet.plot.style import GREY, OKABE_ITO, axes_in
from tinynet.tensor import Tensor

_LIMIT = 80  # more boxes than this nobody can read


@dataclass(eq=False)
class Step:
    """One box of the tape.

    label     the op, or the name of a leaf
    kind      "op", "leaf" (requires gradients) or "constant"
    shape     of the value that it stands for; None where the tape does not know
    formula   LaTeX of the op
    inputs    the steps that it used, in order
    """

    label: str
    kind: str
    shape: tuple[int, ...] | None = None
    formula: str = ""
    inputs: list[Step] = field(default_factory=list)


def steps(tensor: Tensor) -> list[Step]:
    """How a value was computed: leaves and ops, every step after those it used; the last is the
    value itself.

    >>> import tinynet as tn
    >>> a = tn.tensor([1.0, 2.0], requires_grad=True, name="a")
    >>> [(s.label, s.shape) for s in steps((a * a).sum())]
    [('a', (2,)), ('mul', (2,)), ('sum', ())]
    """
    root = tensor.grad_fn
    if root is None:
        raise GraphError(
            "nothing was recorded: this value is a leaf, or no input requires gradients"
        )
    nodes = _nodes(root)
    made: dict[Any, Step] = {}
    result: list[Step] = []
    for node in nodes:
        op = getattr(node, "op", None)
        step = made[node] = Step(
            op.name if op else node.name.removesuffix("Backward"),
            "op",
            formula=getattr(op, "formula", ""),
        )
        kept = getattr(node, "inputs", None) or [None] * len(node.edges)
        for edge, value in zip(node.edges, kept, strict=True):
            shape = getattr(value, "shape", None)
            if edge is None:
                number = isinstance(value, int | float)
                below = Step(f"{value:g}" if number else "constant", "constant", shape)
                result.append(below)
            elif edge in made:
                below = made[edge]
                below.shape = shape if below.shape is None else below.shape
            else:
                below = made[edge] = Step(edge.name or "leaf", "leaf", edge.shape)
                result.append(below)
            step.inputs.append(below)
        result.append(step)
    made[root].shape = tensor.shape
    return result


def _nodes(root: Any) -> list[Any]:
    """All nodes behind this one, oldest first."""
    seen, stack = {root}, [root]
    while stack:
        node = stack.pop()
        if node.edges is None:
            raise GraphError(
                "the tape was freed by backward()", hint="look at it before, or retain_graph=True"
            )
        for edge in node.edges:
            if edge is not None and not isinstance(edge, Tensor) and edge not in seen:
                seen.add(edge)
                stack.append(edge)
    return sorted(seen, key=lambda node: node.order)


# -- the picture -----------------------------------------------------------------------------------


def tape(tensor: Tensor, *, ax: Any = None) -> Any:
    """The tape of a small expression: leaves on the left, the value on the right, an arrow for
    every use.

    The gradient travels along the same arrows, from right to left. Raises `ArgumentError` for more
    than 80 steps.

    >>> import tinynet as tn
    >>> x = tn.tensor(2.0, requires_grad=True, name="x")
    >>> tape(x * x).axes[0].texts[0].get_text()
    'x'
    """
    found = steps(tensor)
    if len(found) > _LIMIT:
        raise ArgumentError(
            f"{len(found)} steps are too many for a picture", expected=f"at most {_LIMIT}"
        )
    column = _columns(found)
    rows, routes = _rows(found, column)
    place = {step: (column[step], rows[step]) for step in found}
    height = max(sum(1 for s in rows if column[s] == c) for c in column.values())
    figure, ax = axes_in(ax, 1.75 * (max(column.values()) + 1) + 0.4, 0.9 * height + 0.4)
    for step in found:
        _draw_box(ax, step, *place[step])
        for i, below in enumerate(step.inputs):
            points = [place[below], *((column[d], rows[d]) for d in routes[step, i]), place[step]]
            same = [k for k, other in enumerate(step.inputs) if other is below]
            _draw_arrow(ax, points, 0.16 * (same.index(i) - (len(same) - 1) / 2))
    _draw_legend(ax, found)
    lowest, highest = min(rows.values()), max(rows.values())
    ax.set(xlim=(-0.55, max(column.values()) + 0.55), ylim=(lowest - 0.45, highest + 0.45))
    ax.axis("off")
    return figure


def _columns(found: list[Step]) -> dict[Step, int]:
    """Ops stand one column after the last of their inputs; leaves right before their first use."""
    column: dict[Step, int] = {}
    for step in found:
        column[step] = 1 + max((column[s] for s in step.inputs), default=-1)
    for leaf in found:
        if not leaf.inputs:
            column[leaf] = min(column[s] for s in found if leaf in s.inputs) - 1
    return column


def _rows(
    found: list[Step], column: dict[Step, int]
) -> tuple[dict[Step, float], dict[tuple[Step, int], list[Step]]]:
    """Heights, so that few arrows cross; and for arrows over several columns the empty places that
    they pass.
    """
    layers: list[list[Step]] = [[] for _ in range(max(column.values()) + 1)]
    routes: dict[tuple[Step, int], list[Step]] = {}
    near: dict[Step, list[Step]] = {}
    for step in found:
        layers[column[step]].append(step)
    for step in found:
        for i, below in enumerate(step.inputs):
            chain = [Step("", "bend") for _ in range(column[below] + 1, column[step])]
            routes[step, i] = chain
            for c, bend in enumerate(chain, column[below] + 1):
                column[bend] = c
                layers[c].append(bend)
            whole = [below, *chain, step]
            for left, right in pairwise(whole):
                near.setdefault(left, []).append(right)
                near.setdefault(right, []).append(left)
    rows: dict[Step, float] = {}
    for layer in layers:
        _spread(layer, rows)
    for sweep in range(12):  # towards the mean height of the neighbours, left to right and back
        for layer in layers if sweep % 2 else reversed(layers):
            mean = {s: sum(rows[n] for n in near[s]) / len(near[s]) for s in layer}
            layer.sort(key=lambda s: (-mean[s], -rows[s]))
            _spread(layer, rows)
    return rows, routes


def _spread(layer: list[Step], rows: dict[Step, float]) -> None:
    """One column, evenly around height 0."""
    for i, step in enumerate(layer):
        rows[step] = (len(layer) - 1) / 2 - i


_COLOURS = {"op": OKABE_ITO["blue"], "leaf": OKABE_ITO["orange"], "constant": GREY}
_MEANING = {
    "leaf": "leaf: its gradient is kept",
    "op": "op: passes the gradient on",
    "constant": "constant: no gradient",
}


def _draw_box(ax: Any, step: Step, x: float, y: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    colour = _COLOURS[step.kind]
    box = FancyBboxPatch(
        (x - 0.34, y - 0.33),
        0.68,
        0.66,
        boxstyle="round,pad=0,rounding_size=0.08",
        lw=1.6,
        zorder=3,
    )
    box.set(facecolor="white", edgecolor=colour)
    ax.add_patch(box)
    lines = [(step.label, 10.0, "black")]
    if step.formula and _can_draw(step.formula):
        lines.append((f"${step.formula}$", 10, colour))
    if step.shape is not None:
        lines.append((str(step.shape), 7.5, GREY))
    for i, (text, size, ink) in enumerate(lines):
        height = y + 0.2 * ((len(lines) - 1) / 2 - i)
        ax.text(x, height, text, ha="center", va="center", fontsize=size, color=ink, zorder=4)


def _can_draw(formula: str) -> bool:
    """Whether matplotlib's small TeX knows it, and it fits into a box."""
    from matplotlib.mathtext import MathTextParser

    try:
        size = MathTextParser("path").parse(f"${formula}$")
    except ValueError:
        return False
    return bool(size.width < 64 and size.height < 20)


def _draw_arrow(ax: Any, points: Sequence[tuple[float, float]], shift: float) -> None:
    """A smooth line from the right side of the first box to the left side of the last, through the
    bends.
    """
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    (x0, y0), (x1, y1) = points[0], points[-1]
    stops = [(x0 + 0.34, y0), *points[1:-1], (x1 - 0.36, y1 + shift)]
    vertices, codes = [stops[0]], [Path.MOVETO]
    for (xa, ya), (xb, yb) in pairwise(stops):
        middle = (xa + xb) / 2
        vertices += [(middle, ya + shift), (middle, yb), (xb, yb)]
        codes += [Path.CURVE4] * 3
    path = Path(vertices, codes)
    arrow = FancyArrowPatch(
        path=path, arrowstyle="-|>", mutation_scale=11, lw=1.2, color=GREY, zorder=2
    )
    ax.add_patch(arrow)


def _draw_legend(ax: Any, found: list[Step]) -> None:
    from matplotlib.lines import Line2D

    kinds = [kind for kind in _MEANING if any(step.kind == kind for step in found)]
    marks = [
        Line2D([], [], marker="s", ls="", mfc="white", mec=_COLOURS[k], mew=1.6, ms=9)
        for k in kinds
    ]
    texts = [_MEANING[kind] for kind in kinds]
    if len(ax.figure.axes) == 1:
        options = {"loc": "outside lower center"}
        ax.figure.legend(marks, texts, ncols=len(kinds), frameon=False, fontsize=8, **options)
    else:
        ax.legend(
            marks, texts, loc="upper center", bbox_to_anchor=(0.5, 0), frameon=False, fontsize=8
        )
