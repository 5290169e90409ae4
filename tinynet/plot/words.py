"""Words that fit: titles, names, numbers and legends, as large as there is room, none over another.

Sizes follow matplotlib's `rcParams["font.size"]`; for a projector set it to 14 or more.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.plot.style import GREY, Array, ink_on, literal, need_matplotlib, plain
from tinynet.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTER = 0.6  # how wide a letter is on average, in sizes of the font
LEAST = 5.0  # points: smaller letters nobody reads
PAGE = 6.4  # inches: wider pictures have letters that a phone shows too small
FRAME = 1.25  # a figure with one picture, in sizes of its axes before labels take their room
BAR = 90.0  # points: twice what a colour bar takes, so much wider a title may be
DOWN = 3.7  # from the axes to what stands below their label, in sizes of the font


def points(size: str) -> float:
    """A relative size such as "small", in points."""
    need_matplotlib()
    from matplotlib.font_manager import FontProperties

    return float(FontProperties(size=size).get_size_in_points())


def extent(ax: Axes) -> tuple[float, float]:
    """Width and height of the axes as they are now, in points."""
    box, scale = ax.get_window_extent(), 72 / ax.figure.dpi
    return float(box.width * scale), float(box.height * scale)


def settle(ax: Axes) -> None:
    """Lay the figure out as it will be drawn, to measure it."""
    figure: Any = ax.figure.figure
    figure.draw_without_rendering()


def short(name: str, most: int) -> str:
    """The name, or its beginning where it has more than `most` letters.

    >>> short("internationalisation", 8)
    'interna…'
    """
    return name if len(name) <= most else name[: most - 1].rstrip("\\") + "…"


def named(labels: Iterable[Any], count: int, what: str, of: str) -> list[str]:
    """Labels as they are written, of a tensor, an array or a list.

    >>> named([3, "$"], 2, "labels", "classes")
    ['3', '\\\\$']
    """
    try:
        items = plain(labels).tolist() if isinstance(labels, Tensor) else list(labels)
    except TypeError:
        raise ArgumentError(f"{what} are a list of names", got=describe(labels)) from None
    if len(items) != count:
        raise ShapeError(f"{len(items)} {what} for {count} {of}")
    return [literal(x.item() if hasattr(x, "item") else x) for x in items]


def entitle(ax: Axes, *lines: str, more: float = 0.0) -> None:
    """The title, in more lines where there is little room; it may be `more` points wider."""
    room = 72 * ax.get_position(original=True).width * ax.figure.bbox.width / ax.figure.dpi
    most = int((1.05 * room + more) / (LETTER * points("large")))
    pad = (1.1 if more else 0.7) * points("medium")  # above the number at the end of the scale
    ax.set_title("\n".join(textwrap.fill(line, max(most, 8)) for line in lines), pad=pad)


def label_axes(ax: Axes, x: str, y: str) -> None:
    """The labels of both axes, in two lines where those are short."""
    size = LETTER * points("medium")
    for axis, text, room in zip((ax.xaxis, ax.yaxis), (x, y), extent(ax), strict=True):
        axis.set_label_text(textwrap.fill(text, max(int(0.9 * room / size), 7)))


def legend_below(ax: Axes) -> None:
    """The legend below the label of the axis, where no data are, in as many columns as fit. Where
    it would leave little room to the data, its letters are smaller.
    """
    from matplotlib.transforms import ScaledTranslation

    handles, names = ax.get_legend_handles_labels()
    wide, high = 1.1 * extent(ax)[0], FRAME * extent(ax)[1]  # below the axes, not the whole figure
    for size in np.linspace(points("small"), LEAST, 8):
        most = max(int((wide / size - 4) / LETTER), 8)
        labels = [short(name, most) for name in names]
        columns = _side_by_side([size * (LETTER * len(label) + 4) for label in labels], wide)
        if 1.5 * size * -(-len(labels) // columns) < 0.3 * high:
            break
    down = ScaledTranslation(0, -DOWN * points("medium") / 72, ax.figure.dpi_scale_trans)
    options: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0)}
    options |= {"bbox_transform": ax.transAxes + down, "borderaxespad": 0.0}
    ax.legend(handles, labels, ncols=columns, fontsize=size, frameon=False, **options)


def _side_by_side(widths: Sequence[float], wide: float) -> int:
    """In how many columns, not wider than that in all, the rows are fewest."""
    for rows in range(1, len(widths)):
        columns = -(-len(widths) // rows)
        if sum(column.max() for column in np.array_split(widths, columns)) < wide:
            return columns
    return 1


def legend_width(names: Sequence[str], height: float) -> float:
    """Inches that `legend_beside` takes in a figure of this height in inches."""
    return _columns(len(names), height * 72) * _column(names) / 72


def legend_beside(ax: Axes, **options: Any) -> None:
    """The legend to the right of the axes. Where they are too small for all names, the long ones
    are cut and the last ones are counted.
    """
    handles, labels = ax.get_legend_handles_labels()
    wide, high = (FRAME * v for v in extent(ax))
    half = 0.5 * wide
    if _columns(len(labels), high) * _column(labels) > half:
        labels = [short(label, 16) for label in labels]
        columns = max(int(half / _column(labels)), 1)
        most = columns * _rows(high)
        if len(labels) > most:
            left_out = len(labels) - most + 1
            blank = ax.scatter([], [], s=0)
            handles = [*handles[: most - 1], blank]
            labels = [*labels[: most - 1], f"… {left_out} more"]
    options |= {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
    options |= {"fontsize": "small", "frameon": False, "ncols": _columns(len(labels), high)}
    ax.legend(handles, labels, columnspacing=1.0, handletextpad=0.2, **options)


def _rows(height: float) -> int:
    return max(int(height / (1.6 * points("small"))) - 3, 3)


def _columns(count: int, height: float) -> int:
    return -(-count // _rows(height))


def _column(labels: Sequence[str]) -> float:
    return points("small") * (LETTER * max(map(len, labels)) + 3.5)


def name_cells(ax: Axes, rows: Sequence[str], columns: Sequence[str]) -> tuple[str, str]:
    """Names of the rows and columns of a heat map. Where cells are small, the names are; where they
    are smaller than letters, some names are left out: what to say then is returned for both axes.
    """
    size = points("medium")
    wide, high = (FRAME * v for v in extent(ax))
    bar, title = 8 * size, 5 * size
    most = [max(int(0.5 * v / (LETTER * size)), 4) for v in (wide - bar, high - title)]
    rows, columns = [short(n, most[0]) for n in rows], [short(n, most[1]) for n in columns]
    beside, below = (LETTER * size * max(map(len, names)) for names in (rows, columns))
    cell = min((wide - beside - bar) / len(columns), (high - below - title) / len(rows))
    cell = max(cell, 0.1)
    size = min(size, max(0.8 * cell, LEAST))
    each = math.ceil(1.25 * size / cell)
    turn = 0 if LETTER * size * max(map(len, columns)) < 0.9 * cell else 45
    turn = 90 if turn and each * cell < 1.5 * size else turn
    anchor: dict[str, Any] = {"rotation": turn, "fontsize": size}
    if turn == 45:
        anchor |= {"ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(range(0, len(columns), each), columns[::each], **anchor)
    ax.set_yticks(range(0, len(rows), each), rows[::each], fontsize=size)
    left_out = f", every {each}{ {2: 'nd', 3: 'rd'}.get(each, 'th') }" if each > 1 else ""
    return left_out if len(columns) > 1 else "", left_out if len(rows) > 1 else ""


def heat_map(
    ax: Axes, image: Any, rows: Sequence[str], columns: Sequence[str], *labels: str
) -> None:
    """What stands around a heat map: names of rows and columns, labels of both axes and of the
    colours.
    """
    across, down, colours = labels
    told = name_cells(ax, rows, columns)
    bar = colour_bar(ax, image, colours)
    settle(ax)
    label_axes(ax, across + told[0], down + told[1])
    label_axes(bar, "", colours)


def colour_bar(ax: Axes, image: Any, label: str) -> Axes:
    """The scale of the colours, as high as the image."""
    bar = ax.inset_axes((1.04, 0.0, 0.05, 1.0))
    rows, columns = image.get_array().shape[:2]
    high = min(extent(ax)[1], 0.8 * extent(ax)[0] * rows / columns)
    ax.figure.colorbar(image, cax=bar, label=label, ticks=few_ticks(high))
    return bar


def few_ticks(room: float) -> Any:
    """As many as can be read in this room in points. Their number is fixed: one that depends on the
    layout, which depends on the width of the numbers, does not settle.
    """
    from matplotlib.ticker import MaxNLocator

    most = int(np.clip(room / (2.5 * points("medium")), 1, 8))
    return MaxNLocator(most, steps=[1, 2, 2.5, 5, 10])


def write_in_cells(ax: Axes, texts: dict[tuple[int, int], str]) -> bool:
    """A text in the middle of each cell (row, column) of the heat map, as large as fits; none, and
    False, where it would be too small to be read.
    """
    settle(ax)
    image = ax.images[-1]
    shown: Array = np.asarray(image.get_array())
    wide, high = (a / n for a, n in zip(extent(ax), shown.shape[::-1], strict=True))
    longest = max(map(len, texts.values()), default=1)
    size = min(points("small"), 0.8 * wide / (LETTER * longest), 0.8 * high)
    if size < LEAST:
        return False
    for (i, j), text in texts.items():
        colour = ink_on(image.to_rgba(shown[i, j]))
        ax.text(j, i, text, ha="center", va="center", color=colour, fontsize=size)
    return True


_NEAR = [(1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0)]
_FAR = [*_NEAR, *((x, y / 2) for x, y in _NEAR[:4]), *((x / 2, y) for x, y in _NEAR[:4])]
_REACH = (4, 14, 26, 40, 60)  # points from a place to its name
_ALIGN = {1: ("left", "bottom"), 0: ("center", "center"), -1: ("right", "top")}


def write_beside(ax: Axes, places: Array, names: Sequence[str], **style: Any) -> int:
    """Each name beside its place, or near it with a line to it, where neither a place nor another
    name nor a line is. Returns how many found no room.
    """
    settle(ax)
    scale = ax.figure.dpi / 72
    dots = np.asarray(ax.transData.transform(places))
    half = 3 * scale
    taken = [(x - half, y - half, x + half, y + half) for x, y in dots]
    drawn = np.empty((0, 2))  # points along the lines
    frame = ax.get_window_extent()
    line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 2}
    style |= {"textcoords": "offset points", "arrowprops": line, "in_layout": False}
    notes: Any = [ax.annotate(n, p, (0, 0), **style) for n, p in zip(names, places, strict=True)]
    sizes = [note.get_window_extent() for note in notes]
    waiting = list(range(len(notes)))
    for far, reach in enumerate(_REACH):
        for i in tuple(waiting):
            size = sizes[i]
            for across, up in _FAR if far else _NEAR:
                x, y = reach * across, reach * up
                side, above = np.sign((across, up))
                left = dots[i, 0] + x * scale - size.width * (1 - side) / 2
                low = dots[i, 1] + y * scale - size.height * (1 - above) / 2
                box = left, low, left + size.width, low + size.height
                middle = left + size.width / 2, low + size.height / 2
                way = np.linspace(dots[i], middle, 20 * far)  # of the line
                if (
                    _inside(box, frame.extents)
                    and not _meets(box, taken)
                    and not _over(drawn, [box])
                    and not _over(way, taken[len(dots) :])
                ):
                    taken.append((left - half, low, left + size.width + half, low + size.height))
                    drawn = np.vstack([drawn, way])
                    waiting.remove(i)
                    notes[i].set(position=(x, y), ha=_ALIGN[side][0], va=_ALIGN[above][1])
                    notes[i].arrow_patch.set_visible(far > 0)
                    break
    for i in waiting:
        notes[i].remove()
    return len(waiting)


def _inside(box: Sequence[float], frame: Sequence[float]) -> bool:
    return bool(
        frame[0] <= box[0] and frame[1] <= box[1] and box[2] <= frame[2] and box[3] <= frame[3]
    )


def _over(way: Array, boxes: Sequence[Sequence[float]]) -> bool:
    """Whether one of the points lies in one of the boxes."""
    low, high = np.split(np.reshape(boxes, (-1, 4)), 2, axis=1)
    return bool(((low < way[:, None]) & (way[:, None] < high)).all(axis=2).any())


def _meets(box: Sequence[float], taken: Sequence[Sequence[float]]) -> bool:
    others = np.asarray(taken)
    apart = (others[:, 2] <= box[0]) | (box[2] <= others[:, 0])
    apart |= (others[:, 3] <= box[1]) | (box[3] <= others[:, 1])
    return not apart.all()
