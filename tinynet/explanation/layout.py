"""Where the boxes of a graph stand: in layers from top to bottom, with few crossings.

The method of Sugiyama, Tagawa and Toda ("Methods for Visual Understanding of Hierarchical System
Structures", 1981):

1. Layers. A box stands below all boxes that point to it, and directly above its first use, unless
   that makes more lines longer than it makes shorter. What nothing points to, such as the
   parameters of one step, goes a few layers higher where there is more of it than fits beside it.
2. Long edges get a point in every layer that they pass, so that each stretch joins neighbours. All
   edges from one box share these points: one line goes down, from which others branch off.
3. Order. Sweeping down and up, each layer is sorted by the mean place of its neighbours; the order
   with the fewest crossings is kept.
4. Places. Each box wants to stand at the mean of its neighbours, Σ w_i (x_i − d_i)² least, but at a
   distance from the box to its left. That is a regression on increasing numbers, and merging
   neighbours that violate it into blocks solves it exactly (`_spread`). What nothing points to
   weighs little: parameters stand beside the way of the signal and do not bend it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 40
GAP = 28.0  # between boxes of a layer
LANE = 14.0  # beside a line that passes a layer
WIDEST = 440.0  # the sources of a layer, if some of them can go higher
HIGHER = 3  # layers, at most
LIGHT = 0.001  # the weight of a box to which nothing points; of the others, 1


@dataclass
class Layout:
    """Places in the plane.

    x, layer   of each box, by its key
    paths      of each edge: the points in between, as (x, layer)
    width      from the left end of the leftmost box, at 0, to the right end of the rightmost
    layers     how many there are
    """

    x: dict[Hashable, float]
    layer: dict[Hashable, int]
    paths: dict[tuple[Hashable, Hashable], list[tuple[float, int]]]
    width: float
    layers: int


def arranged(
    widths: Mapping[Hashable, float], edges: Sequence[tuple[Hashable, Hashable]]
) -> Layout:
    """Lay out boxes of these widths; an edge leads from an earlier key to a later one."""
    edges = list(dict.fromkeys(edges))
    layer = _layers(widths, edges)
    wide = dict(widths)
    chains = {edge: _through(edge, layer, wide) for edge in edges}
    short = list(dict.fromkeys(pair for chain in chains.values() for pair in pairwise(chain)))
    rows: list[list[Hashable]] = [[] for _ in range(1 + max(layer.values(), default=0))]
    for key, number in layer.items():
        rows[number].append(key)
    rows = _ordered(rows, short)
    x = _placed(rows, short, wide)
    left = min((x[k] - wide[k] / 2 for k in x), default=0.0)
    right = max((x[k] + wide[k] / 2 for k in x), default=0.0)
    x = {key: place - left for key, place in x.items()}
    paths = {edge: [(x[k], layer[k]) for k in chain[1:-1]] for edge, chain in chains.items()}
    boxes = {key: layer[key] for key in widths}
    return Layout({key: x[key] for key in widths}, boxes, paths, right - left, len(rows))


def _layers(
    widths: Mapping[Hashable, float], edges: list[tuple[Hashable, Hashable]]
) -> dict[Hashable, int]:
    keys = list(widths)
    above: dict[Hashable, list[Hashable]] = {key: [] for key in keys}
    below: dict[Hashable, list[Hashable]] = {key: [] for key in keys}
    for a, b in edges:
        above[b].append(a)
        below[a].append(b)
    layer: dict[Hashable, int] = {}
    for key in keys:
        layer[key] = 1 + max((layer[a] for a in above[key]), default=-1)
    for key in reversed(keys):
        if below[key]:
            stay = sum(len(below[a]) > 1 for a in above[key])  # the others come along
            if stay <= len(below[key]):
                layer[key] = min(layer[b] for b in below[key]) - 1
    _stack([key for key in keys if not above[key]], layer, widths)
    lowest = min(layer.values(), default=0)
    return {key: number - lowest for key, number in layer.items()}


def _stack(
    sources: list[Hashable], layer: dict[Hashable, int], widths: Mapping[Hashable, float]
) -> None:
    """Move sources out of layers where they are too many, into layers above that have room."""
    full: dict[int, float] = defaultdict(float)
    for key in sources:
        full[layer[key]] += widths[key] + GAP
    sources.sort(key=layer.__getitem__)
    for key in reversed(sources):  # those of the lowest layer first
        here, wide = layer[key], widths[key] + GAP
        room = (here - k for k in range(1, HIGHER + 1) if full[here - k] + wide <= WIDEST)
        if full[here] > WIDEST and (there := next(room, None)) is not None:
            full[here] -= wide
            full[there] += wide
            layer[key] = there


def _through(
    edge: tuple[Hashable, Hashable], layer: dict[Hashable, int], wide: dict[Hashable, float]
) -> list[Hashable]:
    """The edge with a point in each layer that it passes, which all edges from its start share."""
    start, end = edge
    chain: list[Hashable] = [start]
    for number in range(layer[start] + 1, layer[end]):
        point = (start, number)
        layer[point], wide[point] = number, 0.0
        chain.append(point)
    return [*chain, end]


def _neighbours(
    short: list[tuple[Hashable, Hashable]],
) -> tuple[dict[Hashable, list[Hashable]], dict[Hashable, list[Hashable]]]:
    above: dict[Hashable, list[Hashable]] = {}
    below: dict[Hashable, list[Hashable]] = {}
    for a, b in short:
        above.setdefault(b, []).append(a)
        below.setdefault(a, []).append(b)
    return above, below


# -- order -----------------------------------------------------------------------------------------


def _ordered(
    rows: list[list[Hashable]], short: list[tuple[Hashable, Hashable]]
) -> list[list[Hashable]]:
    above, below = _neighbours(short)
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        beside, order = (above, rows) if sweep % 2 == 0 else (below, rows[::-1])
        for fixed, row in pairwise(order):
            place = {key: i for i, key in enumerate(fixed)}
            wish = {}
            for i, key in enumerate(row):
                found = [place[k] for k in beside.get(key, ())]
                wish[key] = sum(found) / len(found) if found else i
            row.sort(key=wish.__getitem__)
        count = _crossings(rows, below)
        if count < fewest:
            best, fewest = [list(row) for row in rows], count
    return best


def _crossings(rows: list[list[Hashable]], below: dict[Hashable, list[Hashable]]) -> int:
    """How often two edges between neighbouring layers cross."""
    total = 0
    for row, following in pairwise(rows):
        place = {key: i for i, key in enumerate(following)}
        ends = [place[k] for key in row for k in sorted(below.get(key, ()), key=place.__getitem__)]
        total += sum(a > b for i, a in enumerate(ends) for b in ends[i + 1 :])
    return total


# -- places ----------------------------------------------------------------------------------------


def _placed(
    rows: list[list[Hashable]],
    short: list[tuple[Hashable, Hashable]],
    wide: dict[Hashable, float],
) -> dict[Hashable, float]:
    above, below = _neighbours(short)
    weight = {key: 1.0 if key in above else LIGHT for row in rows for key in row}
    x: dict[Hashable, float] = {}
    for row in rows:
        x.update(_spread(row, [0.0] * len(row), weight, wide))
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            wishes = []
            for key in row:
                beside = (above if down else below).get(key, [key])
                whole = sum(weight[k] for k in beside)
                wishes.append(sum(weight[k] * x[k] for k in beside) / whole)
            x.update(_spread(row, wishes, weight, wide))
    return x


def _spread(
    row: list[Hashable],
    wishes: list[float],
    weight: dict[Hashable, float],
    wide: dict[Hashable, float],
) -> dict[Hashable, float]:
    """The places nearest to the wishes, Σ w (x − wish)² least, at which no two boxes overlap."""
    offset, offsets = 0.0, []  # of each box from the first one, when all touch
    for i, key in enumerate(row):
        if i:
            before = wide[row[i - 1]]
            offset += (before + wide[key]) / 2 + (GAP if before and wide[key] else LANE)
        offsets.append(offset)
    blocks: list[tuple[float, float, int]] = []  # sum of w (wish - offset), of w, how many
    for key, wish, away in zip(row, wishes, offsets, strict=True):
        total, mass, count = weight[key] * (wish - away), weight[key], 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / mass:
            more, heavy, many = blocks.pop()
            total, mass, count = total + more, mass + heavy, count + many
        blocks.append((total, mass, count))
    starts = [total / mass for total, mass, count in blocks for _ in range(count)]
    return {k: start + away for k, start, away in zip(row, starts, offsets, strict=True)}
