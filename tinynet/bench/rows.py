"""What is measured. A row is a function that takes a device and returns {engine: something to
call}.

Every engine does the same work on the same numbers. "numpy" is the floor: the same arithmetic by
hand, without an engine. PyTorch and HIPS autograd take part where they are installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinynet import arrays
from tinynet.nn import Linear, ReLU, Sequential
from tinynet.nn.functional import cross_entropy
from tinynet.ops.creation import tensor
from tinynet.optim import Adam
from tinynet.random import manual_seed

Calls = dict[str, Callable[[], Any]]


class Row(NamedTuple):
    """A measurement: its name, what it does in words, and the function that prepares it."""

    name: str
    what: str
    make: Callable[[str], Calls]
    on_gpu: bool = True
    returns_seconds: bool = False


ROWS: dict[str, Row] = {}


def row(what: str, **options: bool) -> Callable[[Callable[[str], Calls]], Callable[[str], Calls]]:
    """Add the decorated function to the rows, under its name."""

    def add(make: Callable[[str], Calls]) -> Callable[[str], Calls]:
        name = make.__name__.rstrip("_")
        ROWS[name] = Row(name, what, make, **options)
        return make

    return add


def peer(name: str, device: str = "cpu") -> Any:
    """An installed engine, or None; with a GPU as device, only if it can use one."""
    if importlib.util.find_spec(name) is None:
        return None
    module = importlib.import_module(name)
    if name == "torch" and device != "cpu" and not module.cuda.is_available():
        return None
    return module


def _arrays(device: str, *values: Any) -> Any:
    """The values as float32 arrays on the device: what the floor computes with."""
    return [arrays.to_device(np.asarray(v, dtype=np.float32), device) for v in values]


@row("(a*b + a).sum() forward and backward, 4 × 4 float32: the engine's own cost")
def engine(device: str) -> Calls:
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((2, 4, 4)).astype(np.float32)

    def step(a: Any, b: Any) -> None:
        a.grad = b.grad = None
        (a * b + a).sum().backward()

    a, b = (tensor(v, device=device, requires_grad=True) for v in (A, B))
    u, v = _arrays(device, A, B)

    def floor() -> Any:
        y = np.add.reduce(u * v + u, axis=None)
        g = np.ones_like(u)
        return y, g * v + g, g * u

    calls: Calls = {"tinynet": lambda: step(a, b), "numpy": floor}
    if torch := peer("torch", device):
        p, q = (torch.tensor(v, device=device, requires_grad=True) for v in (A, B))
        calls["torch"] = lambda: step(p, q)
    if (hips := peer("autograd")) and device == "cpu":
        both = hips.grad(lambda a, b: hips.numpy.sum(a * b + a), (0, 1))
        calls["autograd"] = lambda: both(A, B)
    return calls


@row("a training step of 784-256-10 with ReLU and cross-entropy, Adam, batch 64, float32")
def mlp(device: str) -> Calls:
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((64, 784)).astype(np.float32), rng.integers(0, 10, 64)

    def trainer(model: Any, adam: Any, loss: Any, x: Any, y: Any) -> Callable[[], None]:
        optimizer = adam(model.parameters(), lr=1e-3)

        def step() -> None:
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()

        return step

    manual_seed(0)
    ours = Sequential(Linear(784, 256), ReLU(), Linear(256, 10)).to(device)
    x, y = tensor(X, device=device), tensor(Y, device=device)
    calls: Calls = {
        "tinynet": trainer(ours, Adam, cross_entropy, x, y),
        "numpy": _mlp_by_hand(device, X, Y),
    }
    if torch := peer("torch", device):
        nn = torch.nn
        theirs = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)).to(device)
        x, y = torch.tensor(X, device=device), torch.tensor(Y, device=device)
        calls["torch"] = trainer(theirs, torch.optim.Adam, nn.functional.cross_entropy, x, y)
    if (hips := peer("autograd")) and device == "cpu":
        calls["autograd"] = _mlp_hips(hips, X, Y)
    return calls


def _first_weights() -> list[Any]:
    rng = np.random.default_rng(1)
    shapes = ((256, 784), (256,), (10, 256), (10,))
    return [(rng.standard_normal(s) / 20).astype(np.float32) for s in shapes]


def _mlp_by_hand(device: str, X: Any, Y: Any) -> Callable[[], None]:
    """The step in plain NumPy: every formula written out, nothing recorded."""
    (x,) = _arrays(device, X)
    (target,) = _arrays(device, np.eye(10)[Y])
    weights = _arrays(device, *_first_weights())
    adam = _Adam(weights)

    def step() -> None:
        W1, b1, W2, b2 = weights
        z = x @ W1.T + b1
        a = np.maximum(z, 0)
        s = a @ W2.T + b2
        e = np.exp(s - s.max(axis=1, keepdims=True))
        ds = (e / e.sum(axis=1, keepdims=True) - target) / len(x)
        dz = (ds @ W2) * (z > 0)
        adam.step([dz.T @ x, dz.sum(axis=0), ds.T @ a, ds.sum(axis=0)])

    return step


class _Adam:
    """Adam on plain arrays, in place."""

    def __init__(self, weights: list[Any]) -> None:
        self.weights, self.t = weights, 0
        self.m, self.v = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]

    def step(self, gradients: list[Any]) -> None:
        self.t += 1
        rate, scale = 1e-3 / (1 - 0.9**self.t), (1 - 0.999**self.t) ** -0.5
        for w, m, v, g in zip(self.weights, self.m, self.v, gradients, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            w -= rate * m / (scale * np.sqrt(v) + 1e-8)


def _mlp_hips(hips: Any, X: Any, Y: Any) -> Callable[[], None]:
    anp = importlib.import_module("autograd.numpy")
    weights, rows = _first_weights(), np.arange(64)
    adam = _Adam(weights)

    def loss(weights: Any) -> Any:
        W1, b1, W2, b2 = weights
        s = anp.maximum(X @ W1.T + b1, 0) @ W2.T + b2
        s = s - anp.max(s, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(s), axis=1)) - s[rows, Y])

    gradient = hips.grad(loss)
    return lambda: adam.step(gradient(weights))


@row("the gradients of each of 64 examples, 784-64-10 with ReLU and cross-entropy, float32")
def examples(device: str) -> Calls:
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((64, 784)).astype(np.float32), rng.integers(0, 10, 64)

    def one(lib: Any, device: Any) -> tuple[Callable[..., Any], Any, Any, Any]:
        nn = lib.nn
        model = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10)).to(device)

        def loss(params: Any, x: Any, y: Any) -> Any:
            scores = lib.func.functional_call(model, params, (x.unsqueeze(0),))
            return nn.functional.cross_entropy(scores, y.unsqueeze(0))

        params = {name: p.detach() for name, p in model.named_parameters()}
        x, y = lib.tensor(X, device=device), lib.tensor(Y, device=device)
        return lib.func.grad(loss), params, x, y

    import tinynet

    gradient, params, x, y = one(tinynet, device)
    each = tinynet.func.vmap(gradient, in_dims=(None, 0, 0))
    calls: Calls = {
        "tinynet": lambda: each(params, x, y),
        "loop": lambda: [gradient(params, x[i], y[i]) for i in range(64)],
    }
    if torch := peer("torch", device):
        theirs, p, u, t = one(torch, device)
        vectorized = torch.func.vmap(theirs, in_dims=(None, 0, 0))
        calls["torch"] = lambda: vectorized(p, u, t)
    return calls


@row("a product of two 512 × 512 float32 matrices: compiled by Numba, beside BLAS", on_gpu=False)
def matmul(device: str) -> Calls:
    from tinynet import kernels

    rng = np.random.default_rng(0)
    A, B = _arrays(device, *rng.standard_normal((2, 512, 512)))
    calls: Calls = {"tinynet": lambda: kernels.matmul(A, B), "numpy": lambda: np.matmul(A, B)}
    if torch := peer("torch", device):
        p, q = torch.tensor(A), torch.tensor(B)
        calls["torch"] = lambda: torch.matmul(p, q)
    return calls


@row("a chain of 10,000 ops, x = x · 1.0001 on 16 numbers, forward and backward")
def chain(device: str) -> Calls:
    X = np.linspace(-1, 1, 16, dtype=np.float32)
    n = 10_000

    def through(x: Any) -> Any:
        for _ in range(n):
            x = x * 1.0001
        return x

    def step(x: Any) -> None:
        x.grad = None
        through(x).sum().backward()

    ours = tensor(X, device=device, requires_grad=True)
    (x,) = _arrays(device, X)

    def floor() -> Any:
        return through(x), through(np.ones_like(x))

    calls: Calls = {"tinynet": lambda: step(ours), "numpy": floor}
    if torch := peer("torch", device):
        theirs = torch.tensor(X, device=device, requires_grad=True)
        calls["torch"] = lambda: step(theirs)
    if (hips := peer("autograd")) and device == "cpu":
        gradient = hips.grad(lambda x: hips.numpy.sum(through(x)))
        calls["autograd"] = lambda: gradient(X)
    return calls


@row(
    "importing, each in a fresh process; all but NumPy itself after NumPy",
    on_gpu=False,
    returns_seconds=True,
)
def import_(device: str) -> Calls:
    calls: Calls = {"tinynet": _importing("tinynet", after="numpy"), "numpy": _importing("numpy")}
    for name in ("torch", "autograd"):
        if importlib.util.find_spec(name) is not None:
            calls[name] = _importing(name, after="numpy")
    return calls


def _importing(name: str, after: str = "sys") -> Callable[[], float]:
    """Measures one import in a process of its own, and returns the seconds."""
    root = str(Path(__file__).resolve().parents[2])
    code = (
        f"import sys, time; sys.path.insert(0, {root!r}); import {after}; "
        f"t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
    )

    def seconds() -> float:
        command = [sys.executable, "-W", "ignore", "-c", code]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    return seconds
