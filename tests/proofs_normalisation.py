"""Normalisation, embedding, matrix factorisation: fixed arguments, and PyTorch's twins."""

from __future__ import annotations

from typing import Any

import numpy as np
from proof_cases import case, classes, normal

from tinynet.derivations import (
    batch_norm,
    embedding,
    group_norm,
    layer_norm,
    matrix_factorisation,
    rms_norm,
)

PROOFS = (batch_norm, layer_norm, group_norm, rms_norm, embedding, matrix_factorisation)


def _ratings(n: int, *, d: int = 2, **options: Any) -> Any:
    """n ratings of 4 users and 3 items; user 3 gave none."""
    table = [normal(4, d), normal(3, d), normal(4), normal(3)]
    return case(matrix_factorisation, *table, classes(3, n), classes(3, n), **options)


CASES = [
    case(batch_norm, normal(5, 3), normal(3), normal(3)),
    case(batch_norm, normal(5, 3), normal(3)),
    case(batch_norm, normal(4, 2, 3), eps=0.3),
    case(batch_norm, normal(2, 3, 2, 2) + 5, normal(3), normal(3), eps=0.1),
    case(batch_norm, normal(1, 2, 3), normal(2), normal(2)),
    case(batch_norm, normal(0, 3), normal(3), normal(3)),
    case(batch_norm, normal(3, 2, 0), normal(2), normal(2)),
    case(layer_norm, normal(4, 5), normal(5), normal(5)),
    case(layer_norm, normal(5), normal(5), normal(5)),
    case(layer_norm, normal(3, 4), normal(4), eps=0.2),
    case(layer_norm, normal(2, 3, 4), eps=0.5),
    case(layer_norm, normal(2, 3, 4), normal(3, 4), normal(3, 4), dims=2, eps=0.1),
    case(layer_norm, normal(0, 3), normal(3), normal(3)),
    case(layer_norm, normal(3, 1), normal(1), normal(1)),
    case(group_norm, normal(2, 6, 3), normal(6), normal(6), groups=3, eps=0.1),
    case(group_norm, normal(2, 6), normal(6), groups=2),
    case(group_norm, normal(3, 2, 2, 2), groups=1),
    case(group_norm, normal(2, 3, 4), normal(3), normal(3), groups=3),  # instance norm
    case(group_norm, normal(0, 4, 2), normal(4), normal(4), groups=2),
    case(rms_norm, normal(4, 5), normal(5)),
    case(rms_norm, normal(2, 3, 4), eps=0.5),
    case(rms_norm, normal(2, 3, 4), normal(3, 4), dims=2, eps=0.1),
    case(rms_norm, normal(5), normal(5)),
    case(rms_norm, normal(0, 3), normal(3)),
    case(embedding, classes(4, 6), normal(4, 3)),
    case(embedding, classes(5, 2, 3), normal(5, 2)),
    case(embedding, np.array([1, 1, 1]), normal(2, 2)),
    case(embedding, np.array(1), normal(3, 2)),
    case(embedding, classes(3, 0), normal(3, 2)),
    case(embedding, np.array([2, 0], "u1"), normal(3, 2)),
    _ratings(7, mean=3.5),
    _ratings(1, d=3),
    _ratings(0),
]


def peers(torch: Any) -> dict[str, Any]:
    """PyTorch's function for each op."""
    F = torch.nn.functional

    def rows(x: Any, dims: int) -> Any:
        return x.shape[x.ndim - dims :]

    def batch(x: Any, *affine: Any, eps: float = 1e-5) -> Any:
        return F.batch_norm(x, None, None, *affine, training=True, eps=eps)

    def layer(x: Any, *affine: Any, dims: int = 1, eps: float = 1e-5) -> Any:
        return F.layer_norm(x, rows(x, dims), *affine, eps=eps)

    def group(x: Any, *affine: Any, groups: int, eps: float = 1e-5) -> Any:
        return F.group_norm(x, groups, *affine, eps=eps)

    def rms(x: Any, *weight: Any, dims: int = 1, eps: float = 1e-5) -> Any:
        return F.rms_norm(x, rows(x, dims), *weight, eps=eps)

    def rating(P: Any, Q: Any, b: Any, c: Any, u: Any, i: Any, mean: float = 0.0) -> Any:
        rows = F.embedding(u, P), F.embedding(i, Q)
        biases = F.embedding(u, b[:, None]) + F.embedding(i, c[:, None])
        return (rows[0] * rows[1]).sum(1) + biases[:, 0] + mean

    return {
        "batch_norm": batch,
        "layer_norm": layer,
        "group_norm": group,
        "rms_norm": rms,
        "embedding": lambda ids, W: F.embedding(ids.long(), W),
        "matrix_factorisation": rating,
    }
