"""Pictures of a loss with two parameters, and of the ways that optimizers take down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.grad_mode import no_grad
from tinynet.plot.style import LINES, OKABE_ITO, Array, axes_in, literal
from tinynet.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Loss = Callable[[Tensor, Tensor], Tensor]
GRID = 160  # points along each side
PATHS = (*LINES, OKABE_ITO["orange"], OKABE_ITO["sky"])


def loss_landscape(
    loss: Loss,
    optimizers: Mapping[str, Callable[[list[Tensor]], Any]] | None = None,
    *,
    start: tuple[float, float] = (0.0, 0.0),
    steps: int = 100,
    xlim: tuple[float, float] = (-2.0, 2.0),
    ylim: tuple[float, float] = (-2.0, 2.0),
    ax: Axes | None = None,
) -> Axes:
    """Level lines of L(x, y), dark where it is high, and the path of each optimizer from `start`.

    loss         works entry by entry on Tensors x and y of one shape
    optimizers   name -> a function that makes an optimizer for a list of parameters

    The levels lie evenly on the scale of log(L − min L). A path ends early where the loss is no
    longer finite.

    >>> import tinynet as tn
    >>> sgd = lambda parameters: tn.optim.SGD(parameters, lr=0.25)
    >>> ax = loss_landscape(lambda x, y: x**2 + y**2, {"SGD": sgd}, start=(1.0, -2.0), steps=2)
    >>> ax.lines[0].get_xdata()
    array([1.  , 0.5 , 0.25])
    """
    if len(optimizers or ()) > len(PATHS):
        raise ArgumentError("too many paths to tell apart", expected=f"at most {len(PATHS)}")
    across, up = np.linspace(*xlim, GRID), np.linspace(*ylim, GRID)
    heights = _heights(loss, *np.meshgrid(across, up))
    ax = axes_in(ax, 5.8, 4.4)
    _draw_levels(ax, across, up, heights)
    for i, (name, make) in enumerate((optimizers or {}).items()):
        path = _path(loss, make, start, steps)
        style: dict[str, Any] = {"marker": "o", "markersize": 2.5, "linewidth": 1.4}
        ax.plot(*path.T, color=PATHS[i], label=literal(name), zorder=4, **style)
        ax.plot(*path.T, color="white", linewidth=3.5, zorder=3)  # parts it from the ground
        ax.plot(*path[-1], "X", color=PATHS[i], markersize=9, markeredgecolor="black", zorder=5)
    if optimizers:
        ax.plot(*start, "o", color="white", markeredgecolor="black", label="start", zorder=6)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False)
    ax.set(xlim=xlim, ylim=ylim, xlabel="parameter x", ylabel="parameter y")
    ax.set_title(f"Loss, {steps} steps" if optimizers else "Loss")
    return ax


def _heights(loss: Loss, x: Array, y: Array) -> Array:
    with no_grad(), np.errstate(all="ignore"):
        found: Any = loss(Tensor(x), Tensor(y))
    if not isinstance(found, Tensor) or found.shape != x.shape:
        got = found.shape if isinstance(found, Tensor) else type(found).__name__
        raise ShapeError(
            "the loss gives one number for each (x, y)",
            expected=str(x.shape),
            got=str(got),
            hint="a function that works entry by entry, such as lambda x, y: x**2 + 4 * y**2",
        )
    heights = found.numpy()
    if not np.isfinite(heights).any():
        raise ArgumentError("the loss is not finite anywhere in this window")
    return np.ma.masked_invalid(heights)


def _draw_levels(ax: Axes, across: Array, up: Array, heights: Array) -> None:
    from matplotlib.colors import LogNorm

    above = heights - heights.min()
    top = float(above.max()) or 1.0
    levels = np.geomspace(top * 1e-4, top, 13)
    norm = LogNorm(levels[0] / 3, top * 1e4)  # only the pale ones of the colours
    filled = ax.contourf(
        across,
        up,
        np.ma.maximum(above, levels[0] / 3),
        [levels[0] / 3, *levels],
        cmap="Greys",
        norm=norm,
    )
    ax.contour(across, up, above, levels, colors="#666666", linewidths=0.4)
    decades = 10.0 ** np.arange(np.ceil(np.log10(levels[0])), np.log10(top))
    ax.figure.colorbar(filled, ax=ax, label="L − min L", ticks=decades).minorticks_off()


def _path(
    loss: Loss, make: Callable[[list[Tensor]], Any], start: Sequence[float], steps: int
) -> Array:
    """(steps + 1, 2): the parameters at the start and after each step."""
    if not callable(make):
        raise ArgumentError(
            "an optimizer is made for the parameters of this picture",
            expected="a function such as lambda parameters: tn.optim.SGD(parameters, lr=0.1)",
            got=describe(make),
        )
    parameters = [Tensor(np.array(float(v)), requires_grad=True) for v in start]
    optimizer = make(parameters)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(*parameters)
        value.backward()
        return value

    path = [[p.item() for p in parameters]]
    with np.errstate(all="ignore"):  # a path may diverge
        for _ in range(steps):
            if not np.isfinite(optimizer.step(closure).item()):
                break
            path.append([p.item() for p in parameters])
    return np.array(path)
