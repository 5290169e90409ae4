"""Writing: from the scores of a language model to tokens, one after another.

    p_i = exp(z_i / τ) / Σ_k exp(z_k / τ)

The temperature τ sharpens (τ < 1) or flattens (τ > 1) what the model says; at τ = 0 the likeliest
token has all. The tail of unlikely tokens is long, and together it is likely: now and then one of
them is drawn, and the model has to go on from there. Two ways to cut it off: keep the k likeliest
(top-k), or the fewest likeliest that together have the share p (top-p, the "nucleus").

Source of top-p: A. Holtzman, J. Buys, L. Du, M. Forbes, Y. Choi, "The Curious Case of Neural Text
Degeneration", 2020.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinynet.arrays import Array
from tinynet.data import BytePairTokenizer
from tinynet.errors import ArgumentError, DataError, ShapeError, describe
from tinynet.grad_mode import no_grad
from tinynet.random import Generator
from tinynet.tensor import Tensor


def probabilities(
    scores: Any,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Array:
    """The distribution to draw from, float64. Shapes: scores (V,), y (V,).

    temperature   0 or more
    top_k         how many may be drawn, 1 or more
    top_p         0 < p ≤ 1: the fewest that together have this share, at least one; of what top_k
                  left

    Of equal scores the one with the smaller number counts as the likelier: exactly k are left.
    Raises `ArgumentError` for options out of range, and `DataError` where scores are not numbers.

    >>> probabilities([0.0, 1.0, 2.0, 3.0], top_k=2)
    array([0.    , 0.    , 0.2689, 0.7311])
    >>> probabilities([0.0, 1.0, 2.0, 3.0], temperature=0)
    array([0., 0., 0., 1.])
    """
    z = np.array(getattr(scores, "array", scores), np.float64)
    _check(z, temperature, top_k, top_p)
    order = np.argsort(-z, kind="stable")  # the likeliest first
    if temperature == 0:
        top_k, temperature = 1, 1.0
    if top_k is not None:
        z[order[top_k:]] = -math.inf
    with np.errstate(over="ignore"):  # a tiny temperature: −∞, and so a probability of 0
        p = np.exp((z - np.max(z)) / temperature)
    p /= np.sum(p)
    if top_p is not None and top_p < 1:
        before = np.cumsum(p[order]) - p[order]  # what the likelier ones have
        p[order[before >= top_p]] = 0.0
        p /= np.sum(p)
    return p


def draw(p: Any, generator: Generator) -> int:
    """A number i with probability p_i, by one uniform number: the first i with p_0 + … + p_i above
    it.

    >>> draw([0.0, 1.0, 0.0], Generator().manual_seed(0))
    1
    """
    ends = np.cumsum(np.asarray(p, np.float64))
    u = float(generator.random((), np.float64)) * ends[-1]
    return min(int(np.searchsorted(ends, u, side="right")), int(np.flatnonzero(p)[-1]))


def tokens(
    model: Any,
    prompt: Iterable[int],
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: Generator | None = None,
    cached: bool = True,
) -> Iterator[int]:
    """`length` tokens that go on from the prompt, each as soon as it is drawn.

    model    a `LanguageModel`
    cached   keep what `model.read` remembers; without it everything is read again for each token,
             with the same result, slowly

    A text longer than the model's window: when it is full, the older half is forgotten, and the
    rest is read again (`first_seen`). Moving the window by one token would be closer to the
    training, but would move every position, and nothing kept would hold.
    """
    ids, source = list(prompt), generator or Generator()
    if not ids:
        raise DataError("a model goes on from something", hint="a prompt of one token or more")
    if length < 0:
        raise ArgumentError("length is 0 or more", got=str(length))
    past, begin, known = None, 0, 0  # what is remembered is about ids[begin:known]
    for _ in range(length):
        start = first_seen(len(ids), model.window)
        if start != begin or not cached:
            past, begin, known = None, start, start
        scores, past = _read(model, ids[known:], past)
        known = len(ids)
        p = probabilities(scores, temperature=temperature, top_k=top_k, top_p=top_p)
        ids.append(draw(p, source))
        yield ids[-1]


def first_seen(n: int, window: int | None) -> int:
    """Where the part of n tokens begins that a model with this window looks at. It moves in steps
    of half a window.

    >>> [first_seen(n, 4) for n in (3, 4, 5, 6, 7)]
    [0, 0, 2, 2, 4]
    """
    if window is None or n <= window:
        return 0
    step = max(1, window // 2)
    return -(-(n - window) // step) * step


def text(model: Any, tokenizer: Any, prompt: str, length: int, **options: Any) -> Iterator[str]:
    """`tokens`, as text: a piece for each token. Half a character waits for its other half."""
    pieces = _bytes if isinstance(tokenizer, BytePairTokenizer) else _texts
    return pieces(tokenizer, tokens(model, tokenizer.encode(prompt), length, **options))


def _texts(tokenizer: Any, ids: Iterable[int]) -> Iterator[str]:
    for i in ids:
        yield tokenizer.decode([i])


def _bytes(tokenizer: BytePairTokenizer, ids: Iterable[int]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for i in ids:
        yield decoder.decode(tokenizer.pieces[i])
    yield decoder.decode(b"", final=True)


def _read(model: Any, ids: list[int], past: Any) -> tuple[Any, Any]:
    """(scores of what follows the last token, what is remembered), in evaluation mode."""
    was_training = model.training
    if was_training:
        model.eval()
    try:
        with no_grad():
            scores, past = model.read(Tensor(np.array([ids])), past)
    finally:
        if was_training:
            model.train()
    return scores.array[0, -1], past


def _check(z: Array, temperature: float, top_k: int | None, top_p: float | None) -> None:
    if z.ndim != 1 or not z.size:
        raise ShapeError("scores of one token are a row", expected="(V,)", got=describe(z))
    if not 0 <= temperature < math.inf:
        raise ArgumentError("the temperature is 0 or more", got=str(temperature))
    if top_k is not None and top_k < 1:
        raise ArgumentError("top_k keeps 1 token or more", got=str(top_k))
    if top_p is not None and not 0 < top_p <= 1:
        raise ArgumentError("top_p is a share", expected="0 < top_p ≤ 1", got=str(top_p))
    if np.isnan(z).any() or not np.isfinite(np.max(z)):
        raise DataError("the scores are not all numbers", got=f"largest {np.max(z)}")
