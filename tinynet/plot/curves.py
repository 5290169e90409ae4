"""Pictures of curves: runs, functions with their derivatives, the error of differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinynet.autograd import grad
from tinynet.errors import ArgumentError, ShapeError, describe
from tinynet.plot.style import (
    GREY,
    LINES,
    Array,
    AxesArray,
    axes_in,
    callable_or_raise,
    ends,
    literal,
    new_figure,
    numbers,
    tidy,
)
from tinynet.plot.words import PAGE, entitle, legend_below, short
from tinynet.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EPS = float(np.finfo(np.float64).eps)


def learning_curves(history: Any) -> AxesArray:
    """A panel for the loss and one for each metric: training and validation by epoch, with the best
    epoch marked.

    history   a `History`, or a dict name -> list with one number for each epoch

    Positive numbers of which the largest is more than 1000 times the least are drawn on a scale of
    powers of 10.

    >>> [ax.get_title() for ax in learning_curves({"loss": [2.0, 1.0]})]
    ['loss']
    """
    given: Mapping[str, Sequence[float]] = getattr(history, "curves", history)
    if not isinstance(given, Mapping):
        raise ArgumentError(
            "curves are drawn from a history",
            expected='what fit returned, or {"loss": [2.0, 1.0]}',
            got=describe(given),
        )
    curves = {name: numbers(values, name) for name, values in given.items()}
    for name, values in curves.items():
        if values.ndim != 1:
            raise ShapeError(f"{name}: one number for each epoch", got=str(values.shape))
    names = [name for name in curves if not name.startswith("val_") or name[4:] not in curves]
    if not names or not any(len(curves[name]) for name in names):
        raise ArgumentError("there is nothing to draw: the history has no epoch")
    best = getattr(history, "best_epoch", 0)
    columns = min(len(names), 2)
    rows = -(-len(names) // columns)
    figure = new_figure(4.6 if columns == 1 else PAGE, 3.4 * rows)
    panels: AxesArray = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in panels[len(names) :]:
        ax.remove()
    panels = panels[: len(names)]
    for ax, name in zip(panels, names, strict=True):
        shown = {"training": (curves[name], LINES[0], "o")}
        if f"val_{name}" in curves:
            shown["validation"] = (curves[f"val_{name}"], LINES[1], "s")
        for label, (values, colour, marker) in shown.items():
            missing = int(np.sum(~np.isfinite(values)))
            label += f" ({missing} not finite)" if missing else ""
            style: dict[str, Any] = {"marker": marker if len(values) <= 30 else "", "markersize": 4}
            ax.plot(range(1, len(values) + 1), values, color=colour, label=label, **style)
        if best and len(curves[name]) > 1:
            ax.axvline(best, color=GREY, linestyle=":", label=f"best epoch ({best})")
        everything = np.concatenate([values for values, _, _ in shown.values()])
        least, largest = ends(everything)
        if least > 0 and largest > 1000 * least:
            ax.set_yscale("log")
        count = max(len(values) for values, _, _ in shown.values())
        margin = 0.5 if count == 1 else 0.04 * (count - 1)
        told = short(literal(name), 22)
        ax.set(xlabel="epoch", ylabel=told, xlim=(1 - margin, count + margin))
        entitle(ax, told)
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        tidy(ax)
        legend_below(ax)
    return panels


def learning_rates(found: Any, *, ax: Axes | None = None) -> Axes:
    """The loss at each learning rate that was tried, and its average, with the suggestion marked.

    found   what `train.find_lr` returned: `rates`, `losses`, `smoothed`, `suggestion`
    """
    if not hasattr(found, "smoothed"):
        raise ArgumentError("rates are drawn from what find_lr returned", got=describe(found))
    if not found.rates:
        raise ArgumentError("there is nothing to draw: no learning rate was tried")
    ax = axes_in(ax, 5.6, 3.6)
    from matplotlib.ticker import NullFormatter

    ax.set(xscale="log", xlim=(found.rates[0] / 3, found.rates[-1] * 3))
    ax.plot(found.rates, found.losses, ".", color=GREY, markersize=3, label="of the batch")
    ax.plot(found.rates, found.smoothed, color=LINES[0], linewidth=2, label="averaged")
    height = np.interp(np.log(found.suggestion), np.log(found.rates), found.smoothed)
    label = f"suggestion: {found.suggestion:.2g}"
    ax.axvline(found.suggestion, color=LINES[1], linestyle=":")
    ax.plot([found.suggestion], [height], "o", color=LINES[1], label=label, zorder=4)
    low, _ = ends(np.array([*found.losses, *found.smoothed]))
    _, high = ends(np.array(found.smoothed))
    margin = (high - low) / 5 or 1.0  # above it, single batches are left out of the picture
    ax.set(xlabel="learning rate", ylabel="loss", ylim=(low - margin, high + margin))
    ax.xaxis.set_minor_formatter(NullFormatter())
    entitle(ax, "Which learning rate?")
    tidy(ax)
    legend_below(ax)
    return ax


def activation(
    f: Callable[[Tensor], Tensor], *, low: float = -4.0, high: float = 4.0, ax: Axes | None = None
) -> Axes:
    """y = f(x) and its derivative dy/dx, which the engine computes, for x from `low` to `high`.

    f   works entry by entry: a function such as `tn.tanh`, or a layer

    Where f grows beyond all bounds, as 1/x does at 0, the picture ends at ten times what most of
    the values reach. Raises `ArgumentError` where f mixes entries, as softmax does.

    >>> import tinynet as tn
    >>> y, dy = activation(tn.tanh).lines[:2]
    >>> float(dy.get_ydata().max())  # at 0
    1.0
    """
    callable_or_raise(f, "f", "tn.tanh")
    if not -np.inf < low < high < np.inf:
        raise ArgumentError(
            "x runs from low to high", expected="low < high", got=f"low={low}, high={high}"
        )
    x = np.linspace(low, high, 801)
    y, dy = _values(f, x, 1)
    dy = np.where(np.isfinite(y), dy, np.nan)  # a rule may answer where the function does not
    if not np.isfinite(y).any():
        raise ArgumentError(
            "there is nothing to draw: f is not finite anywhere", got=f"x from {low:g} to {high:g}"
        )
    name = getattr(f, "__name__", type(f).__name__)
    name = "f" if name == "<lambda>" else name
    ax = axes_in(ax, 4.8, 3.4)
    ax.plot(x, y, color=LINES[0], linewidth=2, label=f"y = {name}(x)")
    ax.plot(x, dy, color=LINES[1], linewidth=2, linestyle="--", label="dy/dx")
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    ax.set(xlabel="x", ylabel="y, dy/dx", xlim=(low, high))  # also where f is not defined
    entitle(ax, literal(name))
    sizes = np.abs([y, dy])
    most = 10 * np.nanquantile(np.where(np.isfinite(sizes), sizes, np.nan), 0.9)
    bottom, top = ax.get_ylim()
    if most:
        ax.set_ylim(max(bottom, -1.1 * most), min(top, 1.1 * most))
    tidy(ax)
    legend_below(ax)
    return ax


def _values(f: Callable[[Tensor], Tensor], x: Array, order: int) -> list[Array]:
    """f(x) and its derivatives up to this order, entry by entry."""
    with np.errstate(all="ignore"):  # a picture may show where a function is not defined
        return _differentiated(f, x, order)


def _differentiated(f: Callable[[Tensor], Tensor], x: Array, order: int) -> list[Array]:
    points = Tensor(x, requires_grad=True)
    y: Any = f(points)
    if not isinstance(y, Tensor) or y.shape != x.shape:
        got = y.shape if isinstance(y, Tensor) else type(y).__name__
        raise ShapeError("f gives one number for each x", expected=str(x.shape), got=str(got))
    alone = f(Tensor(x[:1])).detach().numpy()
    if not np.allclose(alone, y.detach().numpy()[:1], rtol=1e-6, atol=1e-9, equal_nan=True):
        raise ArgumentError(
            "f mixes entries: f of one x alone is another number",
            hint="a function that works entry by entry, such as tn.tanh",
        )
    found = [y]
    for _ in range(order):
        last = found[-1]
        d = None  # of a constant
        if last.requires_grad:
            (d,) = grad(last.sum(), points, create_graph=True, allow_unused=True)
        found.append(Tensor(np.zeros_like(x)) if d is None else d)
    return [t.detach().numpy() for t in found]


def finite_differences(f: Callable[[Tensor], Tensor], x: float, *, ax: Axes | None = None) -> Axes:
    """The error of f'(x) by differences, against the step h: truncation falls with h, rounding
    grows as h shrinks, and between them is the best step.

        forward   (f(x+h) − f(x)) / h          error ≤ h |f''| / 2 + ε |f| / h
        central   (f(x+h) − f(x−h)) / (2h)     error ≤ h² |f'''| / 6 + ε |f| / (2h)

    to leading order, with ε = 2⁻⁵² and f rounded to the nearest number. The bounds (dashed) are
    least at h = √(2 ε |f/f''|) and at h = (3 ε |f/f'''| / 2)^⅓, marked by stars; not where a factor
    is 0. The derivatives are those of the engine, in float64.

    f   a function of Tensors that works entry by entry

    >>> import tinynet as tn
    >>> ax = finite_differences(tn.exp, 1.0)
    >>> [line.get_label() for line in ax.lines if line.get_marker() == "*"]
    ['best h = 2e-08', 'best h = 7e-06']
    """
    callable_or_raise(f, "f", "tn.exp")
    at_x = numbers(x, "x")
    if at_x.size != 1 or not np.isfinite(at_x).all():
        raise ArgumentError("x is one finite number", got=describe(x))
    x = float(at_x.ravel()[0])
    y, d1, d2, d3 = (float(v[0]) for v in _values(f, np.array([x]), 3))
    h = np.logspace(-15, 0, 301) * max(1.0, abs(x))
    up, down = x + h, x - h

    def at(points: Array) -> Array:
        return f(Tensor(points)).detach().numpy()

    steps = up - x, up - down  # x + h is rounded: the step that was taken is the one to divide by
    with np.errstate(all="ignore"):
        slopes = (at(up) - y) / steps[0], (at(up) - at(down)) / steps[1]
        bounds = h * abs(d2) / 2 + EPS * abs(y) / h, h**2 * abs(d3) / 6 + EPS * abs(y) / (2 * h)
    if not any(np.any(np.isfinite(s) & (s != d1)) for s in slopes):
        raise ArgumentError(
            "there is nothing to draw: no error is a finite number above 0",
            got=f"f = {y:g}, f' = {d1:g} at x = {x:g}",
        )
    best = (
        _best(2 * EPS * abs(y), abs(d2)) ** (1 / 2),
        _best(1.5 * EPS * abs(y), abs(d3)) ** (1 / 3),
    )
    ax = axes_in(ax, 5.6, 4.2)
    for i, name in enumerate(("forward", "central")):
        ax.loglog(h, np.abs(slopes[i] - d1), ".", color=LINES[i], markersize=3, label=name)
        if np.isfinite(best[i]):
            least = float(np.interp(np.log(best[i]), np.log(h), bounds[i]))
            label = f"best h = {best[i]:.0e}"
            ax.loglog([best[i]], [least], "*", color=LINES[i], markersize=13, label=label, zorder=4)
    for i, label in enumerate(("", "bounds")):
        ax.loglog(h, bounds[i], "--", color=LINES[i], linewidth=1.2, label=label)
    ax.set(xlabel="step h", ylabel="|error of the slope|")
    entitle(ax, f"Finite differences at x\u00a0=\u00a0{x:g}")
    tidy(ax)
    legend_below(ax)
    return ax


def _best(rounding: float, bend: float) -> float:
    """rounding / bend; NaN where nothing bends or nothing is rounded: then no step is best."""
    return rounding / bend if rounding and bend else float("nan")
