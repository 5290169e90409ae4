r"""Matrix factorisation: what a user thinks of an item, from a few numbers each; its derivatives.

    r̂_k = μ + b_u + c_i + Σ_f P_uf Q_if,      u = u_k the user and i = i_k the item of rating k

A table R (users, items) of ratings is known in few places. If taste has few dimensions, R is nearly
a matrix of low rank, P Qᵀ: P_u says how much user u wants of each of d factors, Q_i how much of it
item i has. μ is the mean of the known ratings, b_u says how generous the user is, c_i how good the
item is beyond all taste. Nobody tells what the factors mean; they are learnt together with who
likes them, from who agreed with whom. Hence *collaborative* filtering.

Derivation. r̂_k contains one row of P and one of Q, each entry once, with the other's entry as its
factor, and b_u and c_i with factor 1. A row is in all the ratings of its user or item:

    P̄_u = Σ_(k: u_k = u) g_k Q_(i_k)      b̄_u = Σ_(k: u_k = u) g_k
    Q̄_i = Σ_(k: i_k = i) g_k P_(u_k)      c̄_i = Σ_(k: i_k = i) g_k

scatter-adds (`lookup.py`). Everyone who rated the item pulls its row towards their own; all other
rows have gradient 0. At P = Q = 0 all of P̄ and Q̄ is 0: the factors never start. They must be drawn
at random, and small.

The loss is what the known ratings miss by, and a price for large entries of the rows that took
part, without which d numbers are fitted to a user with fewer ratings than d (`loss`):

    L = ½ Σ_k [(r̂_k − r_k)² + λ (|P_u|² + |Q_i|² + b_u² + c_i²)]
    g_k = r̂_k − r_k = e_k,      P̄_u = Σ_(k: u_k = u) (e_k Q_(i_k) + λ P_u).

One rating at a time, as stochastic gradient descent, it reads P_u ← P_u − η (e Q_i + λ P_u).

Shapes: P (users, d), Q (items, d), b (users,), c (items,); u and i whole numbers (n,); r̂ (n,).
Cost: 2 n d flops forward, 2 n d backward and the zeros.
Source: Koren, Bell and Volinsky, "Matrix Factorization Techniques for Recommender Systems", 2009.
Document B, 6 and document C, 6.4 name collaborative filtering.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.derivations.lookup import check_ids, one_hot, scatter_add
from tinynet.errors import ShapeError
from tinynet.op import Derivation


def definition(P: Any, Q: Any, b: Any, c: Any, u: Any, i: Any, *, mean: float = 0.0) -> Any:
    """r̂ = μ + b_u + c_i + P_u · Q_i, rows taken by one-hot products.

    >>> P, Q = np.array([[1.0, 2.0]]), np.array([[0.0, 0.0], [3.0, 1.0]])
    >>> definition(P, Q, np.array([0.5]), np.zeros(2), np.array([0]), np.array([1]), mean=3.0)
    array([8.5])
    """
    of_user, of_item = one_hot(u, P), one_hot(i, Q)
    taste = np.sum(np.matmul(of_user, P) * np.matmul(of_item, Q), axis=-1)
    return taste + np.matmul(of_user, b) + np.matmul(of_item, c) + mean


def forward(
    P: Any, Q: Any, b: Any, c: Any, u: Any, i: Any, *, mean: float = 0.0
) -> tuple[Any, tuple[Any, ...]]:
    """The definition with the rows picked. They are kept."""
    if (P.ndim, Q.ndim, u.ndim) != (2, 2, 1) or P.shape[1] != Q.shape[1] or u.shape != i.shape:
        raise ShapeError(
            "the sizes do not fit", expected="P (users, d), Q (items, d), u and i (n,)"
        )
    if (b.shape, c.shape) != (P.shape[:1], Q.shape[:1]):
        raise ShapeError("the biases do not fit", expected="b (users,) and c (items,)")
    check_ids(u, P.shape[0])
    check_ids(i, Q.shape[0])
    of_user, of_item = P[u], Q[i]
    r = np.einsum("kf,kf->k", of_user, of_item) + b[u] + c[i] + mean
    return r, (of_user, of_item, u, i, P.shape[0], Q.shape[0])


def backward(g: Any, saved: tuple[Any, ...], *, mean: float = 0.0) -> tuple[Any, ...]:
    """P̄_u = Σ g_k Q_i, Q̄_i = Σ g_k P_u, b̄_u = Σ g_k, c̄_i = Σ g_k; nothing for the ids."""
    of_user, of_item, u, i, users, items = saved
    by_rating = np.expand_dims(g, 1)
    dP = scatter_add(u, by_rating * of_item, users)
    dQ = scatter_add(i, by_rating * of_user, items)
    return dP, dQ, scatter_add(u, g, users), scatter_add(i, g, items), None, None


op = Derivation(
    "matrix_factorisation",
    definition,
    backward,
    forward,
    formula=r"\mu + b_u + c_i + P_u \cdot Q_i",
    promote="none",
    room="derivations",
    doc="The rating that a user would give an item: means, biases, and the product of two vectors.",
)


def loss(
    P: Any, Q: Any, b: Any, c: Any, u: Any, i: Any, r: Any, *, mean: float = 0.0, l2: float = 0.0
) -> Any:
    """L = ½ Σ_k [(r̂_k − r_k)² + λ (|P_u|² + |Q_i|² + b_u² + c_i²)], λ = `l2`.

    >>> import tinynet as tn
    >>> P, Q, b, c = (tn.ones(*shape) for shape in ((2, 3), (2, 3), (2,), (2,)))
    >>> loss(P, Q, b, c, tn.tensor([0]), tn.tensor([1]), tn.tensor([4.0]), l2=0.1)
    tensor(0.9000)
    """
    missed = op(P, Q, b, c, u, i, mean=mean) - r
    squares = np.sum(np.square(missed))
    if l2:
        sizes = [np.sum(np.square(x[k])) for x, k in ((P, u), (Q, i), (b, u), (c, i))]
        squares = squares + l2 * sum(sizes[1:], sizes[0])
    return squares / 2
