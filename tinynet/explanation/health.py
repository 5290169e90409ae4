"""Is this network alive? The numbers of one forward and backward pass, layer by layer, in words.

At initialisation a signal should keep its size through the layers, and so should the gradient on
its way back. If each layer multiplies by a factor a, n layers multiply by aⁿ: 0.5 makes 10⁻³ of it
in ten layers, 2 makes 10³. `health` measures both sizes; it finds units that no example wakes, and
curves that are so steeply driven that they are flat: tanh′ = 1 − y², σ′ = y (1 − y).

A layer is an innermost module, or an activation that a module calls as a function; a recurrent
layer is also looked at through time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeVar

import numpy as np

from tinynet.autograd import edge_of
from tinynet.derivations.cross_entropy import op as cross_entropy
from tinynet.derivations.mse import op as mse
from tinynet.errors import ArgumentError, describe
from tinynet.explanation.graph import Graph, trace
from tinynet.explanation.table import as_html, as_text
from tinynet.grad_mode import no_grad
from tinynet.tensor import Tensor, raw

T = TypeVar("T")
Loss = Callable[..., Any]

ACTIVATIONS = ("relu", "tanh", "sigmoid", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "mish")
FAR = 100.0  # times smaller or larger at the end of the way than at its start: vanished, exploded
FEW = 0.2  # a share of dead units that is no matter yet
SEEN = 8  # so many entries of a unit tell whether it is dead: one example in two wakes a live one
FLAT = 0.05  # a slope of so little of the steepest passes hardly any gradient
MANY = 0.3  # a share of entries on the flat that is too much; of z ~ N(0, 2²) it is about this
LISTED = 3  # layers, or parameters, that are told one by one

# The slope of a curve where it gave y, over the steepest that it has.
_SLOPES: dict[str, Callable[[Any], Any]] = {
    "tanh": lambda y: 1 - y * y,
    "sigmoid": lambda y: 4 * y * (1 - y),
}


@dataclass
class Layer:
    """What one module, or one activation, made of the batch.

    path, kind    its path in the model and its class; a second call is told apart by its number
    mean, std     of the output's entries
    zeros         the share of entries that are exactly 0
    dead          the share of units (entries of the last axis; channels after a convolution) that
                  are 0 for the whole batch; 0 where it has fewer than 8 entries of a unit
    flat          the share of entries at which tanh or σ has less than 5% of its steepest slope
    gradient      root of the mean square of dL/d(output)
    update        root of the mean square of dL/dW over that of W, for the module's own weights
    """

    path: str
    kind: str
    mean: float
    std: float
    zeros: float
    dead: float
    flat: float
    gradient: float
    update: float


class Health:
    """The layers in the order of the forward pass, and the `verdict` in words.

    through   of each recurrent layer its path, its op, and dL/dx at the first and the last time
    lost      sentences about numbers that are not finite, and parameters that get no gradient
    frozen    the names of the parameters that want none
    """

    def __init__(
        self,
        layers: list[Layer],
        loss: float,
        through: list[tuple[str, str, float, float]],
        lost: list[str],
        frozen: list[str],
    ) -> None:
        self.layers, self.loss, self.through = layers, loss, through
        self.lost, self.frozen = lost, frozen

    @property
    def verdict(self) -> list[str]:
        """What is wrong, a sentence each; one that says so where nothing is."""
        sizes = [*self._numbers(), *self._signal(), *self._gradients()]
        dead, flat = self._dead(), self._flat()
        first = any(x.dead == 1 for x in self.layers)
        found = [*dead, *sizes, *flat] if first else [*sizes, *flat, *dead]
        well = ["nothing stands out: signal and gradient keep their size"]
        still = f"{_listed(self.frozen)}: frozen, requires_grad is False"
        return (found + self.lost or well) + ([still] if self.frozen else [])

    def _numbers(self) -> list[str]:
        if not np.isfinite(self.loss):
            first = next((x.path for x in self.layers if not np.isfinite(x.std)), "the loss")
            where = f"the first numbers that are not finite come from {first}"
            return [f"the loss is {self.loss}: {where}"]
        lost = [x.path for x in self.layers if not np.isfinite(x.gradient)]
        why = "an infinite slope: sqrt, a norm or a power at 0, a division by 0"
        return [f"the gradient is not finite from {lost[-1]} back: {why}"] if lost else []

    def _signal(self) -> list[str]:
        found = _changed("signal", "forward", [(x.path, x.std) for x in self.layers])
        # Not where it fades: numbers that were large may have been brought to a good size.
        return [text + _ADVICE["large"] for text in found if "explodes" in text]

    def _gradients(self) -> list[str]:
        sizes = [(x.path, x.gradient) for x in self.layers[::-1]]
        if sizes and all(size == 0 for _, size in sizes):
            return ["no gradient arrives anywhere"]
        found = [text + self._why(text) for text in _changed("gradient", "back", sizes)]
        for path, op, early, late in self.through:
            steps = [(f"the last step of {path}", late), ("the first", early)]
            told = _changed("gradient", "back through time", steps)
            found += [text + _ADVICE["steps" if "explodes" in text else op] for text in told]
        return found

    def _why(self, text: str) -> str:
        """What is usually done about a gradient that changes its size."""
        if "explodes" in text:
            return _ADVICE["large"]
        if sum(x.kind.lower() == "sigmoid" for x in self.layers) > 1:
            return _ADVICE["sigmoid"]
        faded = self.layers[-1].std * FAR < self.layers[0].std
        return _ADVICE["small" if faded else "deep"]

    def _flat(self) -> list[str]:
        found = [(x.path, x.flat) for x in self.layers if x.flat > MANY]
        what = f"of the outputs are saturated, with less than {FLAT:.0%} of the steepest slope"
        return _shares(found, what, _ADVICE["large"])

    def _dead(self) -> list[str]:
        found = [
            (x.path, x.dead)
            for before, x in zip([None, *self.layers], self.layers, strict=False)
            if x.dead > FEW and not (before and _moved(before, x))
        ]
        why = ", 0 for every example of the batch"
        return _shares(found, "of the units are dead", why + _ADVICE["dead"])

    def _lines(self) -> list[list[str]]:
        lines = [["layer", "kind", "mean", "std", "zeros", "dead", "flat", "gradient", "dW / W"]]
        for x in self.layers:
            update = "" if np.isnan(x.update) else f"{x.update:.1e}"
            shares = f"{x.zeros:.0%}", f"{x.dead:.0%}", f"{x.flat:.0%}"
            sizes = f"{x.mean:.2g}", f"{x.std:.2g}"
            lines.append([x.path, x.kind, *sizes, *shares, f"{x.gradient:.1e}", update])
        return lines

    def __repr__(self) -> str:
        return "\n".join([as_text(self._lines(), words=2), *self.verdict])

    def _repr_html_(self) -> str:
        return as_html(self._lines(), words=2, after=self.verdict)


_ADVICE = {
    "large": "; smaller weights (nn.init.xavier_normal_, kaiming_normal_) or normalisation",
    "small": "; larger weights (nn.init.xavier_normal_, kaiming_normal_) or normalisation",
    "sigmoid": "; a sigmoid passes on a quarter at most: ReLU, tanh, or normalisation",
    "deep": "; other weights (nn.init.kaiming_normal_), normalisation, residual connections",
    "dead": "; kaiming_normal_, a smaller learning rate, or a leaky ReLU",
    "steps": "; nn.utils.clip_grad_norm_, or orthogonal_ weights from state to state",
    "rnn": "; an LSTM or a GRU, or orthogonal_ weights from state to state",
    "lstm": "; a larger bias of the forget gate, or attention",
    "gru": "; a larger bias of the update gate, or attention",
}


def _shares(found: list[tuple[str, float]], what: str, why: str) -> list[str]:
    """A sentence for each layer, or where they are many one for all."""
    if len(found) <= LISTED:
        return [f"{path}: {share:.0%} {what}{why}" for path, share in found]
    shares = [share for _, share in found]
    where = f"in {len(found)} layers from {found[0][0]} to {found[-1][0]}"
    return [f"{min(shares):.0%} to {max(shares):.0%} {what} {where}{why}"]


def _changed(what: str, way: str, sizes: list[tuple[str, float]]) -> list[str]:
    """Whether something is far smaller or larger at the end of its way than at its start; where it
    stops to be a number, at the last place where it is one.
    """
    sizes = list(takewhile(lambda x: math.isfinite(x[1]), sizes))
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


# -- one pass --------------------------------------------------------------------------------------


@dataclass
class _Made:
    """What a module, or an activation without one, gave: `number` says when."""

    number: int
    path: str
    kind: str
    module: Any
    y: Any
    g: Any
    update: float = math.nan


def examine(model: Any, batch: Any, loss_function: Loss | None = None) -> Health:
    """One forward and backward pass, watched. The model's own `.grad` stay as they were."""
    graphs: list[Graph] = []

    def loss(y: Any, targets: Any) -> Any:
        found = (loss_function or usual_loss)(y, targets)
        graphs.append(trace(found, model))  # backward frees it
        return found

    def look(path: str, module: Any, y: Tensor) -> _Made:
        weights = [p for p in module.parameters() if p.grad is not None and p.ndim > 1]
        size = max(_size(weights[0].array), 1e-30) if weights else 1.0
        update = _size(weights[0].grad.array) / size if weights else math.nan
        g = None if y.grad is None else y.grad.array
        number = getattr(edge_of(y), "order", 0)
        return _Made(number, path, type(module).__name__, module, y.detach().array, g, update)

    found, value = observe(model, batch, loss, look)
    known = {made.number for made in found}
    for step in graphs[0].steps:
        own = step.title in ACTIVATIONS and step.node.order not in known
        if own and step.op is not None and step.output.array is not None:
            path, y = step.module or type(model).__name__, step.output
            found.append(_Made(step.node.order, path, step.title, None, y.array, y.grad))
    found.sort(key=lambda made: made.number)
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    lost = _lost(model, batch[0], graphs[0])
    return Health(_layers(found), value, _through(graphs[0]), lost, frozen)


