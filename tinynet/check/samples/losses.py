"""Arguments for the derivations of losses, of linear, softmax and dropout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinynet.check.samples.draw import Draw, Sample
from tinynet.check.samples.primitives import between_integers


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


def _soft_cross_entropy(draw: Draw) -> Sample:
    classes, rest = draw.integer(1, 4), draw.shape(0, 2)
    shape, weight = (*rest[:1], classes, *rest[1:]), draw.uniform((classes,), 0.5, 2.0)
    # The mean of nothing is NaN.
    reduction = draw.choice(("none", "sum") if 0 in shape else ("none", *_REDUCTIONS))
    return [draw.uniform(shape), draw.uniform(shape, 0, 1)], {
        "weight": draw.choice((None, weight)),
        "reduction": reduction,
        "label_smoothing": draw.choice((0.0, 0.1, 0.5)),
    }


def _distance(draw: Draw) -> Sample:
    """A prediction and a target that differ by no whole number."""
    shape = tuple(max(n, 1) for n in draw.shape())
    target = draw.uniform(shape)
    inputs = [target + between_integers(draw, shape), target]
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
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    **dict.fromkeys(("bce", "mse"), _pair_loss),
    "cross_entropy": _cross_entropy,
    "nll": _nll,
    "soft_cross_entropy": _soft_cross_entropy,
    "mae": _distance,
    "huber": _huber,
    "kl": _kl,
    "bernoulli": _bernoulli,
    "linear": _linear,
    "dropout": _dropout,
}
