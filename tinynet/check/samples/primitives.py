"""Arguments for the ops of the calculus table: the room `ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet.check.samples.draw import Draw, Sample, Shape
from tinynet.op import Op

# -- where an op is defined and smooth -------------------------------------------------------------


def _away_from_zero(draw: Draw, shape: Shape) -> np.ndarray[Any, Any]:
    u = draw.uniform(shape)
    return np.asarray(u + 0.3 * np.where(u < 0, -1, 1))


def between_integers(draw: Draw, shape: Shape) -> np.ndarray[Any, Any]:
    return np.asarray(np.floor(draw.uniform(shape, -3, 3)) + draw.uniform(shape, 0.2, 0.8))


def _near_integers(draw: Draw, shape: Shape) -> np.ndarray[Any, Any]:
    return np.asarray(np.round(draw.uniform(shape, -3, 3)) + draw.uniform(shape, -0.3, 0.3))


_ONE_INPUT: dict[str, Callable[[Draw, Shape], np.ndarray[Any, Any]]] = {
    "real": lambda draw, shape: draw.uniform(shape),
    "u > 0": lambda draw, shape: draw.uniform(shape, 0.4, 2.5),
    "u > -1": lambda draw, shape: draw.uniform(shape, -0.6, 2.0),
    "u > 1": lambda draw, shape: draw.uniform(shape, 1.3, 3.0),
    "|u| < 1": lambda draw, shape: draw.uniform(shape, -0.8, 0.8),
    "cos u != 0": lambda draw, shape: draw.uniform(shape, -1.2, 1.2),
    "u != 0": _away_from_zero,
    "no integer": between_integers,
    "no multiple of v": between_integers,
    "whole": lambda draw, shape: draw.rng.choice((-3.0, -2.0, -1.0, 1.0, 2.0, 3.0), shape),
    "integers": lambda draw, shape: draw.rng.integers(0, 8, shape),
}


# The values that the options of an activation take.
_ACTIVATION: dict[str, dict[str, tuple[float, ...]]] = {
    "leaky_relu": {"negative_slope": (0.01, 0.2, -0.5)},
    "hardtanh": {"min_val": (-1.0, 0.0), "max_val": (1.0, 2.0)},
    "elu": {"alpha": (1.0, 0.5)},
    "softplus": {"beta": (1.0, 2.0, 0.5), "threshold": (20.0, 2.0)},
}


def activation(op: Op, draw: Draw) -> Sample:
    options = {name: draw.choice(v) for name, v in _ACTIVATION.get(op.name, {}).items()}
    if op.name == "softplus":  # βu is at its threshold, where the curve jumps, for no such u
        return [between_integers(draw, draw.shape())], options
    return elementwise(op, draw)[0], options


_TWO_INPUTS = {
    "v != 0": ("real", "u != 0"),
    "u / v no integer": ("no multiple of v", "whole"),
}


def elementwise(op: Op, draw: Draw) -> Sample:
    """Inputs that broadcast against each other, in either direction."""
    shape = draw.shape()
    shapes = [shape, *(draw.broadcastable(shape) for _ in range(op.arity - op.masks - 1))]
    if draw.choice((True, False)):
        shapes.reverse()
    inputs: list[Any] = [draw.uniform(draw.broadcastable(shape)) > 0 for _ in range(op.masks)]
    if op.domain == "u != v":  # two sets of numbers that have none in common
        first, second = between_integers(draw, shapes[0]), np.round(draw.uniform(shapes[1], -3, 3))
        return [first, second], {}
    rules = _TWO_INPUTS.get(op.domain, (op.domain,) * len(shapes))
    inputs += [_ONE_INPUT[rule](draw, s) for rule, s in zip(rules, shapes, strict=True)]
    return inputs, {}


# -- ops with options ------------------------------------------------------------------------------


def _axes(draw: Draw, least: int = 0) -> Shape:
    """A shape with axes to choose from, mostly two or three: with one axis, what is done along the
    wrong one is not seen.
    """
    return draw.shape(draw.choice((2, 2, least)))


def _reduction(draw: Draw, nonempty: bool = False, **more: Any) -> Sample:
    shape = _axes(draw)
    if nonempty:
        shape = tuple(n or 2 for n in shape)
    axis = draw.axis(len(shape))
    return [draw.spread(shape)], {
        "axis": axis,
        "keepdims": draw.choice((False, False, True)),
        **more,
    }


def _arg(draw: Draw) -> Sample:
    shape = tuple(max(n, 1) for n in draw.shape())
    one = bool(shape) and draw.integer(0, 1) == 1
    axis = draw.integer(-len(shape), len(shape) - 1) if one else None
    return [draw.spread(shape)], {"axis": axis, "keepdims": draw.choice((False, True))}


def _variance(draw: Draw) -> Sample:
    shape = tuple(max(n, 2) for n in _axes(draw, 1))
    options = {"axis": draw.axis(len(shape)), "keepdims": draw.choice((False, True))}
    return [draw.spread(shape)], {**options, "ddof": draw.choice((0, 1))}


def _with_zeros(draw: Draw) -> Sample:
    """Factors, of which some are 0: a rule that divides by them fails."""
    inputs, options = _reduction(draw, dtype=None)
    zero = draw.uniform(inputs[0].shape) > 1.2
    return [np.where(zero, 0.0, draw.uniform(inputs[0].shape))], options


def _running(draw: Draw) -> Sample:
    shape = draw.shape(1)
    zero = draw.uniform(shape) > 1.2
    x = np.where(zero, 0.0, draw.uniform(shape))
    return [x], {"axis": draw.integer(-len(shape), len(shape) - 1)}


def _reshape(draw: Draw) -> Sample:
    shape = draw.shape()
    n = int(np.prod(shape))
    new = draw.choice([shape, (n,), (1, n), shape[::-1], (*shape, 1)])
    return [draw.uniform(shape)], {"shape": new}


def _permute(draw: Draw) -> Sample:
    """In every axis order; often around a circle, which with three axes does not undo itself."""
    shape = _axes(draw)
    n = len(shape)
    axes = draw.choice((draw.rng.permutation(n), np.roll(np.arange(n), draw.choice((1, -1)))))
    signed = tuple(int(a) - n if draw.choice((True, False)) else int(a) for a in axes)
    return [draw.uniform(shape)], {"axes": draw.choice((signed, signed, None))}


def _broadcast_to(draw: Draw) -> Sample:
    shape = draw.shape()
    return [draw.uniform(draw.broadcastable(shape))], {"shape": shape}


def _cat(draw: Draw) -> Sample:
    shape = draw.shape(1)
    axis = draw.integer(-len(shape), len(shape) - 1)
    sizes = [draw.integer(0, 3) for _ in range(draw.integer(1, 3))]
    at = axis % len(shape)
    inputs = [draw.uniform((*shape[:at], n, *shape[at + 1 :])) for n in sizes]
    return inputs, {"axis": axis}


def _flip(draw: Draw) -> Sample:
    shape = draw.shape()
    return [draw.uniform(shape)], {"axis": draw.axis(len(shape))}


def _argsort(draw: Draw) -> Sample:
    shape = draw.shape(1)
    options = {"axis": draw.integer(-len(shape), len(shape) - 1)}
    values = draw.spread(shape) if draw.choice((True, False)) else np.round(draw.uniform(shape))
    return [values], {**options, "descending": draw.choice((False, True))}


def _roll(draw: Draw) -> Sample:
    shape = _axes(draw, 1)
    axis = draw.axis(len(shape))
    several = isinstance(axis, tuple)
    shift = tuple(draw.integer(-3, 3) for _ in axis) if several else draw.integer(-3, 3)
    return [draw.uniform(shape)], {"shift": shift, "axis": axis}


def _triangle(draw: Draw) -> Sample:
    return [draw.uniform((*draw.shape(0, 1), *draw.shape(2, 2)))], {"k": draw.integer(-2, 2)}


def _pad(draw: Draw) -> Sample:
    shape = draw.shape()
    widths = tuple((draw.integer(0, 2), draw.integer(0, 2)) for _ in shape)
    return [draw.uniform(shape)], {"pad_width": widths, "value": draw.choice((0, 1.5))}


def index(draw: Draw, shape: Shape) -> Any:
    """An index into an array of this shape, in one of NumPy's forms; entries may repeat."""
    forms = ["slice", "ellipsis", "new axis", "mask"]
    if shape and shape[0]:
        forms += ["integer", "step", "list", "ids", "rows and columns", "mask of rows"]
    form = draw.choice(forms)
    n = shape[0] if shape else 0
    ids = draw.rng.integers(-n, n, draw.integer(1, 5)) if n else None
    if form == "integer":
        return draw.integer(-n, n - 1)
    if form == "slice":
        return (slice(None),) * draw.integer(0, len(shape))
    if form == "step":
        return slice(None, None, draw.choice((2, -1)))
    if form == "ellipsis":
        return (
            (Ellipsis, draw.integer(-shape[-1], shape[-1] - 1)) if shape and shape[-1] else Ellipsis
        )
    if form == "new axis":
        return (None, Ellipsis, None)
    if form == "list":
        return [int(k) for k in ids]  # type: ignore[union-attr]
    if form == "ids":
        return ids if draw.choice((True, False)) else np.stack([ids, ids])  # type: ignore[list-item]
    if form == "rows and columns" and len(shape) > 1 and shape[1]:
        return ids, draw.rng.integers(0, shape[1], len(ids))  # type: ignore[arg-type]
    if form == "mask of rows":
        return draw.uniform((n,)) > 0
    return draw.uniform(shape) > 0