def usual_loss(y: Any, targets: Any) -> Any:
    """Cross-entropy where the targets are classes, the mean square where they are like y."""
    if targets.shape == y.shape and targets.is_floating_point():
        return mse(y, targets)
    if not targets.is_floating_point():
        if targets.shape == (*y.shape[:1], *y.shape[2:]):
            return cross_entropy(y, targets)
        if targets.shape == y.shape[:-1]:  # classes last, as language models have them
            return cross_entropy(y.reshape(-1, y.shape[-1]), targets.reshape(-1))
    raise ArgumentError(
        "which loss? The usual ones do not fit",
        expected="classes for scores (n, classes, ...) or (..., classes), or numbers of y's shape",
        got=f"an output {y.shape} and targets {describe(targets)}",
        hint="health(model, batch, loss)",
    )


def _layers(found: list[_Made]) -> list[Layer]:
    """The numbers of each; its units stand on the last axis, or as those of a convolution."""
    channels, calls = False, Counter[str]()
    layers = []
    for made in found:
        weights = [] if made.module is None else [p for p in made.module.parameters() if p.ndim > 1]
        channels = weights[0].ndim > 2 if weights else channels
        calls[made.path] += 1
        if calls[made.path] > 1:
            made.path += f" ({calls[made.path]})"
        with np.errstate(invalid="ignore", over="ignore"):
            layers.append(_layer(made, 1 if channels or made.y.ndim > 3 else -1))
    return layers


