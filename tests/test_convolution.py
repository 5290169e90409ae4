"""Convolution, its adjoint, unfold, fold and padding: what holds whatever the numbers are."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import Drawn, host

import tinynet as tn
from tinynet import nn
from tinynet.check.samples import sample
from tinynet.derivations import columns, conv2d, conv_transpose2d, fold, unfold
from tinynet.errors import ArgumentError, ShapeError
from tinynet.nn import functional as F
from tinynet.op import registry

rng = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return rng.standard_normal(shape)


def assert_close(found: Any, expected: Any, rtol: float = 1e-12) -> None:
    found, expected = map(host, (found, expected))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-12)


# -- adjoints ----------------------------------------------------------------------------------


@given(data=st.data())
def test_the_transposed_convolution_is_the_adjoint(data: st.DataObject) -> None:
    """⟨Kᵀx, y⟩ = ⟨x, Ky⟩ with the same weight and options, for all x and y."""
    draw = Drawn(data)
    (x, W, *_), options = sample(registry["conv_transpose2d"], draw)
    stamped, _ = conv_transpose2d.forward(x, W, **options)
    y = draw.rng.standard_normal(stamped.shape)
    options.pop("output_padding")
    seen, _ = conv2d.forward(y, W, **options)
    seen = seen[:, :, *map(slice, x.shape[2:])]  # output_padding may leave room for more windows
    np.testing.assert_allclose(np.sum(stamped * y), np.sum(x * seen), rtol=1e-12, atol=1e-12)


@given(data=st.data())
def test_fold_is_the_adjoint_of_unfold(data: st.DataObject) -> None:
    draw = Drawn(data)
    (y,), options = sample(registry["fold"], draw)
    folded, _ = fold.forward(y, **options)
    x = draw.rng.standard_normal(folded.shape)
    options.pop("output_size")
    unfolded, _ = unfold.forward(x, **options)
    np.testing.assert_allclose(np.sum(folded * x), np.sum(y * unfolded), rtol=1e-12, atol=1e-12)


@given(data=st.data())
def test_fold_of_unfold_counts_the_windows(data: st.DataObject) -> None:
    """It does not give x back, but x times the number of windows that see each entry."""
    (x,), options = sample(registry["unfold"], Drawn(data))
    sizes = x.shape[2:]

    def there_and_back(x: Any) -> Any:
        return fold.definition(unfold.definition(x, **options), output_size=sizes, **options)

    assert_close(there_and_back(x), x * there_and_back(np.ones(x.shape)))


# -- what a convolution is ---------------------------------------------------------------------


def shifted(x: Any, by: tuple[int, ...]) -> Any:
    return np.roll(x, by, axis=tuple(range(x.ndim - len(by), x.ndim)))


def test_a_shifted_input_gives_a_shifted_output() -> None:
    """Inside, where neither the padding nor the other end is seen."""
    x, W, b = normal(2, 3, 9, 8), normal(4, 3, 3, 2), normal(4)
    y, moved = (conv2d.forward(a, W, b, padding=1)[0] for a in (x, shifted(x, (2, 1))))
    assert_close(shifted(y, (2, 1))[..., 4:-2, 3:-2], moved[..., 4:-2, 3:-2])
    assert not np.allclose(shifted(y, (2, 1)), moved)  # at the edges the zeros are seen


@pytest.mark.parametrize("dilation", [1, 2])
def test_on_a_ring_every_shift_is_kept(dilation: int) -> None:
    layer = nn.Conv2d(3, 4, (3, 5), padding="same", dilation=dilation, padding_mode="circular")
    layer.to(dtype=tn.float64)
    x = normal(2, 3, 9, 11)
    for by in ((1, 0), (0, 1), (4, 7), (-3, 2)):
        assert_close(layer(tn.tensor(shifted(x, by))), shifted(host(layer(tn.tensor(x))), by))


def test_the_printed_formula_is_no_convolution() -> None:
    """It has no window, and weights and biases for each place: a shift changes what it computes."""
    C, J, filters = 3, 8, 2
    a, w, b = normal(C, J), normal(filters, C, J), normal(J)
    h = conv2d.as_printed(a, w, b)
    for i, j in np.ndindex(filters, J):  # a neuron for each place, which sees this place alone
        z = math.fsum(w[i, :, j] * a[:, j]) + b[j]
        assert math.isclose(h[i, j], 1 / (1 + math.exp(-z)), rel_tol=1e-12)
    moved = conv2d.as_printed(shifted(a, (1,)), w, b)
    assert np.abs(shifted(h, (1,)) - moved).max() > 0.5
    assert w.size + b.size == J * (filters * C + 1) == 56  # and more on a longer input
    layer = nn.Conv1d(C, filters, 3, padding="same", padding_mode="circular", dtype=tn.float64)
    assert sum(p.numel() for p in layer.parameters()) == filters * (C * 3 + 1) == 20
    assert_close(layer(tn.tensor(shifted(a, (1,)))), shifted(host(layer(tn.tensor(a))), (1,)))


def test_a_filter_of_one_tap_is_a_linear_layer_over_channels() -> None:
    x, W, b = normal(2, 5, 3, 4), normal(6, 5, 1, 1), normal(6)
    y = F.linear(tn.tensor(np.moveaxis(x, 1, -1)), tn.tensor(W[:, :, 0, 0]), tn.tensor(b))
    assert_close(conv2d.forward(x, W, b)[0], np.moveaxis(y.numpy(), -1, 1))


def test_a_convolution_is_a_matrix_product_with_the_unfolded_input() -> None:
    x, W = tn.tensor(normal(2, 3, 7, 6)), tn.tensor(normal(4, 3, 3, 2))
    options: Any = {"stride": (2, 1), "padding": (1, 2), "dilation": (2, 1)}
    y = W.reshape(4, 18) @ F.unfold(x, (3, 2), **options)
    expected = F.conv2d(x, W, **options)
    assert_close(y.reshape(expected.shape), expected)


def test_stride_leaves_out_and_dilation_spreads() -> None:
    x, W = normal(2, 3, 9, 8), normal(4, 3, 3, 2)
    plain, _ = conv2d.forward(x, W, padding=2)
    assert_close(conv2d.forward(x, W, padding=2, stride=(3, 2))[0], plain[:, :, ::3, ::2])
    wide = np.zeros((4, 3, 5, 4))
    wide[:, :, ::2, ::3] = W
    assert_close(conv2d.forward(x, W, dilation=(2, 3))[0], conv2d.forward(x, wide)[0])


def test_groups_are_convolutions_side_by_side() -> None:
    x, W, b = normal(2, 6, 5, 4), normal(4, 3, 3, 2), normal(4)
    channels, filters = (slice(3), slice(3, 6)), (slice(2), slice(2, 4))
    halves = [
        conv2d.forward(x[:, c], W[f], b[f])[0] for c, f in zip(channels, filters, strict=True)
    ]
    assert_close(conv2d.forward(x, W, b, groups=2)[0], np.concatenate(halves, axis=1))
    x, W = normal(2, 4, 5, 4), normal(4, 3, 3, 2)
    halves = [conv_transpose2d.forward(x[:, f], W[f])[0] for f in filters]
    assert_close(conv_transpose2d.forward(x, W, groups=2)[0], np.concatenate(halves, axis=1))


@pytest.mark.parametrize("op", [F.conv1d, F.conv_transpose1d])
def test_one_axis_is_two_of_which_one_has_size_1(op: Any) -> None:
    twin = {F.conv1d: F.conv2d, F.conv_transpose1d: F.conv_transpose2d}[op]
    x, W = tn.tensor(normal(2, 3, 8)), tn.tensor(normal(3, 3, 3))
    y = twin(x[:, :, None], W[:, :, None], stride=(1, 2), padding=(0, 1))
    assert_close(op(x, W, stride=2, padding=1), y[:, :, 0])


@pytest.mark.parametrize("op", [F.conv3d, F.conv_transpose3d])
def test_three_axes_are_images_next_to_each_other(op: Any) -> None:
    twin = {F.conv3d: F.conv2d, F.conv_transpose3d: F.conv_transpose2d}[op]
    x, W = tn.tensor(normal(2, 3, 4, 5, 4)), tn.tensor(normal(3, 3, 1, 3, 2))
    y = op(x, W, stride=(1, 2, 1), padding=(0, 1, 1))
    for k in range(4):
        assert_close(y[:, :, k], twin(x[:, :, k], W[:, :, 0], stride=(2, 1), padding=1))


@pytest.mark.parametrize(
    ("kernel", "dilation", "ends"),
    [((3, 3), 1, (1, 1, 1, 1)), ((4, 3), 2, (3, 3, 2, 2)), ((1, 2), 1, (0, 0, 0, 1))],
)
def test_same_keeps_the_size(kernel: Any, dilation: int, ends: Any) -> None:
    x, W = normal(2, 3, 9, 8), tn.tensor(normal(4, 3, *kernel))
    y = F.conv2d(tn.tensor(x), W, padding="same", dilation=dilation)
    assert y.shape == (2, 4, 9, 8)
    padded = np.pad(x, ((0, 0), (0, 0), ends[:2], ends[2:]))  # one more at the end, if need be
    assert_close(y, F.conv2d(tn.tensor(padded), W, padding="valid", dilation=dilation))


def test_a_single_sample_and_none_at_all() -> None:
    calls = [
        (F.conv1d, normal(3, 8), normal(4, 3, 3)),
        (F.conv2d, normal(3, 5, 4), normal(4, 3, 3, 2)),
        (F.conv3d, normal(3, 4, 5, 4), normal(4, 3, 2, 3, 2)),
        (F.conv_transpose1d, normal(4, 8), normal(4, 3, 3)),
        (F.conv_transpose2d, normal(4, 5, 4), normal(4, 3, 3, 2)),
        (F.conv_transpose3d, normal(4, 4, 5, 4), normal(4, 3, 2, 3, 2)),
    ]
    for function, x, W in calls:
        batch = function(tn.tensor(x[None]), tn.tensor(W))
        assert_close(function(tn.tensor(x), tn.tensor(W)), batch[0])
        none, weight = tn.zeros(0, *x.shape), tn.tensor(W, requires_grad=True)
        y = function(none, weight)
        assert y.shape == (0, *batch.shape[1:])
        y.sum().backward()
        assert weight.grad.shape == W.shape
        assert not weight.grad.numpy().any()
    x = tn.tensor(normal(3, 5, 4))
    assert_close(F.unfold(x, 2), F.unfold(x[None], 2)[0])
    assert_close(F.fold(F.unfold(x, 2), (5, 4), 2), F.fold(F.unfold(x[None], 2), (5, 4), 2)[0])


def test_a_first_layer_does_not_compute_the_gradient_of_its_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*args: Any) -> Any:
        raise AssertionError("not wanted")

    x, layer = tn.tensor(normal(2, 3, 5, 5).astype("f4")), nn.Conv2d(3, 4, 3)
    monkeypatch.setattr(conv2d, "col2im", never)
    layer(x).sum().backward()
    frozen = nn.ConvTranspose2d(3, 4, 3).requires_grad_(False)
    x.requires_grad_()
    y = frozen(x)
    monkeypatch.setattr(np, "sum", never)  # of W̄ and of b̄
    g = tn.ones(*y.shape)
    y.backward(g)
    assert x.grad.dtype == tn.float32
    assert layer.weight.grad.dtype == layer.bias.grad.dtype == tn.float32


def test_what_is_unfolded_is_a_copy() -> None:
    """Also where every window is one entry, or all entries: a view would share their memory."""
    for kernel in (1, 3):
        x = tn.tensor(normal(1, 2, 3, 3))
        y = F.unfold(x, kernel)
        assert not np.shares_memory(x.array, y.array)


# -- pixels ------------------------------------------------------------------------------------


def test_pixel_shuffle_place_by_place() -> None:
    x, r = normal(2, 12, 3, 4), 2
    y = F.pixel_shuffle(tn.tensor(x), r)
    for n, c, h, w, a, b in product(range(2), range(3), range(3), range(4), range(r), range(r)):
        assert y[n, c, h * r + a, w * r + b].item() == x[n, c * r * r + a * r + b, h, w]
    assert_close(F.pixel_unshuffle(y, r), x)
    assert_close(nn.PixelUnshuffle(r)(nn.PixelShuffle(r)(tn.tensor(x[0]))), x[0])


def test_pixels_have_gradients() -> None:
    x = tn.tensor(normal(1, 8, 2, 3), requires_grad=True)
    y = F.pixel_shuffle(x, 2)
    g = tn.tensor(normal(*y.shape))
    y.backward(g)
    assert_close(x.grad, F.pixel_unshuffle(g, 2))


# -- padding -----------------------------------------------------------------------------------


def padded_entry(mode: str, k: int, n: int) -> int | None:
    """Which of n entries stands at place k: walked to, one step after the other."""
    if mode == "constant":
        return k if 0 <= k < n else None
    at, step = 0, 1 if k >= 0 else -1
    for _ in range(abs(k)):
        if mode == "circular":
            at = 0 if at + step == n else n - 1 if at + step < 0 else at + step
        elif mode == "replicate":
            at = min(max(at + step, 0), n - 1)
        else:
            step = -step if not 0 <= at + step < n else step
            at += step
    return at


PADS = {"Zero": "constant", "Constant": "constant", "Reflection": "reflect"}
PADS |= {"Replication": "replicate", "Circular": "circular"}


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("kind", PADS)
def test_padding_place_by_place(kind: str, axes: int) -> None:
    value = 2.5 if kind == "Constant" else 0.0
    ends = (2, 1, 0, 2, 1, 1)[: 2 * axes]
    arguments = (ends, value) if kind == "Constant" else (ends,)
    layer = getattr(nn, f"{kind}Pad{axes}d")(*arguments)
    x = tn.tensor(normal(2, 3, 3, 4, 3)[(0,) * (3 - axes)], requires_grad=True)
    y = layer(x)
    sizes, lead = x.shape[-axes:], x.shape[:-axes]
    pairs = list(zip(ends[::2], ends[1::2], strict=True))[::-1]
    assert y.shape == (*lead, *(a + n + b for n, (a, b) in zip(sizes, pairs, strict=True)))
    g = normal(*y.shape)
    expected, dx = np.full(y.shape, value), np.zeros(x.shape)
    for k in np.ndindex(*y.shape[-axes:]):
        places = zip(k, pairs, sizes, strict=True)
        at = [padded_entry(PADS[kind], i - a, n) for i, (a, _), n in places]
        if None not in at:
            expected[(..., *k)] = host(x)[(..., *at)]
            dx[(..., *at)] += g[(..., *k)]
    assert_close(y, expected)
    y.backward(tn.tensor(g))
    assert_close(x.grad, dx)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [1, (2, 1), "same"])
def test_a_convolution_pads_first(mode: str, padding: Any) -> None:
    layer = nn.Conv2d(2, 3, (3, 4), padding=padding, padding_mode=mode)
    ends = {1: (1, 1, 1, 1), (2, 1): (1, 1, 2, 2), "same": (1, 2, 1, 1)}[padding]
    x = tn.tensor(normal(2, 2, 5, 6).astype("f4"))
    y = F.conv2d(F.pad(x, ends, mode), layer.weight, layer.bias)
    np.testing.assert_array_equal(layer(x).detach().numpy(), y.detach().numpy())


# -- layers ------------------------------------------------------------------------------------


def test_the_first_weights_are_spread_as_in_pytorch() -> None:
    """Uniform on ±1/√f: f inputs meet in one output, or, transposed, PyTorch's count of them."""
    for layer, f in ((nn.Conv2d(8, 64, 3, groups=2), 36), (nn.ConvTranspose2d(8, 64, 3), 576)):
        for p in (layer.weight, layer.bias):
            values = p.detach().numpy() * math.sqrt(f)
            assert np.abs(values).max() <= 1
            assert np.abs(values).max() > 0.9
            assert abs(values.std() - 1 / math.sqrt(3)) < 0.1
    assert list(nn.Conv1d(1, 2, 3, bias=False).state_dict()) == ["weight"]
    assert nn.Conv2d(1, 2, 3, dtype=tn.float64).bias.dtype == tn.float64


