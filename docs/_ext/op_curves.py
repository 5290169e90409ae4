"""Small pictures of functions and their derivatives, as SVG: drawn by the engine at build time.

A picture takes its colours from the page (``docs/_static/book.css``), so that it is right in the
light and in the dark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

LOW, HIGH, POINTS = -4.0, 4.0, 481
WIDTH, HEIGHT, LIMIT = 150, 96, 4.0  # of a picture; of what it shows of y, up and down

# What the other inputs and options are, where a picture needs them: the words under the picture.
SECOND: dict[str, tuple[float, str]] = {
    "add": (1.0, "v = 1"),
    "sub": (1.0, "v = 1"),
    "mul": (2.0, "v = 2"),
    "div": (2.0, "v = 2"),
    "logaddexp": (0.0, "v = 0"),
    "atan2": (1.0, "v = 1"),
    "floor_divide": (2.0, "v = 2"),
    "remainder": (2.0, "v = 2"),
    "fmod": (2.0, "v = 2"),
    "maximum": (0.0, "v = 0"),
    "minimum": (0.0, "v = 0"),
    "pow": (1.5, "v = 1.5"),
    "prelu": (0.25, "v = 0.25"),
    "mse": (0.0, "target 0"),
    "mae": (0.0, "target 0"),
    "huber": (0.0, "target 0"),
    "bce": (1.0, "label 1"),
}
OPTIONS: dict[str, tuple[dict[str, float], str]] = {
    "clamp": ({"min": -1.0, "max": 2.0}, "from −1 to 2"),
    "power": ({"exponent": 3.0}, "power 3"),
    "leaky_relu": ({"negative_slope": 0.1}, "slope 0.1"),
}
ROOMS = ("elementwise", "activations")


def curve(op: Any) -> tuple[Callable[[Any], Any], str] | None:
    """The op as a function of one number, and what is fixed; None where it is no such thing."""
    options, words = OPTIONS.get(op.name, ({}, ""))
    if op.name in SECOND:
        value, words = SECOND[op.name]
        if hasattr(op, "backward"):  # a loss: of each entry, not their mean
            options = {"reduction": "none"}
        return lambda u: op(u, np.full(POINTS, value), **options), words
    if op.room in ROOMS and op.arity == 1 and op.differentiable:
        return partial(op, **options), words
    return None


def values(f: Callable[[Any], Any]) -> list[np.ndarray]:
    """u, f(u), f'(u) and f''(u), by the engine; NaN where f is not defined."""
    import tinynet as tn

    u = tn.tensor(np.linspace(LOW, HIGH, POINTS), requires_grad=True)
    with np.errstate(all="ignore"):
        found = [f(u)]
        for _ in range(2):
            total = found[-1].sum()
            slope = tn.autograd.grad(total, u, create_graph=True) if total.requires_grad else ()
            found.append(slope[0] if slope else tn.zeros_like(u))
    y, *slopes = (tensor.detach().numpy() for tensor in found)
    undefined = ~np.isfinite(y)
    return [u.detach().numpy(), y, *(np.where(undefined, np.nan, slope) for slope in slopes)]


def pieces(u: np.ndarray, y: np.ndarray, slope: np.ndarray) -> Iterator[list[int]]:
    """The indices of the points of each piece without a jump."""
    piece: list[int] = []
    for i in range(len(u)):
        if piece:
            last = piece[-1]
            steepest = np.nanmax(np.abs(slope[[last, i]]), initial=0.0)
            jump = abs(y[i] - y[last]) > 0.2 + 4 * (u[i] - u[last]) * steepest
            if jump or not np.isfinite(y[i]) or y[i] * y[last] < -(LIMIT**2):
                yield piece
                piece = []
        if np.isfinite(y[i]):
            piece.append(i)
    yield piece


def svg(name: str, f: Callable[[Any], Any], words: str = "") -> str:
    """The picture, in one line of HTML: f solid, f' dashed, both over u from −4 to 4."""
    u, y, slope, bend = values(f)
    shown = np.concatenate([y, slope])
    shown = np.clip(shown[np.isfinite(shown)], -LIMIT, LIMIT)
    low, high = min(shown.min(), 0.0), max(shown.max(), 0.0)
    margin = 0.06 * (high - low)
    low, high = low - margin, high + margin

    def across(value: float) -> float:
        return (value - LOW) / (HIGH - LOW) * WIDTH

    def down(value: float) -> float:
        return float(np.clip((high - value) / (high - low), -1, 2)) * HEIGHT

    def path(kind: str, of: np.ndarray, its_slope: np.ndarray) -> str:
        lines = (
            " ".join(f"{across(u[i]):.1f},{down(of[i]):.1f}" for i in [*piece[::3], piece[-1]])
            for piece in pieces(u, of, its_slope)
            if len(piece) > 1
        )
        return f'<path class="{kind}" d="{" ".join(f"M{line}" for line in lines)}"/>'

    ticks = [v for v in (-4, -3, -2, -1, 1, 2, 3, 4) if low < v < high]
    ticks = [v for v in ticks if abs(v) in (1, 2, 4)] if len(ticks) > 4 else ticks
    marks = "".join(f"M{across(0) - 2:.1f},{down(v):.1f}h4" for v in ticks)
    marks += "".join(f"M{across(v):.1f},{down(0) - 2:.1f}v4" for v in (-4, -3, -2, -1, 1, 2, 3))
    numbers = "".join(
        f'<text x="{across(0) + 4:.1f}" y="{down(v) + 3:.1f}">{"−" * (v < 0)}{abs(v)}</text>'
        for v in {ticks[0], ticks[-1]}
    )
    caption = f"<figcaption>{words}</figcaption>" if words else ""
    return (
        f'<figure class="curve"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{name} and its derivative, from −4 to 4">'
        f'<path class="axis" d="M0,{down(0):.1f}H{WIDTH} M{across(0):.1f},0V{HEIGHT} {marks}"/>'
        f"{path('slope', slope, bend)}{path('value', y, slope)}{numbers}</svg>{caption}</figure>"
    )


def picture(op: Any) -> str:
    """The picture of an op; nothing where there is none."""
    found = curve(op)
    return svg(op.name, *found) if found else ""
