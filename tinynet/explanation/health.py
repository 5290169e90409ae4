"""Is this network alive? The numbers of one forward and backward pass, layer by layer, in words.

At initialisation a signal should keep its size through the layers, and so should the gradient on
its way back. If each layer multiplies by a factor a, n layers multiply by aⁿ: 0.5 makes 10⁻³ of it
in ten layers, 2 makes 10³. `health` measures both sizes, and finds units that no example wakes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tinynet.errors import ArgumentError, describe
from tinynet.grad_mode import no_grad
from tinynet.tensor import Tensor, raw

T = TypeVar("T")

FAR = 100.0  # times smaller or larger at the end of the way than at its start: vanished, exploded
FEW = 0.01  # a share of dead units that is no matter yet
SEEN = 8  # so many entries of a unit tell whether it is dead: one example in two wakes a live one
LISTED = 3  # layers with dead units that are told one by one


@dataclass
class Layer:
    """What one module made of the batch.

    path, kind    its path in the model and its class
    mean, std     of the output's entries
    zeros         the share of entries that are exactly 0
    dead          the share of units (entries of the last axis; channels after a convolution) that
                  are 0 for the whole batch; 0 where it has fewer than 8 entries of a unit
    gradient      root of the mean square of dL/d(output)
    update        root of the mean square of dL/dW over that of W, for the module's own weights
    """

    path: str
    kind: str
    mean: float
    std: float
    zeros: float
    dead: float
    gradient: float
    update: float


class Health:
    """The layers in the order of the forward pass, and the `verdict` in words."""

    def __init__(self, layers: list[Layer], loss: float) -> None:
        self.layers, self.loss = layers, loss

    @property
    def verdict(self) -> list[str]:
        """What is wrong, a sentence each; one that says so where nothing is."""
        sizes = [*self._numbers(), *self._signal(), *self._gradients()]
        dead = self._dead()
        found = [*dead, *sizes] if any(x.dead == 1 for x in self.layers) else [*sizes, *dead]
        return found or ["nothing stands out: signal and gradient keep their size"]

    def _numbers(self) -> list[str]:
        if np.isfinite(self.loss):
            return []
        first = next((x.path for x in self.layers if not np.isfinite(x.std)), "the loss")
        return [f"the loss is {self.loss}: the first numbers that are not finite come from {first}"]

    def _signal(self) -> list[str]:
        found = _changed("signal", "forward", [(x.path, x.std) for x in self.layers])
        return [text for text in found if "explodes" in text]  # a large bias makes the first std

    def _gradients(self) -> list[str]:
        sizes = [(x.path, x.gradient) for x in self.layers[::-1]]
        if sizes and all(size == 0 for _, size in sizes):
            return ["no gradient arrives anywhere"]
        return _changed("gradient", "back", sizes)

    def _dead(self) -> list[str]:
        found = [
            x
            for before, x in zip([None, *self.layers], self.layers, strict=False)
            if x.dead > FEW and not (before and _moved(before, x))
        ]
        why = "0 for every example of the batch"
        if len(found) <= LISTED:
            return [f"{x.path}: {x.dead:.0%} of the units are dead, {why}" for x in found]
        shares = [x.dead for x in found]
        where = f"in {len(found)} layers from {found[0].path} to {found[-1].path}"
        return [f"{min(shares):.0%} to {max(shares):.0%} of the units are dead {where}, {why}"]

    def __repr__(self) -> str:
        heads = ["layer", "kind", "mean", "std", "zeros", "dead", "gradient", "dW / W"]
        lines = [heads]
        for x in self.layers:
            update = "" if np.isnan(x.update) else f"{x.update:.1e}"
            shares = f"{x.zeros:.0%}", f"{x.dead:.0%}"
            sizes = f"{x.mean:.2g}", f"{x.std:.2g}"
            lines.append([x.path, x.kind, *sizes, *shares, f"{x.gradient:.1e}", update])
        widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
        table = [
            "  ".join(
                cell.ljust(w) if i < 2 else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        return "\n".join([*(line.rstrip() for line in table), *self.verdict])


def _changed(what: str, way: str, sizes: list[tuple[str, float]]) -> list[str]:
    """Whether something is far smaller or larger at the end of its way than at its start."""
    sizes = [(path, math.inf if math.isnan(size) else size) for path, size in sizes]
    if not sizes:
        return []
    (start, before), (end, after) = sizes[0], sizes[-1]
    word = "vanishes" if after * FAR < before else "explodes" if after > before * FAR else ""
    if not word or before == 0:
        return []
    where = f"at {start} it has {before:.1e}, at {end} {after:.1e}"
    return [f"the {what} {word} on its way {way}: {where}"]


def _moved(before: Layer, x: Layer) -> bool:
    """Whether a layer gives the numbers of the one before it another shape, no more."""
    return (before.mean, before.std, before.zeros) == (x.mean, x.std, x.zeros)


def examine(model: Any, batch: Any, loss_function: Callable[..., Any]) -> Health:
    """One forward and backward pass, watched. The model's own `.grad` stay as they were."""
    channels = False  # of the last layer with weights, as a convolution has them: on axis 1

    def look(path: str, module: Any, y: Tensor) -> Layer:
        nonlocal channels
        weights = [p for p in module.parameters() if p.ndim > 1]
        channels = weights[0].ndim > 2 if weights else channels
        with np.errstate(invalid="ignore", over="ignore"):
            return _layer(path, module, y, 1 if channels or y.ndim > 3 else -1)

    return Health(*observe(model, batch, loss_function, look))


