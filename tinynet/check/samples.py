"""Arguments for every op: drawn at random, inside its domain, over all the forms that its options
take.

One description of each op's arguments serves the gradient table (`check_ops`, drawn by NumPy) and
the property tests (drawn and shrunk by Hypothesis): both hand a `Draw` to `sample`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from tinynet.op import Op

T = TypeVar("T")
Sample = tuple[list[Any], dict[str, Any]]  # inputs, options
Shape = tuple[int, ...]


class Draw:
    """Choices made by a NumPy generator. The property tests replace `integer` and `choice`."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def choice(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.integer(0, len(options) - 1)]

    def shape(self, least: int = 0, most: int = 3) -> Shape:
        """A small shape; a size may be 0 or 1."""
        sizes = (1, 2, 3, 4, 0)
        return tuple(self.choice(sizes) for _ in range(self.integer(least, most)))

    def uniform(self, shape: Shape, low: float = -2.0, high: float = 2.0) -> np.ndarray[Any, Any]:
        """Numbers between low and high."""
        return np.asarray(self.rng.uniform(low, high, shape))

    def spread(self, shape: Shape) -> np.ndarray[Any, Any]:
        """Numbers no two of which are close: no ties, and none near 0."""
        n = int(np.prod(shape))
        steps = self.rng.permutation(n) - n // 2 + 0.5
        return np.asarray(steps * 0.3 + self.rng.uniform(-0.05, 0.05, n)).reshape(shape)

    def broadcastable(self, shape: Shape) -> Shape:
        """A shape that broadcasts to the given one: leading axes may be missing, sizes may be 1."""
        kept = shape[self.integer(0, len(shape)) :] if shape else shape
        return tuple(self.choice((n, n, 1)) for n in kept)

    def axis(self, ndim: int) -> Any:
        """None, one axis, or several; counted from either end."""
        if not ndim or self.choice((True, False, False, False)):
            return None
        if self.choice((True, False)):
            return self.integer(-ndim, ndim - 1)
        axes = [a for a in range(ndim) if self.choice((True, False))] or [0]
        return tuple(a - ndim if self.choice((True, False)) else a for a in axes)


# -- where an op is defined and smooth -------------------------------------------------------------


def _away_from_zero(draw: Draw, shape: Shape) -> np.ndarray[Any, Any]:
    u = draw.uniform(shape)
    return np.asarray(u + 0.3 * np.where(u < 0, -1, 1))


def _between_integers(draw: Draw, shape: Shape) -> np.ndarray[Any, Any]:
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
    "no integer": _between_integers,
    "no multiple of v": _between_integers,
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


def _activation(op: Op, draw: Draw) -> Sample:
    options = {name: draw.choice(v) for name, v in _ACTIVATION.get(op.name, {}).items()}
    if op.name == "softplus":  # βu is at its threshold, where the curve jumps, for no such u
        return [_between_integers(draw, draw.shape())], options
    return _elementwise(op, draw)[0], options


_TWO_INPUTS = {
    "v != 0": ("real", "u != 0"),
    "u / v no integer": ("no multiple of v", "whole"),
}


def _elementwise(op: Op, draw: Draw) -> Sample:
    """Inputs that broadcast against each other, in either direction."""
    shape = draw.shape()
    shapes = [shape, *(draw.broadcastable(shape) for _ in range(op.arity - op.masks - 1))]
    if draw.choice((True, False)):
        shapes.reverse()
    inputs: list[Any] = [draw.uniform(draw.broadcastable(shape)) > 0 for _ in range(op.masks)]
    if op.domain == "u != v":  # two sets of numbers that have none in common
        first, second = _between_integers(draw, shapes[0]), np.round(draw.uniform(shapes[1], -3, 3))
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
    return [_between_integers(draw, draw.shape())], {"min": bounds[0], "max": bounds[1]}


def _power(draw: Draw) -> Sample:
    exponent = draw.choice((2, 3, 0.5, -1, 1, 0, 2.0))
    return [draw.uniform(draw.shape(), 0.4, 2.0)], {"exponent": exponent}


def _round(draw: Draw) -> Sample:
    decimals = draw.choice((0, 1, -1))
    return [_near_integers(draw, draw.shape()) / 10.0**decimals], {"decimals": decimals}


def _plain(draw: Draw) -> Sample:
    return [draw.uniform(draw.shape())], {}


