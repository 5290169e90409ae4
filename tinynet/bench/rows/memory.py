"""Memory: how far a process grows while it works. Each measurement has a fresh process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet.bench.engines import PEERS, differentiated, is_installed, peer, training
from tinynet.bench.processes import fresh
from tinynet.bench.row import ROWS, Calls, row
from tinynet.bench.rows.attention import plain
from tinynet.bench.rows.sequences import gpt_task

_ATTENTION = (
    "the memory that attention over {tokens} tokens takes, forward and backward, one head of "
    "{width}, float32, its inputs not counted; a fresh process"
)

PLAIN = 2048


def _peak(work: Callable[[], Any]) -> int:
    """How many bytes the process grew by, at most, while `work` ran. Linux only."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # the peak so far is forgotten
    before = _status("VmRSS")
    work()
    return max(_status("VmHWM") - before, 0)


def _status(key: str) -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))


@row("memory-8192", _ATTENTION, returns="B", devices=("cpu",), tokens=8192, width=64)
@row("memory-4096", _ATTENTION, returns="B", devices=("cpu",), tokens=4096, width=64)
@row("memory-2048", _ATTENTION, returns="B", devices=("cpu",), tokens=2048, width=64)
@row("memory-1024", _ATTENTION, returns="B", devices=("cpu",), tokens=1024, width=64)
@row("memory-512", _ATTENTION, returns="B", devices=("cpu",), tokens=512, width=64)
def of_attention(device: str, *, tokens: int, width: int) -> Calls:
    """JAX, MyGrad and autograd differentiate the plain formula, with all weights in memory: at more
    than PLAIN tokens they are left out, before they fill the machine.
    """
    engines = ("tinynet", "torch") if tokens > PLAIN else ("tinynet", *PEERS)
    return _in_processes("attention_peak", tokens, width, engines=engines)


@row("memory-gpt", "the memory that two training steps of the row gpt take, weights and moments "
     "with them; a fresh process", returns="B", devices=("cpu",))  # fmt: skip
def of_gpt(device: str) -> Calls:
    """From before the model is made to the end of the second step."""
    return _in_processes("gpt_peak", engines=("tinynet", "torch", "jax"))


def _in_processes(function: str, *sizes: int, engines: tuple[str, ...]) -> Calls:
    """One of the two functions below in a process of its own, for every engine."""

    def bytes_of(engine: str) -> float:
        code = f"from tinynet.bench.rows.memory import {function} as f; print(f{engine, *sizes})"
        return fresh(code)

    return {name: functools.partial(bytes_of, name) for name in engines if is_installed(name)}


def attention_peak(engine: str, tokens: int, width: int) -> int:
    """Bytes for the output and the gradients of causal attention, and all that is between."""
    _attend(engine, max(16, 2**11 // width), width)()  # what comes with the first call, kernels too
    return _peak(_attend(engine, tokens, width))


def _attend(engine: str, tokens: int, width: int) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((3, 1, 1, tokens, width)).astype(np.float32)
    if engine in ("tinynet", "torch"):
        lib = peer(engine)
        q, k, v = (lib.tensor(x, requires_grad=True) for x in inputs)

        def call() -> Any:
            y = lib.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            y.sum().backward()
            return y

        return call
    both = differentiated(
        engine, lambda xp, x: xp.sum(plain(xp, x["q"], x["k"], x["v"], causal=True))
    )
    return lambda: both(dict(zip("qkv", inputs, strict=True)))


def gpt_peak(engine: str) -> int:
    """Bytes for the weights, the moments and two training steps of one engine."""
    sizes = {**ROWS["gpt"].sizes, **ROWS["gpt"].options}

    def work(**changed: int) -> None:
        step = training("cpu", gpt_task(**{**sizes, **changed}), only=engine)[engine]
        for _ in range(2):
            step()

    work(batch=1, context=4, layers=1)  # what comes with the first call is not counted
    return _peak(work)
