"""tinynet: the mathematics under deep learning, derived by hand, checked, made fast, and seen.

The map, in reading order. Each room holds one kind of thing.

    errors arrays random files    mistakes; NumPy or CuPy; seeds; safe writing
    op tensor autograd dispatch   what an op is; a value that remembers; walking back; the one door
    printing views hooks          a value as text; shared memory; gradients seen on their way
    autocasting amp               which op computes in float16; scaling, so that gradients survive
    recompute func function       memory for time; gradients of functions; an op of your own
    batching batch_rules crossing vectorize    a function of one example becomes one of all: vmap
    ops/                          the table of derivatives, one line each
    linalg                        the door to the ops on whole matrices
    derivations/                  one proof per file: definition and derived backward
    kernels/                      the same, faster
    nn/ optim/ metrics            names and state; steps; scores
    data/ train/                  sets and loaders; the loop
    models/                       the systems of the documents, trained on real data
    check/ explanation/ plot/     is it right? why? what does it look like?
    exercises/ classroom/         tasks that answer; grades for a class
    bench/ tour cli/              what a sceptic and a visitor type
    cuda/                         GPUs: which one, how much memory, how long
    utils/                        doors to PyTorch's paths; so are accelerator and backends

>>> import tinynet as tn
>>> x = tn.tensor([1.0, 2.0], requires_grad=True)
>>> (x**2).sum().backward()
>>> x.grad
tensor([2., 4.])
"""

import importlib
from math import e, inf, nan, pi
from typing import Any

from numpy import dtype

from tinynet import autograd, derivations, function, linalg
from tinynet.arrays import Device as device
from tinynet.autocasting import autocast, get_autocast_dtype, is_autocast_enabled
from tinynet.dtypes import bool_ as bool
from tinynet.dtypes import (
    complex64,
    complex128,
    finfo,
    float16,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from tinynet.function import custom_op
from tinynet.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from tinynet.kernels import get_num_threads, set_num_threads
from tinynet.ops import exports as _exports
from tinynet.printing import set_printoptions
from tinynet.random import Generator, get_rng_state, initial_seed, manual_seed, set_rng_state
from tinynet.tensor import Tensor

globals().update(_exports)
autograd.Function = function.Function
half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
Size = tuple  # of which shapes are made

__version__ = "0.1.0"

_ROOMS = (
    "accelerator",
    "amp",
    "backends",
    "bench",
    "check",
    "classroom",
    "cli",
    "cuda",
    "data",
    "exercises",
    "explanation",
    "func",
    "kernels",
    "metrics",
    "models",
    "nn",
    "optim",
    "plot",
    "recompute",
    "tour",
    "train",
    "utils",
)
_DOORS = {"exercise": "exercises", "explain": "explanation"}  # a name, and the room it stands in


def __getattr__(name: str) -> Any:
    """Rooms that are opened when first used: importing tinynet loads the engine only."""
    if name in _ROOMS:
        return importlib.import_module(f"tinynet.{name}")
    if name in _DOORS:
        return getattr(importlib.import_module(f"tinynet.{_DOORS[name]}"), name)
    if name == "bfloat16":
        raise AttributeError("NumPy has no bfloat16: float16 with tn.amp.GradScaler, or float32")
    raise AttributeError(f"module 'tinynet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *_DOORS})
