"""Heat maps: attention, what an output depends on, where a gradient is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinynet.autograd import grad
from tinynet.errors import ArgumentError, GraphError, ShapeError, describe
from tinynet.plot.style import (
    GREY,
    OKABE_ITO,
    Array,
    AxesArray,
    axes_in,
    callable_or_raise,
    finite,
    literal,
    new_figure,
    numbers,
    plain,
)
from tinynet.plot.words import (
    BAR,
    PAGE,
    colour_bar,
    entitle,
    heat_map,
    label_axes,
    named,
    points,
    settle,
    short,
    write_in_cells,
)
from tinynet.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def attention(
    weights: Any,
    tokens: Sequence[Any],
    keys: Sequence[Any] | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Attention weights of one head: each row is a token that looks, each column one that is looked
    at. White is 0, grey is no number.

    weights   (L, S)
    tokens    L names, of the rows
    keys      S names, of the columns; `tokens` by default

    >>> ax = attention([[1.0, 0.0], [0.3, 0.7]], ["deep", "learning"])
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['deep', 'learning']
    """
    values = numbers(weights, "attention weights")
    if values.ndim != 2 or not values.size:
        raise ShapeError(
            "attention weights of one head are (L, S)",
            got=str(values.shape),
            hint="weights[0, 2] is head 2 of the first sequence",
        )
    if (values < 0).any():
        raise ArgumentError(
            "attention weights are not negative",
            got=f"{np.nanmin(values):.3g}",
            hint="softmax(scores, dim=-1)",
        )
    rows = named(tokens, values.shape[0], "tokens", "rows of weights")
    columns = named(tokens if keys is None else keys, values.shape[1], "tokens", "columns")
    long, high = (0.085 * min(max(max(map(len, n)) - 6, 0), 40) for n in (rows, columns))
    width, height = min(0.34 * len(columns), 9) + 2.2 + long, min(0.34 * len(rows), 9) + 1.6 + high
    ax = axes_in(ax, max(3.2, width), max(2.6, height))
    known = np.where(np.isfinite(values), values, np.nan)
    image = ax.imshow(known, cmap="Blues", vmin=0, vmax=_largest(values) or 1.0)
    ax.set_facecolor(GREY)
    heat_map(ax, image, rows, columns, "looked at (key)", "looks (query)", "weight")
    ax.set_title("Attention")
    return ax


def similarity(vectors: Any, labels: Sequence[Any], *, ax: Axes | None = None) -> Axes:
    """How alike vectors are: the cosines between them, x · y / (|x| |y|).

    vectors   (n, d), none of them 0
    labels    n names

    >>> ax = similarity([[1.0, 0.0], [3.0, 3.0]], ["east", "north-east"])
    >>> [text.get_text() for text in ax.texts]
    ['1.0', '.71', '.71', '1.0']
    """
    X = numbers(vectors, "vectors").astype(np.float64)
    if X.ndim != 2 or not X.size:
        raise ShapeError("vectors are (n, d), at least one", got=str(X.shape))
    names = named(labels, len(X), "names", "vectors")
    sizes = np.linalg.norm(finite(X, "vectors"), axis=1, keepdims=True)
    if not (sizes > 0).all():
        raise ArgumentError("a vector of zeros points nowhere: it has no cosine")
    cosines = np.round((X / sizes) @ (X / sizes).T, 2) + 0.0  # no minus before a zero
    side = np.clip(0.38 * len(X), 1.2, 9.0)
    ax = axes_in(ax, side + 0.085 * max(map(len, names)) + 2.0, side + 1.2)
    image = ax.imshow(cosines, cmap="RdBu_r", vmin=-1, vmax=1)
    below = names
    if max(map(len, names)) > 12:  # below, numbers stand for long names
        below = [str(i) for i in range(1, len(X) + 1)]
        names = [f"{i}. {short(name, 40)}" for name, i in zip(names, below, strict=True)]
    heat_map(ax, image, names, below, "vector", "vector", "cosine")
    entitle(ax, "How alike vectors are", more=BAR)
    if not write_in_cells(ax, {at: _two_digits(cosines[at]) for at in np.ndindex(cosines.shape)}):
        entitle(ax, "How alike vectors are", "(too small for numbers)", more=BAR)
    return ax


def _two_digits(x: float) -> str:
    return f"{x:.2f}".replace("0.", ".", 1).replace("1.00", "1.0")


