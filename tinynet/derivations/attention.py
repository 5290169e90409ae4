r"""Scaled dot-product attention, and its derivatives without an L × S matrix in memory.

    s_ij = Σ_e q_ie k_je / √E,      P_ij = exp(s_ij) / Σ_m exp(s_im),      y_if = Σ_j P_ij v_jf

Query i asks, key j answers, and s_ij says how well the two fit. Softmax over the keys turns row i
into weights that sum to 1; the output is the mean of the values under these weights. In matrices
S = Q Kᵀ / √E, P = softmax(S), Y = P V.

Why √E: let the entries of q and k be independent, with mean 0 and variance 1. Each product q_e k_e
then has mean 0 and variance 1, and the variance of a sum of E independent terms is E. Without the
division scores would have the standard deviation √E: at E = 64 they differ by 8 and more, softmax
gives nearly everything to one key, and its Jacobian P_ij (δ_jm − P_im) is nearly zero. Divided by
√E their variance is 1 whatever E is.

Masks. A boolean mask says which keys a query may attend to: elsewhere s_ij = −∞, so that P_ij = 0.
A float mask B is added, s_ij + B_ij. Causal: query i attends to the keys j ≤ i. A query that may
attend to nothing has no weights; y_i = 0 by convention, as in PyTorch, and no gradient flows
through it. Dropout keeps the weights where m_ij = 1, W_ij = m_ij P_ij / (1 − p), and Y = W V.

Derivation. Let g (L, Ev) arrive. Y = W V is a matrix product (`linear`), so

    V̄ = Wᵀ g   (S, Ev),      W̄ = g Vᵀ   (L, S),      P̄_ij = m_ij W̄_ij / (1 − p).

Each row of P is a softmax of its row of scores (`softmax`), so

    S̄_ij = P_ij (P̄_ij − D_i),      D_i = Σ_m P̄_im P_im.

D_i looks as if it needed all of row i, but Σ_m P̄_im P_im = Σ_m W̄_im W_im, and W̄_im = Σ_f g_if
v_mf; the sums may change places:

    D_i = Σ_f g_if Σ_m W_im v_mf = Σ_f g_if y_if,

the product of two things that are there already. S̄ is the gradient of a float mask, too. At last,
S = Q Kᵀ / √E is a matrix product again:

    Q̄ = S̄ K / √E   (L, E),      K̄ = S̄ᵀ Q / √E   (S, E).

Memory. Only q, k, v, y and one number per query are kept, ℓ_i = log Σ_j exp(s_ij): O((L + S) E).
P is never kept, for P_ij = exp(s_ij − ℓ_i) can be had again from q and k. Forward and backward go
through the queries block by block, and one block of weights is all that there is of P at any time.
(A derivative of the derivative differentiates the definition, which does keep P.)

Half precision. Scores are sums of E products, and exp(s − max) is summed over S keys: in float16
the one overflows at 65,504, where −∞ beside ∞ makes NaN, and the other loses every weight below
1/2,000 of the total. So float16 arrays become float32 block by block (`_wide`; a product of float16
and float32 is float32), and only y, Q̄, K̄, V̄ are rounded, once, at the end. ℓ stays float32.

What people forget: D, the transpose in K̄ and V̄, and 1/√E in both Q̄ and K̄.

Shapes: q (…, L, E), k (…, S, E), v (…, S, Ev), y and g (…, L, Ev); the leading axes broadcast, so
that groups of queries share keys: q (n, h, groups, L, E), k (n, h, 1, S, E). mask: True (none), or
booleans or floats that broadcast to (…, L, S); m, `kept`: True, or booleans that do.
Cost: 2·L·S·(E + Ev) flops forward; 2.5 times that backward, a fifth of it to have P again.
Source: Vaswani et al., "Attention Is All You Need", 2017; document A, 4.1 and 4.2, where the
formula lacks the sum (`as_printed`) and the text adds weights to values (`as_worded`). Shifted sum:
Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; recomputation in blocks:
Dao et al., "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness", 2022.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinynet.errors import ArgumentError, DTypeError, ShapeError
from tinynet.op import Derivation

BLOCK = 64  # how many queries at a time: their scores take the memory of as many columns of keys


def weights(
    q: Any, k: Any, mask: Any = True, *, is_causal: bool = False, scale: float | None = None
) -> Any:
    """P_ij = exp(s_ij) / Σ_m exp(s_im), all of them, in primitives. Shape (…, L, S).

    >>> weights(np.array([[1.0]]), np.array([[0.0], [np.log(3.0)]]))
    array([[0.2500, 0.7500]])
    """
    s = np.matmul(q * _scale(q, scale), np.swapaxes(k, -1, -2))
    if not math.prod(s.shape):
        return s  # nothing has no largest
    if is_causal:
        rows, keys = np.arange(s.shape[-2], like=q), np.arange(s.shape[-1], like=q)
        s = np.where(keys <= rows[:, None], s, -math.inf)
    if mask is not True:
        s = np.where(mask, s, -math.inf) if mask.dtype == bool else s + mask
    top = np.max(s, axis=-1, keepdims=True)
    e = np.exp(s - np.where(top == -math.inf, 0, top))  # a row without keys is 0 everywhere
    total = np.sum(e, axis=-1, keepdims=True)
    return e / np.where(total == 0, 1, total)


def definition(
    q: Any,
    k: Any,
    v: Any,
    mask: Any,
    kept: Any,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    p: float = 0.0,
) -> Any:
    """Y = W V with W = m P / (1 − p).

    >>> q, k, v = np.array([[1.0]]), np.array([[0.0], [np.log(3.0)]]), np.array([[0.0], [4.0]])
    >>> definition(q, k, v, True, True)
    array([[3.]])
    """
    return np.matmul(_drop(weights(q, k, mask, is_causal=is_causal, scale=scale), kept, p), v)


def forward(
    q: Any,
    k: Any,
    v: Any,
    mask: Any,
    kept: Any,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    p: float = 0.0,
) -> tuple[Any, tuple[Any, ...]]:
    """Y and ℓ, block by block. Saved are q, k, v, y, ℓ, and the masks, which came from outside."""
    batch = _check(q, k, v, mask, kept, p)
    y = np.zeros((*batch, q.shape[-2], v.shape[-1]), dtype=q.dtype, like=q)
    log_total = np.zeros((*batch, q.shape[-2], 1), dtype=_wide(q[..., :0, :0]).dtype, like=q)
    for rows, keys in _blocks(q.shape[-2], k.shape[-2], is_causal):
        s = _scores(q, k, mask, rows, keys, is_causal, scale)
        top = np.max(s, axis=-1, keepdims=True)
        top = np.where(top == -math.inf, 0, top)
        s -= top
        e = np.exp(s, out=s)
        total = np.sum(e, axis=-1, keepdims=True)
        total = np.where(total == 0, 1, total)
        log_total[..., rows, :] = top + np.log(total)
        y[..., rows, :] = np.matmul(_drop(e, _part(kept, rows, keys), p), v[..., keys, :]) / total
    return y, (q, k, v, mask, kept, y, log_total)


def backward(
    g: Any,
    saved: tuple[Any, ...],
    *,
    is_causal: bool = False,
    scale: float | None = None,
    p: float = 0.0,
    needs: tuple[bool, ...] = (True, True, True, True, False),
) -> tuple[Any, ...]:
    """Q̄ = S̄ K / √E, K̄ = S̄ᵀ Q / √E, V̄ = Wᵀ g, B̄ = S̄ for a float mask, with S̄ = P (P̄ − D)."""
    q, k, v, mask, kept, y, log_total = saved
    wide, narrow = log_total.dtype, q.dtype
    dq, dk, dv = (np.zeros(x.shape, dtype=wide, like=x) for x in (q, k, v))
    added = mask is not True and mask.dtype != bool
    dmask = np.zeros(mask.shape, dtype=wide, like=mask) if added and needs[3] else None
    D = np.sum(_wide(g) * y, axis=-1, keepdims=True)
    for rows, keys in _blocks(q.shape[-2], k.shape[-2], is_causal):
        G, m = _wide(g[..., rows, :]), _part(kept, rows, keys)
        P = np.exp(_scores(q, k, mask, rows, keys, is_causal, scale) - log_total[..., rows, :])
        if needs[2]:
            _add(dv[..., keys, :], np.matmul(_transposed(_drop(P, m, p)), G))
        dP = _drop(np.matmul(G, _transposed(v[..., keys, :])), m, p)
        dS = P * (dP - D[..., rows, :])
        if needs[0]:
            _add(dq[..., rows, :], np.matmul(dS, k[..., keys, :]) * _scale(q, scale))
        if needs[1]:
            _add(dk[..., keys, :], np.matmul(_transposed(dS), q[..., rows, :]) * _scale(q, scale))
        if dmask is not None:
            _add(_part(dmask, rows, keys), dS)
    dq, dk, dv = (x.astype(narrow, copy=False) for x in (dq, dk, dv))
    return dq, dk, dv, None if dmask is None else dmask.astype(narrow, copy=False), None


def as_printed(q: Any, k: Any, v: Any) -> Any:
    """exp(S) / exp(S) · V, the quotient without its sum: every weight is 1, whatever q and k are.

    >>> as_printed(np.array([[5.0], [-1.0]]), np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]]))
    array([[7.],
           [7.]])
    """
    e = np.exp(np.matmul(q, _transposed(k)) * _scale(q, None))
    return np.matmul(e / e, v)


def as_worded(q: Any, k: Any, v: Any) -> Any:
    """Σ_j (P_ij + v_j): added to the values, as the text has it, weights that sum to 1 add 1.

    >>> as_worded(np.array([[5.0], [-1.0]]), np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]]))
    array([[8.],
           [8.]])
    """
    return np.sum(weights(q, k)[..., None] + v[..., None, :, :], axis=-2)


# -- the parts -------------------------------------------------------------------------------------


def _scale(q: Any, scale: float | None) -> float:
    """1/√E, or what is asked for."""
    return 1 / math.sqrt(max(q.shape[-1], 1)) if scale is None else scale


def _drop(x: Any, kept: Any, p: float) -> Any:
    """m x / (1 − p)."""
    return x if kept is True else np.where(kept, x * (1 / (1 - p) if p < 1 else 0.0), 0)


def _wide(x: Any) -> Any:
    """x; in float32 where it is float16, whose range and digits are too few for sums."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _transposed(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def _blocks(L: int, S: int, is_causal: bool) -> Iterator[tuple[slice, slice]]:
    """Queries, and the keys that they may attend to: all, or those up to the last query."""
    for start in range(0, L if S else 0, BLOCK):
        stop = min(start + BLOCK, L)
        yield slice(start, stop), slice(0, min(S, stop) if is_causal else S)


