r"""Resampling: more or fewer entries along each axis, interpolated; and its derivative.

    y_i = Σ_r h(s_i − r) x_r

s_i is the point of the input at which output i looks, h how much an entry at a distance counts.
Beyond its ends the input goes on with its first and its last entry.

    nearest         h(t) = 1 for 0 ≤ t < 1, else 0: the entry at ⌊s⌋
    nearest-exact   the same, with another s
    linear          h(t) = 1 − |t| for |t| < 1, else 0: the straight line between two entries
    cubic           h(t) = (a + 2)|t|³ − (a + 3)|t|² + 1          for |t| ≤ 1,
                           a |t|³ − 5a |t|² + 8a |t| − 4a         for 1 < |t| < 2, else 0;  a = −3/4

Each has Σ_r h(s − r) = 1 for all s: what is constant stays constant. And h(0) = 1, h(1) = h(2) = 0:
at an entry's own point it is that entry.

n entries become m. Each is a cell of size 1 with its value in the middle; the m cells of the output
fill the same length, so each is ρ = n/m wide (ρ = 1/scale where a scale is given), and

    s_i = (i + ½) ρ − ½                    linear, cubic
    s_i = (i + ½) ρ                        nearest-exact, whose ⌊s⌋ counts cells, not middles
    s_i = i ρ                              nearest, which looks at the left edge of the cell
    s_i = i (n − 1) / (m − 1)              align_corners: the first and the last middles coincide

Derivation. For two axes y = A x Bᵀ, A_iq = Σ h(s_i − r) over the r that mean q (one, but at the
ends). y is linear in x, and L depends on x_q through all y_i with A_iq ≠ 0:

    x̄ = Aᵀ g B,      x̄_q = Σ_i A_iq g_i along each axis.

The rows of A sum to 1; its columns do not. Where many outputs look at one entry, many gradients add
up in it.

Shapes: x (…, n1, n2, …), y and g (…, m1, m2, …). A has 1, 2 or 4 entries in a row, so the cost is
that many products for an output and an axis, and backward as many: no matrix is built.
Source: Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981, for the cubic h
(there a = −1/2; −3/4 is PyTorch's).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.derivations.windows import along
from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.op import Derivation

Sizes = tuple[int, ...]
Scales = tuple[float | None, ...]

# Which entries count for an output, from the one at ⌊s⌋.
NEIGHBOURS = {
    "nearest": (0,),
    "nearest-exact": (0,),
    "linear": (0, 1),
    "cubic": (-1, 0, 1, 2),
}


def definition(
    x: Any,
    *,
    size: Sizes,
    scale: Scales,
    mode: str = "nearest",
    align_corners: bool = False,
) -> Any:
    """Σ_r h(s_i − r) x_r, one axis after the other, as a product of matrices.

    >>> definition(np.array([0.0, 4.0]), size=(4,), scale=(None,), mode="linear")
    array([0., 1., 3., 4.])
    """
    for axis, (m, factor) in enumerate(zip(size, scale, strict=True), x.ndim - len(size)):
        n = x.shape[axis]
        kind = np.float32 if mode[0] == "n" else x.dtype
        s = _points(np.arange(m, dtype=kind, like=x), n, m, factor, mode, align_corners)
        r = np.arange(-2, n + 2, dtype=kind, like=x)  # two more at each end, for cubic
        A = _weight(s[:, None] - r, mode)
        beyond = x[along(axis, [min(max(q, 0), n - 1) for q in range(-2, n + 2)])]
        x = np.moveaxis(np.matmul(np.moveaxis(beyond, axis, -1), np.transpose(A)), -1, axis)
    return x


def forward(
    x: Any,
    *,
    size: Sizes,
    scale: Scales,
    mode: str = "nearest",
    align_corners: bool = False,
) -> tuple[Any, tuple[Any, ...]]:
    """Only the entries that count: Σ_u w_iu x_p(i,u), one axis after the other."""
    _check(x, size, mode)
    shape = x.shape
    for axis, (m, factor) in enumerate(zip(size, scale, strict=True), x.ndim - len(size)):
        x = _mix(x, axis, *_table(shape[axis], m, factor, mode, align_corners))
    return x, (shape,)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    size: Sizes,
    scale: Scales,
    mode: str = "nearest",
    align_corners: bool = False,
) -> tuple[Any, ...]:
    """x̄_q = Σ_i A_iq g_i, one axis after the other."""
    (shape,) = saved
    for axis, (m, factor) in enumerate(zip(size, scale, strict=True), g.ndim - len(size)):
        n = shape[axis]
        p, w = _table(n, m, factor, mode, align_corners)
        outputs, weights = _transposed(p, w, n)
        g = _mix(_with_zero(g, axis), axis, outputs, weights)
    return (g,)


def _check(x: Any, size: Sizes, mode: str) -> None:
    if mode not in NEIGHBOURS:
        raise ArgumentError("no such mode", expected=", ".join(NEIGHBOURS), got=mode)
    if min((*size, *x.shape[-len(size) :])) < 1:
        raise ShapeError("sizes before and after are at least 1", got=f"{x.shape} to {size}")
    if x.dtype.kind not in "fc" and mode[0] != "n":
        raise DTypeError("between whole numbers lie no whole numbers", hint="x.float()")


def _points(i: Any, n: int, m: int, scale: float | None, mode: str, align_corners: bool) -> Any:
    """s_i. As PyTorch does, ρ is rounded to float32 where ⌊s⌋ is taken, and the scale is not asked
    where linear keeps the size, or nearest keeps or doubles it.
    """
    plain = {"linear": (n,), "nearest": (n, 2 * n)}.get(mode, ())
    rho = n / m if scale is None or m in plain else 1 / scale
    if mode[0] == "n":
        return (i + 0.5 if mode == "nearest-exact" else i) * float(np.float32(rho))
    if align_corners:
        return i * ((n - 1) / (m - 1) if m > 1 else 0.0)
    return (i + 0.5) * rho - 0.5


def _weight(t: Any, mode: str) -> Any:
    """h(t)."""
    if mode[0] == "n":
        return np.where((t >= 0) & (t < 1), 1 + 0 * t, 0)
    t, a = np.abs(t), -0.75
    if mode == "linear":
        return np.maximum(1 - t, 0)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def _table(n: int, m: int, scale: float | None, mode: str, align_corners: bool) -> tuple[Any, Any]:
    """Which entries count for each output, and how much: p and w, both (m, u)."""
    i = np.arange(m, dtype=np.float32 if mode[0] == "n" else np.float64)
    s = _points(i, n, m, scale, mode, align_corners)
    r = np.floor(s)[:, None] + np.array(NEIGHBOURS[mode], dtype=s.dtype)
    return np.clip(r, 0, n - 1).astype(np.int64), _weight(s[:, None] - r, mode)


def _transposed(p: Any, w: Any, n: int) -> tuple[Any, Any]:
    """The table of Aᵀ: for each of n inputs the outputs that it counts for, and how much. Rows are
    filled up with number m and weight 0.
    """
    m, u = p.shape
    order = np.argsort(np.ravel(p), kind="stable")
    q = np.ravel(p)[order]
    counts = np.bincount(q, minlength=n)
    column = np.arange(m * u) - (np.cumsum(counts) - counts)[q]
    outputs, weights = np.full((n, max(counts)), m), np.zeros((n, max(counts)))
    outputs[q, column], weights[q, column] = order // u, np.ravel(w)[order]
    return outputs, weights


def _with_zero(g: Any, axis: int) -> Any:
    """g with a 0 behind its last entry: what the filled-up places of a table point at."""
    zero = np.zeros((*g.shape[:axis], 1, *g.shape[axis + 1 :]), dtype=g.dtype, like=g)
    return np.concatenate([g, zero], axis=axis)


def _mix(x: Any, axis: int, p: Any, w: Any) -> Any:
    """Σ_u w_iu x_p(i,u) along an axis."""
    w = np.array(w, dtype=x.dtype, like=x)
    shape = (p.shape[0],) + (1,) * (x.ndim - axis - 1)
    return sum(np.reshape(w[:, u], shape) * x[along(axis, p[:, u])] for u in range(p.shape[1]))


op = Derivation(
    "upsample",
    definition,
    backward,
    forward,
    formula=r"\sum_r h(s_i - r) x_r",
    promote="none",
    room="derivations",
    doc="More or fewer entries along each axis, interpolated.",
)
