"""Is it recorded? `no_grad`, `enable_grad`, and the switch behind them."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

_recording = ContextVar("recording", default=True)  # of its own in every thread


def is_grad_enabled() -> bool:
    """Whether ops are recorded now, in this thread."""
    return _recording.get()


class _Switch:
    """A context manager and a decorator that records, or does not, until it ends."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_recording.get())
        _recording.set(self._wanted)

    def __exit__(self, *_: object) -> None:
        _recording.set(self._before.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with _Switch(self._wanted):
                return function(*args, **kwargs)

        return wrapped


class no_grad(_Switch):
    """Record nothing: for evaluation, and for changing parameters.

    >>> import tinynet as tn
    >>> w = tn.ones(2, requires_grad=True)
    >>> with tn.no_grad():
    ...     (w * 2).requires_grad
    False
    """

    def __new__(cls, function: Any = None) -> Any:
        """`@no_grad` on a function is meant as `@no_grad()`."""
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self) -> None:
        super().__init__(False)


class inference_mode(_Switch):
    """`no_grad` under the name that PyTorch gives to a stricter form of it; `mode=False` records.

    >>> import tinynet as tn
    >>> with tn.inference_mode():
    ...     (tn.ones(2, requires_grad=True) * 2).requires_grad
    False
    """

    def __init__(self, mode: bool = True) -> None:
        super().__init__(not mode)


class enable_grad(_Switch):
    """Record again inside a `no_grad` block."""

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(_Switch):
    """Record (True) or do not (False): at once, and until the `with` block ends if it is used as
    one.
    """

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        self._initial = _recording.get()
        _recording.set(mode)

    def __enter__(self) -> None:
        self._before.append(self._initial)
        _recording.set(self._wanted)
