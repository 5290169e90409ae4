"""What a Tensor looks like as text: PyTorch's way."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from tinynet import arrays, dtypes
from tinynet.errors import ArgumentError

_DEFAULTS: dict[str, Any] = {
    "precision": 4,
    "threshold": 1000,
    "edgeitems": 3,
    "linewidth": 75,
    "sci_mode": None,
}
_shown = dict(_DEFAULTS)


def set_printoptions(
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are printed.

    precision    digits behind the point: 4
    threshold    the number of entries from which on only the ends of each axis are shown: 1000
    edgeitems    how many entries are shown at each end: 3
    linewidth    characters in a line: 75
    profile      "default" for these values, "short" for fewer digits and ends, "full" for all
    sci_mode     numbers as 1.0000e-05 always (True) or never (False); None: where they need it

    >>> import tinynet as tn
    >>> tn.set_printoptions(precision=2); tn.tensor([0.12345, 1.5])
    tensor([0.12, 1.50])
    >>> tn.set_printoptions(profile="default")
    """
    profiles: dict[str | None, dict[str, Any]] = {
        None: {},
        "default": _DEFAULTS,
        "short": {**_DEFAULTS, "precision": 2, "edgeitems": 2},
        "full": {**_DEFAULTS, "threshold": sys.maxsize},
    }
    if profile not in profiles:
        raise ArgumentError("no such profile", expected="default, short, full", got=profile)
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    _shown.update(profiles[profile])
    _shown.update({name: value for name, value in given.items() if value is not None})
    _shown["sci_mode"] = sci_mode


def text(x: Any) -> str:
    """`tensor(values, ...)`, with what is not the default: dtype, device, how it was made, name."""
    array = arrays.to_device(x.array, "cpu")
    values = np.array2string(
        array,
        separator=", ",
        prefix="tensor(",
        formatter=_formatter(array),
        threshold=_shown["threshold"],
        edgeitems=_shown["edgeitems"],
        max_line_width=_shown["linewidth"],
    )
    notes = [values]
    if array.size == 0 and array.ndim != 1:
        notes.append(f"size={x.shape}")
    if x.dtype not in (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_):
        notes.append(f"dtype={x.dtype}")
    if x.device != "cpu":
        notes.append(f"device='{x.device}'")
    if x._node is not None:
        notes.append(f"grad_fn=<{x._node.name}>")
    elif x._requires_grad:
        notes.append("requires_grad=True")
    if x.name:
        notes.append(f"name={x.name!r}")
    return f"tensor({', '.join(notes)})"


def _formatter(array: np.ndarray[Any, Any]) -> Any:
    """PyTorch's way with floats: whole ones as `1.`, others with 4 digits, extremes as 1e-05."""
    if array.dtype.kind != "f" or not array.size:
        return None
    sizes = np.abs(array[np.isfinite(array) & (array != 0)], dtype=np.float64)
    whole = not sizes.size or ((sizes == np.round(sizes)).all() and sizes.max() < 1e8)
    scientific = _shown["sci_mode"]
    if scientific is None:
        largest, smallest = (1, 1) if whole else (sizes.max(), sizes.min())
        scientific = largest > 1e8 or smallest < 1e-4 or largest > 1e3 * smallest
    digits, end = f".{_shown['precision']}{'e' if scientific else 'f'}", ""
    if whole and not scientific:
        digits, end = ".0f", "."

    def number(value: Any) -> str:
        return f"{value:{digits}}{end}" if np.isfinite(value) else str(value)

    width = max(len(number(v)) for v in array.flat) if array.size <= 1000 else 0
    return {"float_kind": lambda value: number(value).rjust(width)}
