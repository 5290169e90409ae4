"""Activations, losses and layers without memory: what they promise, and PyTorch's numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.errors import ArgumentError, DTypeError, InPlaceError, OutOfRangeError, ShapeError
from tinynet.nn import functional as F

rng = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return rng.standard_normal(shape)


def assert_same_as_peer(ours: Any, theirs: Any, inputs: Any, rtol: float = 1e-11) -> None:
    """Both functions on the same arrays: values and gradients of all floating-point inputs."""
    torch = pytest.importorskip("torch")
    real = [isinstance(x, np.ndarray) and x.dtype.kind == "f" for x in inputs]
    mine = [tn.tensor(x, requires_grad=r) for x, r in zip(inputs, real, strict=True)]
    other = [torch.tensor(x, requires_grad=r) for x, r in zip(inputs, real, strict=True)]
    y, z = ours(*mine), theirs(*other)
    assert y.shape == tuple(z.shape)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=rtol, atol=1e-13)
    g = np.asarray(np.random.default_rng(1).standard_normal(y.shape))
    y.backward(tn.tensor(g))
    z.backward(torch.tensor(g))
    for a, b, r in zip(mine, other, real, strict=True):
        if r:
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=rtol, atol=1e-13)


# -- activations -------------------------------------------------------------------------------

X = np.concatenate([normal(8) * 3, [0.0, -1.0, 1.0, 6.0, 3.0, -3.0, 40.0, -40.0]]).reshape(2, 8)
ACTIVATIONS = [  # module, function, arguments
    ("ReLU", "relu", {}),
    ("LeakyReLU", "leaky_relu", {}),
    ("LeakyReLU", "leaky_relu", {"negative_slope": 0.3}),
    ("ReLU6", "relu6", {}),
    ("Hardtanh", "hardtanh", {}),
    ("Hardtanh", "hardtanh", {"min_val": -3.0, "max_val": 0.5}),
    ("ELU", "elu", {}),
    ("ELU", "elu", {"alpha": 0.5}),
    ("SELU", "selu", {}),
    ("CELU", "celu", {"alpha": 0.5}),
    ("GELU", "gelu", {}),
    ("GELU", "gelu", {"approximate": "tanh"}),
    ("SiLU", "silu", {}),
    ("Mish", "mish", {}),
    ("Softplus", "softplus", {}),
    ("Softplus", "softplus", {"beta": 2.0, "threshold": 5.0}),
    ("Softsign", "softsign", {}),
    ("LogSigmoid", "logsigmoid", {}),
    ("Sigmoid", "sigmoid", {}),
    ("Tanh", "tanh", {}),
    ("GLU", "glu", {}),
    ("GLU", "glu", {"dim": 0}),
    ("Softmax", "softmax", {"dim": 1}),
    ("LogSoftmax", "log_softmax", {"dim": 0}),
    ("Softmin", "softmin", {"dim": 1}),
]
IN_PLACE = ("ReLU", "LeakyReLU", "ReLU6", "Hardtanh", "ELU", "SELU", "CELU", "SiLU", "Mish")


@pytest.mark.peers
@pytest.mark.parametrize(("module", "function", "options"), ACTIVATIONS)
def test_peer_activations(module: str, function: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    assert_same_as_peer(
        lambda x: getattr(F, function)(x, **options),
        lambda x: getattr(torch.nn.functional, function)(x, **options),
        [X],
        rtol=1e-10,
    )
    ours, theirs = getattr(nn, module)(**options), getattr(torch.nn, module)(**options)
    assert repr(ours) == repr(theirs)
    np.testing.assert_allclose(
        ours(tn.tensor(X)).numpy(), theirs(torch.tensor(X)).numpy(), rtol=1e-10, atol=1e-13
    )


@pytest.mark.parametrize("module", IN_PLACE)
def test_inplace_writes_over_the_input(module: str) -> None:
    plain, changing = getattr(nn, module)(), getattr(nn, module)(inplace=True)
    assert "inplace=True" in repr(changing)
    expected = plain(tn.tensor(X)).numpy()
    x = tn.tensor(X)
    assert changing(x) is x
    np.testing.assert_array_equal(x.numpy(), expected)
    a, b = (tn.tensor(X, requires_grad=True) for _ in range(2))
    plain(a * 2).sum().backward()
    changing(b * 2).sum().backward()
    np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())
    with pytest.raises(InPlaceError):
        changing(a)


@pytest.mark.peers
@pytest.mark.parametrize(
    ("x", "slopes"), [(normal(4, 3), 1), (normal(4, 3), 3), (normal(2, 3, 5), 3), (normal(4), 1)]
)
def test_peer_prelu(x: Any, slopes: int) -> None:
    torch = pytest.importorskip("torch")
    assert_same_as_peer(F.prelu, torch.nn.functional.prelu, [x, np.abs(normal(slopes))])
    ours, theirs = nn.PReLU(slopes), torch.nn.PReLU(slopes)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["weight"]
    assert repr(ours).startswith(repr(theirs))
    assert ours.weight.tolist() == theirs.weight.tolist()


def test_activations_in_float32_do_not_overflow() -> None:
    x = tn.tensor([-200.0, -1.0, 0.0, 1.0, 200.0], requires_grad=True)
    for name in ("silu", "mish", "softplus", "logsigmoid", "elu", "selu", "gelu", "softsign"):
        y = getattr(F, name)(x)
        assert y.dtype == tn.float32
        (d,) = tn.autograd.grad(y.sum(), x)
        assert np.isfinite(y.detach().numpy()).all()
        assert np.isfinite(d.numpy()).all()


def test_activation_mistakes() -> None:
    x = tn.ones(2, 3)
    with pytest.raises(ArgumentError, match=r"gelu.*\n.*'none' or 'tanh'"):
        F.gelu(x, "fast")
    with pytest.raises(ShapeError, match="cannot be halved"):
        F.glu(x)
    with pytest.raises(ShapeError, match=r"prelu.*\n.*\(1,\) or \(3,\)"):
        F.prelu(x, tn.ones(2))
    with pytest.raises(ArgumentError, match="min_val is above"):
        F.hardtanh(x, 1.0, 0.5)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (2, 2, 2, 2)])
def test_softmax_without_dim_takes_pytorchs_axis_and_warns(shape: tuple[int, ...]) -> None:
    x = tn.randn(shape)
    axis = 0 if len(shape) in (1, 3) else 1
    for layer in (nn.Softmax, nn.LogSoftmax, nn.Softmin):
        with pytest.warns(UserWarning, match="without dim"):
            y = layer()(x)
        np.testing.assert_array_equal(y.numpy(), layer(axis)(x).numpy())


def test_pad_mistakes() -> None:
    x = tn.ones(2, 3)
    with pytest.raises(ArgumentError, match=r"no such mode\n.*constant, reflect.*\n  got: edge"):
        F.pad(x, (1, 1), mode="edge")
    for widths in ((1,), (1, 1, 1, 1, 1, 1)):
        with pytest.raises(ShapeError, match="two numbers for each axis"):
            F.pad(x, widths)
    with pytest.raises(ShapeError, match="3 entries cannot be mirrored"):
        F.pad(x, (3, 0), mode="reflect")
    for mode in ("constant", "circular"):
        with pytest.raises(ShapeError, match="more than all 3 entries"):
            F.pad(x, (-2, -2), mode=mode)
        with pytest.raises(ArgumentError, match="whole numbers"):
            F.pad(x, (1.5, 1), mode=mode)
    assert F.pad(x, (1, 1, -2, 0), mode="circular").shape == (0, 5)


# -- losses ------------------------------------------------------------------------------------

T = rng.integers(0, 3, 6)
IGNORED = np.array([0, -100, 2, 1, -100, 2])
W = np.array([0.5, 2.0, 1.5])
P = rng.dirichlet(np.ones(3), 6)
SIGNS = np.array([1, -1, 1, 1, -1, -1])
LOSSES: list[tuple[str, str, list[Any], dict[str, Any]]] = [
    ("MSELoss", "mse_loss", [normal(4, 3), normal(4, 3)], {}),
    ("L1Loss", "l1_loss", [normal(4, 3), normal(4, 3)], {}),
    ("SmoothL1Loss", "smooth_l1_loss", [normal(4, 3), normal(4, 3)], {}),
    ("SmoothL1Loss", "smooth_l1_loss", [normal(4, 3), normal(4, 3)], {"beta": 0.3}),
    ("SmoothL1Loss", "smooth_l1_loss", [normal(4, 3), normal(4, 3)], {"beta": 0.0}),
    ("HuberLoss", "huber_loss", [normal(4, 3), normal(4, 3)], {"delta": 0.4}),
    ("CrossEntropyLoss", "cross_entropy", [normal(6, 3), T], {}),
    ("CrossEntropyLoss", "cross_entropy", [normal(3), np.array(1)], {"label_smoothing": 0.1}),
    ("CrossEntropyLoss", "cross_entropy", [normal(6, 3), T], {"weight": W}),
    ("CrossEntropyLoss", "cross_entropy", [normal(6, 3), IGNORED], {"weight": W}),
    ("CrossEntropyLoss", "cross_entropy", [normal(6, 3), T], {"label_smoothing": 0.2}),
    (
        "CrossEntropyLoss",
        "cross_entropy",
        [normal(6, 3), IGNORED],
        {"weight": W, "label_smoothing": 0.2},
    ),
    (
        "CrossEntropyLoss",
        "cross_entropy",
        [normal(2, 3, 3), T.reshape(2, 3)],
        {"weight": W, "label_smoothing": 0.2, "ignore_index": 1},
    ),
    ("CrossEntropyLoss", "cross_entropy", [normal(6, 3), P], {}),
    ("CrossEntropyLoss", "cross_entropy", [normal(6, 3), P], {"weight": W, "label_smoothing": 0.1}),
    ("CrossEntropyLoss", "cross_entropy", [normal(3), P[0]], {"weight": W}),
    (
        "CrossEntropyLoss",
        "cross_entropy",
        [normal(2, 3, 3), np.moveaxis(P.reshape(2, 3, 3), -1, 1)],
        {"weight": W},
    ),
    ("NLLLoss", "nll_loss", [normal(6, 3), T], {}),
    ("NLLLoss", "nll_loss", [normal(6, 3), IGNORED], {"weight": W}),
    ("NLLLoss", "nll_loss", [normal(2, 3, 3), T.reshape(2, 3)], {"weight": W}),
    ("BCELoss", "binary_cross_entropy", [rng.random((4, 3)), rng.random((4, 3))], {}),
    ("BCELoss", "binary_cross_entropy", [rng.random((4, 3)), rng.random((4, 3))], {"weight": W}),
    (
        "BCEWithLogitsLoss",
        "binary_cross_entropy_with_logits",
        [normal(4, 3), rng.random((4, 3))],
        {},
    ),
    (
        "BCEWithLogitsLoss",
        "binary_cross_entropy_with_logits",
        [normal(4, 3), rng.random((4, 3))],
        {"weight": W, "pos_weight": W[::-1].copy()},
    ),
    ("KLDivLoss", "kl_div", [np.log(P[:3]), P[3:]], {}),
    ("KLDivLoss", "kl_div", [np.log(P[:3]), np.log(P[3:])], {"log_target": True}),
    ("HingeEmbeddingLoss", "hinge_embedding_loss", [normal(6), SIGNS], {"margin": 0.5}),
    ("MarginRankingLoss", "margin_ranking_loss", [normal(6), normal(6), SIGNS], {"margin": 0.5}),
    ("CosineEmbeddingLoss", "cosine_embedding_loss", [normal(6, 3), normal(6, 3), SIGNS], {}),
    (
        "CosineEmbeddingLoss",
        "cosine_embedding_loss",
        [normal(6, 3), normal(6, 3), SIGNS],
        {"margin": 0.3},
    ),
    ("GaussianNLLLoss", "gaussian_nll_loss", [normal(4, 3), normal(4, 3), rng.random((4, 3))], {}),
    (
        "GaussianNLLLoss",
        "gaussian_nll_loss",
        [normal(4, 3), normal(4, 3), rng.random((4, 1))],
        {"full": True, "eps": 0.5},
    ),
    ("GaussianNLLLoss", "gaussian_nll_loss", [normal(4, 3), normal(4, 3), rng.random(4)], {}),
    ("PoissonNLLLoss", "poisson_nll_loss", [normal(6), T.astype(float) * 2], {}),
    ("PoissonNLLLoss", "poisson_nll_loss", [rng.random(6), T * 2.0], {"log_input": False}),
]


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.parametrize("reduction", ["none", "mean", "sum", "batchmean"])
@pytest.mark.parametrize(("module", "function", "inputs", "options"), LOSSES)
def test_peer_losses(
    module: str, function: str, inputs: Any, options: dict[str, Any], reduction: str
) -> None:
    torch = pytest.importorskip("torch")
    if reduction == "batchmean" and function != "kl_div":
        with pytest.raises(ArgumentError, match="no such reduction"):
            getattr(nn, module)(reduction=reduction)
        return
    arrays = {k: v for k, v in options.items() if isinstance(v, np.ndarray)}
    plain = {k: v for k, v in options.items() if k not in arrays} | {"reduction": reduction}
    mine = plain | {k: tn.tensor(v) for k, v in arrays.items()}
    other = plain | {k: torch.tensor(v) for k, v in arrays.items()}
    assert_same_as_peer(
        lambda *x: getattr(F, function)(*x, **mine),
        lambda *x: getattr(torch.nn.functional, function)(*x, **other),
        inputs,
    )
    ours, theirs = getattr(nn, module)(**mine), getattr(torch.nn, module)(**other)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    np.testing.assert_allclose(
        ours(*map(tn.tensor, inputs)).numpy(),
        theirs(*map(torch.tensor, inputs)).numpy(),
        rtol=1e-12,
    )


@pytest.mark.peers
def test_peer_full_poisson() -> None:
    torch = pytest.importorskip("torch")
    x, t = normal(6), T * 2.0
    mine = F.poisson_nll_loss(tn.tensor(x), tn.tensor(t), full=True)
    other = torch.nn.functional.poisson_nll_loss(torch.tensor(x), torch.tensor(t), full=True)
    assert math.isclose(mine.item(), other.item(), rel_tol=1e-12)


@pytest.mark.peers
@pytest.mark.parametrize(
    ("inputs", "options"),
    [
        ([normal(4, 3), normal(4, 3)], {}),
        ([normal(4, 3), normal(4, 3)], {"dim": -1}),
        ([normal(4, 3), np.zeros((4, 3))], {}),
        ([normal(2, 4, 3), normal(1, 4, 3)], {"dim": 1}),
    ],
)
def test_peer_cosine_similarity(inputs: Any, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    assert_same_as_peer(
        nn.CosineSimilarity(**options),
        lambda a, b: torch.nn.functional.cosine_similarity(a, b, **options),
        inputs,
    )


def test_short_vectors_count_as_long_as_eps() -> None:
    """PyTorch gives the same values, but not the gradient of what it computed."""
    x, y = tn.tensor([0.3, 0.4], requires_grad=True), tn.tensor([0.0, 2.0])
    cos = F.cosine_similarity(x, y, dim=0, eps=1.0)
    cos.backward()
    assert math.isclose(cos.item(), 0.4, rel_tol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), [0, 1], rtol=1e-6)


@pytest.mark.peers
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_peer_certain_probabilities(dtype: str) -> None:
    """At p = 0 and p = 1 loss and gradient are PyTorch's: clamped, not infinite."""
    torch = pytest.importorskip("torch")
    p = np.array([0, 0, 1, 1, 1e-44, 0.5], dtype)
    y = np.array([0, 1, 0, 1, 1, 0.5], dtype)
    assert_same_as_peer(
        lambda a: F.binary_cross_entropy(a, tn.tensor(y), reduction="none"),
        lambda a: torch.nn.functional.binary_cross_entropy(a, torch.tensor(y), reduction="none"),
        [p],
        rtol=1e-5,
    )


