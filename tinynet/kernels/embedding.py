"""Rows of a table by their number, and the sum that goes back into the table.

    y_k = W_(i_k)      W̄_v = Σ_(k: i_k = v) g_k      (`derivations/lookup.py`)

No arithmetic worth the name. The rows are copied, 8 bytes for each float32, which NumPy's `take`
does as fast as memory allows. On the way back they are added to where they came from: 12 bytes, and
the zeros of W̄. NumPy's way to that sum is `bincount`, which wants float64 and the place of every
single number, about 40 bytes for each.

Two threads must not add to the same row, and which of two equal ids comes first must not depend on
luck: so each thread takes some *columns*, of all rows, and goes through the ids in their order. A
cache line holds 16 float32 of a row; no line belongs to two threads where d is a multiple of that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.kernels.choice import Kernel
from tinynet.kernels.jit import kernel
from tinynet.kernels.passes import dense, split

LINE = 16  # columns that are not split


@kernel("g", "ids", "dW")
def scatter_add(g: Any, ids: Any, dW: Any, first: int, last: int) -> None:
    """dW_v += Σ_(k: i_k = v) g_k, in the columns first … last."""
    for k in range(ids.shape[0]):
        upstream, into = g[k, first:last], dW[ids[k], first:last]
        for j in range(into.shape[0]):
            into[j] += upstream[j]


def forward(ids: Any, W: Any) -> tuple[Any, Any]:
    """The rows, and what the backward pass needs to know."""
    return np.take(W, ids, axis=0), (ids, W.shape)


def backward(g: Any, saved: Any, *, needs: Any) -> tuple[None, Any]:
    """W̄; nothing for the ids."""
    ids, shape = saved
    ids = dense(ids.astype(np.int64, copy=False)).reshape(-1)
    g, dW = dense(g).reshape(ids.size, shape[1]), np.zeros(shape, g.dtype)

    def some(first: int, last: int) -> None:
        scatter_add(g, ids, dW, first * LINE, min(last * LINE, shape[1]))

    split(-(-shape[1] // LINE), ids.size * (3 + 0.2 * LINE), some)
    return None, dW


def serves(ids: Any, W: Any) -> bool:
    """Ids that the table has."""
    if ids.dtype.kind not in "iu" or W.ndim != 2 or not ids.size or not W.size:
        return False
    return bool(ids.min() >= 0 and ids.max() < W.shape[0])


KERNELS = {"embedding": Kernel(forward, backward, serves=serves, least=512)}
