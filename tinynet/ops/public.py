"""How an op gets its public face: the function `tn.name` and the Tensor method `x.name`, with
PyTorch's arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from tinynet.errors import ArgumentError
from tinynet.op import Op
from tinynet.tensor import Tensor

exports: dict[str, Callable[..., Any]] = {}  # tn.<name>
methods: dict[str, Callable[..., Any] | property] = {}  # Tensor.<name>

_NUMPY_SPELLING = {"axis": "dim", "keepdims": "keepdim"}


def public(
    function: Callable[..., Any], *, name: str = "", as_method: bool = True
) -> Callable[..., Any]:
    """Export a function as `tn.<name>` and, where its first argument is a Tensor, as a method.

    Where it takes `dim` or `keepdim`, the NumPy spellings `axis` and `keepdims` work too.
    """
    name = name or function.__name__
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if "dim" in names or "keepdim" in names:
        function = with_numpy_spelling(function)
    exports[name] = function
    if as_method:
        method(name, function)
    return function


def with_numpy_spelling(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function take `axis` for `dim` and `keepdims` for `keepdim`."""

    @wraps(function)
    def spelled(*args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            return function(*args)
        for theirs, ours in _NUMPY_SPELLING.items():
            if theirs in kwargs:
                if ours in kwargs:
                    raise ArgumentError(f"{function.__name__}: give {ours} or {theirs}, not both")
                kwargs[ours] = kwargs.pop(theirs)
        return function(*args, **kwargs)

    return spelled


def unary(op: Op) -> None:
    """Export an op of one input under its own name."""

    def function(input: Any) -> Any:
        return op(input)

    _dress(function, op, "input")


def binary(op: Op) -> None:
    """Export an op of two inputs under its own name."""

    def function(input: Any, other: Any) -> Any:
        return op(input, other)

    _dress(function, op, "input, other (they broadcast)")


def _dress(function: Callable[..., Any], op: Op, inputs: str) -> None:
    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = (
        f"y = ${op.formula}$, entry by entry. Inputs: {inputs}. Defined for: {op.domain}.\n\n"
        f"    The rule of its derivative stands in `tinynet/ops/{op.room}.py`."
    )
    public(function)


def operator(name: str, op: Callable[..., Any], *, reverse: bool = False) -> None:
    """Let a Python operator on Tensors call an op; with `reverse`, also when the Tensor stands on
    the right.
    """

    def forward(self: Tensor, other: Any) -> Any:
        return op(self, other) if type(other) not in _FOREIGN else NotImplemented

    def backward(self: Tensor, other: Any) -> Any:
        return op(other, self) if type(other) not in _FOREIGN else NotImplemented

    method(f"__{name}__", forward)
    if reverse:
        method(f"__r{name}__", backward)


def method(name: str, function: Callable[..., Any] | property) -> None:
    """Make a function a method, or a property, of Tensor under this name."""
    methods[name] = function
    setattr(Tensor, name, function)


_FOREIGN = (type(None), str, dict)  # x == None and x == "a" are for Python to answer
