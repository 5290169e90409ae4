"""Pictures of classes: what a model confuses, where it draws the line, where points lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinynet.errors import ArgumentError, OutOfRangeError, ShapeError
from tinynet.grad_mode import no_grad
from tinynet.plot.style import (
    GREY,
    Array,
    axes_in,
    callable_or_raise,
    finite,
    luminance,
    numbers,
    plain,
    point_style,
    tidy,
)
from tinynet.plot.words import (
    BAR,
    entitle,
    heat_map,
    label_axes,
    legend_beside,
    legend_width,
    named,
    points,
    settle,
    write_beside,
    write_in_cells,
)
from tinynet.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID = 200  # points along each side of the plane
EPS = float(np.finfo(np.float64).eps)


def confusion_matrix(
    matrix: Any, labels: Sequence[Any] | None = None, *, ax: Axes | None = None
) -> Axes:
    """The counts of `metrics.confusion_matrix`: true classes down, predicted classes across.

    The colour is the share of the row, so that classes of different sizes can be compared. Where
    the cells are too small for the counts, the title says so.

    >>> print(confusion_matrix([[8, 2], [1, 9]], labels=["cat", "dog"]).get_title())
    Confusion matrix
    85.0 % on the diagonal
    """
    counts = numbers(matrix, "confusion matrix")
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ShapeError("a confusion matrix is square", got=str(counts.shape))
    finite(counts, "confusion matrix")
    if counts.min() < 0:
        raise ArgumentError("counts are not negative", got=f"{counts.min():g}")
    n = len(counts)
    names = named(range(n) if labels is None else labels, n, "labels", "classes")
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / (totals + (totals == 0))
    longest = min(max(map(len, names)), 40)
    zoom = points("medium") / 10  # what stands around the cells grows with the letters
    side = np.clip(0.43 * n, 2.0, 9.0) + zoom * (1.4 + 0.085 * max(longest - 8, 0))
    ax = axes_in(ax, side + 0.7 * zoom, side)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    heat_map(ax, image, names, names, "predicted class", "true class", "share of the row")
    right = counts.trace() / (math.fsum(counts.ravel()) or 1)
    title = "Confusion matrix", f"{100 * right:.1f} % on the diagonal"
    entitle(ax, *title, more=BAR)
    places = zip(*np.nonzero(counts), strict=True)
    if not write_in_cells(ax, {(i, j): _count(float(counts[i, j])) for i, j in places}):
        entitle(ax, *title, "(too small for counts)", more=BAR)
    return ax


def _count(x: float) -> str:
    return f"{x:.0f}" if x.is_integer() and x < 1e7 else f"{x:.2g}"


def decision_boundary(model: Any, X: Any, y: Any, *, ax: Axes | None = None) -> Axes:
    """The plane, coloured by the class that a model answers, with the points that it learned.

    model   Tensor (N, 2) -> scores (N, classes), the largest wins; or (N,) or (N, 1), the second
            class where the score is above 0. A Module is asked in `eval` mode.
    X       (n, 2)
    y       (n,), class numbers from 0; for one score any two values, the smaller is the first

    The regions end where s_c = max over k ≠ c of s_k.

    >>> X = np.array([[0.0, 0.0], [1.0, 1.0]])
    >>> ax = decision_boundary(lambda x: x[:, 0] - 0.5, X, [0, 1])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['0', '1']
    """
    callable_or_raise(model, "the model", "a Module, or lambda x: x[:, 0] - 0.5")
    points, truth = numbers(X, "points"), plain(y)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ShapeError("the points of a plane are (n, 2), at least one", got=str(points.shape))
    if truth.shape != (len(points),):
        raise ShapeError(
            "each point has one class", expected=f"({len(points)},)", got=str(truth.shape)
        )
    finite(points, "points")
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.1 * np.where(high > low, high - low, 10.0)
    across, up = (
        np.linspace(*ends, GRID) for ends in zip(low - margin, high + margin, strict=True)
    )
    plane = np.stack(np.meshgrid(across, up), axis=-1)
    scores = _scores(model, plane.reshape(-1, 2), X)
    finite(scores, "the model's scores")
    classes = _two(np.unique(truth)) if scores.shape[1] == 1 else np.arange(scores.shape[1])
    if scores.shape[1] == 1:
        scores = np.hstack([-scores, scores])
    if len(classes) > scores.shape[1] or not np.isin(truth, classes).all():
        raise OutOfRangeError(
            "y has classes that the model does not know",
            expected=f"{scores.shape[1]} classes",
            got=", ".join(map(str, np.unique(truth)[:8])),
        )
    names = named(classes, len(classes), "names", "classes")
    ax = axes_in(ax, 4.4 + legend_width(names, 4.2), 4.2)
    from matplotlib.colors import to_rgba

    tint = 0.3 if luminance(ax.get_facecolor()) > 0.5 else 0.5  # on black, pale ones look alike
    for c, name in enumerate(classes):
        style = point_style(c)
        lead = scores[:, c] - np.delete(scores, c, axis=1).max(axis=1)
        lead = lead.reshape(GRID, GRID)
        if lead.max() > 0:
            ax.contourf(across, up, lead, [0, lead.max()], colors=[to_rgba(style["color"], tint)])
        if lead.min() < 0 < lead.max():
            ax.contour(across, up, lead, [0], colors=GREY, linewidths=1)
        ax.scatter(*points[truth == name].T, label=names[c], zorder=3, **style)
    ax.set(xlabel="$x_1$", ylabel="$x_2$", title="Decision boundary")
    legend_beside(ax, title="class")
    return ax


def _two(classes: Array) -> Array:
    """Both classes where the points have one of them only: 0 and 1, or −1 and 1."""
    for both in ([0, 1], [-1, 1]):
        if len(classes) == 1 and classes[0] in both:
            return np.array(both)
    return classes


def _scores(model: Any, plane: Array, X: Any) -> Array:
    """What the model answers, as (N, scores); it is left in the mode in which it came."""
    parameters = list(model.parameters()) if hasattr(model, "parameters") else []
    like = parameters[0] if parameters else X if isinstance(X, Tensor) else Tensor(plain(X))
    dtype = like.dtype if like.dtype.kind == "f" else np.dtype(np.float64)
    modes = [(m, m.training) for m in model.modules()] if hasattr(model, "modules") else []
    try:
        if modes:
            model.eval()
        with no_grad():
            answer = model(Tensor(plane.astype(dtype)).to(like.device))
    finally:
        for module, training in modes:
            module.training = training
    scores = numbers(answer, "the model's scores")
    if scores.ndim not in (1, 2) or len(scores) != len(plane) or not scores.size:
        raise ShapeError(
            "a model gives scores for each point",
            expected=f"({len(plane)}, classes) or ({len(plane)},)",
            got=str(scores.shape),
        )
    return scores.reshape(len(plane), -1)


def embedding(vectors: Any, labels: Sequence[Any] | None = None, *, ax: Axes | None = None) -> Axes:
    """Vectors in the plane in which they spread most: principal components.

        X − mean = U S Vᵀ (the singular value decomposition);  drawn is (X − mean) V[:, :2]

    Component k holds the share S_k² / Σ S² of the variance. The sign of a component is arbitrary:
    its entry of largest size (the first of them) is made positive.

    vectors   (n, d), n ≥ 2, d ≥ 2
    labels    one for each vector; labels that are all different are written beside their points
              (the title counts those that find no room), labels that repeat are classes with a
              colour and a marker each

    >>> embedding([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]).get_xlabel()
    'component 1 (80 % of the variance)'
    """
    X = numbers(vectors, "vectors").astype(np.float64)
    if X.ndim != 2 or min(X.shape) < 2:
        raise ShapeError("vectors are (n, d), n and d at least 2", got=str(X.shape))
    names = None if labels is None else named(labels, len(X), "labels", "vectors")
    X = finite(X, "vectors") - X.mean(axis=0)
    _, S, Vt = np.linalg.svd(X, full_matrices=False)
    size = np.abs(Vt[:2])  # equal entries differ by rounding: the first of them decides
    largest = (size > (1 - 1e-9) * size.max(axis=1, keepdims=True)).argmax(axis=1)
    directions = Vt[:2] * np.where(Vt[[0, 1], largest] < 0, -1, 1)[:, None]
    places = X @ directions.T
    parts = S / (S[0] or 1.0)
    places[:, parts[:2] < EPS * max(X.shape)] = 0.0  # nothing but rounding
    shares = parts[:2] ** 2 / (np.sum(parts**2) or 1.0)
    kinds = sorted(set(names or ()), key=_in_order)
    grouped = names is not None and len(kinds) < len(X)
    ax = axes_in(ax, 5.2 + (legend_width(kinds, 4.2) if grouped else 0), 4.2)
    ax.margins(0.1)
    title = f"Principal components of {len(X)} vectors"
    for c, kind in enumerate(kinds if grouped else [""]):
        mine = places[[name == kind for name in names]] if names and grouped else places
        ax.scatter(*mine.T, label=kind, **point_style(c))
    if grouped:
        legend_beside(ax)
    settle(ax)
    entitle(ax, title)
    told = [
        f"component {i} ({100 * share:.0f} % of the variance)"
        for i, share in zip("12", shares, strict=True)
    ]
    label_axes(ax, told[0], told[1])
    tidy(ax)
    if names and not grouped:
        left_out = write_beside(ax, places, names, fontsize="small")
        if left_out:
            entitle(ax, f"{title}, {len(X) - left_out} named")
    return ax


def _in_order(label: str) -> tuple[int, str]:
    """Numbers by size, before words."""
    return (int(label), "") if label.isdecimal() else (2**31, label)