def saliency(loss: Callable[[Tensor], Tensor], image: Any, *, ax: Axes | None = None) -> Axes:
    """|∂L/∂x| over an image x: the pixels at which a small change moves L most.

    loss    Tensor like `image` -> one number: a loss, or the score of a class
    image   (h, w), or (c, h, w): then the largest |∂L/∂x| of the channels, over their mean

    Karen Simonyan, Andrea Vedaldi, Andrew Zisserman, "Deep Inside Convolutional Networks:
    Visualising Image Classification Models and Saliency Maps", 2013.

    >>> ax = saliency(lambda x: x[0, 0] ** 2 - x[1, 1], np.full((2, 2), 3.0))
    >>> ax.images[1].get_array().tolist()
    [[6.0, 0.0], [0.0, 1.0]]
    """
    callable_or_raise(loss, "the loss", "lambda x: F.cross_entropy(model(x[None]), label)")
    values = finite(numbers(image, "the image"), "the image")
    if values.ndim not in (2, 3) or not values.size:
        raise ShapeError("an image is (h, w) or (c, h, w)", got=str(values.shape))
    x = Tensor(values.astype(values.dtype if values.dtype.kind == "f" else np.float32))
    x = (x.to(image.device) if isinstance(image, Tensor) else x).requires_grad_()
    y: Any = loss(x)
    if not isinstance(y, Tensor) or y.shape not in ((), (1,)):
        got = str(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise ShapeError("the loss of an image is one number", expected="()", got=got)
    found = grad(y.sum(), x, allow_unused=True)[0] if y.requires_grad else None
    if found is None:
        raise GraphError("the loss does not depend on the image")
    size = np.abs(finite(plain(found), "the gradient by the image"))
    if values.ndim == 3:
        size, values = size.max(axis=0), values.mean(axis=0)
    ax = axes_in(ax, 4.2, 3.4)
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    ends = [to_rgba(OKABE_ITO["vermillion"], a) for a in (0.0, 0.9)]
    ax.imshow(values, cmap="Greys", vmax=2 * values.max() - values.min() or 1)  # pale
    top = ax.imshow(
        size, cmap=LinearSegmentedColormap.from_list("", ends), vmin=0, vmax=size.max() or 1
    )
    ax.set(xticks=[], yticks=[], title="Saliency")
    colour_bar(ax, top, "|∂L/∂x|").set_facecolor("white")  # as below the colours of the picture
    settle(ax)
    label_axes(ax, "across, pixels", "down, pixels")
    return ax


def gradient_errors(report: Any) -> AxesArray:
    """Where a gradient is wrong: a row for each argument with the claimed gradient, the one by
    differences, and analytic − numeric. Grey was not measured.

    report   what `tn.check.check_backward` and `check_gradients` return

    Returns Axes (arguments, 3). An array of any rank is drawn with its last axis across.

    >>> from tinynet.check import check_backward
    >>> report = check_backward(np.sin, lambda g, x: g * np.sin(x), np.array([1.0, 2.0]))
    >>> [ax.get_title() for ax in gradient_errors(report)[0]]
    ['x: analytic', 'x: numeric', 'x: error']
    """
    if not hasattr(report, "arguments"):
        raise ArgumentError(
            "errors are drawn from a report", expected="check_backward(…)", got=describe(report)
        )
    arguments = [a for a in report.arguments if a.claim is not None and not a.misfit]
    if not arguments:
        raise ArgumentError("the report has no gradient to draw: nothing was measured")
    heights = [float(np.clip(0.35 * len(_matrix(a.off)), 1.0, 3.0)) for a in arguments]
    high = (sum(heights) + 0.8 * len(arguments)) * points("medium") / 10
    figure = new_figure(PAGE, high)
    panels: AxesArray = figure.subplots(len(arguments), 3, squeeze=False, height_ratios=heights)
    for a, row in zip(arguments, panels, strict=True):
        name = short(literal(a.name), 12)
        numeric = np.where(a.measured.smooth, a.measured.true[0], np.nan)
        claim = np.asarray(a.claim, dtype=float)
        top = max(_largest(claim), _largest(numeric)) or 1.0
        error = claim - numeric
        # Where the gradient is right, rounding shall not look like a mistake.
        limit = (_largest(error) if a.wrong else max(_largest(error), 1e-3 * top)) or 1.0
        scales = {"analytic": (claim, top), "numeric": (numeric, top), "error": (error, limit)}
        for ax, (title, (values, scale)) in zip(row, scales.items(), strict=True):
            options = {"cmap": "RdBu_r", "vmin": -scale, "vmax": scale, "aspect": "auto"}
            image = ax.imshow(_matrix(values), **options)
            ax.set(xticks=[], yticks=[])
            entitle(ax, f"{name}: {title}")
            ax.set_xlabel("entry" if claim.ndim < 2 else f"axis {claim.ndim - 1}")
            ax.set_facecolor("#bbbbbb")
            if title != "analytic":
                bar = figure.colorbar(image, ax=ax, shrink=0.9)
                label = "analytic − numeric" if title == "error" else f"gradient of {name}"
                bar.set_label(label, fontsize="small")
        if claim.ndim > 1:
            row[0].set_ylabel("axis 0" if claim.ndim == 2 else f"axes 0 to {claim.ndim - 2}")
    return panels


def _matrix(x: Array) -> Array:
    """Any array as rows and columns: the last axis runs across."""
    return x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x.reshape(1, -1)


def _largest(x: Array) -> float:
    """The largest |entry| that is finite, or 0."""
    size = np.abs(x)
    return float(np.max(size, initial=0.0, where=np.isfinite(size)))
