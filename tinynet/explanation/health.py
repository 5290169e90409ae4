"""Is this network alive? The numbers of one forward and backward pass, layer by layer, in words.

At initialisation a signal should keep its size through the layers, and so should the gradient on
its way back. If each layer multiplies by a factor a, n layers multiply by aⁿ: 0.5 makes 10⁻³ of it
in ten layers, 2 makes 10³. `health` measures these factors, and finds units that no example wakes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tinynet.errors import ArgumentError, describe
from tinynet.tensor import Tensor, raw

T = TypeVar("T")

FAR = 100.0  # times smaller or larger at the first layer than at the last: vanished, exploded
FEW = 0.01  # a share of dead units that is no matter yet


@dataclass
class Layer:
    """What one module made of the batch.

    path, kind    its path in the model and its class
    mean, std     of the output's entries
    zeros         the share of entries that are exactly 0
    dead          the share of units (entries of the last axis; channels of images) that are 0 for
                  the whole batch
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
        found = [*self._numbers(), *self._gradients(), *self._dead()]
        return found or ["nothing stands out: signal and gradient keep their size"]

    def _numbers(self) -> list[str]:
        if np.isfinite(self.loss):
            return []
        first = next((x.path for x in self.layers if not np.isfinite(x.std)), "the loss")
        return [f"the loss is {self.loss}: the first numbers that are not finite come from {first}"]

    def _gradients(self) -> list[str]:
        sizes = [(x.path, x.gradient) for x in self.layers if np.isfinite(x.gradient)]
        if len(sizes) < 2:
            return []
        (first, early), (last, late) = sizes[0], sizes[-1]
        if early == 0 and late == 0:
            return ["no gradient arrives anywhere"]
        if early * FAR < late:
            where = f"at {first} it has {early:.1e}, at {last} {late:.1e}"
            return [f"the gradient vanishes on its way back: {where}"]
        if early > late * FAR:
            where = f"at {first} it has {early:.1e}, at {last} {late:.1e}"
            return [f"the gradient explodes on its way back: {where}"]
        return []

    def _dead(self) -> list[str]:
        return [
            f"{x.path}: {x.dead:.0%} of the units are 0 for every example of the batch"
            for x in self.layers
            if x.dead > FEW
        ]

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


def examine(model: Any, batch: Any, loss_function: Callable[..., Any]) -> Health:
    """One forward and backward pass, watched. The model's own `.grad` stay as they were."""
    return Health(*observe(model, batch, loss_function, _layer))


def observe(
    model: Any, batch: Any, loss_function: Callable[..., Any], look: Callable[[str, Any, Tensor], T]
) -> tuple[list[T], float]:
    """One forward and backward pass: look(path, module, y) for the output y of each innermost
    module, while y and the parameters have their `.grad`, in the order of the forward pass; and the
    loss. The model's own `.grad` stay as they were.
    """
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise ArgumentError("batch is (inputs, targets)", got=describe(batch))
    inputs, targets = batch
    outputs: list[tuple[str, Any, Tensor]] = []
    watched = [(path, m) for path, m in model.named_modules() if not list(m.children())]
    handles = [m.register_forward_hook(_keeper(path, outputs)) for path, m in watched]
    parameters = list(model.parameters())
    before = [p.grad for p in parameters]
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
    return seen, float(raw(loss))


def _keeper(path: str, outputs: list[tuple[str, Any, Tensor]]) -> Callable[..., None]:
    def keep(module: Any, args: Any, output: Any) -> None:
        y = output[0] if isinstance(output, tuple) else output
        if isinstance(y, Tensor) and y.requires_grad:
            outputs.append((path or type(module).__name__, module, y))

    return keep


def _layer(path: str, module: Any, y: Tensor) -> Layer:
    values, g = y.detach().numpy(), y.grad
    channels = 1 if values.ndim == 4 else values.ndim - 1
    others = tuple(i for i in range(values.ndim) if i != channels)
    dead = np.all(values == 0, axis=others) if values.ndim > 1 else np.zeros(1)
    weights = [p for p in module.parameters() if p.grad is not None and p.ndim > 1]
    update = float("nan")
    if weights:
        update = _size(weights[0].grad.numpy()) / max(_size(weights[0].detach().numpy()), 1e-30)
    return Layer(
        path,
        type(module).__name__,
        float(np.mean(values)),
        float(np.std(values)),
        float(np.mean(values == 0)),
        float(np.mean(dead)),
        0.0 if g is None else _size(g.numpy()),
        update,
    )


def _size(x: Any) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
