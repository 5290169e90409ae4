"""The engines, and one way for all of them to do the same work.

A network is written once for tinynet and PyTorch, with the library passed in; and once as a formula
of arrays, with NumPy passed in, for the engines that differentiate NumPy's functions: HIPS
autograd, MyGrad and JAX.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinynet import arrays, kernels
from tinynet.bench.row import Calls
from tinynet.random import manual_seed

PEERS = ("torch", "jax", "mygrad", "autograd")
LR, BETAS, EPS = 1e-3, (0.9, 0.999), 1e-8


def is_installed(name: str) -> bool:
    """Whether `import name` would find something."""
    return importlib.util.find_spec(name) is not None


def peer(name: str, device: str = "cpu") -> Any:
    """An installed engine with as many threads as tinynet's kernels, or None. On a GPU, PyTorch
    is the only peer, where it can use one.
    """
    if not is_installed(name) or (device != "cpu" and name not in ("tinynet", "torch")):
        return None
    module = importlib.import_module(name)
    if name == "torch":
        if device != "cpu" and not module.cuda.is_available():
            return None
        module.set_num_threads(kernels.get_num_threads())
    return module


def libraries(device: str) -> dict[str, Any]:
    """tinynet and, if it is there, PyTorch: the two that share all names."""
    found = {name: peer(name, device) for name in ("tinynet", "torch")}
    return {name: module for name, module in found.items() if module}


def numpy_of(engine: str) -> Any:
    """The NumPy that an engine differentiates."""
    names = {"autograd": "autograd.numpy", "jax": "jax.numpy", "mygrad": "mygrad"}
    return importlib.import_module(names[engine])


# -- a value and its gradients ---------------------------------------------------------------------

Formula = Callable[[Any, Any], Any]  # (xp, {name: array}) -> a number; xp is some NumPy


def differentiated(engine: str, formula: Formula) -> Callable[[Any], tuple[Any, Any]]:
    """inputs -> (formula(xp, inputs), {name: gradient}), by an engine that differentiates NumPy."""
    make = {"autograd": _autograd, "jax": _jax, "mygrad": _mygrad}[engine]
    both: Callable[[Any], tuple[Any, Any]] = make(numpy_of(engine), formula)
    return both


def _autograd(anp: Any, formula: Formula) -> Any:
    return importlib.import_module("autograd").value_and_grad(lambda inputs: formula(anp, inputs))


def _jax(jnp: Any, formula: Formula) -> Any:
    jax = importlib.import_module("jax")
    both = jax.jit(jax.value_and_grad(lambda inputs: formula(jnp, inputs)))

    def in_order(inputs: Any) -> tuple[Any, Any]:
        value, gradients = jax.block_until_ready(both(inputs))
        return value, {name: gradients[name] for name in inputs}  # JAX sorts dictionaries

    return in_order


def _mygrad(mg: Any, formula: Formula) -> Any:
    def both(inputs: Mapping[str, Any]) -> tuple[Any, Any]:
        tensors = {name: mg.tensor(x, copy=False) for name, x in inputs.items()}
        value = formula(mg, tensors)
        value.backward()
        return value.data, {name: x.grad for name, x in tensors.items()}

    return both


# -- a training step -------------------------------------------------------------------------------


class Task(NamedTuple):
    """What is trained: on x and y, with the same first weights for every engine.

    model      (library) -> the network, for tinynet and PyTorch
    loss       (library, what the network gives, y) -> the loss
    optimizer  "Adam" or "AdamW", its options at their defaults
    formula    (xp, weights, x, y) -> the loss once more, with the weights by their names in the
               state_dict; None where only libraries of layers can do it
    engines    those that have all functions in the formula; "numpy" where `by_hand` is given
    by_hand    (weights, x, y) -> the loss and the gradients in plain NumPy, nothing recorded
    """

    model: Callable[[Any], Any]
    loss: Callable[[Any, Any, Any], Any]
    x: Any
    y: Any
    optimizer: str = "Adam"
    formula: Callable[..., Any] | None = None
    engines: tuple[str, ...] = ("jax", "mygrad", "autograd")
    by_hand: Callable[..., Any] | None = None


def training(device: str, task: Task, only: str = "") -> Calls:
    """A training step of every engine that can do it, or of one; each returns its loss."""
    manual_seed(0)
    state = task.model(peer("tinynet")).state_dict()
    weights = {name: value.numpy().copy() for name, value in state.items()}
    calls: Calls = {}
    for name in [only] if only else ["tinynet", *PEERS, "numpy"]:
        own = {key: value.copy() for key, value in weights.items()}
        if name in ("tinynet", "torch"):
            if lib := peer(name, device):
                calls[name] = _trainer(lib, task, own, device)
        elif name == "numpy":
            if task.by_hand:
                calls[name] = _trainer_by_hand(task, own, device)
        elif task.formula and name in task.engines and peer(name, device):
            make = _trainer_jax if name == "jax" else _trainer_of_formula
            calls[name] = make(name, task, own)
    return calls


def _trainer(lib: Any, task: Task, weights: dict[str, Any], device: str) -> Callable[[], Any]:
    model = task.model(lib)
    model.load_state_dict({key: lib.tensor(value) for key, value in weights.items()})
    model.to(device)
    optimizer = getattr(lib.optim, task.optimizer)(model.parameters(), lr=LR)
    x, y = lib.tensor(task.x, device=device), lib.tensor(task.y, device=device)

    def step() -> Any:
        optimizer.zero_grad()
        loss = task.loss(lib, model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _decay(task: Task) -> float:
    return 0.01 if task.optimizer == "AdamW" else 0.0


def _trainer_by_hand(task: Task, weights: dict[str, Any], device: str) -> Callable[[], Any]:
    """NumPy, or CuPy where the device is a GPU."""
    here = {key: arrays.to_device(value.copy(), device) for key, value in weights.items()}
    x, y = (arrays.to_device(value, device) for value in (task.x, task.y))
    adam = Adam(here, _decay(task))

    def step() -> Any:
        loss, gradients = task.by_hand(here, x, y)  # type: ignore[misc]
        adam.step(gradients)
        return loss

    return step


def _trainer_of_formula(engine: str, task: Task, weights: dict[str, Any]) -> Callable[[], Any]:
    """The engine's gradients, and Adam in NumPy."""
    both = differentiated(engine, lambda xp, w: task.formula(xp, w, task.x, task.y))  # type: ignore[misc]
    adam = Adam(weights, _decay(task))

    def step() -> Any:
        loss, gradients = both(weights)
        adam.step(gradients)
        return loss

    return step


