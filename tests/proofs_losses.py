"""The losses, linear, softmax and dropout: fixed arguments, and PyTorch's twins."""

from __future__ import annotations

from typing import Any

import numpy as np
from proof_cases import case, classes, normal, reductions, rng

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
    soft_cross_entropy,
    softmax,
)

PROOFS = (softmax, log_softmax, linear, cross_entropy, mse, bce, dropout)
PROOFS += (nll, bernoulli, mae, huber, kl, soft_cross_entropy)
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
    *reductions(cross_entropy, normal(5), np.array(3)),
    *reductions(cross_entropy, normal(6, 4), classes(4, 6)),
    *reductions(cross_entropy, normal(2, 4, 3), classes(4, 2, 3)),
    *reductions(cross_entropy, normal(2, 4, 3, 2), classes(4, 2, 3, 2)),
    *reductions(cross_entropy, normal(4, 3), np.array([2, -100, 0, -100])),
    *reductions(cross_entropy, normal(4, 3), np.array([2, 1, 0, 1]), ignore_index=1),
    case(cross_entropy, normal(0, 4), classes(4, 0), reduction="sum"),
    *reductions(mse, normal(3, 2), normal(3, 2)),
    *reductions(mse, normal(), normal()),
    case(mse, normal(0, 2), normal(0, 2), reduction="sum"),
    *reductions(bce, normal(3, 2) * 3, np.array([[0.0, 1], [1, 0], [0.3, 1]])),
    *reductions(bce, np.array([0.0, -0.0, 50.0, -50.0]), np.array([0.0, 1, 0.5, 1])),
    *reductions(nll, normal(6, 4), classes(4, 6)),
    *reductions(nll, normal(5), np.array(3)),
    *reductions(nll, normal(2, 4, 3), classes(4, 2, 3), weight=np.array([1.0, 0.5, 0.0, 2.0])),
    *reductions(nll, normal(4, 3), np.array([2, -100, 0, 1]), weight=np.array([0.3, 2.0, 0.7])),
    *reductions(nll, normal(4, 3), np.array([2, 1, 0, 1]), ignore_index=1),
    *reductions(bernoulli, rng.random((3, 2)), np.array([[0.0, 1], [1, 0], [0.3, 1]])),
    *reductions(mae, normal(3, 2), normal(3, 2)),
    *reductions(mae, normal(), normal()),
    *reductions(huber, normal(3, 4) * 2, normal(3, 4)),
    *reductions(huber, normal(3, 4) * 2, normal(3, 4), delta=0.3),
    *reductions(kl, normal(3, 2), rng.random((3, 2))),
    *reductions(kl, normal(3, 2), normal(3, 2), log_target=True),
    *reductions(soft_cross_entropy, normal(5, 4), rng.dirichlet(np.ones(4), 5)),
    *reductions(soft_cross_entropy, normal(5), rng.random(5), label_smoothing=0.3),
    *reductions(
        soft_cross_entropy,
        normal(2, 3, 4),
        rng.random((2, 3, 4)),
        weight=np.array([0.5, 2.0, 0.0]),
        label_smoothing=0.1,
    ),
    case(soft_cross_entropy, normal(0, 3), normal(0, 3), reduction="sum"),
    case(dropout, normal(3, 4), rng.random((3, 4)) < 0.5, p=0.5),
    case(dropout, normal(3, 4), rng.random((3, 4)) < 0.5, p=0.2),
    case(dropout, normal(3), np.zeros(3, bool), p=1.0),
    case(dropout, np.array(2.0), np.array(True), p=0.25),
]


def peers(torch: Any) -> dict[str, Any]:
    """PyTorch's function for each op."""
    F = torch.nn.functional

    def drop(x: Any, m: Any, p: float) -> Any:
        return x * m / (1 - p) if p < 1 else x * 0

    return {
        "softmax": lambda x, axis: torch.softmax(x, -1 if axis is None else axis),
        "log_softmax": lambda x, axis: torch.log_softmax(x, -1 if axis is None else axis),
        "linear": F.linear,
        "cross_entropy": F.cross_entropy,
        "mse": F.mse_loss,
        "bce": F.binary_cross_entropy_with_logits,
        "dropout": drop,
        "nll": F.nll_loss,
        "bernoulli": F.binary_cross_entropy,
        "mae": F.l1_loss,
        "huber": F.huber_loss,
        "kl": F.kl_div,
        "soft_cross_entropy": F.cross_entropy,
    }
