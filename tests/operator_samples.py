"""PyTorch's own samples of its operators, run on PyTorch and on tinynet.

PyTorch keeps for each operator the calls on which it tests itself (`op_db`). Here every call is
made twice, on the same float64 numbers (whole numbers where an operator takes no others): shapes,
dtypes, values, and the gradients of random cotangents must agree. A call is made as a function,
under PyTorch's second names, as an operator, as a method and in place, wherever tinynet has the
name too.

`python tests/operator_samples.py [op ...]` prints the table, and each call that differs.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from pytorch_samples import (
    Reasons,
    SampleInput,
    Tally,
    Twins,
    call,
    failure,
    listed,
    op_db,
    repeatable,
    results_differ,
    table,
    total_of,
)

import tinynet as tn
from tinynet.ops.public import exports

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
    def drawn(self) -> bool:
        """Whether its values are random, or what the memory held: then shapes and dtypes count."""
        given = self.sample.kwargs
        p = given.get("dropout_p", given.get("p", 0.5) if "dropout" in self.op else 0)
        return self.op in UNSET or (given.get("training", True) and p not in (0, 1))

    @property
    def text(self) -> str:
        """The call as one would write it, shapes in place of tensors."""
        sample = self.sample
        return f"{call(self.op, (sample.input, *sample.args), sample.kwargs)} [{self.form}]"


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
            z = case.ours(*args, **twins.of(sample.kwargs))
            return results_differ(y, z, twins, free=case.drawn)
    except Exception as error:
        return failure(error)


# -- all calls -------------------------------------------------------------------------------------

# Their values are drawn, or are what the memory held.
UNSET = {"empty", "empty_like", "bernoulli", "multinomial", "normal", "rand_like", "randint"}
UNSET |= {"randint_like", "randn", "randn_like", "new_empty"}

# Where PyTorch's table calls an operator, or a variant of it, in a way of its own.
ADAPTED: dict[str, Callable[..., Any]] = {
    "einsum": lambda tensors, equation: tn.einsum(equation, tensors),
    "where": lambda x, condition, other: tn.where(condition, x, other),
    **{
        f"nn.functional.{name}": lambda weight, ids, name=name, **k: getattr(
            tn.nn.functional, name
        )(ids, weight, **k)
        for name in ("embedding", "embedding_bag")
        if hasattr(tn.nn.functional, name)
    },
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
    kinds = [torch.float64, torch.int64, torch.bool, torch.float32]
    dtype = next((d for d in kinds if d in info.dtypes), None)
    if dtype is None:
        return []
    repeatable()
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
# What layers compute, counted among the named once it is there.
_LAYERS = """
    conv1d conv2d conv_transpose1d conv_transpose2d unfold fold interpolate pixel_shuffle
    max_pool1d max_pool2d avg_pool1d avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_max_pool1d adaptive_max_pool2d
    batch_norm layer_norm group_norm instance_norm rms_norm local_response_norm embedding_bag
    scaled_dot_product_attention multi_head_attention_forward dropout2d alpha_dropout
"""


def in_full(name: str) -> str:
    """A name as PyTorch's table has it: with its module, or the name that it is another name of."""
    for full in (name, f"nn.functional.{name}", f"linalg.{name}"):
        if full in NAMES:
            return full
    aliases = {alias.name: n for n, infos in BY_NAME.items() for i in infos for alias in i.aliases}
    return aliases.get(name, name)


NAMED = list(dict.fromkeys(map(in_full, _NAMED.split())))
NAMED += [name for name in map(in_full, _LAYERS.split()) if name in NAMES]

# -- the count -------------------------------------------------------------------------------------

_FORMAT = "memory_format=: arrays are in row-major order here, or in whatever order views leave"
_CASTS = "bool byte char double float half int long short to"
_SINGULAR = "needs singular values, for which there is no op"

# (op, what stands in the call): why tinynet differs, knowingly.
REASONS: Reasons = {
    **{
        (name, "memory_format"): _FORMAT
        for name in [
            "bool",
            "byte",
            "char",
            "double",
            "float",
            "half",
            "int",
            "long",
            "short",
            "to",
        ]
    },
    **{("linalg.matrix_norm", f"), {p}, ["): _SINGULAR for p in ("'nuc'", "2", "-2")},
    **{("linalg.norm", p): _SINGULAR for p in ("'nuc'", "), 2, ", "), -2, ")},
    ("norm", "'nuc'"): _SINGULAR,
    ("cov", "aweights=float32"): "the last digits of a gradient in float32",
    ("gather", "uint8(2, 0)"): "an empty index of another rank: its sizes are checked all the same",
    ("repeat_interleave", "output_size"): "output_size= spares a GPU from counting; here it counts",
    ("tensordot", "(1, 1, 1), float64(2, 1, 2)"): "a size of 1 meets 2: summed sizes must be equal",
    ("nn.functional.batch_norm", "float64(0,), float64(0,)"): "an input without a channel axis",
}


def reason_of(text: str) -> str | None:
    """Why the call may differ, if the reason is listed."""
    return listed(text, REASONS)


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
    return total_of(map(tally, names))


def main(names: list[str]) -> None:
    """Print the table."""
    groups = {"all": NAMES, "of these, named in NAMED": NAMED}
    table(names or NAMES, tally, reason_of, groups)


if __name__ == "__main__":
    main(sys.argv[1:])
