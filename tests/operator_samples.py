"""PyTorch's own samples of its operators, run on PyTorch and on tinynet.

PyTorch keeps for each operator the calls on which it tests itself (`op_db`). Here every call is
made twice, on the same float64 numbers (whole numbers where an operator takes no others): shapes,
dtypes, values, and the gradients of random cotangents must agree. A call is made as a function,
under PyTorch's second names, as an operator, as a method and in place, wherever tinynet has the
name too.

`python tests/operator_samples.py [op ...]` prints the table, and each call that differs.
"""

from __future__ import annotations

import importlib.util
import inspect
import random
import sys
import types
import unittest
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
import torch

import tinynet as tn
from tinynet.ops.public import exports

if importlib.util.find_spec("expecttest") is None:
    # PyTorch's test helpers derive a class from it when they are imported; no more is needed here.
    sys.modules["expecttest"] = types.ModuleType("expecttest")
    sys.modules["expecttest"].TestCase = unittest.TestCase  # type: ignore[attr-defined]
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.opinfo.core import SampleInput

RTOL, ATOL = 1e-6, 1e-10

# -- one call --------------------------------------------------------------------------------------


@dataclass
class Case:
    """One call, to be made on both sides: what they are called with, and by which functions."""

    op: str
    form: str  # "function", another name, "operator", "method" or "in place"
    theirs: Callable[..., Any]
    ours: Callable[..., Any]
    sample: SampleInput

    @property
    def text(self) -> str:
        """The call as one would write it, shapes in place of tensors."""
        given = [_shown(x) for x in (self.sample.input, *self.sample.args)]
        given += [f"{k}={_shown(v)}" for k, v in self.sample.kwargs.items()]
        return f"{self.op}({', '.join(given)}) [{self.form}]"


def _shown(x: Any) -> str:
    if isinstance(x, torch.Tensor):
        return f"{str(x.dtype).removeprefix('torch.')}{tuple(x.shape)}"
    if isinstance(x, list | tuple) and not isinstance(x, torch.Size):
        return f"[{', '.join(map(_shown, x))}]"
    return repr(x)


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
    expected, found = a.detach().resolve_conj().resolve_neg().numpy(), b.detach().numpy()
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return f"{expected.shape} {expected.dtype} is not {found.shape} {found.dtype}"
    close = np.isclose(found, expected, RTOL, ATOL, equal_nan=True)
    if free or close.all():
        return ""
    at = tuple(int(k) for k in np.argwhere(~close)[0])
    return f"at {at}, {expected[at]} is not {found[at]}"


def run(case: Case) -> str | None:
    """How the two sides differ: "" where they agree. None where PyTorch does not know the call."""
    sample, twins = case.sample, Twins()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = case.theirs(sample.input, *sample.args, **sample.kwargs)
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError):
        if case.form == "function":
            raise
        return None
    try:
        args = twins.of((sample.input, *sample.args))
        with np.errstate(all="ignore"):
            theirs, ours = leaves(y), leaves(case.ours(*args, **twins.of(sample.kwargs)))
            if len(theirs) != len(ours):
                return f"{len(theirs)} outputs are not {len(ours)}"
            free = case.op in UNSET or drops(case)
            for a, b in zip(theirs, ours, strict=True):
                if found := difference(a, b, free):
                    return f"value: {found}"
            for i, (a, b) in enumerate(() if free else twins.gradients(theirs, ours)):
                if found := difference(a, b):
                    return f"gradient {i}: {found}"
    except Exception as error:  # any failure of tinynet's is a finding to be listed
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return ""


# -- all calls -------------------------------------------------------------------------------------

# Their values are drawn, or are what the memory held: shape and dtype are compared.
UNSET = {"empty", "empty_like", "bernoulli", "multinomial", "normal", "rand_like", "randint"}
UNSET |= {"randint_like", "randn", "randn_like"}


def drops(case: Case) -> bool:
    """Whether the call is a dropout that draws: with p = 0 or 1, or in evaluation, nothing is."""
    options = case.sample.kwargs
    drawn = 0 < options.get("p", 0.5) < 1 and options.get("training", True)
    return bool("dropout" in case.op and drawn) or options.get("dropout_p", 0) > 0


# Where PyTorch's table calls an operator, or a variant of it, in a way of its own.
ADAPTED: dict[str, Callable[..., Any]] = {
    "einsum": lambda tensors, equation: tn.einsum(equation, tensors),
    "where": lambda x, condition, other: tn.where(condition, x, other),
    "nn.functional.embedding": lambda weight, ids, **k: tn.nn.functional.embedding(
        ids, weight, **k
    ),
    "nn.functional.embedding_bag": lambda weight, ids, **k: tn.nn.functional.embedding_bag(
        ids, weight, **k
    ),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "zero_": lambda x: x.clone().zero_(),
    "normal/in_place": lambda x, mean, std: x.normal_(mean, std),
}


