"""The graph as a picture: SVG and Mermaid.

Boxes with a colour of their own carry all text, and lines are mid-grey, so that the picture can be
read on light and on dark pages. Colours: Okabe and Ito's, which the colour-blind can tell apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.explanation.folding import View, view
from tinynet.explanation.graph import Graph, Step, Value, in_words, plain
from tinynet.explanation.layout import Layout, arranged

LETTER, NARROW, WIDE = 8.4, 5.3, 13.0  # the widths of letters, in a font that is rather wide
LINE = 16.0  # the height of a line of text
BETWEEN = 34.0  # from one layer of boxes to the next
BESIDE = 12.0  # between the two lines of a value that a step uses twice

# fill, border
COLOURS = {
    "parameter": ("#fbe3b5", "#b87d00"),
    "input": ("#cfe9fa", "#2b7bab"),
    "value": ("#fafafa", "#6f6f6f"),
    "module": ("#d9f0e6", "#00795a"),
    "loss": ("#f8d9c6", "#b34a00"),
}


@dataclass(frozen=True)
class Box:
    """What is drawn for a leaf, a step or a module: lines of text, a kind (its colour), what a
    pointer that rests on it is told, the module that opens at a click, and the unit's number in the
    replay (−1 for a leaf).
    """

    key: int
    lines: tuple[str, ...]
    kind: str
    hover: str
    opens: str = ""
    unit: int = -1

    @property
    def width(self) -> float:
        """As wide as its longest line, of which the first is bold, and as it is high."""
        bold, *rest = map(_length, self.lines)
        return max(1.1 * bold + 18, max(rest) + 18, self.height)

    @property
    def height(self) -> float:
        """As high as its lines."""
        return LINE * len(self.lines) + 12


def _length(line: str) -> float:
    """How long a line of text is; it has 13 px, which is the width of a Chinese character."""
    wide = sum(c in "mwMW@%" or unicodedata.east_asian_width(c) in "WF" for c in line)
    narrow = sum(c in "fijlrtIJ ,.:;!|()[]/\\'-" for c in line)
    usual = len(line) - wide - narrow + sum(c.isupper() for c in line) / 5
    return WIDE * wide + NARROW * narrow + LETTER * usual


def boxes(shown: View, graph: Graph) -> tuple[list[Box], list[tuple[int, int]]]:
    """A box for each source and each unit, and the edges between them."""
    found = [
        Box(id(v), (_short(v.name), in_words(v.shape)), _kind(v), _hover(v)) for v in shown.sources
    ]
    for number, unit in enumerate(shown.units):
        y = unit.output
        below = f"{_short(y.name)}  {in_words(y.shape)}"
        if unit.path is None:
            lines = (_title(unit.steps[0]), below)
            found.append(Box(id(unit), lines, y.kind, _hover(y), unit=number))
        else:
            kind, times = graph.modules[unit.path], f" ×{unit.count}" if unit.count > 1 else ""
            named = (f"{_short(kind)}{times}", _short(unit.path), below)
            many = "1 step" if len(unit.steps) == 1 else f"{len(unit.steps)} steps"
            hover = f"{kind} {unit.path}{times}: {many}\n{_hover(y)}"
            found.append(Box(id(unit), named, "module", hover, unit.path, number))
    return found, [(id(a), id(b)) for a, b in shown.edges]


LONGEST = 28  # letters of a name in a box


def _short(name: str) -> str:
    """A name that fits into a box: of a path the first letters, but for its last part; of what is
    still too long the ends. The whole name is shown on hover.

    >>> _short("encoder.layers.0.self_attention.in_proj_weight")
    'e.l.0.s.in_proj_weight'
    """
    *path, last = name.split(".")
    if len(name) > LONGEST:
        name = ".".join([*(part if part.isdigit() else part[:1] for part in path), last])
    return name if len(name) <= LONGEST else f"{name[:8]}…{name[9 - LONGEST :]}"


def _kind(source: Value) -> str:
    return "input" if source.made_by is not None else source.kind


SIGNS = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "matmul": "@", "neg": "−"}


def _title(step: Step) -> str:
    """The op, with the numbers that it was given."""
    sign = SIGNS.get(step.title, step.title)
    numbers = [x for x in step.inputs if not isinstance(x, Value)]
    if step.title == "power":
        return f"^ {step.options['exponent']:g}"
    if len(numbers) == 1 and len(step.inputs) == 2:
        first = not isinstance(step.inputs[0], Value)
        return f"{numbers[0]:g} {sign}" if first else f"{sign} {numbers[0]:g}"
    return sign


def _hover(x: Value) -> str:
    lines = [f"{x.name} {in_words(x.shape)} {x.dtype}"]
    lines += [f"value: {_brief(x.array)}"] if arrays.is_array(x.array) else []
    lines += [f"gradient: {_brief(x.grad)}"] if arrays.is_array(x.grad) else []
    return "\n".join(lines)


def _brief(x: Any) -> str:
    """The numbers, or their range where there are many."""
    x = plain(x)
    if x.size <= 12:
        return str(np.array2string(x, precision=4, separator=", "))
    return f"{np.min(x):.4g} … {np.max(x):.4g}, mean {np.mean(x):.4g}"


MANY = 40  # steps, from which on modules are folded


def shown(graph: Graph, path: str | None) -> View:
    """The inside of a module; by default all steps, or where these are many the modules."""
    if path is None and len(graph.steps) > MANY and graph.modules:
        path = ""
    seen = view(graph, path)
    if path == "" and len(seen.units) == 1 and seen.units[0].path:  # all in one model: its inside
        return view(graph, seen.units[0].path)
    return seen


def svg(graph: Graph, path: str | None = None) -> str:
    """The picture as a stand-alone SVG document."""
    found, edges = boxes(shown(graph, path), graph)
    layout = arranged({b.key: b.width for b in found}, edges)
    layer = max(b.height for b in found) + BETWEEN
    y = {b.key: layer * (layout.layer[b.key] + 0.5) for b in found}
    width, height = layout.width + 16, layer * layout.layers
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" '
        f'style="max-width:100%;min-width:{0.75 * layout.width:.0f}px;height:auto" '
        'font-family="system-ui, sans-serif" font-size="13" role="img" '
        f'aria-label="The graph of {escape(graph.loss.name)}">'
    ]
    by_key = {b.key: b for b in found}
    for (a, b), count in Counter(edges).items():
        parts += _edges(by_key[a], by_key[b], count, layout, y, layer)
    parts += [_drawn(box, layout.x[box.key], y[box.key]) for box in found]
    return "\n".join([*parts, "</svg>"])


def _drawn(box: Box, x: float, y: float) -> str:
    fill, border = COLOURS[box.kind]
    left, top = x - box.width / 2, y - box.height / 2
    radius = 5 if box.kind in ("value", "loss", "module") else box.height / 2
    text = [
        f'<text x="{x:.1f}" y="{top + 6 + LINE * (i + 0.78):.1f}" text-anchor="middle" '
        f'fill="#111" font-weight="{400 if i else 600}">{escape(line)}</text>'
        for i, line in enumerate(box.lines)
    ]
    opens = f' class="opens" data-path="{escape(box.opens)}"' if box.opens else ""
    opens += f' data-unit="{box.unit}"' if box.unit >= 0 else ""
    return (
        f"<g{opens}><title>{escape(box.hover)}</title>"
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
        f'rx="{radius:.0f}" fill="{fill}" stroke="{border}" stroke-width="1.4"/>'
        f"{''.join(text)}</g>"
    )


def _edges(
    a: Box, b: Box, count: int, layout: Layout, y: dict[int, float], layer: float
) -> list[str]:
    """Curves from the lower side of a, through the points in between, to the upper side of b: one
    for each use of a, side by side at their ends.
    """
    between, past = [], (layer - BETWEEN) / 2 + 2
    for x, number in layout.paths[a.key, b.key]:  # straight past the boxes of the layer
        middle = layer * (number + 0.5)
        between += [(x, middle - past), (x, middle + past)]
    curves = []
    for i in range(count):
        shift = BESIDE * (i - (count - 1) / 2)
        start = layout.x[a.key] + shift, y[a.key] + a.height / 2
        end = layout.x[b.key] + shift, y[b.key] - b.height / 2 - 7
        curves.append(_curve([start, *between, end]))
    return curves


def _curve(points: list[tuple[float, float]]) -> str:
    """A smooth line through the points, with an arrow at its end."""
    path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        path += f" C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y1:.1f}"
    x, end = points[-1]
    arrow = f"M{x - 4:.1f},{end:.1f} l8,0 l-4,7 z"
    return (
        f'<path d="{path}" fill="none" stroke="#8a8a8a" stroke-width="1.4"/>'
        f'<path d="{arrow}" fill="#8a8a8a"/>'
    )


_MARKS = re.compile("[\"'&<>#]")  # what Mermaid takes for its own, it reads as a number


def _label(line: str) -> str:
    """A line of text as Mermaid shows it. Mermaid 11 takes it for Markdown, marks that are written
    as numbers too: letters that look like them are none, and a space without width parts the rest.
    """
    line = re.sub(r"(?<![^\W_])_|_(?![^\W_])", "\N{MODIFIER LETTER LOW MACRON}", line)
    line = line.translate(_ALIKE)
    line = _MARKS.sub(lambda m: f"#{ord(m[0])};", line)
    return line.replace(" ", "\N{NO-BREAK SPACE}")  # "+ 1" would be a list


_ALIKE = str.maketrans(
    {
        "*": "\N{ASTERISK OPERATOR}",
        "`": "\N{MODIFIER LETTER GRAVE ACCENT}",
        "~": "\N{TILDE OPERATOR}",
        **{mark: mark + "\N{ZERO WIDTH SPACE}" for mark in "$:[]!"},
    }
)


def mermaid(graph: Graph, path: str | None = None) -> str:
    """The same graph in Mermaid's notation for flow charts."""
    found, edges = boxes(shown(graph, path), graph)
    names = {box.key: f"n{i}" for i, box in enumerate(found)}
    lines = ["flowchart TD"]
    for box in found:
        text = "<br/>".join(map(_label, box.lines))
        left, right = ("[", "]") if box.kind in ("value", "loss", "module") else ("([", "])")
        lines.append(f'    {names[box.key]}{left}"{text}"{right}')
    lines += [f"    {names[a]} --> {names[b]}" for a, b in edges]
    return "\n".join(lines) + "\n"