def test_the_output_size_can_be_chosen() -> None:
    down, up = nn.Conv2d(3, 4, 3, stride=3, padding=1), nn.ConvTranspose2d(4, 3, 3, 3, 1)
    for h, w in product(range(7, 10), repeat=2):  # all of them are convolved to 3 × 3
        y = down(tn.zeros(1, 3, h, w))
        assert y.shape == (1, 4, 3, 3)
        assert up(y, output_size=(h, w)).shape == (1, 3, h, w)
        assert up(y, output_size=(1, 3, h, w)).shape == (1, 3, h, w)
    with pytest.raises(ShapeError, match=r"no input of this size(.|\n)*\(7, 7\) … \(9, 9\)"):
        up(y, output_size=(10, 9))


CONVOLUTIONS = [
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}),
    ("Conv1d", (4, 6, 4), {"padding": "same", "dilation": 3}),
    ("Conv2d", (4, 6, 3), {}),
    ("Conv2d", (4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}),
    ("Conv2d", (4, 6, 2), {"padding": "same", "padding_mode": "reflect"}),
    ("Conv2d", (4, 6, 3), {"padding": (2, 1), "padding_mode": "circular", "stride": 2}),
    ("Conv2d", (4, 4, 3), {"padding": 1, "padding_mode": "replicate", "groups": 4, "bias": False}),
    ("Conv3d", (4, 6, (1, 3, 2)), {"padding": "valid", "groups": 2}),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    ("ConvTranspose2d", (4, 6, (3, 2)), {"stride": 2, "groups": 2, "bias": False}),
    ("ConvTranspose2d", (4, 6, 3), {"dilation": (2, 3), "output_padding": (1, 2), "padding": 2}),
    ("ConvTranspose3d", (4, 6, (1, 3, 2)), {"stride": (1, 2, 1)}),
]


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore:Using padding='same' with even:UserWarning")
@pytest.mark.parametrize(("name", "sizes", "options"), CONVOLUTIONS)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_peer_layers(name: str, sizes: Any, options: dict[str, Any], batch: Any) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(nn, name)(*sizes, **options), getattr(torch.nn, name)(*sizes, **options)
    assert repr(ours).partition("  #")[0] == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
    theirs, ours = theirs.double(), ours.to(dtype=tn.float64)
    x = normal(*batch, sizes[0], *(7, 6, 5)[: int(name[-2])])
    mine, other = tn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = ours(mine), theirs(other)
    assert_close(y, z.detach().numpy(), 1e-11)
    g = normal(*y.shape)
    y.backward(tn.tensor(g))
    z.backward(torch.tensor(g))
    assert_close(mine.grad, other.grad.numpy(), 1e-11)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(p.grad, q.grad.numpy(), 1e-11)


