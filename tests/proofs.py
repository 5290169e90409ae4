"""The proofs, and the arguments on which `test_derivations.py` compares their parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinynet.derivations import (
    bce,
    bernoulli,
    cross_entropy,
    dropout,
    huber,
    kl,
    linear,
    log_softmax,
    mae,
    mse,
    nll,
    softmax,
)

PROOFS = (softmax, log_softmax, linear, cross_entropy, mse, bce, dropout)
PROOFS += (nll, bernoulli, mae, huber, kl)
rng = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return rng.standard_normal(shape)


def classes(count: int, *shape: int) -> Any:
    return rng.integers(0, count, shape)


def case(proof: Any, *inputs: Any, **options: Any) -> Any:
    name = proof.op.name
    shapes = "-".join(str(x.shape).replace(" ", "") for x in inputs)
    chosen = "-".join(f"{k}={v}" for k, v in options.items())
    return pytest.param(proof, inputs, options, id=f"{name}{shapes}{chosen}")


def _reductions(proof: Any, *inputs: Any, **options: Any) -> list[Any]:
    return [case(proof, *inputs, reduction=r, **options) for r in ("none", "mean", "sum")]


CASES = [
    case(softmax, normal(4, 3), axis=-1),
    case(softmax, normal(2, 3, 4), axis=1),
    case(softmax, normal(5), axis=0),
    case(softmax, normal(0, 3), axis=1),
    case(softmax, np.array(0.3), axis=None),
    case(log_softmax, normal(4, 3), axis=-1),
    case(log_softmax, normal(2, 3, 4), axis=0),
    case(log_softmax, normal(0, 3), axis=1),
    case(log_softmax, np.array(0.3), axis=None),
    case(linear, normal(4, 3), normal(2, 3), normal(2)),
    case(linear, normal(4, 3), normal(2, 3)),
    case(linear, normal(3), normal(2, 3), normal(2)),
    case(linear, normal(2, 5, 3), normal(4, 3), normal(4)),
    case(linear, normal(0, 3), normal(2, 3), normal(2)),
    case(linear, normal(4, 0), normal(2, 0), normal(2)),
    case(linear, normal(4, 3), normal(0, 3), normal(0)),
    *_reductions(cross_entropy, normal(5), np.array(3)),
    *_reductions(cross_entropy, normal(6, 4), classes(4, 6)),
    *_reductions(cross_entropy, normal(2, 4, 3), classes(4, 2, 3)),
    *_reductions(cross_entropy, normal(2, 4, 3, 2), classes(4, 2, 3, 2)),
    *_reductions(cross_entropy, normal(4, 3), np.array([2, -100, 0, -100])),
    *_reductions(cross_entropy, normal(4, 3), np.array([2, 1, 0, 1]), ignore_index=1),
    case(cross_entropy, normal(0, 4), classes(4, 0), reduction="sum"),
    *_reductions(mse, normal(3, 2), normal(3, 2)),
    *_reductions(mse, normal(), normal()),
    case(mse, normal(0, 2), normal(0, 2), reduction="sum"),
    *_reductions(bce, normal(3, 2) * 3, np.array([[0.0, 1], [1, 0], [0.3, 1]])),
    *_reductions(bce, np.array([0.0, -0.0, 50.0, -50.0]), np.array([0.0, 1, 0.5, 1])),
    *_reductions(nll, normal(6, 4), classes(4, 6)),
    *_reductions(nll, normal(5), np.array(3)),
    *_reductions(nll, normal(2, 4, 3), classes(4, 2, 3), weight=np.array([1.0, 0.5, 0.0, 2.0])),
    *_reductions(nll, normal(4, 3), np.array([2, -100, 0, 1]), weight=np.array([0.3, 2.0, 0.7])),
    *_reductions(nll, normal(4, 3), np.array([2, 1, 0, 1]), ignore_index=1),
    *_reductions(bernoulli, rng.random((3, 2)), np.array([[0.0, 1], [1, 0], [0.3, 1]])),
    *_reductions(mae, normal(3, 2), normal(3, 2)),
    *_reductions(mae, normal(), normal()),
    *_reductions(huber, normal(3, 4) * 2, normal(3, 4)),
    *_reductions(huber, normal(3, 4) * 2, normal(3, 4), delta=0.3),
    *_reductions(kl, normal(3, 2), rng.random((3, 2))),
    *_reductions(kl, normal(3, 2), normal(3, 2), log_target=True),
    case(dropout, normal(3, 4), rng.random((3, 4)) < 0.5, p=0.5),
    case(dropout, normal(3, 4), rng.random((3, 4)) < 0.5, p=0.2),
    case(dropout, normal(3), np.zeros(3, bool), p=1.0),
    case(dropout, np.array(2.0), np.array(True), p=0.25),
]
