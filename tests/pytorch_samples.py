"""What the tests share that run PyTorch's own samples on both sides: twins of its arguments, the
comparison of what comes back, and the count.

`operator_samples.py` and `module_samples.py` are built on it.
"""

from __future__ import annotations

import importlib.util
import random
import sys
import types
import unittest
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import tinynet as tn

if importlib.util.find_spec("expecttest") is None:
    # PyTorch's test helpers derive a class from it when they are imported; no more is needed here.
    sys.modules["expecttest"] = types.ModuleType("expecttest")
    sys.modules["expecttest"].TestCase = unittest.TestCase  # type: ignore[attr-defined]
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import FunctionInput, ModuleInput, module_db
    from torch.testing._internal.opinfo.core import SampleInput

__all__ = ["FunctionInput", "ModuleInput", "SampleInput", "module_db", "op_db"]  # handed on

RTOL, ATOL = 1e-6, 1e-10

# -- both sides of one call ------------------------------------------------------------------------


def shown(x: Any) -> str:
    """An argument as one would write it, its shape in place of a tensor."""
    if isinstance(x, torch.Tensor):
        return f"{str(x.dtype).removeprefix('torch.')}{tuple(x.shape)}"
    if isinstance(x, list | tuple) and not isinstance(x, torch.Size):
        return f"[{', '.join(map(shown, x))}]"
    return repr(x)


def call(name: str, args: Iterable[Any], kwargs: dict[str, Any]) -> str:
    """A call as one would write it."""
    given = [*map(shown, args), *(f"{k}={shown(v)}" for k, v in kwargs.items())]
    return f"{name}({', '.join(given)})"


def repeatable() -> None:
    """The same random numbers each time, from all the generators that PyTorch's lists draw from."""
    torch.manual_seed(0)
    tn.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  they draw from NumPy's old generator too
    random.seed(0)


class Twins:
    """tinynet's counterparts of PyTorch's arguments; of each tensor there is one."""

    def __init__(self) -> None:
        self.pairs: dict[int, tuple[torch.Tensor, tn.Tensor]] = {}

    def of(self, x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            if id(x) not in self.pairs:
                twin = tn.from_numpy(np.array(x.detach().numpy()))
                self.pairs[id(x)] = (x, twin.requires_grad_(x.requires_grad))
            return self.pairs[id(x)][1]
        if isinstance(x, torch.nn.utils.rnn.PackedSequence):
            return tn.nn.utils.rnn.PackedSequence(*map(self.of, x))
        if isinstance(x, list | tuple):
            return [self.of(v) for v in x] if isinstance(x, list) else tuple(map(self.of, x))
        if isinstance(x, dict):  # the only layout is no argument of tinynet's
            return {k: self.of(v) for k, v in x.items() if v is not torch.strided}
        if isinstance(x, slice):
            return slice(*(self.of(v) for v in (x.start, x.stop, x.step)))
        if isinstance(x, torch.dtype):
            return np.dtype(str(x).removeprefix("torch."))
        return str(x) if isinstance(x, torch.device) else x

    def gradients(self, theirs: list[Any], ours: list[Any]) -> Iterator[tuple[Any, Any]]:
        """For each input that requires a gradient, what both sides give for one cotangent."""
        inputs = [pair for pair in self.pairs.values() if pair[0].requires_grad]
        outputs = [pair for pair in zip(theirs, ours, strict=True) if hasattr(pair[0], "grad_fn")]
        if not inputs:
            return
        rng, found = np.random.default_rng(0), []
        drawn = [np.asarray(rng.standard_normal(z.shape)).astype(z.dtype) for _, z in outputs]
        for side, module in enumerate((torch, tn)):
            known = [(pair[side], g) for pair, g in zip(outputs, drawn, strict=True)]
            known = [(y, module.tensor(g)) for y, g in known if y.requires_grad]
            x, y, g = [pair[side] for pair in inputs], [y for y, _ in known], [g for _, g in known]
            found.append(module.autograd.grad(y, x, g, allow_unused=True) if y else [None] * len(x))
        for (x, _), a, b in zip(inputs, *found, strict=True):
            zero = torch.zeros_like(x)  # None stands for it
            yield (zero if a is None else a), tn.from_numpy(zero.numpy()) if b is None else b


def leaves(x: Any) -> list[Any]:
    """The tensors and numbers in nested tuples and lists."""
    if isinstance(x, list | tuple):
        return [leaf for v in x for leaf in leaves(v)]
    return [x]


def difference(a: Any, b: Any, free: bool = False) -> str:
    """In words, how PyTorch's a and tinynet's b differ; nothing if they do not. With `free`, their
    values may.
    """
    if not isinstance(a, torch.Tensor) or not isinstance(b, tn.Tensor):
        same = type(a) is type(b) and (a == b or (a != a and b != b))
        return "" if same else f"{a!r} is not {b!r}"
    expected, found = a.detach().numpy(force=True), b.detach().numpy()
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return f"{expected.shape} {expected.dtype} is not {found.shape} {found.dtype}"
    close = np.isclose(found, expected, RTOL, ATOL, equal_nan=True)
    if free or close.all():
        return ""
    at = tuple(int(k) for k in np.argwhere(~close)[0])
    return f"at {at}, {expected[at]} is not {found[at]}"


def results_differ(y: Any, z: Any, twins: Twins, free: bool = False) -> str:
    """How PyTorch's outputs y and tinynet's z, or the gradients they give, differ; "" if not."""
    theirs, ours = leaves(y), leaves(z)
    if len(theirs) != len(ours):
        return f"{len(theirs)} outputs are not {len(ours)}"
    for a, b in zip(theirs, ours, strict=True):
        if found := difference(a, b, free):
            return f"value: {found}"
    for i, (a, b) in enumerate(() if free else twins.gradients(theirs, ours)):
        if found := difference(a, b):
            return f"gradient {i}: {found}"
    return ""


def failure(error: Exception) -> str:
    """Any failure of tinynet's is a finding to be listed."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


# -- the count -------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What came of the calls of one name."""

    forms: Counter[str] = field(default_factory=Counter)
    differ: list[tuple[str, str]] = field(default_factory=list)  # the call, and how

    @property
    def total(self) -> int:
        return sum(self.forms.values())

    @property
    def good(self) -> int:
        return self.total - len(self.differ)


Reasons = dict[tuple[str, str], str]


def listed(text: str, reasons: Reasons) -> str | None:
    """Why the call may differ, if there is a reason for its name and a part of its text."""
    name = text.partition("(")[0]
    return next((r for (op, part), r in reasons.items() if op == name and part in text), None)


def total_of(tallies: Iterable[Tally]) -> tuple[int, int]:
    """How many calls agree, and how many there are."""
    found = list(tallies)
    return sum(t.good for t in found), sum(t.total for t in found)


def table(
    names: list[str],
    tally: Callable[[str], Tally],
    reason_of: Callable[[str], str | None],
    groups: dict[str, list[str]],
) -> None:
    """Print: name, calls that agree / all calls; why the others differ; the sums of the groups."""
    torch.set_num_threads(1)
    for name in names:
        found = tally(name)
        print(f"{name:40} {found.good:5} / {found.total}")
        for text, how in found.differ:
            print(f"    {text}: {reason_of(text) or how}")
    for title, group in groups.items():
        good, total = total_of(tally(n) for n in group if n in names)
        print(f"{title:40} {good:5} / {total}   {good / max(total, 1):.2%}")