def _getitem(draw: Draw) -> Sample:
    shape = draw.shape()
    return [draw.uniform(shape)], {"index": index(draw, shape)}


def _scatter(draw: Draw) -> Sample:
    shape = draw.shape()
    where = index(draw, shape)
    return [draw.uniform(np.zeros(shape)[where].shape)], {"index": where, "shape": shape}


def _put(draw: Draw) -> Sample:
    shape = _axes(draw)
    where = index(draw, shape)
    picked = np.zeros(shape)[where].shape
    if np.unique(np.arange(int(np.prod(shape))).reshape(shape)[where]).size < int(np.prod(picked)):
        where, picked = Ellipsis, shape  # an entry that is set twice has no gradient of its own
    value = draw.choice((picked, picked, draw.broadcastable(picked)))
    return [draw.uniform(shape), draw.uniform(value)], {"index": where}


def _matmul(draw: Draw) -> Sample:
    n, k, m = (draw.choice((2, 3, 1, 0)) for _ in range(3))
    batch = draw.shape(0, 2)
    return [
        draw.uniform((*draw.broadcastable(batch), n, k)),
        draw.uniform((*draw.broadcastable(batch), k, m)),
    ], {}


def _regular(draw: Draw, batch: Shape, n: int) -> np.ndarray[Any, Any]:
    """Matrices far from singular ones: the diagonal outweighs the rest."""
    return draw.uniform((*batch, n, n), -0.5, 0.5) + n * np.eye(n) * draw.choice((1, -1))