def observe(
    model: Any, batch: Any, loss_function: Callable[..., Any], look: Callable[[str, Any, Tensor], T]
) -> tuple[list[T], float]:
    """One forward and backward pass: look(path, module, y) for the output y of each innermost
    module, while y and the parameters have their `.grad`, in the order of the forward pass; and the
    loss. The model's own `.grad` and its buffers stay as they were.
    """
    if not hasattr(model, "named_modules"):
        raise ArgumentError("model is a Module", got=describe(model))
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise ArgumentError("batch is (inputs, targets)", got=describe(batch))
    inputs, targets = batch
    outputs: list[tuple[str, Any, Tensor]] = []
    watched = [(path, m) for path, m in model.named_modules() if not list(m.children())]
    handles = [m.register_forward_hook(_keeper(path, outputs)) for path, m in watched]
    if getattr(inputs, "shape", (1,))[:1] == (0,):
        raise ArgumentError("a batch has an example or more", got=describe(inputs))
    parameters = list(model.parameters())
    before = [p.grad for p in parameters]
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    try:
        for p in parameters:
            p.grad = None
        loss = loss_function(model(inputs), targets)
        for _, _, y in outputs:
            y.retain_grad()
        loss.backward()
        seen = [look(path, module, y) for path, module, y in outputs]
    finally:
        for handle in handles:
            handle.remove()
        for p, old in zip(parameters, before, strict=True):
            p.grad = old
        with no_grad():
            for b, values in buffers:
                b.copy_(values)
    return seen, float(raw(loss))


def _keeper(path: str, outputs: list[tuple[str, Any, Tensor]]) -> Callable[..., None]:
    def keep(module: Any, args: Any, output: Any) -> None:
        y = output[0] if isinstance(output, tuple) else output
        if isinstance(y, Tensor) and y.requires_grad:
            outputs.append((path or type(module).__name__, module, y))

    return keep


def _layer(path: str, module: Any, y: Tensor, axis: int) -> Layer:
    """The numbers of a layer whose units are counted along this axis."""
    values, g = y.detach().array, y.grad
    zero = values == 0
    others = tuple(i for i in range(zero.ndim) if i != axis % zero.ndim) if zero.ndim > 1 else None
    seen = 0 if others is None else math.prod(zero.shape[i] for i in others)
    weights = [p for p in module.parameters() if p.grad is not None and p.ndim > 1]
    update = float("nan")
    if weights:
        update = _size(weights[0].grad.array) / max(_size(weights[0].array), 1e-30)
    return Layer(
        path,
        type(module).__name__,
        float(np.mean(values, dtype=np.float64)),
        float(np.std(values, dtype=np.float64)),
        float(np.mean(zero)),
        0.0 if seen < SEEN else float(np.mean(np.all(zero, axis=others))),
        0.0 if g is None else _size(g.array),
        update,
    )


def _size(x: Any) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
