"""Training steps of networks that read sequences: RNN, LSTM, GPT."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from tinynet.bench.engines import Task, training
from tinynet.bench.row import Calls, row
from tinynet.bench.rows.networks import binary_cross_entropy, mean_cross_entropy

_READER = (
    "a training step of a reader, document B, 5.2: Embedding({vocabulary}, {width}), {cell} of "
    "{hidden}, Linear to 1 from its last state, binary cross-entropy; {steps} steps, Adam, "
    "batch {batch}, float32"
)
_SIZES = {"batch": 32, "steps": 100, "vocabulary": 10_000, "width": 32, "hidden": 64}


@row("lstm", _READER, options={"cell": "LSTM"}, **_SIZES)
@row("rnn", _READER, options={"cell": "RNN"}, **_SIZES)
def reader(
    device: str, *, batch: int, steps: int, vocabulary: int, width: int, hidden: int, cell: str
) -> Calls:
    """Pleasant or not: one number for a text. The sigmoid is part of the loss."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, vocabulary, (batch, steps))
    y = rng.integers(0, 2, batch).astype(np.float32)

    def model(lib: Any) -> Any:
        nn = lib.nn

        class Reader(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.embedding = nn.Embedding(vocabulary, width)
                self.recurrent = getattr(nn, cell)(width, hidden, batch_first=True)
                self.head = nn.Linear(hidden, 1)

            def forward(self, x: Any) -> Any:
                states, _ = self.recurrent(self.embedding(x))
                return self.head(states[:, -1])[:, 0]

        return Reader()

    def loss(lib: Any, z: Any, y: Any) -> Any:
        return lib.nn.functional.binary_cross_entropy_with_logits(z, y)

    formula = _lstm if cell == "LSTM" else _rnn
    return training(device, Task(model, loss, x, y, formula=formula))


def _rnn(xp: Any, w: Any, x: Any, y: Any) -> Any:
    U, V = w["recurrent.weight_ih_l0"].T, w["recurrent.weight_hh_l0"].T
    b = w["recurrent.bias_ih_l0"] + w["recurrent.bias_hh_l0"]

    def step(state: Any, z: Any) -> Any:
        return (xp.tanh(z + state[0] @ V),)

    start = np.zeros((len(y), V.shape[0]), dtype=y.dtype)
    (h,) = _through_time(xp, step, (start,), w["embedding.weight"][x.T] @ U + b)
    return binary_cross_entropy(xp, (h @ w["head.weight"].T + w["head.bias"])[:, 0], y)


def _lstm(xp: Any, w: Any, x: Any, y: Any) -> Any:
    U, V = w["recurrent.weight_ih_l0"].T, w["recurrent.weight_hh_l0"].T
    b = w["recurrent.bias_ih_l0"] + w["recurrent.bias_hh_l0"]
    n = V.shape[0]

    def step(state: Any, z: Any) -> Any:
        h, c = state
        z = z + h @ V
        s = 1 / (1 + xp.exp(-z))  # of three of the four parts
        c = s[:, n : 2 * n] * c + s[:, :n] * xp.tanh(z[:, 2 * n : 3 * n])
        return s[:, 3 * n :] * xp.tanh(c), c

    start = np.zeros((len(y), n), dtype=y.dtype)
    h, _ = _through_time(xp, step, (start, start), w["embedding.weight"][x.T] @ U + b)
    return binary_cross_entropy(xp, (h @ w["head.weight"].T + w["head.bias"])[:, 0], y)


def _through_time(xp: Any, step: Any, state: Any, inputs: Any) -> Any:
    """The last state, after one step for each of the inputs: a loop that JAX compiles once."""
    if xp.__name__ == "jax.numpy":
        scan = importlib.import_module("jax.lax").scan
        return scan(lambda state, z: (step(state, z), None), state, inputs)[0]
    for t in range(inputs.shape[0]):
        state = step(state, inputs[t])
    return state


# -- GPT -------------------------------------------------------------------------------------------

_GPT = (
    "a training step of GPT: {layers} blocks (norm first, GELU, network of 4 d), {heads} heads of "
    "{width}, context {context}, {vocabulary} characters, cross-entropy at every position, AdamW, "
    "batch {batch}, float32"
)


@row(
    "gpt-small",
    _GPT,
    options={"layers": 12, "heads": 12, "vocabulary": 65},
    devices=("cuda",),
    batch=8,
    context=1024,
    width=64,
)
@row(
    "gpt",
    _GPT,
    options={"layers": 4, "heads": 4, "vocabulary": 65},
    batch=16,
    context=128,
    width=32,
)
def gpt(device: str, **sizes: int) -> Calls:
    """A model of characters."""
    return training(device, gpt_task(**sizes))


def gpt_task(
    *, batch: int, context: int, width: int, layers: int, heads: int, vocabulary: int
) -> Task:
    """What the row trains: `width` is that of a head, d = heads · width."""
    rng = np.random.default_rng(0)
    text = rng.integers(0, vocabulary, (batch, context + 1))

    def model(lib: Any) -> Any:
        return gpt_model(lib, vocabulary, context, heads * width, heads, layers)

    def loss(lib: Any, scores: Any, y: Any) -> Any:
        return lib.nn.functional.cross_entropy(scores.flatten(0, 1), y.flatten())

    def formula(xp: Any, w: Any, x: Any, y: Any) -> Any:
        return _gpt(xp, w, x, y, heads, layers)

    x, y = (np.ascontiguousarray(part) for part in (text[:, :-1], text[:, 1:]))
    return Task(model, loss, x, y, "AdamW", formula, ("jax",))


def gpt_model(lib: Any, vocabulary: int, context: int, d: int, heads: int, layers: int) -> Any:
    """GPT, in the library that is given."""
    nn, functional = lib.nn, lib.nn.functional

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        """x + attention(norm(x)), then x + network(norm(x))."""

        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
            self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
            self.network = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

        def forward(self, x: Any) -> Any:
            parts = self.qkv(self.norm1(x)).chunk(3, dim=-1)
            q, k, v = (p.unflatten(-1, (heads, d // heads)).transpose(1, 2) for p in parts)
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).flatten(2))
            return x + self.network(self.norm2(x))

    class GPT(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = nn.Embedding(vocabulary, d), nn.Embedding(context, d)
            self.blocks = nn.Sequential(*(Block() for _ in range(layers)))
            self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, vocabulary)

        def forward(self, x: Any) -> Any:
            x = self.tokens(x) + self.positions.weight[: x.shape[1]]
            return self.head(self.norm(self.blocks(x)))

    return GPT()


def _gpt(jnp: Any, w: Any, x: Any, y: Any, heads: int, layers: int) -> Any:
    """The same with the functions of JAX, which has erf."""
    jax = importlib.import_module("jax")

    def linear(x: Any, name: str) -> Any:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x: Any, name: str) -> Any:
        x = x - jnp.mean(x, axis=-1, keepdims=True)
        x = x / jnp.sqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    h = w["tokens.weight"][x] + w["positions.weight"][: x.shape[1]]
    for i in range(layers):
        block = f"blocks.{i}"
        parts = jnp.split(linear(norm(h, f"{block}.norm1"), f"{block}.qkv"), 3, axis=-1)
        q, k, v = (p.reshape(*x.shape, heads, -1) for p in parts)
        a = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        h = h + linear(a.reshape(*x.shape, -1), f"{block}.out")
        a = jax.nn.gelu(linear(norm(h, f"{block}.norm2"), f"{block}.network.0"), approximate=False)
        h = h + linear(a, f"{block}.network.2")
    scores = linear(norm(h, "norm"), "head")
    return mean_cross_entropy(jnp, scores.reshape(-1, scores.shape[-1]), y.reshape(-1))
