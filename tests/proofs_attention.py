"""Attention and rotary positions: fixed arguments, and PyTorch's twins."""

from __future__ import annotations

from typing import Any

import numpy as np
from proof_cases import case, normal, rng

from tinynet.derivations import attention, rotary

PROOFS = (attention, rotary)

_ALL = np.array(True)


def _three(lead: tuple[int, ...], L: int, S: int, E: int, Ev: int) -> tuple[Any, Any, Any]:
    return normal(*lead, L, E), normal(*lead, S, E), normal(*lead, S, Ev)


def _random(*shape: int) -> Any:
    return rng.random(shape) < 0.6


_NO_KEYS = np.array([[True, False, True], [False, False, False]])  # for the second query
CASES = [
    case(attention, *_three((), 4, 3, 2, 2), _ALL, _ALL),
    case(attention, *_three((2, 3), 4, 3, 2, 5), _ALL, _ALL, scale=0.3),
    case(attention, *_three((2,), 4, 4, 2, 2), _ALL, _ALL, is_causal=True),
    case(attention, *_three((2,), 4, 2, 2, 2), _ALL, _ALL, is_causal=True),
    case(attention, *_three((2,), 2, 4, 2, 2), _ALL, _ALL, is_causal=True),
    case(attention, *_three((2,), 2, 3, 2, 2), _NO_KEYS, _ALL),
    case(attention, *_three((2, 2), 3, 4, 2, 2), _random(2, 1, 1, 4), _ALL),
    case(attention, *_three((2, 2), 3, 4, 2, 2), normal(2, 1, 3, 4), _ALL),
    case(attention, *_three((2,), 3, 4, 2, 2), normal(3, 1), _ALL),
    case(attention, *_three((2,), 2, 3, 2, 2), np.where(_NO_KEYS, 0.5, -np.inf), _ALL),
    case(attention, *_three((2,), 3, 4, 2, 2), _ALL, _random(2, 3, 4), p=0.4),
    case(attention, *_three((), 3, 4, 2, 2), normal(3, 4), _random(3, 4), p=0.4, is_causal=True),
    case(attention, *_three((), 2, 3, 2, 2), _ALL, np.zeros((2, 3), bool), p=1.0),
    case(attention, normal(2, 3, 4, 2), normal(2, 1, 5, 2), normal(3, 5, 2), _ALL, _ALL),
    case(attention, *_three((0,), 2, 3, 2, 2), _ALL, _ALL),
    case(attention, *_three((2,), 2, 0, 2, 2), _ALL, _ALL),
    case(attention, *_three((2,), 0, 3, 2, 2), _ALL, _ALL),
    case(attention, *_three((2,), 2, 3, 0, 2), _ALL, _ALL),
    case(rotary, normal(3, 4), normal(3, 2)),
    case(rotary, normal(2, 3, 4), normal(3, 2)),
    case(rotary, normal(2, 2, 3, 4), normal(2, 3, 2)),
    case(rotary, normal(2), normal(1)),
    case(rotary, normal(0, 2), normal(0, 1)),
]


def peers(torch: Any) -> dict[str, Any]:
    """PyTorch's function for each op."""

    def attention(
        q: Any,
        k: Any,
        v: Any,
        mask: Any,
        kept: Any,
        is_causal: bool = False,
        scale: float | None = None,
        p: float = 0.0,
    ) -> Any:
        if p == 0:
            scores = (q.shape[-2], k.shape[-2])
            free = mask.dtype == torch.bool and mask.ndim == 0
            return torch.nn.functional.scaled_dot_product_attention(
                q, k, v, None if free else mask.expand(*mask.shape[:-2], *scores),
                is_causal=is_causal, scale=scale,
            )  # fmt: skip
        s = q @ k.mT / q.shape[-1] ** 0.5  # with a dropout mask of its own it cannot be called
        s = s + (0 if mask.dtype == torch.bool else mask)
        if is_causal:
            s = s.masked_fill(torch.ones_like(s).triu(1) > 0, -torch.inf)
        return (s.softmax(-1) * kept / max(1 - p, 1e-300)) @ v

    def rotary(x: Any, theta: Any) -> Any:
        pairs = torch.view_as_complex(x.unflatten(-1, (x.shape[-1] // 2, 2)))
        turned = pairs * torch.polar(torch.ones_like(theta), theta)
        return torch.view_as_real(turned).reshape(x.shape)

    return {"attention": attention, "rotary": rotary}