def _matrix(draw: Draw) -> Sample:
    batch = draw.choice(((), (2,), (1, 2)))
    return [_regular(draw, batch, draw.choice((2, 3, 1, 0)))], {}


def _solve(draw: Draw) -> Sample:
    batch, n = draw.choice(((), (2,), (2, 3))), draw.choice((2, 3, 1))
    A = _regular(draw, draw.broadcastable(batch), n)
    return [A, draw.uniform((*draw.broadcastable(batch), n, draw.choice((1, 2))))], {}


def _cholesky(draw: Draw) -> Sample:
    [root], _ = _matrix(draw)
    return [root @ np.swapaxes(root, -1, -2) + np.eye(root.shape[-1])], {}


_EQUATIONS = (
    "ij,jk->ik",
    "ij->ji",
    "ij->",
    "ij,j->i",
    "ij,ik,il->jkl",
    "ij,jk,kl->il",
    "bij,bjk,k->bi",
    "i,j->ij",
    "bij,bjk->bik",
    "ij,ij->",
    "ij->j",
    "ij,kl->il",
)


def _einsum(draw: Draw) -> Sample:
    equation = draw.choice(_EQUATIONS)
    sizes = {c: draw.integer(2, 3) for c in "bijkl"}
    labels = equation.partition("->")[0].split(",")
    inputs = [
        draw.uniform(tuple(draw.choice((sizes[c], sizes[c], 1)) for c in label)) for label in labels
    ]
    return inputs, {"subscripts": equation}


def _clamp(draw: Draw) -> Sample:
    bounds = draw.choice(((0.0, 1.0), (None, 1.0), (0.0, None)))
    return [between_integers(draw, draw.shape())], {"min": bounds[0], "max": bounds[1]}


def _power(draw: Draw) -> Sample:
    exponent = draw.choice((2, 3, 0.5, -1, 1, 0, 2.0))
    return [draw.uniform(draw.shape(), 0.4, 2.0)], {"exponent": exponent}


def _round(draw: Draw) -> Sample:
    decimals = draw.choice((0, 1, -1))
    return [_near_integers(draw, draw.shape()) / 10.0**decimals], {"decimals": decimals}


def _plain(draw: Draw) -> Sample:
    return [draw.uniform(draw.shape())], {}


SAMPLERS: dict[str, Callable[[Draw], Sample]] = {
    **dict.fromkeys(("sum", "mean"), lambda draw: _reduction(draw, dtype=None)),
    **dict.fromkeys(("amax", "amin", "logsumexp"), lambda draw: _reduction(draw, nonempty=True)),
    **dict.fromkeys(("any", "all"), _reduction),
    **dict.fromkeys(("argmax", "argmin"), _arg),
    **dict.fromkeys(("var", "std"), _variance),
    "prod": _with_zeros,
    **dict.fromkeys(("cumsum", "cumprod"), _running),
    "reshape": _reshape,
    "permute": _permute,
    "broadcast_to": _broadcast_to,
    "cat": _cat,
    "argsort": _argsort,
    "flip": _flip,
    "roll": _roll,
    **dict.fromkeys(("tril", "triu"), _triangle),
    "pad": _pad,
    "clone": _plain,
    "getitem": _getitem,
    "scatter": _scatter,
    "put": _put,
    "matmul": _matmul,
    "einsum": _einsum,
    **dict.fromkeys(("inv", "det", "logabsdet", "det_sign"), _matrix),
    "solve": _solve,
    "cholesky": _cholesky,
    "p_norm": lambda draw: _reduction(draw, True, p=draw.choice((2, 1.5, 3, 1.5, 4))),
    "clamp": _clamp,
    "power": _power,
    "round": _round,
    "to_dtype": lambda draw: ([draw.uniform(draw.shape())], {"dtype": np.dtype("f8")}),
    "to_device": lambda draw: (
        [draw.uniform(draw.shape())],
        {"device": "cpu", "source": "cpu", "non_blocking": draw.choice((True, False))},
    ),
}