def test_a_hard_target_is_a_soft_one() -> None:
    x, hard = tn.tensor(normal(6, 3)), F.one_hot(tn.tensor(T), 3).double()
    for smoothing in (0.0, 0.3):
        np.testing.assert_allclose(
            F.cross_entropy(x, tn.tensor(T), label_smoothing=smoothing).numpy(),
            F.cross_entropy(x, hard, label_smoothing=smoothing).numpy(),
            rtol=1e-13,
        )
    np.testing.assert_allclose(
        F.cross_entropy(x, tn.tensor(T)).numpy(),
        F.nll_loss(F.log_softmax(x, 1), tn.tensor(T)).numpy(),
        rtol=1e-13,
    )


def test_both_binary_losses_agree() -> None:
    z, y = tn.tensor(normal(5)), tn.tensor(rng.random(5))
    by_scores = F.binary_cross_entropy_with_logits(z, y)
    np.testing.assert_allclose(F.binary_cross_entropy(z.sigmoid(), y).numpy(), by_scores.numpy())
    weighted = F.binary_cross_entropy_with_logits(z, y, pos_weight=tn.ones(5, dtype=tn.float64))
    np.testing.assert_allclose(weighted.numpy(), by_scores.numpy(), rtol=1e-13)


def test_the_divergence_is_positive_and_zero_for_equals() -> None:
    p, q = tn.tensor(P[:3]), tn.tensor(P[3:])
    assert F.kl_div(p.log(), q, reduction="batchmean").item() > 0
    np.testing.assert_allclose(F.kl_div(p.log(), p, reduction="none").numpy(), 0, atol=1e-15)
    zero = tn.tensor([0.0, 1.0], requires_grad=True)
    y = F.kl_div(tn.tensor([0.5, 0.5]).log(), zero, reduction="sum")
    assert math.isclose(y.item(), math.log(2), rel_tol=1e-6)
    y.backward()
    assert np.isfinite(zero.grad.numpy()).all()


