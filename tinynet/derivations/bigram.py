r"""The bigram model: the next word from the last one; and why its best weights are counts.

    P(x_(n+1) = c given x_1 … x_n) = softmax(W x_n + b)_c

as document D, 4.3 prints it. Of all the words on the left, only the last occurs on the right. So
this is a model of pairs of neighbours, however long the text was.

Let x_n be one-hot for word a. Then W x_n is the column a of W, and p_ac = softmax(W_·a + b)_c. In
a text let c follow a N_ac times; N_a = Σ_c N_ac and N = Σ_a N_a. The mean of −log P over all N
pairs is

    L = −(1/N) Σ_ac N_ac log p_ac.

Derivation. One pair (a, t) has the gradient p_ac − δ_ct by the score c of word a (`cross_entropy`).
Sum over all pairs that begin with a: of N_a terms p_ac, N_ac have δ = 1. So

    W̄_ca = (N_a p_ac − N_ac) / N,      b̄_c = Σ_a W̄_ca.

It is 0 where, and only where, p_ac = N_ac / N_a for every word a that occurs. L is convex in W and
b (log Σ exp of linear functions, minus linear ones), so that is its minimum:

    **the most likely model says the relative frequencies.**

W_ca = log (N_ac / N_a), b = 0 reaches it. So does any W with a number added to a whole column, or
with b moved into all columns: softmax ignores both. A pair that never occurred wants W_ca = −∞:
gradient descent walks there for ever, and one such pair in a new text costs an infinite loss.
Adding α to every count (Laplace) is the old remedy.

If x_n is an embedding of d numbers, all scores together are a matrix W Eᵀ + b of rank d + 1 at
most: fewer parameters, words that share what they have learnt, and still only the last word. To
see the others, x_n must give way to a state h_n that depends on all of them: softmax(W h_n + b).

Shapes: N (V, V), row a is what followed a; W (V, d), b (V,), x (n, d); one-hot d = V. Cost:
counting is one pass over the text.
Source: document D, 4.3. Shannon, "Prediction and Entropy of Printed English", 1951, measures what
longer contexts are worth.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.derivations import log_softmax, softmax
from tinynet.errors import OutOfRangeError, ShapeError, describe


def as_printed(x: Any, W: Any, b: Any) -> Any:
    """softmax(W x_n + b) for the words x_1 … x_n, (n, d): the others than the last have no effect.

    >>> W, b = np.eye(2), np.zeros(2)
    >>> as_printed(np.array([[0.0, 9.0], [1.0, 0.0]]), W, b)
    array([0.7311, 0.2689])
    >>> as_printed(np.array([[7.0, 7.0], [1.0, 0.0]]), W, b)
    array([0.7311, 0.2689])
    """
    if x.ndim != 2 or W.ndim != 2 or not x.shape[0] or x.shape[1:] != W.shape[1:]:
        raise ShapeError(
            "bigram: the sizes do not fit",
            expected="x (n, d) with n ≥ 1, W (V, d)",
            got=f"{describe(x)}, {describe(W)}",
        )
    return softmax.definition(np.matmul(W, x[-1]) + b)


def counts(ids: Any, size: int) -> Any:
    """N_ac: how often c follows a in a text of whole numbers from 0 to size − 1.

    >>> counts(np.array([0, 1, 0, 1, 1]), 2)
    array([[0, 2],
           [1, 1]])
    """
    if ids.ndim != 1:
        raise ShapeError("bigram: one row of words is expected", got=describe(ids))
    if ids.shape[0] and not 0 <= int(np.min(ids)) <= int(np.max(ids)) < size:
        raise OutOfRangeError("bigram: there is no such word", expected=f"0 … {size - 1}")
    pairs = ids[:-1] * size + ids[1:]
    return np.reshape(np.bincount(pairs, minlength=size * size), (size, size))


def loss(W: Any, b: Any, N: Any) -> Any:
    """−(1/N) Σ_ac N_ac log p_ac, for one-hot words.

    >>> float(loss(np.zeros((4, 4)), np.zeros(4), np.ones((4, 4))))  # knows nothing: log 4
    1.3863
    """
    return -np.sum(N * log_softmax.definition(_scores(W, b))) / np.sum(N)


def gradient(W: Any, b: Any, N: Any) -> tuple[Any, Any]:
    """W̄_ca = (N_a p_ac − N_ac) / N and b̄_c = Σ_a W̄_ca.

    >>> gradient(np.zeros((2, 2)), np.zeros(2), np.array([[1.0, 3.0], [0.0, 0.0]]))
    (array([[ 0.25,  0.  ],
           [-0.25,  0.  ]]), array([ 0.25, -0.25]))
    """
    p = softmax.definition(_scores(W, b))
    dW = np.swapaxes(np.sum(N, axis=1, keepdims=True) * p - N, 0, 1) / np.sum(N)
    return dW, np.sum(dW, axis=1)


def estimate(N: Any, *, alpha: float = 0.0) -> Any:
    """p_ac = (N_ac + α) / Σ_c (N_ac + α): the best model of these counts; NaN for a word unseen.

    >>> estimate(np.array([[1.0, 3.0], [2.0, 0.0]]))
    array([[0.25, 0.75],
           [1.  , 0.  ]])
    """
    total = np.sum(N + alpha, axis=1, keepdims=True)
    return (N + alpha) / np.where(total == 0, np.nan, total)


def _scores(W: Any, b: Any) -> Any:
    """The scores after each word a: row a is column a of W, plus b."""
    return np.swapaxes(W, 0, 1) + b
