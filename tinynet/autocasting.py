"""Mixed precision: which ops compute in float16, which in float32, inside `tn.autocast`.

float16 has 11 significant bits, and 65,504 is its largest number. That suffices for the factors of
a product of matrices, whose sums the hardware keeps in float32, and this is where the time goes. It
does not suffice for sums of many numbers, for exp and its kin, which leave the range, and for
losses. So every op belongs to one of three classes, by its name:

    LOW       inputs cast to float16: products of matrices and what is made of them
    FULL      inputs cast to float32: sums, exponentials, norms, losses, decompositions
    AS_IS     inputs as they come, promoted as always: float16 beside float32 gives float32

Only float16 and float32 inputs are cast; float64 and whole numbers stay. The lists are PyTorch's
for CUDA, here for both devices; `tests/test_autocast.py` holds them against PyTorch.

Source: Micikevicius et al., "Mixed Precision Training", 2018.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

import numpy as np

from tinynet.arrays import Device, device_of, is_array
from tinynet.dtypes import (
    float16,
    float32,
)
from tinynet.errors import ArgumentError, DTypeError


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


LOW = _names("attention conv2d conv_transpose2d einsum gru linear lstm matmul neuron prelu rnn")

FULL = _names(
    """
    acos asin bce bernoulli cholesky cosh cross_entropy cumprod cumsum det det_sign exp expm1
    group_norm huber inv kl layer_norm log log10 log1p log2 log_softmax logabsdet logsumexp mae mse
    nll p_norm pow power prod reciprocal rms_norm rsqrt sinh soft_cross_entropy softmax softplus
    solve square sum tan upsample
    """
)

AS_IS = _names(
    """
    abs acosh adaptive_avg_pool adaptive_max_pool add all amax amin any argmax argmin argsort asinh
    atan atan2 atanh avg_pool batch_norm bitwise_and bitwise_not bitwise_or bitwise_xor
    broadcast_to cat ceil clamp clone cos div dropout elu embedding eq erf exp2 flip floor
    floor_divide fmod fold frac ge gelu gelu_tanh getitem gt hardtanh isfinite isinf isnan le
    leaky_relu logaddexp logical_and logical_not logical_or logsigmoid lt matrix_factorisation
    max_pool maximum mean minimum mish mul ne neg pad permute put relu remainder reshape roll
    rotary round scatter sigmoid sign silu sin softsign sqrt std sub tanh to_device to_dtype
    tril triu trunc unfold var where
    """
)

blocks = 0  # open in all threads together: while there is none, the engine looks no further
_count = threading.Lock()


class State:
    """What holds inside a block: the dtype of LOW on each kind of device, None where autocast is
    off, and the parameters that were cast already.
    """

    def __init__(
        self, dtypes: dict[str, np.dtype[Any] | None], casts: dict[Any, Any] | None
    ) -> None:
        self.dtypes, self.casts = dtypes, casts


_state: ContextVar[State | None] = ContextVar("autocast", default=None)  # one per thread


def dtype_for(name: str, values: Any) -> np.dtype[Any] | None:
    """The dtype that the op `name` computes in on these arrays; None where they are as they
    should be.
    """
    state = _state.get()
    if state is None or (name not in LOW and name not in FULL):
        return None
    array = next((x for x in values if is_array(x)), None)
    low = None if array is None else state.dtypes.get(device_of(array).type)
    return low if low is None or name in LOW else float32


def casts() -> dict[Any, Any] | None:
    """What is known of the parameters that were cast in this block, by their identity."""
    state = _state.get()
    return None if state is None else state.casts


class autocast:
    """Inside this block, or in a function decorated with it, what is costly computes in float16.

        LOW    products of matrices, convolutions, attention, recurrent cells: in `dtype`
        FULL   sums, exponentials, logarithms, powers, softmax, norms, losses: in float32
        all other ops in the dtype that comes, by promotion

    Parameters stay float32, and so do their gradients. Losses need scaling, by
    `tn.amp.GradScaler`. Put the forward pass and the loss inside, `backward()` outside.

    device_type  "cuda" or "cpu": ops on the other kind of device are left alone
    dtype        float16, the only half precision that NumPy has: bfloat16 raises DTypeError
    enabled      False: compute as without it, also inside another block

    Blocks nest, and hold in their thread only. On a CPU, float16 halves the memory, but it is
    emulated and slow: there it serves to try a program, not to make it fast.

    >>> import tinynet as tn
    >>> x, w = tn.ones(2, 3), tn.ones(3, 1, requires_grad=True)
    >>> with tn.autocast("cpu"):
    ...     y = x @ w
    ...     loss = y.sum()
    >>> y.dtype, loss.dtype
    (dtype('float16'), dtype('float32'))
    >>> loss.backward(); w.grad.dtype
    dtype('float32')
    """

    def __init__(
        self,
        device_type: str,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        self.device_type, self.dtype = _kind(device_type), _half(dtype)
        self._wanted = self.dtype if enabled else None
        self._cached = cache_enabled is not False  # PyTorch's switch
        self._before: list[State | None] = []

    def __enter__(self) -> autocast:
        outer = _state.get()
        self._before.append(outer)
        dtypes, known = ({}, {}) if outer is None else (outer.dtypes, outer.casts)
        dtypes = {**dtypes, self.device_type: self._wanted}
        _set(State(dtypes, known if self._cached else None), 1)
        return self

    def __exit__(self, *_: object) -> None:
        _set(self._before.pop(), -1)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with autocast(self.device_type, self.dtype, self._wanted is not None, self._cached):
                return function(*args, **kwargs)

        return wrapped


class as_before:
    """Compute as inside the blocks that were open when this was made, or outside all of them."""

    def __init__(self, state: State | None) -> None:
        self._wanted = state
        self._before: list[State | None] = []

    def __enter__(self) -> None:
        self._before.append(_state.get())
        _set(self._wanted, 1)

    def __exit__(self, *_: object) -> None:
        _set(self._before.pop(), -1)


def _set(state: State | None, step: int) -> None:
    global blocks
    with _count:
        blocks += step
    _state.set(state)


def current() -> State | None:
    """The state of this thread, to be given to `as_before`; None outside all blocks."""
    return _state.get() if blocks else None


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether ops on this kind of device, on any if left out, are autocast now, in this thread.

    >>> with autocast("cpu"):
    ...     is_autocast_enabled(), is_autocast_enabled("cuda")
    (True, False)
    """
    state = _state.get()
    dtypes = {} if state is None else state.dtypes
    if device_type is None:
        return any(dtypes.values())
    return dtypes.get(_kind(device_type)) is not None


def get_autocast_dtype(device_type: str) -> np.dtype[Any]:
    """The dtype of what is costly inside `autocast` on this kind of device: float16.

    >>> get_autocast_dtype("cuda")
    dtype('float16')
    """
    _kind(device_type)
    return float16


def _kind(device_type: str) -> str:
    kind = device_type.type if isinstance(device_type, Device) else device_type
    if kind not in ("cpu", "cuda"):
        raise ArgumentError(
            "autocast takes a kind of device", expected="'cpu' or 'cuda'", got=repr(device_type)
        )
    return kind


def _half(dtype: Any) -> np.dtype[Any]:
    """float16. Anything else is refused, bfloat16 with the reason."""
    if dtype is None:
        return float16
    if "bfloat16" in str(dtype):
        raise DTypeError(
            "NumPy has no bfloat16",
            expected="float16",
            hint="dtype=tn.float16, with tn.amp.GradScaler for the gradients",
        )
    if np.dtype(dtype) != float16:
        raise DTypeError("autocast computes in float16", got=str(np.dtype(dtype)))
    return float16