@pytest.mark.peers
@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("Unfold", ((3, 2), 1, (1, 0), 2), (2, 3, 6, 5)),
        ("Fold", ((6, 5), (3, 2), 1, (1, 0), 2), (2, 18, 6)),
        ("PixelShuffle", (2,), (2, 8, 3, 2)),
        ("PixelUnshuffle", (2,), (2, 3, 4, 2)),
        ("ZeroPad1d", (2,), (2, 3, 4)),
        ("ZeroPad2d", ((1, -1, 0, 2),), (2, 3, 4, 4)),
        ("ZeroPad3d", ((1, 2, 0, 2, 1, 0),), (2, 3, 4, 4)),
        ("ConstantPad1d", ((2, 1), 0.5), (2, 3, 4)),
        ("ConstantPad2d", (1, -3.0), (2, 3, 4, 4)),
        ("ConstantPad3d", (1, 2.0), (2, 3, 4, 4)),
        ("ReflectionPad1d", ((2, 1),), (2, 3, 4)),
        ("ReflectionPad2d", ((2, 1, 0, 3),), (2, 3, 4, 4)),
        ("ReflectionPad3d", (1,), (2, 3, 4, 4)),
        ("ReplicationPad1d", ((2, 1),), (2, 3, 4)),
        ("ReplicationPad2d", ((2, 1, 0, 3),), (2, 3, 4, 4)),
        ("ReplicationPad3d", (1,), (2, 3, 4, 4)),
        ("CircularPad1d", ((2, 1),), (2, 3, 4)),
        ("CircularPad2d", ((2, 1, 0, 3),), (2, 3, 4, 4)),
        ("CircularPad3d", (1,), (2, 3, 4, 4)),
    ],
)
def test_peer_layers_without_weights(name: str, arguments: Any, shape: Any) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
    assert repr(ours) == repr(theirs)
    x = normal(*shape)
    assert_close(ours(tn.tensor(x)), theirs(torch.tensor(x)).numpy())


