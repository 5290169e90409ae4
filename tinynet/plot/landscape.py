"""Pictures of a loss with two parameters, and of the ways that optimizers take down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.grad_mode import no_grad
from tinynet.plot.style import LINES, MARKERS, OKABE_ITO, Array, axes_in, callable_or_raise, literal
from tinynet.plot.words import entitle, extent, legend_below, points, settle
from tinynet.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Loss = Callable[[Tensor, Tensor], Tensor]
GRID = 160  # points along each side
FAR = 20.0  # a path that leads farther leaves the window
PATHS = (*LINES, OKABE_ITO["orange"], OKABE_ITO["sky"])


def loss_landscape(
    loss: Loss,
    optimizers: Mapping[str, Callable[[list[Tensor]], Any]] | None = None,
    *,
    start: tuple[float, float] = (0.0, 0.0),
    steps: int = 100,
    xlim: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Level lines of L(x, y), dark where it is high, and the path of each optimizer from `start`.

    loss         works entry by entry on Tensors x and y of one shape
    optimizers   name -> a function that makes an optimizer for a list of parameters
    xlim, ylim   the window; by default −2 to 2, or wider, so that it holds every path that stays
                 between −20 and 20

    The levels lie evenly on the scale of log(L − min L). A path is drawn to the last point at which
    the loss is finite; the legend tells where this was before the last step, and which paths leave
    the window.

    >>> import tinynet as tn
    >>> sgd = lambda parameters: tn.optim.SGD(parameters, lr=0.25)
    >>> ax = loss_landscape(lambda x, y: x**2 + y**2, {"SGD": sgd}, start=(1.0, -2.0), steps=2)
    >>> ax.lines[0].get_xdata()
    array([1.  , 0.5 , 0.25])
    """
    if not isinstance(optimizers or {}, Mapping):
        raise ArgumentError(
            "each optimizer has a name",
            expected='{"SGD": lambda parameters: tn.optim.SGD(parameters, lr=0.1)}',
            got=describe(optimizers),
        )
    if len(optimizers or ()) > len(PATHS):
        raise ArgumentError("too many paths to tell apart", expected=f"at most {len(PATHS)}")
    callable_or_raise(loss, "the loss", "lambda x, y: x**2 + 4 * y**2")
    if np.shape(start) != (2,) or not np.isfinite(start).all() or steps < 1:
        raise ArgumentError(
            "a path needs a point to start from and steps",
            expected="start=(x, y), two finite numbers; steps at least 1",
            got=f"start={start}, steps={steps}",
        )
    _checked(loss, np.ones((2, 1)), np.ones((2, 1)))
    paths = {name: _path(loss, make, start, steps) for name, make in (optimizers or {}).items()}
    near = [path for path in paths.values() if np.abs(path).max() <= FAR]
    window = [
        _window(lim, [start[i], *(v for path in near for v in path[:, i])], name)
        for i, (lim, name) in enumerate(((xlim, "xlim"), (ylim, "ylim")))
    ]
    if paths and not all(low <= v <= high for v, (low, high) in zip(start, window, strict=True)):
        raise ArgumentError("the start lies outside of the window", got=f"start={start}")
    across, up = (np.linspace(*ends, GRID) for ends in window)
    heights = _heights(loss, *np.meshgrid(across, up))
    ax = axes_in(ax, 5.8, 4.6)
    bar = _draw_levels(ax, across, up, heights)
    for i, (name, path) in enumerate(paths.items()):
        style: dict[str, Any] = {"marker": MARKERS[i], "markersize": 3.5, "linewidth": 1.4}
        told = literal(name) + _end(path, window, steps)
        ax.plot(*path.T, color=PATHS[i], label=told, zorder=4, **style)
        ax.plot(*path.T, color="white", linewidth=3.5, zorder=3)  # parts it from the ground
        ax.plot(*path[-1], "X", color=PATHS[i], markersize=9, markeredgecolor="black", zorder=5)
    if optimizers:
        ax.plot(*start, "o", color="white", markeredgecolor="black", label="start", zorder=6)
        legend_below(ax)
    ax.set(xlim=window[0], ylim=window[1], xlabel="parameter x", ylabel="parameter y")
    entitle(ax, f"Loss landscape, {steps}\u00a0steps" if optimizers else "Loss landscape")
    ax.tick_params(pad=0.5 * points("medium"))  # numbers of both axes meet in a corner
    settle(ax)
    decades, fit = bar.get_ticks(), max(int(extent(ax)[1] / (2 * points("medium"))), 1)
    bar.set_ticks(decades[:: -(-len(decades) // fit)] if len(decades) else decades)
    return ax


def _window(
    limits: tuple[float, float] | None, places: Sequence[float], name: str
) -> tuple[float, float]:
    """The limits given; or −2 to 2, and what these places need."""
    if limits is not None:
        if np.shape(limits) != (2,) or not -np.inf < limits[0] < limits[1] < np.inf:
            raise ArgumentError(
                f"{name} is where the window begins and ends",
                expected="low < high",
                got=str(limits),
            )
        return limits
    low, high = float(min(-2.0, *places)), float(max(2.0, *places))
    margin = 0.05 * (high - low)
    return low - margin * (low < -2), high + margin * (high > 2)


def _end(path: Array, window: Sequence[tuple[float, float]], steps: int) -> str:
    """What has become of a path, where it is not all in the picture."""
    low, high = np.transpose(window)
    outside = ((path < low) | (path > high)).any(axis=1)
    if outside.any():
        return f" (leaves at step {outside.argmax()})"
    return f" (not finite after step {len(path) - 1})" if len(path) <= steps else ""


def _checked(loss: Loss, x: Array, y: Array) -> Array:
    """The losses, one for each (x, y)."""
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
    return found.numpy()


def _heights(loss: Loss, x: Array, y: Array) -> Array:
    heights = _checked(loss, x, y)
    if not np.isfinite(heights).any():
        raise ArgumentError("the loss is not finite anywhere in this window")
    return np.ma.masked_invalid(heights)


def _draw_levels(ax: Axes, across: Array, up: Array, heights: Array) -> Any:
    """Returns the scale of their colours."""
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
    bar = ax.figure.colorbar(filled, ax=ax, label="L − min L", ticks=decades)
    bar.minorticks_off()
    return bar


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
            optimizer.step(closure)
            path.append([p.item() for p in parameters])
            with no_grad():
                if not np.isfinite(loss(*parameters).item()):
                    return np.array(path[:-1])
    return np.array(path)