def _trainer_jax(engine: str, task: Task, weights: dict[str, Any]) -> Callable[[], Any]:
    """The whole step in one compiled function, as JAX is meant to be used."""
    jax, jnp, decay = importlib.import_module("jax"), numpy_of(engine), _decay(task)
    loss = jax.value_and_grad(lambda w, x, y: task.formula(jnp, w, x, y))  # type: ignore[misc]

    @jax.jit  # type: ignore[untyped-decorator]
    def step(w: Any, m: Any, v: Any, t: Any, x: Any, y: Any) -> Any:
        value, g = loss(w, x, y)
        m = jax.tree.map(lambda m, g: BETAS[0] * m + (1 - BETAS[0]) * g, m, g)
        v = jax.tree.map(lambda v, g: BETAS[1] * v + (1 - BETAS[1]) * g * g, v, g)
        rate, scale = LR / (1 - BETAS[0] ** t), (1 - BETAS[1] ** t) ** -0.5

        def moved(w: Any, m: Any, v: Any) -> Any:
            return (1 - LR * decay) * w - rate * m / (scale * jnp.sqrt(v) + EPS)

        return value, jax.tree.map(moved, w, m, v), m, v, t + 1

    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = [weights, zeros, zeros, 1.0]
    x, y = jnp.asarray(task.x), jnp.asarray(task.y)

    def once() -> Any:
        value, *state[:] = jax.block_until_ready(step(*state, x, y))
        return value

    return once


class Adam:
    """Adam on arrays, in place, as one writes it in NumPy: the optimizer of those without one."""

    def __init__(self, weights: dict[str, Any], decay: float = 0.0) -> None:
        self.weights, self.decay, self.t = weights, decay, 0
        self.m = {name: np.zeros_like(w) for name, w in weights.items()}
        self.v = {name: np.zeros_like(w) for name, w in weights.items()}

    def step(self, gradients: Mapping[str, Any]) -> None:
        """Change the weights."""
        self.t += 1
        rate, scale = LR / (1 - BETAS[0] ** self.t), (1 - BETAS[1] ** self.t) ** -0.5
        for name, w in self.weights.items():
            m, v, g = self.m[name], self.v[name], gradients[name]
            m += (1 - BETAS[0]) * (g - m)
            v += (1 - BETAS[1]) * (g * g - v)
            if self.decay:
                w *= 1 - LR * self.decay
            w -= rate * m / (scale * np.sqrt(v) + EPS)