def _scores(
    q: Any, k: Any, mask: Any, rows: slice, keys: slice, is_causal: bool, scale: float | None
) -> Any:
    """S = Q Kᵀ / √E of one block, −∞ where a query may not attend, a float mask added."""
    s = np.matmul(_wide(q[..., rows, :]) * _scale(q, scale), _transposed(k[..., keys, :]))
    if is_causal:
        i, j = (np.arange(cut.start, cut.stop, like=q) for cut in (rows, keys))
        s = np.where(i[:, None] >= j, s, -math.inf)
    if mask is True:
        return s
    part = _part(mask, rows, keys)
    return np.where(part, s, -math.inf) if mask.dtype == bool else s + part


def _part(x: Any, rows: slice, keys: slice) -> Any:
    """The view of x, which broadcasts to (…, L, S), that belongs to one block."""
    if x is True:
        return x
    last = x.shape[-2:]
    cuts = (rows, keys)[2 - len(last) :]
    return x[(..., *(cut if n > 1 else slice(None) for n, cut in zip(last, cuts, strict=True)))]


def _add(target: Any, d: Any) -> None:
    """target += d, summed over the axes along which target was broadcast."""
    lead = d.ndim - target.ndim
    repeated = [lead + i for i, n in enumerate(target.shape) if n == 1 != d.shape[lead + i]]
    if lead or repeated:
        d = np.reshape(np.sum(d, axis=(*range(lead), *repeated)), target.shape)
    target += d