def ours(name: str, variant: str = "") -> Any:
    """tinynet's function of a name; of a name that only methods have, the method."""
    for known in (f"{name}/{variant}", name):
        if known in ADAPTED:
            return ADAPTED[known]
    room, _, leaf = name.rpartition(".")
    if room:
        rooms = {"nn.functional": tn.nn.functional, "linalg": tn.linalg}
        return getattr(rooms.get(room), leaf, None)
    return exports.get(name) or getattr(tn.Tensor, name, None)


def _in_place(change: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, *args, **kwargs: change(x.clone(), *args, **kwargs)


def forms(info: Any) -> Iterator[tuple[str, Any, Any]]:
    """(form, PyTorch's function, tinynet's) for each way to call an operator that both have."""
    main = ours(info.name, info.variant_test_name)
    yield "function", info.op, main
    for alias in info.aliases:
        if ours(alias.name):
            yield alias.name, alias.op, ours(alias.name)
    method, change = info.get_method(), info.get_inplace()
    if method and hasattr(tn.Tensor, name := getattr(method, "__name__", "")) and name[0] != "_":
        yield "method", method, getattr(tn.Tensor, name)
    if change:
        mine = getattr(tn.Tensor, getattr(change, "__name__", ""), None)
        if mine is None and "inplace" in inspect.signature(main).parameters:
            mine = partial(main, inplace=True)
        if mine:
            yield "in place", _in_place(change), _in_place(mine)
    if info.operator_variant:
        yield "operator", info.operator_variant, info.operator_variant
    if info.inplace_operator_variant:
        yield "in-place operator", *[_in_place(info.inplace_operator_variant)] * 2


def samples(info: Any) -> list[SampleInput]:
    """PyTorch's calls of an operator, the same each time."""
    kinds = [torch.float64, torch.int64, torch.bool]
    dtype = next((d for d in kinds if d in info.dtypes), None)
    if dtype is None:
        return []
    torch.manual_seed(0)
    tn.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  PyTorch's lists draw from NumPy's and Python's generators
    random.seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tracked = info.supports_autograd and dtype is torch.float64
        # what `info.sample_inputs` calls, without its search of the stack for PyTorch's own tests
        return list(info.sample_inputs_func(info, "cpu", dtype, tracked))


def cases(name: str) -> Iterator[Case]:
    """All calls of the operators of this name."""
    yield from OWN.get(name, lambda: ())()
    for info in BY_NAME.get(name, []):
        drawn = samples(info)
        for form, theirs, mine in forms(info):
            in_place = form.startswith("in")
            for sample in drawn:
                if not (in_place and sample.broadcasts_input):
                    yield Case(name, form, theirs, mine, sample)


def _set(x: Any, index: Any, value: Any) -> Any:
    y = x.clone()
    y[index] = value
    return y


def _setitem() -> Iterator[Case]:
    for sample in samples(BY_NAME["__getitem__"][0]):
        x, index = sample.input, sample.args[0]
        value = torch.randn(x[index].shape, dtype=x.dtype, requires_grad=True)
        yield Case("__setitem__", "function", _set, _set, SampleInput(x, args=(index, value)))


def _made(name: str, theirs: Any, mine: Any, *data: Any, **options: Any) -> Iterator[Case]:
    for x in data:
        yield Case(name, "function", theirs, mine, SampleInput(x, kwargs=options))


_LISTS = (1, 2.5, True, [1, 2], [[1.0], [2.0]], [], [[]], [True, False], [1, 2.5], (3,))
_ARRAYS = (np.arange(6.0).reshape(2, 3), np.array(1, "i4"), np.zeros((0, 2), "f4"), np.ones(2) > 0)

# What PyTorch's table has no samples of.
OWN: dict[str, Callable[[], Iterator[Case]]] = {
    "__setitem__": _setitem,
    "tensor": lambda: _made("tensor", torch.tensor, tn.tensor, *_LISTS, *_ARRAYS),
    "as_tensor": lambda: _made("as_tensor", torch.as_tensor, tn.as_tensor, *_LISTS, *_ARRAYS),
    "from_numpy": lambda: _made("from_numpy", torch.from_numpy, tn.from_numpy, *_ARRAYS),
}

BY_NAME: dict[str, list[Any]] = {}
for _info in op_db:
    if ours(_info.name):
        BY_NAME.setdefault(_info.name, []).append(_info)
NAMES = sorted({*OWN, *BY_NAME})

# What a learner meets. `cholesky` stands for `linalg.cholesky`, `relu` for `nn.functional.relu`.
_NAMED = """
    add sub mul div floor_divide remainder pow neg abs exp exp2 expm1 log log2 log10 log1p sqrt
    rsqrt square reciprocal sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sigmoid erf
    sign floor ceil round clamp maximum minimum where logaddexp atan2 lerp
    sum mean var std prod amax amin max min argmax argmin any all logsumexp cumsum cumprod norm
    vector_norm softmax log_softmax softmin
    reshape view flatten transpose permute squeeze unsqueeze expand broadcast_to cat stack split
    chunk unbind narrow movedim swapaxes flip roll tile repeat repeat_interleave tril triu diagonal
    diag masked_fill pad
    __getitem__ __setitem__ index_select gather scatter_add take_along_dim one_hot sort argsort topk
    matmul mm bmm mv dot outer einsum tensordot trace inv solve det slogdet cholesky
    tensor as_tensor from_numpy zeros ones full empty eye arange linspace zeros_like ones_like
    full_like empty_like
    linear bilinear relu leaky_relu elu selu gelu silu softplus softsign logsigmoid hardtanh relu6
    glu mish prelu dropout mse_loss l1_loss smooth_l1_loss huber_loss cross_entropy nll_loss
    binary_cross_entropy binary_cross_entropy_with_logits kl_div hinge_embedding_loss
    cosine_similarity cosine_embedding_loss embedding normalize
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d unfold pixel_shuffle
    pixel_unshuffle
    max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d
    adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d max_unpool1d
    max_unpool2d interpolate upsample_nearest upsample_bilinear
    cosine_similarity cosine_embedding_loss embedding embedding_bag normalize
    batch_norm layer_norm group_norm instance_norm rms_norm local_response_norm
"""


def in_full(name: str) -> str:
    """A name as PyTorch's table has it: with its module, or the name that it is another name of."""
    for full in (name, f"nn.functional.{name}", f"linalg.{name}"):
        if full in NAMES:
            return full
    aliases = {alias.name: n for n, infos in BY_NAME.items() for i in infos for alias in i.aliases}
    return aliases.get(name, name)


NAMED = list(dict.fromkeys(map(in_full, _NAMED.split())))

# -- the count -------------------------------------------------------------------------------------

_FORMAT = "memory_format=: arrays are in row-major order here, or in whatever order views leave"
_SINGULAR = "needs singular values, for which there is no op"

# (op, what stands in the call): why tinynet differs, knowingly.
REASONS: dict[tuple[str, str], str] = {
    **{
        (name, "memory_format"): _FORMAT
        for name in ("bool", "double", "float", "half", "int", "long", "to")
    },
    **{("linalg.matrix_norm", f"), {p}, ["): _SINGULAR for p in ("'nuc'", "2", "-2")},
    **{("linalg.norm", p): _SINGULAR for p in ("'nuc'", "), 2, ", "), -2, ")},
    ("norm", "'nuc'"): _SINGULAR,
    ("gather", "uint8(2, 0)"): "an empty index of another rank: its sizes are checked all the same",
    ("repeat_interleave", "output_size"): "output_size= spares a GPU from counting; here it counts",
    ("tensordot", "(1, 1, 1), float64(2, 1, 2)"): "a size of 1 meets 2: summed sizes must be equal",
    ("nn.functional.batch_norm", "float64(0,), float64(0,)"): "an input without a channel axis",
}


def reason_of(text: str) -> str | None:
    """Why the call may differ, if the reason is listed."""
    name = text.partition("(")[0]
    return next((r for (op, part), r in REASONS.items() if op == name and part in text), None)


@dataclass
class Tally:
    """What came of the calls of one operator."""

    forms: Counter[str] = field(default_factory=Counter)
    differ: list[tuple[str, str]] = field(default_factory=list)  # the call, and how

    @property
    def total(self) -> int:
        return sum(self.forms.values())

    @property
    def good(self) -> int:
        return self.total - len(self.differ)


@cache
def tally(name: str) -> Tally:
    """Make all calls of one operator."""
    result = Tally()
    for case in cases(name):
        found = run(case)
        if found is not None:
            result.forms[case.form] += 1
            if found:
                result.differ.append((case.text, found))
    return result


def count(names: Iterable[str]) -> tuple[int, int]:
    """How many calls of these operators agree, and how many there are."""
    tallies = [tally(name) for name in names]
    return sum(t.good for t in tallies), sum(t.total for t in tallies)


def main(names: list[str]) -> None:
    """Print the table: op, calls that agree / all calls; why the others differ; the sums."""
    torch.set_num_threads(1)
    for name in names or NAMES:
        found = tally(name)
        print(f"{name:40} {found.good:5} / {found.total}")
        for text, how in found.differ:
            print(f"    {text}: {reason_of(text) or how}")
    for title, group in {"all": NAMES, "of these, named in NAMED": NAMED}.items():
        good, total = count(n for n in group if n in (names or NAMES))
        print(f"{title:40} {good:5} / {total}   {good / max(total, 1):.2%}")


if __name__ == "__main__":
    main(sys.argv[1:])
