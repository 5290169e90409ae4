"""Where did the first bad number come from? A batch is computed once more, and every op watched.

A NaN is *born* in an op whose output has a NaN and whose inputs have none; from there it spreads.
So the cause of a bad loss is found along the way that the numbers took: an output inherits the
cause of its bad input, and where no input is bad (or, for a NaN, where the inputs are infinite, as
in ∞ − ∞ or 0 · ∞), the op itself is a cause. Being first in time is not enough: a mask of −∞ in
front of a softmax is no mistake. A bad number that no op made was there from the start: in the
data, or in the weights.

On the way back it is the same: the cause is the first op to which a finite gradient arrives, and
which hands on one that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinynet import arrays, dtypes
from tinynet.dispatch import OpNode, watched
from tinynet.errors import describe, user_line
from tinynet.op import Op
from tinynet.tensor import Tensor, raw

_ADVICE = {
    "log": "log of 0 or less: F.log_softmax or cross_entropy of the scores themselves, or a clamp",
    "div": "a division by 0: add a small eps to the denominator",
    "sqrt": "the slope of sqrt at 0 is infinite: sqrt(x + eps)",
    "p_norm": "the slope of a norm at 0 is not defined: add eps inside, or sqrt((x²).sum() + eps)",
    "pow": "a power with a base of 0 or less: a clamp before it",
    "exp": "exp overflows (float32 above 88): subtract the maximum first, or softmax, logsumexp",
    "softmax": "a softmax in which every entry is −inf: leave at least one entry of each row open",
    "acos": "the slope of acos and asin at ±1 is infinite: a clamp just inside",
}
_ALIKE = {
    **{"log2": "log", "log10": "log", "log1p": "log", "reciprocal": "div", "rsqrt": "sqrt"},
    **{"power": "pow", "exp2": "exp", "expm1": "exp", "asin": "acos", "atan2": "div"},
    **{"attention": "softmax", "log_softmax": "softmax", "floor_divide": "div"},
}
TOO_FAST = "a smaller lr, a warm-up (scheduler=), or clip=1.0"


@dataclass
class Cause:
    """Where bad numbers began: in words, with the user's line and what to try."""

    words: str
    line: str | None
    advice: str


def count_bad(array: Any) -> str:
    """How many entries are not finite, in words; "" where all are.

    >>> count_bad(np.array([1.0, np.nan, -np.inf]))
    '2 of 3 entries are not finite (-inf, nan)'
    """
    array = raw(array)
    if not arrays.is_array(array) or not dtypes.is_floating(array.dtype):
        return ""
    with arrays.home(array):
        bad = ~np.isfinite(array)
        count = int(np.sum(bad))
        if not count:
            return ""
        known = {"-inf": array == -np.inf, "inf": array == np.inf, "nan": np.isnan(array)}
        kinds = ", ".join(name for name, where in known.items() if bool(np.any(where)))
    verb = "is" if count == 1 else "are"
    return f"{count:,} of {array.size:,} entries {verb} not finite ({kinds})"


def _has_nan(x: Any) -> bool:
    array = raw(x)
    if not arrays.is_array(array) or not dtypes.is_floating(array.dtype):
        return False
    return bool(np.any(np.isnan(array)))


