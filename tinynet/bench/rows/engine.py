"""What the engine itself costs: small arrays, long chains, many examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet import arrays
from tinynet.bench.engines import PEERS, differentiated, libraries, peer
from tinynet.bench.row import Calls, row


@row(
    "engine",
    "(a*b + a).sum() forward and backward, {n} × {n} float32: the engine's own cost",
    n=4,
)
def engine(device: str, *, n: int) -> Calls:
    """One multiplication, one sum, one reduction."""
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((2, n, n)).astype(np.float32)

    def step(a: Any, b: Any) -> Any:
        a.grad = b.grad = None
        y = (a * b + a).sum()
        y.backward()
        return y.detach(), a.grad, b.grad

    def of(lib: Any) -> Callable[[], Any]:
        a, b = (lib.tensor(x, device=device, requires_grad=True) for x in (A, B))
        return lambda: step(a, b)

    u, v = (arrays.to_device(x, device) for x in (A, B))

    def floor() -> Any:
        y = np.add.reduce(u * v + u, axis=None)
        g = np.ones_like(u)
        return y, g * v + g, g * u

    calls: Calls = {name: of(lib) for name, lib in libraries(device).items()}
    return {**calls, "numpy": floor, **_of_formula(device, _product, a=A, b=B)}


def _product(xp: Any, inputs: Any) -> Any:
    return xp.sum(inputs["a"] * inputs["b"] + inputs["a"])


def _of_formula(device: str, formula: Any, **inputs: Any) -> Calls:
    """A value and its gradients, by every engine that differentiates NumPy's functions."""

    def of(name: str) -> Callable[[], Any]:
        both = differentiated(name, formula)
        return lambda: both(inputs)

    return {name: of(name) for name in PEERS[1:] if peer(name, device)}


@row("chain", "a chain of {ops} ops, x = x · 1.0001 on {n} numbers, forward and backward",
     ops=10_000, n=16)  # fmt: skip
def chain(device: str, *, ops: int, n: int) -> Calls:
    """Many small ops in a row. JAX would compile each of them: it is left out."""
    X = np.linspace(-1, 1, n, dtype=np.float32)

    def through(x: Any) -> Any:
        for _ in range(ops):
            x = x * 1.0001
        return x

    def step(x: Any) -> Any:
        x.grad = None
        through(x).sum().backward()
        return x.grad

    def of(lib: Any) -> Callable[[], Any]:
        x = lib.tensor(X, device=device, requires_grad=True)
        return lambda: step(x)

    x = arrays.to_device(X, device)

    def floor() -> Any:
        through(x)
        return through(np.ones_like(x))

    calls: Calls = {name: of(lib) for name, lib in libraries(device).items()}
    calls["numpy"] = floor
    if peer("autograd", device):
        both = differentiated("autograd", lambda xp, inputs: xp.sum(through(inputs["x"])))
        calls["autograd"] = lambda: both({"x": X})[1]["x"]
    return calls


@row(
    "examples",
    "the gradients of each of {batch} examples, {inputs}-{hidden}-{classes} with ReLU and "
    "cross-entropy, float32",
    batch=64,
    inputs=784,
    hidden=64,
    classes=10,
)
def examples(device: str, *, batch: int, inputs: int, hidden: int, classes: int) -> Calls:
    """vmap of grad; "loop" is tinynet, one example after the other."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((batch, inputs)).astype(np.float32)
    Y = rng.integers(0, classes, batch)
    weights: dict[str, Any] = {}

    def prepared(lib: Any) -> tuple[Callable[..., Any], Any, Any, Any]:
        nn = lib.nn
        model = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))
        if not weights:
            weights.update((k, v.numpy().copy()) for k, v in model.state_dict().items())

        def loss(params: Any, x: Any, y: Any) -> Any:
            scores = lib.func.functional_call(model, params, (x.unsqueeze(0),))
            return nn.functional.cross_entropy(scores, y.unsqueeze(0))

        params = {name: lib.tensor(w, device=device) for name, w in weights.items()}
        x, y = lib.tensor(X, device=device), lib.tensor(Y, device=device)
        return lib.func.grad(loss), params, x, y

    def at_once(lib: Any) -> Callable[[], Any]:
        gradient, *arguments = prepared(lib)
        each = lib.func.vmap(gradient, in_dims=(None, 0, 0))
        return lambda: list(each(*arguments).values())

    calls: Calls = {name: at_once(lib) for name, lib in libraries(device).items()}
    lib = libraries("cpu")["tinynet"]
    gradient, params, x, y = prepared(lib)

    def loop() -> Any:
        found = [gradient(params, x[i], y[i]) for i in range(batch)]
        return [lib.stack([g[name] for g in found]) for name in params]

    return {**calls, "loop": loop}