def test_the_mean_of_no_weight_is_nan() -> None:
    x, t = tn.tensor(normal(2, 3)), tn.tensor([-100, -100])
    assert math.isnan(F.cross_entropy(x, t, tn.tensor(W)).item())
    assert math.isnan(F.cross_entropy(x, t, label_smoothing=0.1).item())


def test_loss_mistakes() -> None:
    x, t = tn.tensor(normal(2, 3)), tn.tensor([0, 1])
    with pytest.raises(ShapeError, match="one weight for each class"):
        F.nll_loss(x, t, tn.ones(2))
    with pytest.raises(OutOfRangeError, match="no class 3"):
        F.nll_loss(x, tn.tensor([0, 3]))
    with pytest.raises(DTypeError, match=r"nll: .*whole numbers"):
        F.nll_loss(x, tn.tensor([0.0, 1.0]))
    with pytest.raises(DTypeError, match=r"target\.long\(\)"):
        F.cross_entropy(x, tn.ones(2))
    with pytest.raises(ShapeError, match="shape of the scores"):
        F.cross_entropy(x, tn.ones(2, 4))
    with pytest.raises(ShapeError, match=r"target\.float\(\)"):
        F.cross_entropy(x, tn.ones(2, 3, dtype=tn.int64))
    with pytest.raises(ArgumentError, match="no class that could be ignored"):
        F.cross_entropy(x, tn.ones(2, 3), ignore_index=1)
    with pytest.raises(ArgumentError, match="label_smoothing"):
        F.cross_entropy(x, t, label_smoothing=1.5)
    with pytest.raises(ArgumentError, match="probability lies between"):
        F.binary_cross_entropy(tn.tensor([1.5]), tn.tensor([1.0]))
    with pytest.raises(ArgumentError, match="positive"):
        F.huber_loss(x, x, delta=0.0)
    with pytest.raises(ArgumentError, match="not negative"):
        F.gaussian_nll_loss(x, x, -tn.ones(2, 3))
    column = tn.ones(2, 1)
    for loss in (F.l1_loss, F.huber_loss, F.kl_div, F.binary_cross_entropy, F.poisson_nll_loss):
        with pytest.raises(ShapeError, match="one shape"):
            loss(column, tn.ones(2))
    with pytest.raises(ShapeError, match="one shape"):
        F.binary_cross_entropy_with_logits(column, tn.ones(2), pos_weight=tn.ones(1))