def shape_of_scores(q: Any, k: Any, v: Any) -> tuple[int, ...]:
    """(…, L, S), with the leading axes that the output will have. Raises ShapeError."""
    fit = "q (…, L, E), k (…, S, E), v (…, S, Ev)"
    if min(q.ndim, k.ndim, v.ndim) < 2 or (q.shape[-1], k.shape[-2]) != (k.shape[-1], v.shape[-2]):
        raise ShapeError("the sizes do not fit", expected=fit)
    try:
        lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    except ValueError:
        raise ShapeError("the leading axes do not broadcast", expected=fit) from None
    return (*lead, q.shape[-2], k.shape[-2])


def _check(q: Any, k: Any, v: Any, mask: Any, kept: Any, p: float) -> tuple[int, ...]:
    """The leading axes of the output. Raises where something does not fit."""
    scores = shape_of_scores(q, k, v)
    if q.dtype.kind != "f" or not q.dtype == k.dtype == v.dtype:
        raise DTypeError("queries, keys and values are floats of one dtype")
    if not 0 <= p <= 1:
        raise ArgumentError("a probability lies between 0 and 1", got=f"p = {p}")
    for x, kinds in ((mask, (bool, q.dtype)), (kept, (bool,))):
        if x is True:
            continue
        if x.dtype not in kinds:
            raise DTypeError(
                "a mask is of booleans, or of floats of the queries' dtype", got=f"{x.dtype}"
            )
        if x.ndim > len(scores) or any(
            n not in (1, m) for n, m in zip(x.shape[::-1], scores[::-1], strict=False)
        ):
            raise ShapeError(
                "the mask does not broadcast to the scores", expected=f"{scores}", got=f"{x.shape}"
            )
    return scores[:-2]


op = Derivation(
    "attention",
    definition,
    backward,
    forward,
    formula=r"\mathrm{softmax}(q k^\top / \sqrt{E})\, v",
    promote="none",
    in_place=True,
    room="derivations",
    doc="For each query, the mean of the values, weighted by softmax of how well the keys fit.",
)
