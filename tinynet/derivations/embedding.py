r"""Embedding: a learnt vector for each of V ids, and its derivative.

    y_k = W_(i_k)                  in matrices  Y = E W,  E the one-hot rows of the ids

Derivation. With E written out, y_kj = Σ_v E_kv W_vj is a linear layer without bias, and

    W̄_vj = Σ_k E_kv g_kj = Σ_(k: i_k = v) g_kj

(`lookup.py`). Each row of W̄ is the sum over all places where the id was looked up, and 0 for ids
that did not occur: only what was seen is learnt. What people forget is the sum, where an id occurs
twice. The ids are names, not quantities: they have no gradient.

Document B, 3.2.2 says that words are mapped "into a high-dimensional space", and then maps 10,000
of them into 32 dimensions. It is the one-hot rows that lie in a high-dimensional space, of V
dimensions, in which all words are equally far apart; the embedding brings them into a low one,
where near can mean similar.

Shapes: ids (…) of whole numbers 0 … V − 1; W (V, d); y, g (…, d). Cost: for N ids N d copies
forward; N d additions and V d zeros backward.
Source: document B, 3.2.2 and 5.2 (there V = 10,000 and d = 32).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.derivations.lookup import check_ids, one_hot, scatter_add
from tinynet.errors import ShapeError
from tinynet.op import Derivation


def definition(ids: Any, W: Any) -> Any:
    """Y = E W.

    >>> definition(np.array([2, 0, 2]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    array([[5., 6.],
           [1., 2.],
           [5., 6.]])
    """
    return np.matmul(one_hot(ids, W), W)


def forward(ids: Any, W: Any) -> tuple[Any, tuple[Any, ...]]:
    """y_k = W_(i_k), without E."""
    if W.ndim != 2:
        raise ShapeError("a table of vectors is expected", expected="weight (V, d)")
    check_ids(ids, W.shape[0])
    return np.take(W, ids, axis=0), (ids, W.shape[0])  # a copy, of one row too


def backward(g: Any, saved: tuple[Any, ...]) -> tuple[Any, ...]:
    """W̄_v = Σ_(k: i_k = v) g_k; nothing for the ids."""
    ids, rows = saved
    return None, scatter_add(ids, g, rows)


op = Derivation(
    "embedding",
    definition,
    backward,
    forward,
    formula=r"W_{i_k}",
    promote="none",
    room="derivations",
    doc="The rows of a table that the ids name.",
)
