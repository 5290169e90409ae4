"""What the double of CuPy knows of the real one: names, parameters, loops, dtypes, devices."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

KINDS: dict[str, tuple[str, str]] = {}  # name -> (kind, parameters or loops)
for _line in (Path(__file__).parent / "cupy_names.txt").read_text().splitlines():
    _kind, _, _rest = _line.partition(" ")
    _name = _rest.split("(")[0].split(" ")[0]
    KINDS[f"cupyx.{_name}" if _kind == "cupyx" else _name] = (_kind, _rest[len(_name) :])
VERSION = next(name for name, (kind, _) in KINDS.items() if kind == "version")

DEVICES = 2
current = [0]  # the devices of the open `with cuda.Device(n)` blocks, the innermost last

# _scalar.pyx, scalar_type_set: what may stand beside an array
SCALARS = {bool, int, float, complex} | {np.dtype(c).type for c in "?bBhHiIlLqQefdFD"}
SCATTERED = {"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"}
# functions that give Python values in CuPy too
PLAIN = {"shape", "ndim", "size", "may_share_memory", "shares_memory", "result_type", "can_cast"}
CREATION = {"zeros", "ones", "empty", "full", "arange", "eye", "identity", "linspace", "logspace"}
DTYPES = {np.dtype(c) for c in "?bBhHiIlLqQefdFD"}


@functools.cache
def signature(full: str) -> inspect.Signature:
    """The parameters of the real function or method."""
    space: dict[str, Any] = {}
    exec(f"def f{KINDS[full][1]}: ...", space)  # the list is ours
    return inspect.signature(space["f"])


def bind(full: str, *args: Any, **kwargs: Any) -> None:
    """Raise the TypeError of a call that the real function does not take."""
    try:
        signature(full).bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"cupy.{full}: {error}") from None


def choose_loop(loops: Sequence[str], operands: Sequence[Any], dtype: Any) -> tuple[str, str]:
    """_kernel.pyx, guess_routine: the first loop that takes the dtypes; Python numbers are weak,
    unless they are of a higher kind than all the arrays.
    """
    pairs = [(ins, outs) for ins, _, outs in (loop.partition("->") for loop in loops)]
    if dtype is not None:
        return next((p for p in pairs if np.dtype(p[1]) == np.dtype(dtype)), pairs[-1])
    weak = [type(x) if type(x) in (int, float, complex) else None for x in operands]
    known = [np.asarray(x).dtype for x in operands]
    return _first_that_takes(tuple(pairs), tuple(known), tuple(weak))


@functools.cache
def _first_that_takes(
    pairs: tuple[tuple[str, str], ...],
    known: tuple[np.dtype[Any], ...],
    weak: tuple[type | None, ...],
) -> tuple[str, str]:
    ranks = [{"b": 0, "i": 1, "u": 1}.get(t.kind, 2) for t in known]
    strong = max((r for r, w in zip(ranks, weak, strict=True) if not w), default=-1)
    if not -1 < max((r for r, w in zip(ranks, weak, strict=True) if w), default=9) <= strong:
        weak = (None,) * len(weak)
    for ins, outs in pairs:
        if all(
            np.can_cast(t, c) or (w and np.result_type(w(0), np.dtype(c)) == np.dtype(c))
            for t, c, w in zip(known, ins, weak, strict=True)
        ):
            return ins, outs
    raise TypeError(f"Wrong type ({known}) of arguments")


def place_of(parts: list[Any], shape: tuple[int, ...]) -> tuple[tuple[Any, ...], bool]:
    """An index for NumPy, and whether it is an advanced one, whose result is a copy
    (_routines_indexing.pyx): lists and NumPy's arrays are welcome, whole numbers in arrays wrap
    around unchecked.
    """
    arrays = [isinstance(p, list | tuple | np.ndarray | bool | np.bool_) for p in parts]
    for i, part in enumerate(parts):
        if arrays[i]:
            parts[i] = np.asarray(part)
            if isinstance(part, list | tuple) and parts[i].size == 0:
                parts[i] = parts[i].astype("i4")
            if parts[i].dtype.kind not in "biu":
                raise IndexError("arrays used as indices must be of integer or boolean type")
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)  # so that NumPy gives an array, and a view, for whole numbers too
        arrays.append(False)
    used = [
        p.ndim if a and p.dtype.kind == "b" else int(p is not None and p is not Ellipsis)
        for p, a in zip(parts, arrays, strict=True)
    ]
    axis = 0
    for i, part in enumerate(parts):
        if arrays[i] and part.dtype.kind != "b" and axis < len(shape) and shape[axis]:
            parts[i] = part.astype("q") % shape[axis]
        axis += len(shape) - sum(used) if part is Ellipsis else used[i]
    return tuple(parts), any(arrays)


class Device:
    """cupy.cuda.Device: where the arrays that are made inside its `with` block live."""

    def __init__(self, device: int | None = None) -> None:
        self.id = current[-1] if device is None else int(device)

    @property
    def attributes(self) -> dict[str, int]:
        """What a GPU can do, in CUDA's names; here an H100's."""
        return {"MaxSharedMemoryPerBlockOptin": 227 * 1024}

    def __enter__(self) -> Device:
        if self.id >= DEVICES:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        current.append(self.id)
        return self

    def __exit__(self, *_: object) -> None:
        current.pop()

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"


class Bits:
    """cupy.random.BitGenerator: its `state` is a method, an address; it belongs to one device."""

    def __init__(self, seed: Any) -> None:
        self.numpy, self.device = np.random.default_rng(seed), current[-1]

    def state(self) -> int:
        if self.device != current[-1]:
            raise RuntimeError("This RandomState instance is assigned to another device")
        return id(self)
