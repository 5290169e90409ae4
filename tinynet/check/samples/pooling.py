"""Arguments for the derivations of pooling and of upsampling."""

from __future__ import annotations

from collections.abc import Callable

from tinynet.check.samples.draw import Draw, Sample, Shape


def _batch(draw: Draw) -> Shape:
    return draw.choice(((2,), (1, 2), (), (2,), (0,)))


def _geometry(draw: Draw, dilated: bool) -> tuple[Shape, dict[str, tuple[int, ...]]]:
    """Sizes, and windows that fit into them: along each axis (n, kernel, stride, padding, …)."""
    columns: list[tuple[int, ...]] = []
    for _ in range(draw.choice((2, 1))):
        k, s, d = draw.choice((2, 3, 1)), draw.choice((1, 2, 3)), draw.choice((1, 2))
        length = (d if dilated else 1) * (k - 1) + 1
        p = draw.integer(0, length // 2)
        n = draw.integer(max(length - 2 * p, d, 1), max(length, 4))
        columns.append((n, k, s, p, d))
    sizes, *windows = zip(*columns, strict=True)
    names = ("kernel", "stride", "padding", "dilation")[: 4 if dilated else 3]
    return sizes, dict(zip(names, windows, strict=False))


def _max_pool(draw: Draw) -> Sample:
    sizes, options = _geometry(draw, dilated=True)
    x = draw.spread((*_batch(draw), *sizes))
    return [x], {**options, "ceil_mode": draw.choice((False, True))}


def _avg_pool(draw: Draw) -> Sample:
    sizes, options = _geometry(draw, dilated=False)
    return [draw.uniform((*_batch(draw), *sizes))], {
        **options,
        "ceil_mode": draw.choice((False, True)),
        "count_include_pad": draw.choice((True, False)),
        "divisor": draw.choice((None, None, 3, -2)),
    }


def _adaptive(draw: Draw) -> Sample:
    pairs = [(draw.integer(1, 4), draw.integer(1, 4)) for _ in range(draw.choice((2, 1)))]
    sizes, output_size = zip(*pairs, strict=True)
    return [draw.spread((*_batch(draw), *sizes))], {"output_size": output_size}


def _upsample(draw: Draw) -> Sample:
    axes: list[tuple[int, int, float | None]] = []
    for _ in range(draw.choice((2, 1))):
        n, m = draw.choice((3, 4, 2, 1)), draw.choice((5, 2, 3, 4, 1))
        scale = draw.choice((None, 1.3, 0.6, 2.4))
        axes.append((n, m if scale is None else max(1, int(n * scale)), scale))
    sizes, size, scale_factors = zip(*axes, strict=True)
    mode = draw.choice(("cubic", "linear", "nearest", "nearest-exact"))
    return [draw.uniform((*_batch(draw), *sizes))], {
        "size": size,
        "scale": scale_factors,
        "mode": mode,
        "align_corners": draw.choice((False, True)),
    }


SAMPLERS: dict[str, Callable[[Draw], Sample]] = {
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    **dict.fromkeys(("adaptive_avg_pool", "adaptive_max_pool"), _adaptive),
    "upsample": _upsample,
}
