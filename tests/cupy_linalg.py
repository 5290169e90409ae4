"""cupy.linalg in the double: what cuSOLVER leaves behind where NumPy would raise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_config = {"linalg": "ignore"}  # cupyx/_ufunc_config.py


@contextmanager
def errstate(
    *, divide: Any = None, over: Any = None, under: Any = None, invalid: Any = None, linalg: Any
) -> Iterator[None]:
    """cupyx.errstate: only `linalg` can be set."""
    if (divide, over, under, invalid) != (None,) * 4 or linalg not in ("ignore", "raise"):
        raise NotImplementedError
    before = _config["linalg"]
    _config["linalg"] = linalg
    try:
        yield
    finally:
        _config["linalg"] = before


def _checked(*arrays: np.ndarray[Any, Any]) -> None:
    """linalg/_util.py, before anything is computed."""
    if any(x.dtype == np.float16 for x in arrays):
        raise TypeError("float16 is unsupported in linalg")
    a = arrays[0]
    if a.ndim < 2:
        raise np.linalg.LinAlgError(f"{a.ndim}-dimensional array given. Array must be at least 2")
    if a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")


def _each(
    routine: Callable[..., Any], left: Callable[..., Any], *stacks: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """The routine on each matrix; where it fails, what is `left` and a devInfo that is not 0."""
    a, lead = stacks[0], stacks[0].shape[:-2]
    y, failed = np.empty_like(stacks[-1]), False
    for i in np.ndindex(lead):
        try:
            y[i] = routine(*(x[i] for x in stacks))
        except np.linalg.LinAlgError:
            y[i], failed = left(*(x[i] for x in stacks)), True
    if failed and _config["linalg"] == "raise":
        raise np.linalg.LinAlgError("Error reported by getrf in cuSOLVER. devInfo = [2].")
    return y if math.prod(a.shape) else y.astype(np.result_type(*stacks))


def inv(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """linalg/_solve.py, inv and _batched_inv: division by a pivot that is 0."""
    _checked(a)
    return _each(np.linalg.inv, lambda u: np.full_like(u, np.nan), a)


def solve(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """linalg/_solve.py: the leading axes do not broadcast."""
    _checked(a, b)
    if b.ndim == 1:
        b = np.broadcast_to(b, a.shape[:-1])
    if a.shape[:-1] != b.shape[:-1]:
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K)")
    return _each(np.linalg.solve, lambda u, v: np.full_like(v, np.inf), a, b)


def cholesky(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """linalg/_decomposition.py: the input, with the columns before the failure replaced."""
    _checked(a)
    return _each(np.linalg.cholesky, np.tril, a)


def crossing(name: str, inside: Callable[..., Any], outside: Callable[..., Any]) -> Any:
    """One of the above, for arrays of the double."""
    function = globals()[name]
    return lambda *args: outside(_quietly(function, *inside(args)))


def _quietly(function: Callable[..., Any], *args: Any) -> Any:
    with np.errstate(all="ignore"):
        return function(*args)
