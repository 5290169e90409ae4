"""Modules that hold options only: a function of `functional` with its arguments filled in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from tinynet.nn.module import Module


class Stateless(Module):
    """`function(*inputs, **options)`; the options are attributes, under the function's names."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._options = tuple(options)
        for name, value in options.items():
            setattr(self, name, value)

    def forward(self, *inputs: Any) -> Any:
        return type(self).function(*inputs, **{name: getattr(self, name) for name in self._options})

    def extra_repr(self) -> str:
        shown = [(name, getattr(self, name)) for name in self._options]
        return ", ".join(f"{n}={v!r}" for n, v in shown if n != "inplace" or v)