class _Witness:
    """Sees every op, and remembers for each array with bad numbers what the cause was."""

    def __init__(self, named: Mapping[int, str], outside: str | None) -> None:
        self.named = named  # what arrays are called that no op made, by id
        self.outside = outside  # the line that called `fit`, which says nothing
        self.modules: list[str] = []
        self.causes: dict[int, Cause] = {}
        self.places: dict[int, tuple[str, str | None]] = {}  # of nodes: module and line
        self.first: Cause | None = None
        self.on_the_way_back: Cause | None = None
        self.alive: list[Any] = []  # so that no id is given twice

    def forward(self, op: Op, inputs: Sequence[Any], y: Any) -> None:
        where, line = self.modules[-1] if self.modules else "the loss", user_line()
        line = None if line == self.outside else line
        if isinstance(y, Tensor) and y._node is not None:
            self.places[id(y._node)] = where, line
            self.alive.append(y._node)
        bad = count_bad(y)
        if bad:
            self.alive.append(raw(y))
            self.causes[id(raw(y))] = self._cause(op.name, inputs, y, bad, where, line)

    def _cause(
        self, name: str, inputs: Sequence[Any], y: Any, bad: str, where: str, line: str | None
    ) -> Cause:
        nan = _has_nan(y)
        troubled = [x for x in inputs if _has_nan(x)]
        if not troubled and not nan:
            troubled = [x for x in inputs if count_bad(x)]
        known = [self.causes[id(raw(x))] for x in troubled if id(raw(x)) in self.causes]
        if known:
            return known[0]
        shapes = ", ".join(describe(x) for x in inputs if hasattr(x, "shape"))
        words = f"{name} in {where} (forward): {shapes} -> {describe(y)}, where {bad}"
        advice = _ADVICE.get(_ALIKE.get(name, name), TOO_FAST)
        if troubled:  # and no op made them
            called = self.named.get(id(raw(troubled[0])), "an input that no op made")
            words += f"; it was given {called}, where {count_bad(troubled[0])}"
            advice = "look at it: np.isfinite(…).all()"
        else:
            infinite = [x for x in inputs if count_bad(x)]
            born = [self.causes[id(raw(x))] for x in infinite if id(raw(x)) in self.causes]
            if born:
                words += f". The infinite numbers in its input came from {born[0].words}"
                words += f" at {born[0].line}" if born[0].line else ""
                advice = advice if born[0].advice == TOO_FAST else born[0].advice
        self.first = self.first or Cause(words, line, advice)
        return Cause(words, line, advice)

    def backward(self, node: OpNode, g: Any, gradients: Sequence[Any]) -> None:
        if self.on_the_way_back is not None:
            return
        where, line = self.places.get(id(node), ("the loss", None))
        name, bad = node.op.name, count_bad(g)
        if bad:
            words = f"{name} in {where} (backward): the gradient that arrives is bad already, "
            words += f"{bad}: from a Function's own backward, or a sum that overflows"
            self.on_the_way_back = Cause(words, line, TOO_FAST)
            return
        for d in gradients:
            bad = "" if d is None else count_bad(d)
            if bad:
                words = f"{name} in {where} (backward): a finite gradient {describe(raw(g))} "
                words += f"arrives, {describe(raw(d))} leaves, where {bad}"
                advice = _ADVICE.get(_ALIKE.get(name, name), TOO_FAST)
                self.on_the_way_back = Cause(words, line, advice)
                return

    @contextmanager
    def watching(self, model: Any, loss: Any) -> Iterator[None]:
        """Every op, and the calls of every module."""
        roots = {"": model, "the loss": loss if hasattr(loss, "named_modules") else None}
        handles = []
        for prefix, root in roots.items():
            for path, module in root.named_modules(prefix) if root is not None else ():
                kind = type(module).__name__
                name = f"{path} ({kind})" if path else kind
                handles.append(module.register_forward_pre_hook(_entering(self.modules, name)))
                handles.append(module.register_forward_hook(_leaving(self.modules)))
        try:
            with watched(self.forward, self.backward), np.errstate(all="ignore"):
                yield
        finally:
            for handle in handles:
                handle.remove()


def _entering(modules: list[str], name: str) -> Callable[..., None]:
    def enter(*_: Any) -> None:
        modules.append(name)

    return enter


def _leaving(modules: list[str]) -> Callable[..., None]:
    def leave(*_: Any) -> None:
        modules.pop()

    return leave


def find_cause(
    model: Any, loss: Any, x: Any, y: Any, compute: Callable[[], Tensor], outside: str | None
) -> Cause | None:
    """What made the loss of this batch, or else a gradient, not finite; None where nothing is.

    compute   forward, of which the loss comes back
    outside   the user's line that is not to be told
    """
    named = {id(raw(part)): f"the input of the batch {describe(part)}" for part in _parts(x)}
    named[id(raw(y))] = f"the target of the batch {describe(y)}"
    for name, p in (*model.named_parameters(), *model.named_buffers()):
        named[id(p.array)] = f"{name} {describe(p)}"
    witness = _Witness(named, outside)
    with witness.watching(model, loss):
        value = compute()
        if count_bad(value):
            return witness.causes.get(id(value.array)) or witness.first
        value.backward()
    return witness.on_the_way_back


def _parts(x: Any) -> Sequence[Any]:
    return x if isinstance(x, tuple) else (x,)


def bad_samples(x: Any) -> str:
    """Which samples of a batch hold numbers that are not finite, in words; "" where none does."""
    found: set[int] = set()
    for part in _parts(x):
        array = raw(part)
        if arrays.is_array(array) and array.ndim and count_bad(array):
            array = arrays.to_device(array, "cpu")
            rows = np.isnan(array).reshape(len(array), -1).any(axis=1)
            found.update(np.flatnonzero(rows).tolist())
    told = sorted(found)
    return ", ".join(map(str, told[:8])) + (", …" if len(told) > 8 else "")
