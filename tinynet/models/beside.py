"""The same network on PyTorch, from the same file.

The files of `models/` that hold networks use only names that tinynet and PyTorch share. So the twin
of a network is its own source, read once more with `torch` where it says `tinynet`: nothing is
written twice, and nothing can differ but the engine. PyTorch is needed for this alone.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from tinynet import kernels
from tinynet.errors import ArgumentError
from tinynet.tensor import Tensor

_SHARED = ("tinynet.errors", "tinynet.models.pretrained")  # imported by networks, and without nn


def pytorch() -> Any:
    """PyTorch with as many threads as tinynet has; where it is not there, an error."""
    if importlib.util.find_spec("torch") is None:
        raise ArgumentError(
            "there is no PyTorch here to train beside", hint="pip install torch, or leave it out"
        )
    torch = importlib.import_module("torch")
    torch.set_num_threads(kernels.get_num_threads())
    return torch


def twin(model: Any) -> Any:
    """The same network on PyTorch, with the same weights and the same mode.

    model   built from its config, as `Pretrained` asks
    """
    torch = pytorch()
    kind = type(model)
    twins = getattr(_module(kind.__module__), kind.__name__)
    other = twins(model.config)
    weights = {name: torch.from_numpy(value) for name, value in numbers(model).items()}
    other.load_state_dict(weights)
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        theirs.requires_grad_(ours.requires_grad)
    return other.train(model.training)


def numbers(model: Any) -> dict[str, Any]:
    """The state_dict of a network of either engine as arrays of its own."""
    return {name: np.array(value.detach().numpy()) for name, value in model.state_dict().items()}


def tensors(x: Any) -> Any:
    """What a batch holds, as PyTorch's tensors: arrays and Tensors, in tuples too."""
    if isinstance(x, tuple | list):
        return tuple(tensors(part) for part in x)
    array = x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x)
    return pytorch().from_numpy(np.ascontiguousarray(array))


def call(model: Any, x: Any) -> Any:
    """model(x), or model(*x) for several inputs."""
    return model(*x) if isinstance(x, tuple) else model(x)


def fit(
    model: Any,
    batches: Callable[[], Iterable[Any]],
    *,
    loss: Callable[[Any, Any, Any], Any],
    optimizer: Any,
    epochs: int,
    factor: Callable[[int], float],
    clip: float | None = None,
    validation: Any = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[float]:
    """Train a twin, as `train.fit` trains the original: the mean loss of each epoch.

    batches     gives the batches of one epoch, in the order in which tinynet saw them
    loss        (torch.nn.functional, prediction, y) -> the loss
    factor      (number of the step, from 0) -> what the learning rate is multiplied by
    validation  batches: end with the weights of the epoch that had the lowest loss on them
    say         called with a line after each epoch
    """
    torch = pytorch()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    losses, lowest, best = [], float("inf"), None
    for epoch in range(1, epochs + 1):
        model.train()
        total, samples = 0.0, 0
        for x, y in batches():
            x, y = tensors(x), tensors(y)
            optimizer.zero_grad()
            value = loss(torch.nn.functional, call(model, x), y)
            value.backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            scheduler.step()
            total, samples = total + len(y) * value.item(), samples + len(y)
        losses.append(total / samples)
        say(f"PyTorch, epoch {epoch:{len(str(epochs))}}/{epochs}  loss {losses[-1]:.4g}")
        if validation is not None:
            predictions, labels = map(torch.from_numpy, predict(model, validation))
            value = loss(torch.nn.functional, predictions, labels).item()
            if value < lowest:
                lowest, best = value, numbers(model)
    if best is not None:
        model.load_state_dict({name: torch.from_numpy(w) for name, w in best.items()})
    return losses


def predict(model: Any, batches: Iterable[Any]) -> tuple[Any, Any]:
    """(what a twin predicts, labels) over all batches, as arrays; in evaluation mode."""
    torch = pytorch()
    model.eval()
    predictions, labels = [], []
    with torch.inference_mode():
        for x, y in batches:
            predictions.append(call(model, tensors(x)).numpy())
            labels.append(tensors(y).numpy())
    return np.concatenate(predictions), np.concatenate(labels)


def seconds(
    calls: Mapping[str, Callable[[], Any]], rounds: int = 2, repeats: int = 4
) -> dict[str, float]:
    """The median of how long each call takes. All take turns, several calls at a time, of which the
    first is not counted: one engine's threads, awake for a while after their work, shall not slow
    the other.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call_it in calls.items():
            call_it()
            for _ in range(repeats):
                start = time.perf_counter()
                call_it()
                found[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in found.items()}


# -- reading a file with other imports -------------------------------------------------------------


def _module(name: str) -> ModuleType:
    """The module of a network, run with PyTorch in the place of tinynet."""
    known = f"{__name__}:{name}"
    if known not in sys.modules:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        module = ModuleType(known)
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import}
        sys.modules[known] = module  # dataclasses look their module up while it runs
        with open(spec.origin, encoding="utf-8") as file:
            exec(compile(file.read(), spec.origin, "exec"), vars(module))
    return sys.modules[known]


def _import(
    name: str, scope: Any = None, local: Any = None, wanted: Any = (), level: int = 0
) -> Any:
    """`import`, with torch for tinynet; networks that a network is made of are read again, too."""
    if name.startswith("tinynet.models.") and name not in _SHARED:
        return _module(name)
    if name.split(".")[0] == "tinynet" and name not in _SHARED:
        theirs = "torch" + name.removeprefix("tinynet")
        module = importlib.import_module(theirs)
        return module if wanted or "." not in name else importlib.import_module("torch")
    return builtins.__import__(name, scope, local, wanted, level)
