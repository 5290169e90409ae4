r"""Masked language modelling: hide some tokens of a text, and ask for them.

A token is chosen with probability p = 15 %. Of the chosen ones 80 % are shown as [MASK], 10 % as a
token drawn from the whole vocabulary, 10 % as what they are; the network is asked for all of them.

Why not always [MASK]? Let q(w) be the probability of a word w at a place, given the words around
it, and V the size of the vocabulary. The network is asked for a place and sees there

    [MASK]      with probability 0.8: only the words around it can help, and the best answer is q.
    a word s    as likely kept, when it is s with probability q(s), as drawn, then with 1/V. By
                Bayes' rule the best answer is a mixture,

                    P(w | s) = (q(w)/V + q(s) [w = s]) / (1/V + q(s)),

                which needs q again: how much may s be trusted, here?

With [MASK] alone the state of a visible word would never be asked for, and could be anything; yet
in every later use all words are visible. With right words alone, q would not be needed: copy s. The
random tenth is what makes copying wrong. It spoils p · 10 % = 1.5 % of what the others see.

The gradient comes from p of the tokens only, so an epoch teaches less than in a model that asks for
every next token; a larger p leaves too few words to answer from.

Source: document D, 5.2 uses such a network; Devlin et al., "BERT: Pre-training of Deep
Bidirectional Transformers for Language Understanding", 2019, 3.1 and its appendix, give the numbers
without the formula.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.arrays import Array
from tinynet.errors import ArgumentError, DataError, ShapeError
from tinynet.random import Generator, default_generator

SHOWN_AS_MASK, SHOWN_AT_RANDOM = 0.8, 0.1  # shares of the chosen; the rest stays as it is


def mask_tokens(
    ids: Any,
    ordinary: Any,
    *,
    masked: int,
    vocabulary: int,
    share: float = 0.15,
    generator: Generator | None = None,
) -> tuple[Array, Array, Array]:
    """(shown, gaps, hidden): what the network sees, which places it is asked for, what is there.

    ids          (n, t) numbers of tokens
    ordinary     (n, t), True where a token may be chosen: no [CLS], [SEP], [PAD]
    masked       the number of [MASK]
    vocabulary   how many tokens there are to draw from
    share        p, of the ordinary tokens that are chosen; at least one is

    Shapes: shown (n, t), gaps (m,) places i · t + j, hidden (m,).

    >>> ids = np.array([[2, 7, 8, 9, 3]])
    >>> draw = Generator().manual_seed(5)
    >>> mask_tokens(ids, ids > 4, masked=4, vocabulary=10, share=0.4, generator=draw)
    (array([[2, 7, 4, 9, 3]]), array([2]), array([8]))
    """
    ids, ordinary = np.asarray(ids), np.asarray(ordinary, bool)
    if ids.ndim != 2 or ids.shape != ordinary.shape:
        raise ShapeError(
            "tokens of a batch are (n, t), and so is which may be chosen",
            got=f"{ids.shape}, {ordinary.shape}",
        )
    if not 0 < share <= 1:
        raise ArgumentError("share is the part that is chosen", expected="0 < share <= 1")
    if not ordinary.any():
        raise DataError("the batch has no token that could be hidden")
    source = generator or default_generator()
    u = np.where(ordinary, source.random(ids.shape) / share, np.inf)
    u = np.where(u == u.min(), np.minimum(u, np.nextafter(1, 0)), u)  # at least one is below 1
    as_mask, at_random = u < SHOWN_AS_MASK, u < SHOWN_AS_MASK + SHOWN_AT_RANDOM
    drawn = source.integers(0, vocabulary, ids.shape)
    shown = np.where(as_mask, masked, np.where(at_random, drawn, ids))
    gaps = np.flatnonzero(u < 1)
    return shown, gaps, ids.reshape(-1)[gaps]