def _layer(made: _Made, axis: int) -> Layer:
    """The numbers of a layer whose units are counted along this axis."""
    y, slope = made.y, _SLOPES.get(made.kind.lower())
    zero = y == 0
    others = tuple(i for i in range(y.ndim) if i != axis % y.ndim) if y.ndim > 1 else None
    seen = 0 if others is None else math.prod(y.shape[i] for i in others)
    return Layer(
        made.path,
        made.kind,
        float(np.mean(y, dtype=np.float64)),
        float(np.std(y, dtype=np.float64)),
        float(np.mean(zero)),
        0.0 if seen < SEEN else float(np.mean(np.all(zero, axis=others))),
        0.0 if slope is None else float(np.mean(slope(y) < FLAT)),
        0.0 if made.g is None else _size(made.g),
        made.update,
    )


def _through(graph: Graph) -> list[tuple[str, str, float, float]]:
    """Of each recurrent layer its path, its op, and dL/dx at the first time and at the last."""
    found = []
    for step in graph.steps:
        if step.title in ("rnn", "gru", "lstm") and step.op is not None:
            d = step.handed[0]
            if d is not None and len(d) > 1:
                first, last = (-1, 0) if step.options.get("reverse") else (0, -1)
                sizes = _size(d[first]), _size(d[last])
                found.append((step.module or step.title, step.title, *sizes))
    return found


def _lost(model: Any, inputs: Any, graph: Graph) -> list[str]:
    """What cannot learn: numbers that are not finite, parameters that get no gradient."""
    reached = {id(leaf.array) for leaf in graph.leaves}
    parameters = list(model.named_parameters())
    arrays = [("the inputs", inputs), *parameters]
    bad = [n for n, x in arrays if isinstance(x, Tensor) and not np.all(np.isfinite(x.array))]
    cut = [n for n, p in parameters if p.requires_grad and id(p.array) not in reached]
    return [
        *([f"{_listed(bad)}: not all numbers are finite"] if bad else []),
        *([f"{_listed(cut)}: no gradient, the loss does not depend on it"] if cut else []),
    ]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def observe(
    model: Any, batch: Any, loss_function: Loss, look: Callable[[str, Any, Tensor], T]
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
    if getattr(inputs, "shape", (1,))[:1] == (0,):
        raise ArgumentError("a batch has an example or more", got=describe(inputs))
    if isinstance(inputs, Tensor) and inputs.is_floating_point():  # so that frozen layers are seen
        inputs = inputs.detach().requires_grad_().clone()
    handles = [m.register_forward_hook(_keeper(path, outputs)) for path, m in watched]
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
        begun = outputs or any(True for _ in module.parameters())  # before that it is preparation
        if isinstance(y, Tensor) and y.requires_grad and begun:
            outputs.append((path or type(module).__name__, module, y))

    return keep


def _size(x: Any) -> float:
    """The root of the mean square."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