# -- mistakes ----------------------------------------------------------------------------------

IMAGE, FILTERS, TURNED = tn.ones(2, 4, 5, 5), tn.ones(6, 4, 3, 3), tn.ones(4, 6, 3, 3)


def conv(W: Any = FILTERS, b: Any = None, x: Any = IMAGE, **options: Any) -> Any:
    return F.conv2d(x, W, b, **options)


def up(W: Any = TURNED, b: Any = None, x: Any = IMAGE, **options: Any) -> Any:
    return F.conv_transpose2d(x, W, b, **options)


SIZES = [
    (lambda: conv(x=tn.ones(5, 5)), r"conv2d: the input has(.|\n)*\(n, c, h, w\) or \(c, h, w\)"),
    (lambda: F.conv1d(IMAGE, FILTERS), r"conv1d: the input has(.|\n)*\(n, c, l\) or \(c, l\)"),
    (lambda: conv(tn.ones(6, 3, 3, 3)), "conv2d: the sizes do not fit, with groups=1"),
    (lambda: conv(FILTERS[0]), "conv2d: the sizes do not fit"),
    (lambda: conv(FILTERS, tn.ones(4)), r"the sizes do not fit(.|\n)*b \(O,\)"),
    (lambda: conv(FILTERS, 2), "the sizes do not fit"),  # the stride, at the place of the bias
    (lambda: conv(groups=2), "with groups=2"),
    (lambda: conv(tn.ones(5, 2, 3, 3), groups=2), "with groups dividing C and O"),
    (lambda: conv(tn.ones(6, 4, 6, 3)), r"window does not fit(.|\n)*K = \(6, 3\)"),
    (lambda: conv(dilation=3), r"window does not fit(.|\n)*d = \(3, 3\)"),
    (lambda: conv(tn.ones(6, 4, 0, 3)), "window does not fit"),
    (lambda: up(FILTERS), "conv_transpose2d: the sizes do not fit"),
    (lambda: up(groups=3), "groups dividing C"),
    (lambda: up(TURNED, tn.ones(4)), r"b \(O,\)"),
    (lambda: up(padding=4), "nothing is left of the output"),
    (lambda: up(x=IMAGE[:, :, :0]), "nothing is left of the output"),
    (lambda: F.unfold(tn.ones(5, 5), 2), "unfold: the input has"),
    (lambda: F.unfold(IMAGE, 6), "window does not fit"),
    (lambda: F.fold(tn.ones(2, 9, 16), (5, 5), 2), r"fold: these are(.|\n)*C·4, 16"),
    (lambda: F.fold(tn.ones(2, 8, 15), (5, 5), 2), "not the windows"),
    (lambda: F.pixel_shuffle(IMAGE, 3), "3² does not divide the 4 channels"),
    (lambda: F.pixel_unshuffle(IMAGE, 2), "2 does not divide height and width"),
    (lambda: F.pixel_shuffle(tn.ones(4, 4), 2), "an image is expected"),
    (lambda: nn.ReflectionPad2d(5)(IMAGE), "cannot be mirrored so far"),
]
ARGUMENTS = [
    (lambda: conv(groups=0), "groups is a whole number"),
    (lambda: conv(stride=0), "stride is a whole number.* from 1 on\n.*stride=0"),
    (lambda: conv(stride=(1, -1)), "stride is a whole number"),
    (lambda: conv(stride=(1, 1, 1)), "one for each of 2 axes"),
    (lambda: conv(padding=-1), "padding is .* from 0 on"),
    (lambda: conv(padding=0.5), "padding=0.5"),
    (lambda: conv(dilation=0), "dilation=0"),
    (lambda: conv(padding="full"), "'same' or 'valid'"),
    (lambda: conv(stride=2, padding="same"), "stride=1 where padding='same'"),
    (lambda: up(padding="same"), "padding='same'"),
    (lambda: up(output_padding=1), "fewer entries than the stride"),
    (lambda: F.unfold(IMAGE, 0), "kernel_size=0"),
    (lambda: F.pixel_shuffle(IMAGE, 0), "the factor is a whole number"),
    (lambda: nn.Conv2d(4, 6, 3, groups=4), "Conv2d: .* groups of equal size"),
    (lambda: nn.Conv2d(0, 6, 3), "in_channels=0"),
    (lambda: nn.Conv2d(4, 6, 3, padding_mode="mirror"), "'reflect'"),
    (lambda: nn.ConvTranspose2d(4, 6, 3, padding_mode="reflect"), "no such padding mode"),
    (lambda: nn.Conv2d(4, 6, 3, 2, "same"), "stride=1 where"),
    (lambda: nn.Conv2d(4, 6, (3, 3, 3)), "kernel_size is a whole number"),
    (lambda: nn.ZeroPad2d((1, 2, 3)), "ZeroPad2d: .*4 of them"),
]


@pytest.mark.parametrize(("call", "message"), SIZES)
def test_sizes_that_do_not_fit(call: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        call()


@pytest.mark.parametrize(("call", "message"), ARGUMENTS)
def test_arguments_that_make_no_sense(call: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


def test_the_windows_of_the_picture() -> None:
    """The table in the docstring of `columns`: five entries, padding 1, three taps, stride 2."""
    X = columns.sliding(np.arange(1.0, 6.0)[None, None], (3,), (2,), (1,), (1,))
    np.testing.assert_array_equal(X[0, 0], [[0, 1, 2], [2, 3, 4], [4, 5, 0]])
