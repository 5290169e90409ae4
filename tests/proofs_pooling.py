"""Pooling and upsampling: fixed arguments, and PyTorch's twins."""

from __future__ import annotations

import math
from typing import Any

from proof_cases import case, normal

from tinynet.derivations import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    max_pool,
    upsample,
)

PROOFS = (max_pool, avg_pool, adaptive_max_pool, adaptive_avg_pool, upsample)


def _window(kernel: Any, stride: Any, padding: Any, dilation: Any = None) -> dict[str, Any]:
    geometry = {"kernel": kernel, "stride": stride, "padding": padding}
    return geometry if dilation is None else {**geometry, "dilation": dilation}


def _sized(mode: str, align_corners: bool, *size: int) -> dict[str, Any]:
    options = {"size": size, "scale": (None,) * len(size)}
    return {**options, "mode": mode, "align_corners": align_corners}


CASES = [
    case(max_pool, normal(2, 3, 4, 5), **_window((2, 2), (2, 2), (0, 0), (1, 1))),
    case(max_pool, normal(2, 5, 4), **_window((3, 2), (2, 1), (1, 1), (1, 2)), ceil_mode=True),
    case(max_pool, normal(1, 1, 7), **_window((3,), (1,), (1,), (2,))),
    case(max_pool, normal(1, 2, 5), **_window((2,), (3,), (1,), (1,)), ceil_mode=True),
    case(max_pool, normal(2, 3, 3, 4), **_window((2, 2, 2), (1, 1, 2), (0, 1, 1), (1, 1, 1))),
    case(max_pool, normal(0, 3, 4), **_window((2, 2), (2, 2), (0, 0), (1, 1))),
    case(avg_pool, normal(2, 3, 4, 5), **_window((2, 2), (2, 2), (0, 0))),
    case(avg_pool, normal(2, 5, 4), **_window((3, 2), (2, 1), (1, 1)), ceil_mode=True),
    case(
        avg_pool,
        *(normal(2, 5, 4),),
        **_window((3, 3), (2, 2), (1, 1)),
        ceil_mode=True,
        count_include_pad=False,
    ),
    case(avg_pool, normal(1, 5, 4), **_window((3, 2), (1, 1), (0, 0)), divisor=4),
    case(avg_pool, normal(2, 3, 3, 4), **_window((2, 2, 2), (1, 1, 2), (0, 1, 1))),
    case(avg_pool, normal(0, 3, 4), **_window((2, 2), (2, 2), (0, 0))),
    case(adaptive_max_pool, normal(2, 7, 5), output_size=(3, 2)),
    case(adaptive_max_pool, normal(2, 3, 4), output_size=(1, 1)),
    case(adaptive_max_pool, normal(2, 3), output_size=(5,)),
    case(adaptive_max_pool, normal(0, 3), output_size=(2,)),
    case(adaptive_avg_pool, normal(2, 7, 5), output_size=(3, 2)),
    case(adaptive_avg_pool, normal(2, 3, 4), output_size=(1, 1)),
    case(adaptive_avg_pool, normal(2, 3), output_size=(5,)),
    case(adaptive_avg_pool, normal(2, 3, 2, 4), output_size=(2, 2, 3)),
    case(adaptive_avg_pool, normal(0, 3), output_size=(2,)),
    *(
        case(upsample, normal(1, 2, 3, 4), **_sized(mode, align, 5, 2))
        for mode in ("nearest", "nearest-exact", "linear", "cubic")
        for align in (False, True)
        if not align or mode in ("linear", "cubic")
    ),
    case(upsample, normal(1, 2, 4), size=(6,), scale=(1.7,), mode="linear"),
    case(upsample, normal(1, 2, 4), size=(2,), scale=(0.6,), mode="nearest"),
    case(upsample, normal(1, 2, 4, 4), size=(6, 2), scale=(1.7, 0.6), mode="cubic"),
    case(upsample, normal(1, 2, 1), **_sized("linear", True, 4)),
    case(upsample, normal(1, 2, 3), **_sized("linear", True, 1)),
    case(upsample, normal(1, 1, 2, 3, 2), **_sized("linear", False, 3, 2, 4)),
    case(upsample, normal(0, 2, 4), **_sized("linear", False, 3)),
]


def peers(torch: Any) -> dict[str, Any]:
    """PyTorch's function for each op."""
    F = torch.nn.functional

    def on_planes(name: str, axes: int, x: Any, *args: Any) -> Any:
        """A function of (…, n1, n2, …), for any number of leading axes."""
        lead, sizes = x.shape[: x.ndim - axes], x.shape[x.ndim - axes :]
        y = getattr(F, f"{name}{axes}d")(x.reshape(math.prod(lead), 1, *sizes), *args)
        return y.reshape(*lead, *y.shape[2:])

    def max_pooled(
        x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool = False
    ) -> Any:
        axes = len(kernel)
        return on_planes("max_pool", axes, x, kernel, stride, padding, dilation, ceil_mode)

    def averaged(
        x: Any,
        kernel: Any,
        stride: Any,
        padding: Any,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor: Any = None,
    ) -> Any:
        own = [ceil_mode, count_include_pad] + ([] if divisor is None else [divisor])
        return on_planes("avg_pool", len(kernel), x, kernel, stride, padding, *own)

    def adaptive(name: str) -> Any:
        return lambda x, output_size: on_planes(name, len(output_size), x, output_size)

    def resampled(x: Any, size: Any, scale: Any, mode: str, align_corners: bool = False) -> Any:
        axes = x.ndim - 2
        own = {"linear": ("linear", "bilinear", "trilinear")[axes - 1], "cubic": "bicubic"}
        by = {"size": size} if scale[0] is None else {"scale_factor": scale}
        align = align_corners if mode in own else None
        return F.interpolate(x, **by, mode=own.get(mode, mode), align_corners=align)

    return {
        "max_pool": max_pooled,
        "avg_pool": averaged,
        "adaptive_max_pool": adaptive("adaptive_max_pool"),
        "adaptive_avg_pool": adaptive("adaptive_avg_pool"),
        "upsample": resampled,
    }