# -- layers ------------------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.parametrize("padding", [None, 2, -1])
@pytest.mark.parametrize("ids", [np.array([[0, 2, 2], [4, 1, 2]]), np.array(4), np.zeros(0, int)])
def test_peer_embedding(ids: Any, padding: int | None) -> None:
    torch = pytest.importorskip("torch")
    assert_same_as_peer(
        lambda w: F.embedding(tn.tensor(ids), w, padding),
        lambda w: torch.nn.functional.embedding(torch.tensor(ids), w, padding),
        [normal(5, 3)],
    )
    ours, theirs = nn.Embedding(5, 3, padding), torch.nn.Embedding(5, 3, padding)
    assert repr(ours).startswith(repr(theirs)[:-1])
    assert list(ours.state_dict()) == list(theirs.state_dict())
    if padding is not None:
        assert not ours.weight.detach()[padding].numpy().any()


def test_embedding_trains_every_row_but_the_padding() -> None:
    layer = nn.Embedding(4, 2, padding_idx=1)
    ids = np.array([[0, 1], [0, 3]])
    y = layer(tn.tensor(ids))
    ids[:] = 2  # memory used again must not change the gradient
    y.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy()[:, 0], [2, 0, 0, 1])
    frozen = nn.Embedding.from_pretrained(tn.ones(3, 2))
    assert not frozen.weight.requires_grad
    with pytest.raises(OutOfRangeError, match=r"no row\n.*0 … 3"):
        layer(tn.tensor([4]))
    with pytest.raises(OutOfRangeError, match="no row"):
        layer(tn.tensor([-1]))
    with pytest.raises(DTypeError, match="whole numbers"):
        layer(tn.ones(2))
    with pytest.raises(OutOfRangeError, match="padding_idx"):
        nn.Embedding(3, 2, padding_idx=3)
    with pytest.raises(OutOfRangeError, match="padding_idx"):
        F.embedding(tn.tensor([0]), tn.ones(3, 2), padding_idx=-4)
    with pytest.raises(ShapeError, match=r"\(V, d\)"):
        nn.Embedding.from_pretrained(tn.ones(3))


@pytest.mark.peers
@pytest.mark.parametrize("lead", [(), (4,), (2, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_peer_bilinear(lead: tuple[int, ...], bias: bool) -> None:
    torch = pytest.importorskip("torch")
    inputs = [normal(*lead, 3), normal(*lead, 2), normal(4, 3, 2), *([normal(4)] if bias else [])]
    assert_same_as_peer(F.bilinear, torch.nn.functional.bilinear, inputs)
    ours, theirs = nn.Bilinear(3, 2, 4, bias), torch.nn.Bilinear(3, 2, 4, bias)
    assert repr(ours).startswith(repr(theirs))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert float(np.abs(ours.weight.detach().numpy()).max()) <= 1 / math.sqrt(3)


def test_bilinear_mistakes() -> None:
    with pytest.raises(ShapeError, match="bilinear: the sizes do not fit"):
        F.bilinear(tn.ones(2, 3), tn.ones(2, 2), tn.ones(4, 2, 3))
    with pytest.raises(ArgumentError, match="in1_features is positive"):
        nn.Bilinear(0, 1, 1)
