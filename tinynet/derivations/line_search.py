r"""How far to go along a direction: Wolfe's two conditions, and a search that meets them.

Along w + t d the loss is a function of one number, φ(t) = L(w + t d), with slope φ'(t) = g(t) · d,
and φ'(0) < 0 because d goes down. A step t is good where, with c₁ = 10⁻⁴ and c₂ = 0.9,

    φ(t) ≤ φ(0) + c₁ t φ'(0)        it gained what the first slope promised, at least a little of it
    |φ'(t)| ≤ c₂ |φ'(0)|            most of the slope is used up: farther on there is less to gain

The first rules out steps that are too long, the second those that are too short. The second also
makes y · s > 0 for a quasi-Newton method: y · s = t d · (g(t) − g(0)) = t (φ'(t) − φ'(0))
≥ t (1 − c₂) |φ'(0)|. As c₁ < c₂, there always are such t where φ is bounded below: the line from
φ(0) with slope c₁ φ'(0) meets φ again, and between there is a point with exactly that slope (mean
value theorem).

The search. *Bracket*: lengthen t until φ is too high or turns upwards; then a good t lies between
the last two. *Zoom*: keep the better end as `low`, try a point between, replace an end, and so on.

The point to try is the minimum of the cubic through both values and both slopes. Let h = b − a and
p(x) = φ_a + φ'_a x + A x² + B x³ for x from 0 to h. Its values at h give A and B; the roots of
p'(x) = φ'_a + 2 A x + 3 B x² = 0 are then, with d₁ = φ'_a + φ'_b − 3 (φ_a − φ_b) / (a − b),
A = −(φ'_a + d₁) / h and 3 B = (φ'_a + φ'_b + 2 d₁) / h²,

    x = h (φ'_a + d₁ ± d₂) / (φ'_a + φ'_b + 2 d₁),      d₂ = √(d₁² − φ'_a φ'_b).

The minimum is where p'' = 2 A + 6 B x = ± 2 d₂ / h is positive: the plus sign. With
d₁² − d₂² = φ'_a φ'_b the same point, seen from b, can be written without the division by B h²:

    t = b − (b − a) (φ'_b + d₂ − d₁) / (φ'_b − φ'_a + 2 d₂).

Shapes: w, d, g (n,); t, φ(t), φ'(t) numbers.
Source: Nocedal and Wright, "Numerical Optimization", 2nd edition, conditions 3.7, algorithms 3.5
and 3.6, equation 3.59. The constants and the care near the ends of the bracket are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Point(NamedTuple):
    """A place along the line: t, φ(t), φ'(t), and the gradient there."""

    t: float
    value: float
    slope: float
    gradient: Any = None


def cubic_minimum(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """The t at which the cubic through both points is least, cut to `bounds` (a to b).

    Their middle, where the cubic has no minimum or the numbers are not finite.

    >>> cubic_minimum(Point(0.0, 4.0, -4.0), Point(3.0, 1.0, 2.0))  # (t − 2)²
    2.0
    """
    if a.t > b.t:
        a, b = b, a
    low, high = bounds or (a.t, b.t)
    middle = (low + high) / 2
    if a.t == b.t:
        return middle
    with np.errstate(all="ignore"):
        d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
        square = d1 * d1 - a.slope * b.slope
        if not 0 <= square < math.inf:
            return middle
        d2 = np.sqrt(square)
        t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(float(t), low), high) if math.isfinite(t) else middle


def strong_wolfe(
    phi: Callable[[float], Point],
    start: Point,
    t: float,
    *,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
    max_evaluations: int = 25,
) -> tuple[Point, int]:
    """A point on the line at which Wolfe's conditions hold, and how often `phi` was asked.

    phi          evaluates the line at t
    start        the point t = 0, with a slope below 0
    t            the first guess
    tolerance    a bracket shorter than this is not divided any more

    When the evaluations run out it is the best end of the bracket, where they may not hold. A value
    that is NaN or infinite counts as too high.

    >>> phi = lambda t: Point(t, (t - 2) ** 2, 2 * (t - 2))
    >>> strong_wolfe(phi, phi(0.0), 9.0)
    (Point(t=2.0, value=0.0, slope=0.0, gradient=None), 2)
    """
    before, new = start, phi(t)
    for count in range(max_evaluations):
        too_high = not new.value <= start.value + c1 * new.t * start.slope
        if too_high or (count > 1 and new.value >= before.value):
            break
        if abs(new.slope) <= -c2 * start.slope:
            return new, count + 1
        if new.slope >= 0:
            break
        bounds = (new.t + 0.01 * (new.t - before.t), new.t * 10)
        before, new = new, phi(cubic_minimum(before, new, bounds))
    else:
        return (new if new.value < start.value else start), max_evaluations + 1

    def good(point: Point) -> bool:
        enough = point.value <= start.value + c1 * point.t * start.slope
        return enough and abs(point.slope) <= -c2 * start.slope

    return _zoom(phi, start, [before, new], count, good, c1, tolerance, max_evaluations)


def _zoom(
    phi: Callable[[float], Point],
    start: Point,
    ends: list[Point],
    count: int,
    good: Callable[[Point], bool],
    c1: float,
    tolerance: float,
    max_evaluations: int,
) -> tuple[Point, int]:
    """Divide the bracket until a point is good, the bracket is short, or evaluations run out."""
    low = int(ends[0].value > ends[1].value)  # false for NaN, which only the farther end can be
    near_an_end = False
    while count < max_evaluations and abs(ends[1].t - ends[0].t) >= tolerance:
        t, near_an_end = _between(ends, near_an_end)
        new = phi(t)
        count += 1
        too_high = not new.value <= start.value + c1 * new.t * start.slope
        if too_high or new.value >= ends[low].value:
            ends[1 - low] = new
            low = int(ends[0].value > ends[1].value)
        else:
            if good(new):
                return new, count + 1
            if new.slope * (ends[1 - low].t - ends[low].t) >= 0:
                ends[1 - low] = ends[low]
            ends[low] = new
    return ends[low], count + 1


def _between(ends: list[Point], was_near: bool) -> tuple[float, bool]:
    """Where to try next, and whether that is near an end.

    The cubic's minimum; where it lies within a tenth of an end for the second time in turn, or at
    the end itself, a tenth away from that end.
    """
    t = cubic_minimum(ends[0], ends[1])
    first, last = sorted((ends[0].t, ends[1].t))
    tenth = 0.1 * (last - first)
    if min(last - t, t - first) >= tenth:
        return t, False
    if not (was_near or t >= last or t <= first):
        return t, True
    return (last - tenth if abs(t - last) < abs(t - first) else first + tenth), False
