r"""Rows of a table by their number, and the gradient that goes back into the table.

To look up row i is to multiply by a one-hot row: e_i = (0, …, 1, …, 0) with the 1 at place i, and
e_i W = W_i. For ids i_1 … i_N let E (N, V) have the rows e_(i_k). Then

    Y = E W      y_k = W_(i_k)                  N rows are copied; nothing is multiplied
    W̄ = Eᵀ G     W̄_v = Σ_(k: i_k = v) g_k       N rows are added up: a *scatter-add*

by `linear` with Wᵀ in place of W. E is never built: it has N V entries, N of them not 0. An id that
occurs twice gets both gradients; to assign where one must add keeps the last one only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.errors import DTypeError, OutOfRangeError


def one_hot(ids: Any, like: Any) -> Any:
    """E, of shape (…, V) for ids (…), V the rows of `like` and of its dtype.

    >>> one_hot(np.array([2, 0]), np.zeros((3, 5)))
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    names = np.arange(like.shape[0], like=ids)
    return np.zeros((), dtype=like.dtype, like=like) + (np.expand_dims(ids, -1) == names)


def scatter_add(ids: Any, g: Any, rows: int) -> Any:
    """W̄ = Eᵀ G: a table (rows, d) in which row v is the sum of the g_k with ids_k = v. Also of
    numbers, g (N,). Summed in float64.

    >>> scatter_add(np.array([2, 0, 2]), np.array([[1.0], [10.0], [100.0]]), 3)
    array([[ 10.],
           [  0.],
           [101.]])
    """
    d = g.shape[-1] if g.ndim > ids.ndim else 1
    places = np.reshape(ids, (-1, 1)).astype(np.int64) * d + np.arange(d, like=ids)
    sums = np.bincount(np.ravel(places), weights=np.ravel(g), minlength=rows * d)
    return np.reshape(sums, (rows, d) if g.ndim > ids.ndim else (rows,)).astype(g.dtype)


def check_ids(ids: Any, rows: int, what: str = "id", otherwise: str = "has no row") -> None:
    """Raise DTypeError unless ids are whole numbers, OutOfRangeError where one has no row."""
    if ids.dtype.kind not in "iu":
        raise DTypeError(f"{what}s are whole numbers", got=ids.dtype.name, hint=f"{what}s.long()")
    if 0 in ids.shape:
        return
    for found in (np.min(ids), np.max(ids)):
        if not 0 <= found < rows:
            raise OutOfRangeError(f"{what} {int(found)} {otherwise}", expected=f"0 … {rows - 1}")
