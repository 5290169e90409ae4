"""The one place of choice: what computes an op on the arrays that came.

An op is computed by a kernel where one is listed below, the arrays are float32 or float64 of the
CPU, there are enough numbers to be worth a call, and the kernel serves the options; else by the
reference: the rule of the table or the derivation, in NumPy. On a GPU the same with its own list,
and float16 as well.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinynet.arrays import Duck
from tinynet.errors import ArgumentError

# Which file of `kernels` (of `kernels.cuda`) holds the kernel of an op, under KERNELS[op].
CPU: dict[str, str] = {
    "adaptive_avg_pool": "pooling",
    "adaptive_max_pool": "pooling",
    "attention": "attention",
    "avg_pool": "pooling",
    "batch_norm": "normalisation",
    "conv2d": "convolution",
    "conv_transpose2d": "convolution",
    "cross_entropy": "cross_entropy",
    "dropout": "dropout",
    "elu": "activations",
    "embedding": "embedding",
    "exp": "activations",
    "gelu": "activations",
    "gelu_tanh": "activations",
    "group_norm": "normalisation",
    "gru": "recurrent",
    "layer_norm": "normalisation",
    "leaky_relu": "activations",
    "linear": "matrices",
    "log_softmax": "softmax",
    "lstm": "recurrent",
    "matmul": "matrices",
    "max_pool": "pooling",
    "mish": "activations",
    "relu": "activations",
    "rms_norm": "normalisation",
    "rnn": "recurrent",
    "sigmoid": "activations",
    "silu": "activations",
    "softmax": "softmax",
    "tanh": "activations",
}
GPU: dict[str, str] = {
    "attention": "attention",
    "conv2d": "convolution",
    "cross_entropy": "cross_entropy",
    "embedding": "embedding",
    "gelu": "activations",
    "gelu_tanh": "activations",
    "layer_norm": "normalisation",
    "log_softmax": "softmax",
    "lstm": "lstm",
    "rms_norm": "normalisation",
    "silu": "activations",
    "softmax": "softmax",
}
# Which file of `kernels` holds the step of an optimizer, under STEPS[name]: it takes what the step
# in the derivation takes.
STEPS: dict[str, str] = {"adam": "optimisers", "sgd": "optimisers"}

MODES = ("auto", "reference", "compiled")
_mode = ContextVar("mode", default="auto")  # of its own in every thread


class Kernel:
    """What computes an op and its gradients in the place of the reference.

    forward   (*arrays, **options) -> (y, saved), as in a derivation
    backward  (g, saved, *, needs, **options) -> gradients: one for each input, None where `needs`
              asks for none
    serves    (*arrays, **options) -> bool: False for options that it leaves to the reference
    least     how many numbers the inputs must hold together for it to be faster
    integers  whether it takes integers of one dtype and float16 as well
    """

    def __init__(
        self,
        forward: Callable[..., tuple[Any, Any]],
        backward: Callable[..., Sequence[Any]],
        *,
        serves: Callable[..., bool] | None = None,
        least: int = 4096,
        integers: bool = False,
    ) -> None:
        self.forward, self.backward, self.serves, self.least = forward, backward, serves, least
        self.integers = integers

    def run(self, values: Sequence[Any], options: dict[str, Any]) -> tuple[Any, Any]:
        """The output, and what `backward` wants saved."""
        return self.forward(*values, **options)


class use:
    """Say what computes: "reference" (NumPy), "compiled" (kernels, however small the arrays), or
    "auto" (kernels where they are faster, the default), in this thread until the block ends.

    Raises ArgumentError for another word.

    >>> with use("reference"):
    ...     mode()
    'reference'
    """

    def __init__(self, mode: str) -> None:
        if mode not in MODES:
            raise ArgumentError("kernels.use: no such mode", expected=", ".join(MODES), got=mode)
        self._wanted = mode
        self._before: list[str] = []

    def __enter__(self) -> None:
        self._before.append(_mode.get())
        _mode.set(self._wanted)

    def __exit__(self, *_: object) -> None:
        _mode.set(self._before.pop())


def mode() -> str:
    """What computes in this thread: "auto", "reference" or "compiled"."""
    return _mode.get()


def find(name: str, values: Sequence[Any], options: dict[str, Any]) -> Kernel | None:
    """The kernel that computes the op `name` on these arrays; None where the reference does."""
    wanted = _mode.get()
    if wanted == "reference" or isinstance(values[0], Duck):  # a batch of examples of `vmap`
        return None
    on_cpu = type(values[0]) is np.ndarray
    arrays = [x for x in values if x is not True]  # True in the place of a mask: there is none
    dtype = _dtype(arrays) if name in (CPU if on_cpu else GPU) else None
    if dtype is None or (wanted == "auto" and on_cpu and not has_compiler()):
        return None
    # Small arrays are turned down before Numba is imported, which takes half a second.
    size = sum(x.size for x in arrays)
    if wanted == "auto" and size < _LEAST_OF_ALL:
        return None
    kernel = _load(on_cpu, name)
    if not kernel.integers and not _floats(dtype, on_cpu):
        return None
    if wanted == "auto" and size < kernel.least:
        return None
    return kernel if kernel.serves is None or kernel.serves(*values, **options) else None


_LEAST_OF_ALL = 512


def find_step(name: str, g: Any, own: Sequence[Any], count: int) -> Callable[..., None] | None:
    """The kernel for the step of an optimizer; None where the derivation does it.

    g      the gradient
    own    the parameter and what the optimizer keeps for it, which are changed
    count  how many numbers the optimizer changes in all: a few are not worth importing Numba
    """
    wanted = _mode.get()
    if wanted == "reference" or isinstance(g, Duck):
        return None
    on_cpu = type(g) is np.ndarray
    dtype = _dtype((g, *own))
    if dtype is None or not _floats(dtype, on_cpu):
        return None
    if wanted == "auto" and (count < LEAST_OF_A_STEP or (on_cpu and not has_compiler())):
        return None
    if not all(x.flags.carray if on_cpu else x.flags.c_contiguous for x in own):
        return None
    step: Callable[..., None] = _steps(STEPS[name] if on_cpu else "cuda." + STEPS[name])[name]
    return step


LEAST_OF_A_STEP = 4096


@functools.cache
def _steps(file: str) -> Any:
    return importlib.import_module(f"tinynet.kernels.{file}").STEPS


def _dtype(values: Sequence[Any]) -> np.dtype[Any] | None:
    """The dtype of the arrays that are floats, or of all where none is; None where there are two,
    where it is no number of at most 8 bytes, or where the arrays are of different kinds.
    """
    if len(set(map(type, values))) > 1 or not hasattr(values[0], "dtype"):
        return None
    dtypes = {x.dtype for x in values}
    if len(dtypes) > 1 and all(dtype.kind in "fiub" for dtype in dtypes):
        dtypes = {dtype for dtype in dtypes if dtype.kind == "f"}
    if len(dtypes) != 1:
        return None
    (dtype,) = dtypes
    known = dtype.kind in "fiub" and dtype.itemsize <= 8 and dtype.isnative
    return dtype if known else None


def _floats(dtype: np.dtype[Any], on_cpu: bool) -> bool:
    """Whether every kernel takes it: float32 and float64, on a GPU float16 too."""
    return dtype.kind == "f" and dtype.itemsize >= (4 if on_cpu else 2)


@functools.cache
def has_compiler() -> bool:
    """Whether Numba is installed and not told to leave Python as it is (NUMBA_DISABLE_JIT)."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return False
    return importlib.util.find_spec("numba") is not None


@functools.cache
def _load(on_cpu: bool, name: str) -> Kernel:
    package, table = ("tinynet.kernels", CPU) if on_cpu else ("tinynet.kernels.cuda", GPU)
    found: Kernel = importlib.import_module(f"{package}.{table[name]}").KERNELS[name]
    return found