# -- derivations -----------------------------------------------------------------------------------


def _softmax(draw: Draw) -> Sample:
    shape = tuple(max(n, 1) for n in draw.shape(1))
    return [draw.uniform(shape)], {"axis": draw.integer(-len(shape), len(shape) - 1)}


_REDUCTIONS = ("mean", "sum", "none")


def _cross_entropy(draw: Draw) -> Sample:
    classes, rest = draw.choice((3, 2, 4, 1)), tuple(n or 2 for n in draw.shape(0, 2))
    names = np.asarray(draw.rng.integers(0, classes, rest))
    scores = draw.uniform((*rest[:1], classes, *rest[1:]))
    # A class may be ignored, but not if it is the only one: the mean of nothing is NaN.
    ignored = draw.choice((int(names.flat[0]), -100)) if np.ptp(names) else -100
    reduction = draw.choice(("none", *_REDUCTIONS))
    return [scores, names], {"reduction": reduction, "ignore_index": ignored}


def _pair_loss(draw: Draw) -> Sample:
    shape = tuple(max(n, 1) for n in draw.shape())
    inputs = [draw.uniform(shape), draw.uniform(shape, 0, 1)]
    return list(inputs), {"reduction": draw.choice(_REDUCTIONS)}


def _nll(draw: Draw) -> Sample:
    (scores, names), options = _cross_entropy(draw)
    weight = draw.uniform((scores.shape[min(1, scores.ndim - 1)],), 0.5, 2.0)
    return [scores, names], {**options, "weight": draw.choice((None, weight))}


def _distance(draw: Draw) -> Sample:
    """A prediction and a target that differ by no whole number."""
    shape = tuple(max(n, 1) for n in draw.shape())
    target = draw.uniform(shape)
    inputs = [target + _between_integers(draw, shape), target]
    return list(inputs), {"reduction": draw.choice(_REDUCTIONS)}


def _huber(draw: Draw) -> Sample:
    inputs, options = _distance(draw)
    return inputs, {**options, "delta": draw.choice((1.0, 2.0))}


def _kl(draw: Draw) -> Sample:
    shape, log_target = tuple(max(n, 1) for n in draw.shape()), draw.choice((False, True))
    target = draw.uniform(shape, -2, 0) if log_target else draw.uniform(shape, 0.2, 1)
    options = {"log_target": log_target, "reduction": draw.choice(_REDUCTIONS)}
    return [draw.uniform(shape, -2, 0), target], options


def _bernoulli(draw: Draw) -> Sample:
    (scores, labels), options = _pair_loss(draw)
    return [(scores + 2.5) / 5, labels], options


def _linear(draw: Draw) -> Sample:
    n_in, n_out = draw.integer(1, 3), draw.integer(1, 3)
    inputs = [draw.uniform((*draw.shape(0, 2), n_in)), draw.uniform((n_out, n_in))]
    return inputs + ([draw.uniform((n_out,))] if draw.choice((True, False)) else []), {}


def _dropout(draw: Draw) -> Sample:
    shape = draw.shape()
    return [draw.uniform(shape), draw.uniform(shape) > 0], {"p": draw.choice((0.5, 0.1, 0.0))}


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
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    **dict.fromkeys(("bce", "mse"), _pair_loss),
    "cross_entropy": _cross_entropy,
    "nll": _nll,
    "mae": _distance,
    "huber": _huber,
    "kl": _kl,
    "bernoulli": _bernoulli,
    "linear": _linear,
    "dropout": _dropout,
    "to_dtype": lambda draw: ([draw.uniform(draw.shape())], {"dtype": np.dtype("f8")}),
    "to_device": lambda draw: ([draw.uniform(draw.shape())], {"device": "cpu", "source": "cpu"}),
}


def sample(op: Op, draw: Draw) -> Sample:
    """Inputs (float64, or what the op takes) and options for one call of the op."""
    if op.name in SAMPLERS:
        inputs, options = SAMPLERS[op.name](draw)
    elif op.room == "elementwise":
        inputs, options = _elementwise(op, draw)
    elif op.room == "activations":
        inputs, options = _activation(op, draw)
    else:
        raise KeyError(f"no arguments are known for the op {op.name!r}: add them to SAMPLERS")
    return [np.asarray(x) if isinstance(x, np.generic) else x for x in inputs], options
