"""Pooling and upsampling: what they must do beyond what every op must do, and PyTorch's layers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import Drawn

import tinynet as tn
from tinynet import nn
from tinynet.check.samples import sample
from tinynet.derivations import adaptive_max_pool, avg_pool, max_pool, upsample, windows
from tinynet.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError
from tinynet.nn import functional as F

rng = np.random.default_rng(0)


def tensor(*shape: int, requires_grad: bool = False) -> Any:
    return tn.tensor(rng.standard_normal(shape), requires_grad=requires_grad)


def drawn(op: Any, data: st.DataObject) -> tuple[Any, Any, Any, Any]:
    """An input of an op, its options, a cotangent and the gradient."""
    draw = Drawn(data)
    (x,), options = sample(op, draw)
    y, saved = op.run([x], {**op.defaults, **options})
    g = np.asarray(draw.rng.standard_normal(y.shape))
    return x, options, g, op.backward(g, saved, **options)[0]


# -- what pooling is -------------------------------------------------------------------------------


@pytest.mark.parametrize("proof", [avg_pool, upsample], ids=["avg_pool", "upsample"])
@given(data=st.data())
def test_a_linear_maps_backward_is_its_transpose(proof: Any, data: st.DataObject) -> None:
    """⟨g, A x⟩ = ⟨Aᵀ g, x⟩, for another x than the one that was saved."""
    x, options, g, dx = drawn(proof.op, data)
    z = rng.standard_normal(x.shape)
    y, _ = proof.forward(z, **options)
    assert math.isclose(np.sum(g * y), np.sum(dx * z), rel_tol=1e-10, abs_tol=1e-10)
    twice, _ = proof.forward(2 * z - x, **options)
    np.testing.assert_allclose(twice, 2 * y - proof.forward(x, **options)[0], atol=1e-12)


@pytest.mark.parametrize("proof", [max_pool, adaptive_max_pool], ids=["max", "adaptive max"])
@given(data=st.data())
def test_every_gradient_of_a_maximum_arrives(proof: Any, data: st.DataObject) -> None:
    """Σ x̄ = Σ g, and it arrives at entries that are maxima."""
    x, options, g, dx = drawn(proof.op, data)
    assert math.isclose(np.sum(dx), np.sum(g), rel_tol=1e-10, abs_tol=1e-10)
    y, _ = proof.forward(x, **options)
    assert np.isin(x[dx != 0], y).all()
    axes = len(options.get("kernel", options.get("output_size")))
    q = proof.indices(x, **options)
    lead = x.shape[: x.ndim - axes]
    rows = x.reshape(*lead, math.prod(x.shape[x.ndim - axes :]))
    picked = np.take_along_axis(rows, q.reshape(*lead, math.prod(q.shape[x.ndim - axes :])), -1)
    np.testing.assert_array_equal(picked.reshape(y.shape), y)


@given(data=st.data())
def test_the_largest_is_minus_the_smallest_of_minus(data: st.DataObject) -> None:
    x, options, _, _ = drawn(max_pool.op, data)
    y, _ = max_pool.forward(x, **options)
    axes = windows.strided(x.shape[x.ndim - len(options["kernel"]) :], *options.values())
    smallest = np.minimum.reduce(list(windows.entries(-x, axes)))
    np.testing.assert_array_equal(y, -smallest)


@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d])
@given(stride=st.integers(1, 3), kernel=st.integers(1, 3))
@settings(max_examples=10)
def test_pooling_commutes_with_shifts_by_the_stride(pool: Any, stride: int, kernel: int) -> None:
    x = tensor(2, 9, 9)
    y = pool(x, kernel, stride)
    np.testing.assert_allclose(pool(x[:, stride:], kernel, stride), y[:, 1:], rtol=1e-14)
    np.testing.assert_allclose(pool(x[..., stride:], kernel, stride), y[..., 1:], rtol=1e-14)


def test_global_pooling_is_the_mean_and_the_maximum() -> None:
    x = tensor(2, 3, 5, 4)
    np.testing.assert_allclose(F.adaptive_avg_pool2d(x, 1), x.mean((2, 3), keepdim=True))
    np.testing.assert_array_equal(F.adaptive_max_pool2d(x, 1), x.amax((2, 3), keepdim=True))


@pytest.mark.parametrize(
    ("adaptive", "strided"),
    [(F.adaptive_avg_pool2d, F.avg_pool2d), (F.adaptive_max_pool2d, F.max_pool2d)],
)
def test_adaptive_windows_that_fit_are_strided_ones(adaptive: Any, strided: Any) -> None:
    x = tensor(2, 6, 8, requires_grad=True)
    g = tensor(2, 3, 2)
    results = [
        (y.detach(), *tn.autograd.grad(y, x, g)) for y in (adaptive(x, (3, 2)), strided(x, (2, 4)))
    ]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


# -- conventions -----------------------------------------------------------------------------------


def picks(values: list[float], **options: Any) -> tuple[float, list[float], list[int]]:
    """Maximum, gradient of 1, and index of one row as one window; in all ways that there are."""
    found = []
    for pool in (
        lambda x, **o: F.max_pool1d(x, len(values), **o),
        lambda x, **o: F.adaptive_max_pool1d(x, 1, **o),
    ):
        x = tn.tensor([values], dtype=tn.float64, requires_grad=True)
        y, indices = pool(x, return_indices=True)
        (dx,) = tn.autograd.grad(y, x, tn.ones(1, 1, dtype=tn.float64))
        (again,) = tn.autograd.grad(pool(x), x, tn.ones(1, 1, dtype=tn.float64), create_graph=True)
        np.testing.assert_array_equal(again.detach(), dx)  # that of the definition
        found.append((y.item(), dx[0].tolist(), indices[0].tolist()))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1:] == found[1][1:]
    return found[0]


def test_of_equal_entries_the_first_takes_the_gradient() -> None:
    assert picks([1.0, 5.0, 5.0, 2.0, 5.0]) == (5.0, [0, 1, 0, 0, 0], [1])
    assert picks([0.0, -0.0]) == (0.0, [1, 0], [0])


def test_in_a_plane_the_first_is_the_first_row_by_row() -> None:
    plane = tn.tensor([[[1.0, 2.0, 7.0], [7.0, 3.0, 7.0]]])
    assert F.max_pool2d(plane, (2, 3), return_indices=True)[1].item() == 2
    assert F.adaptive_max_pool2d(plane, 1, return_indices=True)[1].item() == 2


def test_of_several_nans_the_last_wins() -> None:
    y, gradient, index = picks([math.nan, 9.0, math.nan, math.inf])
    assert math.isnan(y)
    assert (gradient, index) == ([0, 0, 1, 0], [2])


def test_minus_infinity_wins_over_the_padding() -> None:
    x = tn.full((1, 3, 3), -math.inf, requires_grad=True)
    y, indices = F.max_pool2d(x, 2, 2, 1, return_indices=True)
    assert indices.tolist() == [[[0, 1], [3, 4]]]
    y.backward(tn.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    assert x.grad.tolist() == [[[1, 2, 0], [3, 4, 0], [0, 0, 0]]]


def test_a_gradient_that_is_not_finite_stays_at_its_place() -> None:
    x = tn.tensor([[1.0, 2.0, 3.0, 4.0]], requires_grad=True)
    F.max_pool1d(x, 2).backward(tn.tensor([[math.nan, math.inf]]))
    np.testing.assert_array_equal(x.grad, [[0, math.nan, 0, math.inf]])
    y = F.interpolate(tn.tensor([[[math.inf, 1.0, 2.0, 3.0]]]), 8, mode="linear")
    assert np.isfinite(y.numpy()[0, 0, 3:]).all()


def test_ceil_mode_begins_no_window_in_the_right_padding() -> None:
    assert windows.outputs((5,), (2,), (2,), (0,), (1,), True) == (3,)
    # windows begin at −1, 1, 3; the next would begin at 5 = n + p − 1, behind the input's end
    assert windows.outputs((5,), (3,), (2,), (1,), (1,), True) == (3,)
    assert windows.outputs((4,), (2,), (2,), (1,), (1,), True) == (3,)
    assert windows.outputs((1,), (3,), (2,), (1,), (1,), True) == (1,)


@given(
    n=st.integers(1, 7),
    k=st.integers(1, 4),
    s=st.integers(1, 4),
    d=st.integers(1, 3),
    half=st.integers(0, 5),
    ceil=st.booleans(),
)
def test_each_window_sees_an_entry_or_is_refused(
    n: int, k: int, s: int, d: int, half: int, ceil: bool
) -> None:
    try:
        [inside] = windows.strided((n,), (k,), (s,), (half,), (d,), ceil)
    except (ArgumentError, ShapeError):
        length = d * (k - 1) + 1
        assert 2 * half > length or n + 2 * half < length or d > n or n == 0
        return
    assert all(len(w) and w[0] >= 0 and w[-1] < n for w in inside)


@given(n=st.integers(1, 20), m=st.integers(1, 20))
def test_adaptive_windows_cover_everything(n: int, m: int) -> None:
    found = windows.adaptive(n, m)
    assert (found[0].start, found[-1].stop, len(found)) == (0, n, m)
    for a, b in itertools.pairwise(found):
        assert b.start in (a.stop, a.stop - 1)


def test_averages_count_the_padding_or_not() -> None:
    x = tn.ones(1, 3)
    assert F.avg_pool1d(x, 2, padding=1).tolist() == [[0.5, 1.0]]
    assert F.avg_pool1d(x, 2, padding=1, count_include_pad=False).tolist() == [[1.0, 1.0]]
    assert F.avg_pool1d(x, 2, ceil_mode=True).tolist() == [[1.0, 1.0]]
    square = tn.ones(1, 2, 2)
    assert F.avg_pool2d(square, 2, divisor_override=8).tolist() == [[[0.5]]]


def test_unpooling_undoes_pooling_up_to_what_was_dropped() -> None:
    x = tensor(2, 3, 5, 4, requires_grad=True)
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(y, indices, 2, output_size=x.shape)
    kept = back.detach().numpy() != 0
    np.testing.assert_array_equal(back.detach().numpy(), np.where(kept, x.detach().numpy(), 0))
    assert kept.sum() == math.prod(y.shape)
    g = tensor(*x.shape)
    (dx,) = tn.autograd.grad(back, x, g)  # through both: the gradient goes to the maxima alone
    np.testing.assert_array_equal(dx, np.where(kept, g.numpy(), 0))
    assert F.max_unpool2d(y[:0], indices[:0], 2).shape == (0, 3, 4, 4)


def test_lp_pooling_lies_between_sum_and_maximum() -> None:
    x = abs(tensor(2, 3, 4, 4)) + 0.1
    np.testing.assert_allclose(F.lp_pool2d(x, 1, 2), 4 * F.avg_pool2d(x, 2), rtol=1e-12)
    np.testing.assert_allclose(F.lp_pool2d(x, 60, 2), F.max_pool2d(x, 2), rtol=0.03)
    np.testing.assert_array_equal(F.lp_pool2d(-x, math.inf, 2), F.max_pool2d(x, 2))
    np.testing.assert_array_equal(F.lp_pool2d(-x, -math.inf, 2), -F.max_pool2d(-x, 2))
    zero = tn.zeros(1, 2, requires_grad=True)
    F.lp_pool1d(zero, 2, 2).backward(tn.ones(1, 1))
    assert zero.grad.tolist() == [[0, 0]]


# -- upsampling ------------------------------------------------------------------------------------


@given(data=st.data())
def test_what_is_constant_stays_constant(data: st.DataObject) -> None:
    x, options, _, _ = drawn(upsample.op, data)
    y, _ = upsample.forward(np.full(x.shape, 1.7), **options)
    np.testing.assert_allclose(y, 1.7, rtol=1e-12)


@given(n=st.integers(2, 6), m=st.integers(2, 9))
@settings(max_examples=20)
def test_align_corners_keeps_the_corners(n: int, m: int) -> None:
    x = tensor(1, 1, n, n)
    for mode in ("bilinear", "bicubic"):
        y = F.interpolate(x, m, mode=mode, align_corners=True)
        np.testing.assert_allclose(
            y[..., :: m - 1, :: m - 1], x[..., :: n - 1, :: n - 1], atol=1e-12
        )


def test_a_straight_line_stays_straight() -> None:
    x = tn.arange(5.0, dtype=tn.float64).reshape(1, 1, 5)
    y = F.interpolate(x, 9, mode="linear", align_corners=True)
    np.testing.assert_allclose(y[0, 0], np.arange(9) / 2)
    square = x[..., None] + x[..., None, :]
    y = F.interpolate(square, 9, mode="bicubic", align_corners=True)
    np.testing.assert_allclose(y[0, 0, 4, 3:6], [3.5, 4, 4.5])  # far from the ends


def test_what_the_four_neighbours_count_in_cubic_interpolation() -> None:
    """By hand, with a = −3/4: h(1/2) = 19/32 and h(3/2) = −3/32."""
    impulses = tn.eye(4, dtype=tn.float64).reshape(4, 1, 1, 4)
    y = F.interpolate(impulses, (1, 7), mode="bicubic", align_corners=True)  # 3: between 1 and 2
    np.testing.assert_allclose(y[:, 0, 0, 3], [-3 / 32, 19 / 32, 19 / 32, -3 / 32])


def test_the_scale_is_used_as_it_is_unless_recomputed() -> None:
    x = tn.tensor([[[0.0, 1.0, 2.0, 3.0]]], dtype=tn.float64)
    y = F.interpolate(x, scale_factor=1.7, mode="linear")  # ⌊4 · 1.7⌋ = 6 entries
    np.testing.assert_allclose(y[0, 0, 3], 3.5 / 1.7 - 0.5)
    y = F.interpolate(x, scale_factor=1.7, mode="linear", recompute_scale_factor=True)
    np.testing.assert_allclose(y[0, 0, 3], 3.5 * 4 / 6 - 0.5)
    np.testing.assert_array_equal(F.interpolate(x, 6, mode="linear"), y)


def test_nearest_keeps_whole_numbers_whole() -> None:
    assert F.interpolate(tn.tensor([[[1, 2]]]), 4).tolist() == [[[1, 1, 2, 2]]]
    with pytest.raises(DTypeError, match="upsample: between whole numbers"):
        F.interpolate(tn.tensor([[[1, 2]]]), 4, mode="linear")


# -- inputs ----------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[Any], Any]] = {
    "max_pool2d": lambda x: F.max_pool2d(x, 3, 2, 1),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, (3, None)),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, (3, None)),
    "lp_pool2d": lambda x: F.lp_pool2d(x, 2, 2),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_batch_is_many_images(name: str) -> None:
    x = tensor(3, 2, 7, 6).float()
    y = CALLS[name](x)
    assert y.dtype == tn.float32
    for image, expected in zip(x, y, strict=True):
        np.testing.assert_array_equal(CALLS[name](image), expected)
    assert CALLS[name](x[:0]).shape == (0, *y.shape[1:])


def test_indices_and_unpooling_on_cupys_arrays(cupy: Any) -> None:
    values, results = rng.standard_normal((2, 3, 5, 4)), []
    for device in ("cpu", "cuda"):
        x = tn.tensor(values, device=device, requires_grad=True)
        y, indices = F.max_pool2d(x, 2, 2, 1, return_indices=True)
        z = F.max_unpool2d(y, indices, 2, 2, 1, output_size=(5, 4))
        w, more = F.adaptive_max_pool2d(x, (2, 3), return_indices=True)
        (d,) = tn.autograd.grad([z, F.lp_pool2d(w, 2, 2)], x, [x.detach(), w.detach()[..., :1, :1]])
        results.append([v.detach().cpu() for v in (y, indices, z, w, more, d)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12)


def test_maxima_of_whole_numbers() -> None:
    x = tn.tensor([[[3, -4], [-2, -9]]])
    assert F.max_pool2d(x, 2, 2, 1).tolist() == [[[3, -4], [-2, -9]]]
    assert F.adaptive_max_pool2d(x, (2, 1)).tolist() == [[[3], [-2]]]


image = tn.ones(1, 2, 4, 4)
WRONG: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "rank": (lambda: F.max_pool2d(tn.ones(4, 4), 2), ShapeError, r"\(n, c, h, w\)"),
    "too large": (lambda: F.max_pool2d(image, 5), ShapeError, "larger than the input"),
    "no entries": (lambda: F.avg_pool1d(tn.ones(2, 0), 1), ShapeError, "larger than the input"),
    "padding": (lambda: F.avg_pool2d(image, 2, padding=2), ArgumentError, "half of the window"),
    "negative": (lambda: F.max_pool2d(image, 2, padding=-1), ArgumentError, "from 0 on"),
    "zero stride": (lambda: F.max_pool2d(image, 2, 0), ArgumentError, "from 1 on"),
    "zero kernel": (lambda: F.avg_pool2d(image, 0), ArgumentError, "from 1 on"),
    "three numbers": (
        lambda: F.max_pool2d(image, (2, 2, 2)),
        ArgumentError,
        "one for each of 2 axes",
    ),
    "only padding": (
        lambda: F.max_pool1d(tn.ones(1, 1), 2, 1, 1, 2),
        ShapeError,
        "sees padding alone",
    ),
    "divisor": (lambda: F.avg_pool2d(image, 2, divisor_override=0), ArgumentError, "not 0"),
    "adaptive": (lambda: F.adaptive_avg_pool2d(image, -1), ArgumentError, "from 0 on"),
    "no norm": (lambda: F.lp_pool2d(image, 0, 2), ArgumentError, "order 0"),
    "index": (
        lambda: F.max_unpool1d(tn.ones(1, 1), tn.tensor([[2]]), 2),
        OutOfRangeError,
        r"no place(.|\n)*0 … 1",
    ),
    "index kind": (lambda: F.max_unpool1d(tn.ones(1, 1), tn.ones(1, 1), 2), DTypeError, "whole"),
    "index shape": (
        lambda: F.max_unpool1d(tn.ones(1, 1), tn.tensor([[0, 1]]), 2),
        ShapeError,
        "one index for each",
    ),
    "unpooled size": (
        lambda: F.max_unpool1d(tn.ones(1, 1), tn.tensor([[0]]), 2, output_size=[4]),
        ArgumentError,
        "no such input",
    ),
    "mode": (lambda: F.interpolate(image, 2, mode="magic"), ArgumentError, "bicubic"),
    "mode's rank": (lambda: F.interpolate(image, 2, mode="linear"), ShapeError, "another number"),
    "corners": (lambda: F.interpolate(image, 2, align_corners=True), ArgumentError, "corners"),
    "neither": (lambda: F.interpolate(image), ArgumentError, "one of them"),
    "both": (lambda: F.interpolate(image, 2, 2.0), ArgumentError, "one of them"),
    "recompute": (
        lambda: F.interpolate(image, 2, recompute_scale_factor=True),
        ArgumentError,
        "recompute",
    ),
    "scale": (lambda: F.interpolate(image, scale_factor=-1.0), ArgumentError, "positive"),
    "size 0": (lambda: F.interpolate(image, 0), ShapeError, "at least 1"),
    "antialias": (
        lambda: F.interpolate(image, 2, mode="bilinear", antialias=True),
        ArgumentError,
        "antialias",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_named(name: str) -> None:
    call, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        call()


# -- beside PyTorch --------------------------------------------------------------------------------

LAYERS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("MaxPool1d", {"kernel_size": 3, "stride": 2, "padding": 1}, (2, 3, 8)),
    ("MaxPool2d", {"kernel_size": (3, 2), "dilation": 2, "ceil_mode": True}, (2, 3, 8, 7)),
    ("MaxPool2d", {"kernel_size": 2, "return_indices": True}, (3, 8, 7)),
    ("MaxPool3d", {"kernel_size": 2, "stride": 1}, (1, 2, 3, 4, 3)),
    ("AvgPool1d", {"kernel_size": 2}, (2, 3, 8)),
    ("AvgPool1d", {"kernel_size": 3, "padding": 1, "count_include_pad": False}, (3, 8)),
    ("AvgPool2d", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, (2, 3, 8, 6)),
    ("AvgPool2d", {"kernel_size": (2, 3), "divisor_override": 5}, (2, 3, 8, 6)),
    ("AvgPool3d", {"kernel_size": 2, "padding": 1, "stride": 2}, (1, 2, 3, 4, 3)),
    ("AdaptiveAvgPool1d", {"output_size": 3}, (2, 3, 8)),
    ("AdaptiveAvgPool2d", {"output_size": (3, None)}, (2, 3, 8, 6)),
    ("AdaptiveAvgPool3d", {"output_size": (1, 2, 2)}, (1, 2, 3, 4, 3)),
    ("AdaptiveMaxPool1d", {"output_size": 5, "return_indices": True}, (2, 3, 8)),
    ("AdaptiveMaxPool2d", {"output_size": (3, None)}, (2, 3, 8, 6)),
    ("LPPool1d", {"norm_type": 2, "kernel_size": 3, "stride": 2, "ceil_mode": True}, (2, 3, 8)),
    ("LPPool2d", {"norm_type": 3.0, "kernel_size": (1, 1)}, (2, 3, 4, 4)),
    ("LPPool2d", {"norm_type": 2, "kernel_size": (2, 3)}, (2, 3, 8, 6)),
    ("LPPool2d", {"norm_type": math.inf, "kernel_size": 2}, (2, 3, 8, 6)),
    ("Upsample", {"size": (5, 9)}, (2, 3, 4, 6)),
    ("Upsample", {"scale_factor": (1.5, 2), "mode": "bicubic"}, (1, 2, 4, 6)),
    ("Upsample", {"scale_factor": 1.6, "mode": "linear", "align_corners": True}, (2, 3, 6)),
    ("Upsample", {"scale_factor": 0.7, "mode": "area"}, (2, 3, 6)),
    ("Upsample", {"scale_factor": 1.1, "mode": "bilinear"}, (1, 1, 5, 4)),  # the size stays
    ("Upsample", {"scale_factor": 1.2}, (1, 1, 4, 4)),
    ("Upsample", {"scale_factor": 2.2}, (1, 1, 3, 4)),  # the size doubles
    ("UpsamplingNearest2d", {"scale_factor": 2}, (2, 3, 4, 6)),
    ("UpsamplingBilinear2d", {"size": 7}, (2, 3, 4, 6)),
]


@pytest.mark.peers
@pytest.mark.parametrize(("name", "options", "shape"), LAYERS)
def test_layers_are_the_peers(name: str, options: Any, shape: Any) -> None:
    torch = pytest.importorskip("torch")
    theirs, ours = getattr(torch.nn, name)(**options), getattr(nn, name)(**options)
    assert repr(ours) == repr(theirs)
    values = rng.standard_normal(shape)
    values = np.abs(values) if options.get("norm_type") == 3 else values  # as in |x|^p
    a, b = torch.tensor(values, requires_grad=True), tn.tensor(values, requires_grad=True)
    y, z = theirs(a), ours(b)
    if options.get("return_indices"):
        np.testing.assert_array_equal(z[1], y[1].numpy())
        y, z = y[0], z[0]
    np.testing.assert_allclose(z.detach(), y.detach().numpy(), rtol=1e-12, atol=1e-12)
    g = rng.standard_normal(z.shape)
    (da,) = torch.autograd.grad(y, a, torch.tensor(g))
    (db,) = tn.autograd.grad(z, b, tn.tensor(g))
    np.testing.assert_allclose(db, da.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.peers
@pytest.mark.parametrize("axes", [1, 2])
def test_unpooling_layers_are_the_peers(axes: int) -> None:
    torch = pytest.importorskip("torch")
    values = rng.standard_normal((2, 3, *(7, 6)[:axes]))
    results = []
    for module in (torch, tn):
        x = module.tensor(values, requires_grad=True)
        pool = getattr(module.nn, f"MaxPool{axes}d")(2, return_indices=True)
        unpool = getattr(module.nn, f"MaxUnpool{axes}d")(2)
        y = unpool(*pool(x), output_size=x.shape)
        (d,) = module.autograd.grad(y, x, module.tensor(np.cos(values)))
        results.append((repr(unpool), y.detach().numpy(), d.numpy()))
    assert results[0][0] == results[1][0]
    for theirs, mine in zip(results[0][1:], results[1][1:], strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.peers
def test_the_conventions_are_the_peers() -> None:
    torch = pytest.importorskip("torch")
    values = np.round(rng.standard_normal((4, 3, 6, 5)))  # many ties
    values[rng.random(values.shape) < 0.2] = math.nan
    values[rng.random(values.shape) < 0.4] = -math.inf
    for theirs, ours in (
        (
            torch.nn.functional.max_pool2d(torch.tensor(values), 3, 2, 1, 1, True, True),
            F.max_pool2d(tn.tensor(values), 3, 2, 1, 1, True, True),
        ),
        (
            torch.nn.functional.adaptive_max_pool2d(torch.tensor(values), (4, 3), True),
            F.adaptive_max_pool2d(tn.tensor(values), (4, 3), True),
        ),
    ):
        for a, b in zip(theirs, ours, strict=True):
            np.testing.assert_array_equal(b, a.numpy())
