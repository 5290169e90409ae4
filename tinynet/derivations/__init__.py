"""The proofs: one formula per file, derived by hand in its docstring.

In: `definition` (the formula in primitives), `backward` (its derived gradient, plain NumPy),
`forward` where the definition is not the way to compute it, `as_printed` where a document errs,
and `op`, which ties them together for the tape. Update rules (`sgd`, `adam`, `rmsprop`, `adagrad`,
`adadelta`, `lbfgs` with its `line_search`, `weight_decay`), the `perceptron`, `initialisation` and
the `bigram` model are plain functions, loaded when they are first used. Not in: rules that the
calculus table holds (`ops`), and state (`nn`, `optim`).

Start with `softmax`; then `linear`, `neuron`, `cross_entropy`, `bce`, `mse`, `dropout`,
`log_softmax`; the other losses: `soft_cross_entropy`, `nll`, `bernoulli`, `mae`, `huber`, `kl`.
Images: `conv2d`, `conv_transpose2d`, `unfold`, `fold`; `max_pool`, `avg_pool`, their adaptive
forms, `upsample`. Normalisation: `batch_norm`, `layer_norm`, `group_norm`, `rms_norm`. Tables of
vectors: `embedding`, `matrix_factorisation`. Sequences: `rnn`, `lstm`, `gru`; `attention` and its
positions, `sinusoidal` and `rotary`.

What several proofs share, and is no op: `reduction` ('mean' and 'sum'), `columns` and `windows`
(where windows lie), `standardise`, `lookup`, `sequence`.
"""

from __future__ import annotations

import math
from typing import Any

from tinynet.derivations import (
    adaptive_avg_pool,
    adaptive_max_pool,
    attention,
    avg_pool,
    batch_norm,
    bce,
    bernoulli,
    columns,
    conv2d,
    conv_transpose2d,
    cross_entropy,
    dropout,
    embedding,
    fold,
    group_norm,
    gru,
    huber,
    kl,
    layer_norm,
    linear,
    log_softmax,
    lookup,
    lstm,
    mae,
    matrix_factorisation,
    max_pool,
    mse,
    neuron,
    nll,
    reduction,
    rms_norm,
    rnn,
    rotary,
    sequence,
    sinusoidal,
    soft_cross_entropy,
    softmax,
    standardise,
    unfold,
    upsample,
    windows,
)
from tinynet.dispatch import cast
from tinynet.ops.public import public
from tinynet.ops.reductions import checked_axis

_NO_OPS = [
    "adadelta",
    "adagrad",
    "adam",
    "bigram",
    "initialisation",
    "lbfgs",
    "line_search",
    "perceptron",
    "rmsprop",
    "sgd",
    "weight_decay",
]
__all__ = [
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "attention",
    "avg_pool",
    "batch_norm",
    "bce",
    "bernoulli",
    "columns",
    "conv2d",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "embedding",
    "fold",
    "group_norm",
    "gru",
    "huber",
    "kl",
    "layer_norm",
    "linear",
    "log_softmax",
    "lookup",
    "lstm",
    "mae",
    "matrix_factorisation",
    "max_pool",
    "mse",
    "neuron",
    "nll",
    "reduction",
    "rms_norm",
    "rnn",
    "rotary",
    "sequence",
    "sinusoidal",
    "soft_cross_entropy",
    "softmax",
    "standardise",
    "unfold",
    "upsample",
    "windows",
]
__all__ += _NO_OPS


def __getattr__(name: str) -> Any:
    """The files that hold no op: loaded when they are first used."""
    if name in _NO_OPS:
        import importlib

        return importlib.import_module(f"tinynet.derivations.{name}")
    raise AttributeError(f"module 'tinynet.derivations' has no attribute {name!r}")


def _softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    r"""y_i = exp(x_i) / Σ_k exp(x_k) along `dim`: positive weights that sum to 1.

    The result has the shape of the input. `dtype` casts the input first. Raises OutOfRangeError
    where there is no such axis. Derived in `tinynet/derivations/softmax.py`.

    >>> import tinynet as tn
    >>> tn.softmax(tn.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([0.0900, 0.2447, 0.6652])
    """
    return _along(softmax.op, input, dim, dtype)


def _log_softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    r"""y_i = x_i − log Σ_k exp(x_k) along `dim`: the logarithm of softmax, without its underflow.

    The result has the shape of the input. `dtype` casts the input first. Raises OutOfRangeError
    where there is no such axis. Derived in `tinynet/derivations/log_softmax.py`.

    >>> import tinynet as tn
    >>> tn.log_softmax(tn.tensor([0.0, -1000.0]), dim=0)
    tensor([    0., -1000.])
    """
    return _along(log_softmax.op, input, dim, dtype)


def _along(op: Any, input: Any, dim: int, dtype: Any) -> Any:
    input = input if dtype is None else cast(input, dtype)
    axis = checked_axis(input, dim)
    return op(input, axis=axis) if math.prod(input.shape) else input * 1  # nothing has no largest


public(_softmax, name="softmax")
public(_log_softmax, name="log_softmax")
