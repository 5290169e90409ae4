"""PyTorch's own samples of its modules, run on PyTorch and on tinynet.

PyTorch keeps for each module the arguments and inputs on which it tests itself (`module_db`). Here
each sample is run twice, in float64 and with the same weights: the keys and shapes of `state_dict`,
the outputs, the gradients of inputs and parameters for random cotangents, and the buffers after the
forward pass must agree. A module that behaves differently in training and in evaluation is run in
both modes. A module that tinynet has not is named and left out.

`python tests/module_samples.py [Module ...]` prints the table, and each sample that differs.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from pytorch_samples import (
    FunctionInput,
    ModuleInput,
    Reasons,
    Tally,
    Twins,
    call,
    difference,
    failure,
    listed,
    module_db,
    repeatable,
    results_differ,
    table,
    total_of,
)

import tinynet as tn

# -- one sample ------------------------------------------------------------------------------------


@dataclass
class Case:
    """One sample of a module, in one mode."""

    name: str
    sample: ModuleInput
    training: bool

    @property
    def mode(self) -> str:
        return "train" if self.training else "eval"

    @property
    def text(self) -> str:
        """The module and its inputs as one would write them, shapes in place of tensors."""
        made, given = self.sample.constructor_input, self.sample.forward_input
        return f"{call(self.name, made.args, made.kwargs)}" + (
            f"{call('', given.args, given.kwargs)} [{self.mode}]"
        )

    @property
    def drawn(self) -> bool:
        """Whether its values are random; then shapes and dtypes are compared."""
        made = self.sample.constructor_input
        p = made.args[0] if made.args else made.kwargs.get("p", 0.5)
        return self.training and "Dropout" in self.name and p not in (0, 1)


class ModuleTwins(Twins):
    """Twins of what modules are made of, too: functions and other modules."""

    def of(self, x: Any) -> Any:
        if isinstance(x, torch.nn.Module):
            args, kwargs = x.made_of
            return getattr(tn.nn, type(x).__name__)(*self.of(args), **self.of(kwargs))
        if callable(x) and not isinstance(x, torch.Tensor | type):
            return getattr(tn.nn.functional, x.__name__)
        return super().of(x)


def known(theirs: Any) -> Any:
    """A class of PyTorch whose instances tell what they were made of."""

    def make(*args: Any, **kwargs: Any) -> Any:
        made = theirs(*args, **kwargs)
        made.made_of = args, kwargs
        return made

    return make


def state_differs(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """How the keys, their order, or the shapes of two `state_dict`s differ; "" if they do not."""
    shapes = [[(k, tuple(v.shape)) for k, v in side.items()] for side in (theirs, ours)]
    return "" if shapes[0] == shapes[1] else f"state_dict: {shapes[0]} is not {shapes[1]}"


def run(case: Case) -> str:
    """How the two sides differ: "" where they agree."""
    made, given, twins = case.sample.constructor_input, case.sample.forward_input, ModuleTwins()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of roads that PyTorch does not take
        theirs = getattr(torch.nn, case.name)(*made.args, **made.kwargs)
    theirs = theirs.double().train(case.training)
    try:
        ours = getattr(tn.nn, case.name)(*twins.of(made.args), **twins.of(made.kwargs))
        ours.double().train(case.training)
        if found := state_differs(theirs.state_dict(), ours.state_dict()):
            return found
        ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
        args, kwargs = twins.of(given.args), twins.of(given.kwargs)
        mine = dict(ours.named_parameters())
        twins.pairs |= {id(p): (p, mine[name]) for name, p in theirs.named_parameters()}
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            y, z = theirs(*given.args, **given.kwargs), ours(*args, **kwargs)
            if found := results_differ(y, z, twins, free=case.drawn):
                return found
        for name, value in theirs.state_dict().items():
            if found := difference(value, ours.state_dict()[name]):
                return f"{name} afterwards: {found}"
    except Exception as error:
        return failure(error)
    return ""


# -- all samples -----------------------------------------------------------------------------------


def _made(*args: Any, **kwargs: Any) -> Callable[..., ModuleInput]:
    """`_made(arguments)(inputs)`: one sample of our own. A tuple is the shape of a tensor."""

    def fed(*inputs: Any, **options: Any) -> ModuleInput:
        return ModuleInput(
            FunctionInput(*args, **kwargs),
            FunctionInput(*map(_tensor, inputs), **{k: _tensor(v) for k, v in options.items()}),
        )

    return fed


def _tensor(x: Any) -> Any:
    if isinstance(x, tuple):
        return torch.randn(x, dtype=torch.float64, requires_grad=True)
    return torch.tensor(x) if isinstance(x, list) else x


def _dropout(*shapes: Any) -> Callable[[], list[ModuleInput]]:
    return lambda: [_made(p)(shape) for p in (0.0, 1.0, 0.4) for shape in shapes]


def _loss(*options: dict[str, Any], inputs: int = 2) -> Callable[[], list[ModuleInput]]:
    return lambda: [_made(**o)(*[(3, 4)] * inputs) for o in ({}, *options)]


def _upsample() -> list[ModuleInput]:
    modes = [("nearest", 1), ("linear", 1), ("nearest", 2), ("bilinear", 2), ("bicubic", 2)]
    made = [
        _made(mode=mode, **how)((2, 3, *(4, 3)[:axes]))
        for mode, axes in modes
        for how in ({"scale_factor": 2}, {"scale_factor": 1.5}, {"size": (5, 7)[:axes]})
    ]
    aligned = [
        _made(scale_factor=2, mode=mode, align_corners=True)((1, 2, *(3, 4)[:axes]))
        for mode, axes in modes
        if mode != "nearest"
    ]
    return [*made, *aligned]


def _decoder() -> list[ModuleInput]:
    layer = known(torch.nn.TransformerDecoderLayer)
    mask = torch.ones(5, 5, dtype=torch.bool).triu(1)
    return [
        _made(layer(4, 2, 8, 0.0), 2)((5, 3, 4), (6, 3, 4)),
        _made(layer(4, 2, 8, 0.0, batch_first=True), 2)((3, 5, 4), (3, 6, 4), tgt_mask=mask),
        _made(layer(4, 2, 8, 0.0, norm_first=True), 1)((5, 4), (6, 4)),
    ]


def _bags() -> list[ModuleInput]:
    ids, starts = [1, 0, 3, 3, 2, 1], [0, 2, 2]
    return [
        _made(5, 3, mode=mode, **options)(*given)
        for mode in ("sum", "mean", "max")
        for options in ({}, {"padding_idx": 1})
        for given in ((ids, starts), ([ids[:3], ids[3:]],))
    ]


# What PyTorch's list has no samples of.
OWN: dict[str, Callable[[], list[ModuleInput]]] = {
    "AlphaDropout": _dropout((3, 4)),
    "ChannelShuffle": lambda: [_made(2)((1, 4, 2, 3))],
    "CosineSimilarity": lambda: [_made()((3, 4), (3, 4)), _made(dim=0, eps=1.0)((3, 4), (3, 4))],
    "Dropout": _dropout((3,), (3, 4)),
    "Dropout1d": _dropout((3, 4), (2, 3, 4)),
    "Dropout2d": _dropout((2, 3, 4), (2, 3, 4, 2)),
    "Dropout3d": _dropout((2, 3, 4, 2), (1, 2, 3, 4, 2)),
    "EmbeddingBag": _bags,
    "Flatten": lambda: [_made()((2, 3, 4)), _made(0, 1)((2, 3, 4)), _made(start_dim=-2)((2, 3, 4))],
    "Fold": lambda: [
        _made((4, 5), (2, 3))((2, 12, 9)),
        _made((4, 5), 2, dilation=2, padding=1, stride=(2, 1))((8, 10)),
    ],
    "Hardsigmoid": lambda: [_made()((3, 4))],
    "Identity": lambda: [_made()((3, 4)), _made(1, x=2)((3,))],
    "PairwiseDistance": lambda: [
        _made(**o)((3, 4), (3, 4)) for o in ({}, {"p": 1.0}, {"keepdim": True})
    ],
    "PixelShuffle": lambda: [_made(2)((1, 8, 3, 2)), _made(3)((2, 1, 9, 1, 2))],
    "PixelUnshuffle": lambda: [_made(2)((1, 2, 4, 6))],
    "TransformerDecoder": _decoder,
    "TripletMarginLoss": _loss(
        {"margin": 2.0, "swap": True}, {"p": 1, "reduction": "sum"}, {"reduction": "none"}, inputs=3
    ),
    "Unflatten": lambda: [_made(1, (2, 2))((3, 4)), _made(-1, (-1, 2))((3, 4))],
    "Unfold": lambda: [
        _made((2, 3))((2, 3, 4, 5)),
        _made(2, dilation=2, padding=1, stride=(2, 1))((3, 4, 5)),
    ],
    "Upsample": _upsample,
    "UpsamplingBilinear2d": lambda: [
        _made(scale_factor=2)((1, 2, 3, 4)),
        _made((5, 3))((1, 2, 3, 4)),
    ],
    "UpsamplingNearest2d": lambda: [
        _made(scale_factor=2)((1, 2, 3, 4)),
        _made((5, 3))((1, 2, 3, 4)),
    ],
}
INFOS = {info.module_cls.__name__: info for info in module_db if not info.is_lazy}
MODES = {name: info.train_and_eval_differ for name, info in INFOS.items()}  # does the mode matter?
MODES |= {name: "Dropout" in name or name == "TransformerDecoder" for name in OWN}
THEIRS = sorted(MODES)
NAMES = [name for name in THEIRS if hasattr(tn.nn, name)]
MISSING = [name for name in THEIRS if name not in NAMES]


def cases(name: str) -> Iterator[Case]:
    """All samples of a module, in each mode that matters."""
    for training in (True, False) if MODES[name] else (True,):
        repeatable()
        if name in OWN:
            drawn = OWN[name]()
        else:
            layer = known(torch.nn.TransformerEncoderLayer)
            with patch.object(torch.nn, "TransformerEncoderLayer", layer):
                drawn = INFOS[name].module_inputs_func(
                    INFOS[name],
                    device="cpu",
                    dtype=torch.float64,
                    requires_grad=True,
                    training=training,
                )
        for sample in drawn:
            yield Case(name, sample, training)


# What a learner meets, of those that are there.
_NAMED = """
    Linear Bilinear Identity Embedding EmbeddingBag Flatten Unflatten
    Conv1d Conv2d ConvTranspose1d ConvTranspose2d MaxPool1d MaxPool2d AvgPool1d AvgPool2d
    AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool1d AdaptiveMaxPool2d LPPool1d LPPool2d
    Fold Unfold Upsample UpsamplingNearest2d UpsamplingBilinear2d PixelShuffle PixelUnshuffle
    ZeroPad1d ZeroPad2d ConstantPad1d ConstantPad2d ReflectionPad1d ReflectionPad2d
    ReplicationPad1d ReplicationPad2d CircularPad1d CircularPad2d
    BatchNorm1d BatchNorm2d LayerNorm GroupNorm InstanceNorm1d InstanceNorm2d RMSNorm
    LocalResponseNorm
    RNN LSTM GRU RNNCell LSTMCell GRUCell
    MultiheadAttention TransformerEncoderLayer TransformerDecoderLayer TransformerEncoder
    TransformerDecoder Transformer
    Dropout Dropout1d Dropout2d Dropout3d AlphaDropout
    CELU ELU GELU GLU SELU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid LogSoftmax
    Mish PReLU ReLU ReLU6 Sigmoid SiLU Softmax Softmax2d Softmin Softplus Softshrink Softsign Tanh
    Tanhshrink Threshold
    BCELoss BCEWithLogitsLoss CosineEmbeddingLoss CosineSimilarity CrossEntropyLoss GaussianNLLLoss
    HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss MarginRankingLoss MSELoss MultiMarginLoss NLLLoss
    PairwiseDistance PoissonNLLLoss SmoothL1Loss SoftMarginLoss TripletMarginLoss
"""
NAMED = [name for name in _NAMED.split() if name in NAMES]

# -- the count -------------------------------------------------------------------------------------

# (module, what stands in the sample): why tinynet differs, knowingly.
REASONS: Reasons = {
    ("CosineSimilarity", "eps=1.0"): "a norm below eps does not count, and here gets no gradient",
}


def reason_of(text: str) -> str | None:
    """Why the sample may differ, if the reason is listed."""
    return listed(text, REASONS)


@cache
def tally(name: str) -> Tally:
    """Run all samples of one module."""
    result = Tally()
    for case in cases(name):
        found = run(case)
        result.forms[case.mode] += 1
        if found:
            result.differ.append((case.text, found))
    return result


def count(names: Iterable[str]) -> tuple[int, int]:
    """How many samples of these modules agree, and how many there are."""
    return total_of(map(tally, names))


def main(names: list[str]) -> None:
    """Print the table, and which modules are missing."""
    table(names or NAMES, tally, reason_of, {"all": NAMES, "of these, named in NAMED": NAMED})
    print(f"not there: {' '.join(MISSING)}")


if __name__ == "__main__":
    main(sys.argv[1:])
