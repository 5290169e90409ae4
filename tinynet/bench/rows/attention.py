"""Attention alone: lengths, causal or not, forward or forward and backward."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet.bench.engines import differentiated, libraries, peer
from tinynet.bench.row import ROWS, Calls, Row

_WHAT = (
    "scaled dot-product attention{kind}, {way}: batch {batch}, {heads} heads, {tokens} tokens, "
    "width {width}, float32"
)


def attention(
    device: str, *, batch: int, heads: int, tokens: int, width: int, way: str, kind: str
) -> Calls:
    """The output, and with `way` "forward and backward" the gradients of q, k and v."""
    rng = np.random.default_rng(0)
    *inputs, G = rng.standard_normal((4, batch, heads, tokens, width)).astype(np.float32)
    causal, backward = kind == ", causal", way != "forward"

    def of(lib: Any) -> Callable[[], Any]:
        q, k, v = (lib.tensor(x, device=device, requires_grad=backward) for x in inputs)
        g = lib.tensor(G, device=device)

        def call() -> Any:
            q.grad = k.grad = v.grad = None
            y = lib.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
            if not backward:
                return y
            y.backward(g)
            return y.detach(), q.grad, k.grad, v.grad

        return call

    calls: Calls = {name: of(lib) for name, lib in libraries(device).items()}
    if not backward:
        if device == "cpu":
            calls["numpy"] = lambda: plain(np, *inputs, causal=causal)
        return calls
    for name in ("jax", "mygrad", "autograd"):
        if peer(name, device):
            calls[name] = _of_formula(name, inputs, G, causal)
    return calls


def plain(xp: Any, q: Any, k: Any, v: Any, *, causal: bool) -> Any:
    """softmax(q kᵀ / √E) v with all weights in memory, as one writes it down."""
    s = q @ xp.swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]))
    if causal:
        s = xp.where(_lower(s.shape[-1]), s, np.float32(-math.inf))
    e = xp.exp(s - xp.max(s, axis=-1, keepdims=True))
    return (e / xp.sum(e, axis=-1, keepdims=True)) @ v


def _lower(n: int) -> Any:
    return np.tri(n, dtype=bool)


def _of_formula(engine: str, inputs: Any, G: Any, causal: bool) -> Callable[[], Any]:
    """Σ g ⊙ y, whose gradients are those of y with g upstream."""

    def formula(xp: Any, x: Any) -> Any:
        return xp.sum(plain(xp, x["q"], x["k"], x["v"], causal=causal) * G)

    both, x = differentiated(engine, formula), dict(zip("qkv", inputs, strict=True))
    y = plain(np, *inputs, causal=causal)  # what a formula returns is one number, so y is NumPy's
    return lambda: (y, *both(x)[1].values())


for _name, _sizes in {
    "128": {"batch": 8, "heads": 8, "tokens": 128, "width": 32},
    "512": {"batch": 4, "heads": 8, "tokens": 512, "width": 64},
    "2048": {"batch": 1, "heads": 8, "tokens": 2048, "width": 64},
}.items():
    for _kind in ("", ", causal"):
        for _way in ("forward", "forward and backward"):
            _full = "attention-" + _name + _kind.replace(", ", "-")
            _full += "-forward" if _way == "forward" else ""
            ROWS[_full] = Row(
                _full, _WHAT, attention, _sizes, {"way": _way, "kind": _kind}, tolerance=1e-3
            )
