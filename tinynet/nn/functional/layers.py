"""The layers without memory: weights are arguments. Formulas stand in `derivations` and `ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynet import dtypes
from tinynet.derivations import linear as _linear
from tinynet.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError, describe
from tinynet.ops.pieces import pad as _pad
from tinynet.ops.products import einsum
from tinynet.tensor import Tensor


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """y = x Wᵀ + b. Shapes: input (…, in), weight (out, in), bias (out,) or None, y (…, out).

    Raises ShapeError where the sizes do not fit. Derived in `tinynet/derivations/linear.py`.

    >>> import tinynet as tn
    >>> linear(tn.tensor([1.0, 2.0]), tn.tensor([[3.0, 4.0]]), tn.tensor([0.5]))
    tensor([11.5000])
    """
    if bias is None:
        return _linear.op(input, weight)
    return _linear.op(input, weight, bias)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """y_o = Σ_ij u_i A_oij v_j + b_o: every product of an entry of u and one of v has a weight.

    Shapes: input1 (…, in1), input2 (…, in2), weight (out, in1, in2), bias (out,) or None, y
    (…, out). Raises ShapeError where the sizes do not fit.

    >>> import tinynet as tn
    >>> bilinear(tn.tensor([1.0, 2.0]), tn.tensor([3.0]), tn.ones(1, 2, 1))
    tensor([9.])
    """
    if (*input1.shape[:-1], weight.shape[2]) != input2.shape or (
        input1.shape[-1] != weight.shape[1]
    ):
        raise ShapeError(
            "bilinear: the sizes do not fit",
            expected="(…, in1), (…, in2) and (out, in1, in2)",
            got=", ".join(map(describe, (input1, input2, weight))),
        )
    y = einsum("...i,oij,...j->...o", input1, weight, input2)
    return y if bias is None else y + bias


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Entries added at both ends of the last axes: pad = (before, after) for the last axis, then
    the same for the one before it, and so on. Negative numbers take entries away.

    mode    "constant": `value`, 0 by default; "reflect": the entries within, as in a mirror at the
            edge; "replicate": the one at the edge; "circular": those of the other end

    Raises ArgumentError for another mode, ShapeError where the numbers do not fit the axes.

    >>> import tinynet as tn
    >>> x = tn.tensor([1, 2, 3])
    >>> pad(x, (1, -1)), pad(x, (2, 1), mode="reflect"), pad(x, (2, 1), mode="circular")
    (tensor([0, 1, 2]), tensor([3, 2, 1, 2, 3, 2]), tensor([2, 3, 1, 2, 3, 1]))
    """
    if mode != "constant" and mode not in _PLACES:
        raise ArgumentError(
            "pad: no such mode", expected=f"constant, {', '.join(_PLACES)}", got=mode
        )
    pad = tuple(pad) if isinstance(pad, list | tuple) else (pad,)
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ShapeError(
            "pad: two numbers for each axis are expected, the last axis first",
            expected=f"at most {2 * input.ndim} numbers for {describe(input)}",
            got=f"{pad}",
        )
    if not all(hasattr(width, "__index__") for width in pad):
        raise ArgumentError("pad: widths are whole numbers", got=f"{pad}")
    widths = [(0, 0)] * input.ndim
    for axis, width in enumerate(zip(pad[::2], pad[1::2], strict=True), 1):
        widths[-axis] = width
    for n, (before, after) in zip(input.shape, widths, strict=True):
        if n + min(before, 0) + min(after, 0) < 0:
            raise ShapeError(f"pad: more than all {n} entries are taken away", got=f"{pad}")
    if mode == "constant":
        cut = tuple(slice(max(-a, 0), min(b, 0) or None) for a, b in widths)
        added = tuple((max(a, 0), max(b, 0)) for a, b in widths)
        return _pad(input[cut], pad_width=added, value=value or 0)
    for axis, (n, (before, after)) in enumerate(zip(input.shape, widths, strict=True)):
        if (before, after) != (0, 0):
            if mode == "reflect" and max(before, after) >= n:
                raise ShapeError(f"pad: {n} entries cannot be mirrored so far", got=f"{pad}")
            places = np.arange(-before, n + after)
            places = _PLACES[mode](places, n) if len(places) else places
            input = input[(slice(None),) * axis + (places,)]
    return input


def _around(k: Any, n: int) -> Any:
    """Places k of a ring, made of those that negative padding left."""
    first, last = max(k[0], 0), min(k[-1], n - 1)
    return first + (k - first) % (last + 1 - first)


# Which of n entries stands at the places k. Those with k < 0 and k >= n lie outside.
_PLACES: dict[str, Callable[[Any, int], Any]] = {
    "reflect": lambda k, n: n - 1 - np.abs(n - 1 - np.abs(k)),
    "replicate": lambda k, n: np.clip(k, 0, n - 1),
    "circular": _around,
}


def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """Row c of the identity matrix for each class id c. Shape (…) -> (…, num_classes), int64.

    −1 takes the largest id plus one. Raises OutOfRangeError for an id outside of the classes.

    >>> import tinynet as tn
    >>> one_hot(tn.tensor([0, 2]), 3)
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    ids = tensor.array
    if ids.dtype.kind not in "iu":
        raise DTypeError("one_hot: class ids are whole numbers", got=describe(tensor))
    if num_classes == -1:
        if not ids.size:
            raise ShapeError("one_hot of nothing needs num_classes", got=describe(tensor))
        num_classes = int(ids.max()) + 1
    if ids.size and not 0 <= ids.min() <= ids.max() < num_classes:
        raise OutOfRangeError(
            "one_hot: a class id is out of range",
            expected=f"0 … {num_classes - 1}",
            got=f"{int(ids.min())} … {int(ids.max())}",
        )
    names = np.arange(num_classes, like=ids)
    return Tensor((np.expand_dims(ids, -1) == names).astype(dtypes.int64))
