"""What a Tensor looks like as text: PyTorch's way."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet import arrays


def text(x: Any) -> str:
    """`tensor(values, ...)`, with what is not the default: dtype, device, how it was made, name."""
    array = arrays.to_device(x.array, "cpu")
    values = np.array2string(
        array, separator=", ", prefix="tensor(", formatter=_formatter(array), threshold=1000
    )
    notes = [values]
    if array.size == 0 and array.ndim != 1:
        notes.append(f"size={x.shape}")
    if x.dtype not in (arrays.get_default_dtype(), arrays.int64, arrays.bool_):
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
    if not sizes.size or ((sizes == np.round(sizes)).all() and sizes.max() < 1e8):
        digits, end = ".0f", "."
    elif sizes.max() > 1e8 or sizes.min() < 1e-4 or sizes.max() > 1e3 * sizes.min():
        digits, end = ".4e", ""
    else:
        digits, end = ".4f", ""

    def number(value: Any) -> str:
        return f"{value:{digits}}{end}" if np.isfinite(value) else str(value)

    width = max(len(number(v)) for v in array.flat) if array.size <= 1000 else 0
    return {"float_kind": lambda value: number(value).rjust(width)}
