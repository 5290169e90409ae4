"""Tables of vectors: lookup and scatter-add, bags, matrix factorisation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import assert_close

import tinynet as tn
from tinynet import nn
from tinynet.derivations import embedding, lookup, matrix_factorisation
from tinynet.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError
from tinynet.nn import functional as F

rng = np.random.default_rng(0)
MODES = ("sum", "mean", "max")


# -- lookup ----------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 6), d=st.integers(1, 4), data=st.data())
def test_the_gradient_is_one_hot_transposed_times_g(
    seed: int, rows: int, d: int, data: st.DataObject
) -> None:
    shape = data.draw(st.sampled_from([(), (1,), (7,), (2, 3), (0,), (3, 0)]))
    source = np.random.default_rng(seed)
    ids, W = source.integers(0, rows, shape), source.standard_normal((rows, d))
    g = source.standard_normal((*shape, d))
    E = lookup.one_hot(ids, W)
    assert E.shape == (*shape, rows)
    assert (E.sum(-1) == 1).all()
    y, saved = embedding.forward(ids, W)
    np.testing.assert_array_equal(y, np.matmul(E, W))
    nothing, dW = embedding.backward(g, saved)
    assert nothing is None
    expected = E.reshape(-1, rows).T @ g.reshape(-1, d)
    np.testing.assert_allclose(dW, expected, rtol=1e-12, atol=1e-13)


def test_an_id_that_occurs_twice_gets_both_gradients() -> None:
    W = tn.zeros(4, 2, requires_grad=True)
    y = F.embedding(tn.tensor([[1, 3], [1, 1]]), W)
    (y * tn.tensor([[[1.0], [10.0]], [[100.0], [1000.0]]])).sum().backward()
    assert W.grad.tolist() == [[0, 0], [1101, 1101], [0, 0], [10, 10]]


def test_what_was_looked_up_is_a_copy() -> None:
    W = rng.standard_normal((3, 2))
    for ids in (np.array(1), np.array([1])):
        y, _ = embedding.forward(ids, W)
        assert not np.shares_memory(y, W)


def test_many_small_gradients_are_not_lost_in_float32() -> None:
    """10⁵ times 0.1 in float32, one after the other, gives 9998.6; the sum is taken in float64."""
    ids, g = np.zeros(100_000, int), np.full((100_000, 1), 0.1, "f4")
    dW = lookup.scatter_add(ids, g, 1)
    assert dW.dtype == np.float32
    assert math.isclose(float(dW[0, 0]), 10_000, rel_tol=1e-6)


def test_padding_gets_no_gradient_and_keeps_its_value() -> None:
    W = tn.tensor(rng.standard_normal((4, 2)), requires_grad=True)
    ids = tn.tensor([2, 1, 2, 3])
    for padding in (2, -2):
        y = F.embedding(ids, W, padding)
        np.testing.assert_array_equal(y.detach().numpy(), W.detach().numpy()[[2, 1, 2, 3]])
        (dW,) = tn.autograd.grad(y, W, tn.ones(4, 2, dtype=tn.float64))
        assert dW.tolist() == [[0, 0], [1, 1], [0, 0], [1, 1]]


def test_gradients_scaled_by_frequency_are_means() -> None:
    W = tn.tensor(rng.standard_normal((4, 2)), requires_grad=True)
    g = rng.standard_normal((2, 3, 2))
    ids = np.array([[0, 2, 0], [2, 0, 1]])
    y = F.embedding(tn.tensor(ids), W, scale_grad_by_freq=True)
    np.testing.assert_array_equal(y.detach().numpy(), W.detach().numpy()[ids])
    (dW,) = tn.autograd.grad(y, W, tn.tensor(g))
    for v in range(4):
        at = g[ids == v]
        np.testing.assert_allclose(dW.numpy()[v], at.mean(0) if len(at) else 0, rtol=1e-12)


@pytest.mark.parametrize("p", [2.0, 1.0])
def test_rows_that_are_looked_up_are_shortened_in_place(p: float) -> None:
    layer = nn.Embedding(4, 3, max_norm=1.0, norm_type=p, dtype=tn.float64)
    with tn.no_grad():
        layer.weight[:] = tn.tensor([[3.0, 4, 0], [0.1, 0.1, 0.1], [5.0, 0, 0], [6.0, 8, 0]])
    y = layer(tn.tensor([0, 1, 3, 0]))
    lengths = np.linalg.norm(layer.weight.detach().numpy(), ord=p, axis=1)
    np.testing.assert_allclose(lengths, [1, 0.1 * 3 ** (1 / p), 5, 1], rtol=1e-6)
    np.testing.assert_array_equal(y.detach().numpy(), layer.weight.detach().numpy()[[0, 1, 3, 0]])
    y.sum().backward()  # the lookup came after the change
    assert layer.weight.grad.numpy()[:, 0].tolist() == [2, 1, 0, 1]


def test_memory_of_ids_that_is_used_again_changes_no_gradient() -> None:
    table, ids = tn.ones(3, 1, requires_grad=True), np.array([0, 0])
    for y in (
        F.embedding(tn.from_numpy(ids), table),
        F.embedding_bag(tn.from_numpy(ids), table, tn.tensor([0])),
    ):
        ids[:] = 2
        (d,) = tn.autograd.grad(y.sum(), table)
        assert d.numpy()[2, 0] == 0
        ids[:] = 0


def test_mistakes_are_named() -> None:
    W = tn.ones(4, 2)
    with pytest.raises(OutOfRangeError, match=r"embedding: id 4 has no row\n.*0 … 3"):
        F.embedding(tn.tensor([0, 4]), W)
    with pytest.raises(OutOfRangeError, match="id -1 has no row"):
        F.embedding(tn.tensor(-1), W)
    with pytest.raises(OutOfRangeError, match="id 9 has no row"):
        F.embedding(tn.tensor(9), W, max_norm=1.0)
    with pytest.raises(DTypeError, match="whole numbers"):
        F.embedding(tn.tensor([0.0]), W)
    with pytest.raises(ShapeError, match="table"):
        F.embedding(tn.tensor([0]), tn.ones(4))
    with pytest.raises(ShapeError, match="the vectors do not fit"):
        nn.Embedding(3, 2, _weight=W)
    with pytest.raises(OutOfRangeError, match="EmbeddingBag: padding_idx"):
        nn.EmbeddingBag(3, 2, padding_idx=3)


# -- bags ------------------------------------------------------------------------------------------


def _bag(rows: Any, mode: str) -> Any:
    if not len(rows):
        return [0.0] * 3
    columns = zip(*rows, strict=True)
    if mode == "max":
        return [max(c) for c in columns]
    return [math.fsum(c) / (len(rows) if mode == "mean" else 1) for c in columns]


@pytest.mark.parametrize("padding", [None, 1, -1])
@pytest.mark.parametrize("mode", MODES)
def test_bags_against_a_loop(mode: str, padding: int | None) -> None:
    W, ids = rng.standard_normal((5, 3)), np.array([0, 2, 2, 4, 1, 3, 1, 1])
    for offsets in ([0, 3, 3, 6], [0], [0, 8], [0, 0, 0], [0, 7]):
        ends = [*offsets[1:], 8]
        bags = [ids[a:b] for a, b in zip(offsets, ends, strict=True)]
        kept = [[W[i].tolist() for i in bag if padding is None or i != padding % 5] for bag in bags]
        expected = [_bag(rows, mode) for rows in kept]
        y = F.embedding_bag(
            tn.tensor(ids), tn.tensor(W), tn.tensor(offsets), mode=mode, padding_idx=padding
        )
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12)
        last = F.embedding_bag(
            tn.tensor(ids),
            tn.tensor(W),
            tn.tensor([*offsets, 8]),
            mode=mode,
            padding_idx=padding,
            include_last_offset=True,
        )
        np.testing.assert_array_equal(last.numpy(), y.numpy())
    square = F.embedding_bag(tn.tensor(ids.reshape(2, 4)), tn.tensor(W), mode=mode)
    expected = [_bag(W[bag].tolist(), mode) for bag in ids.reshape(2, 4)]
    np.testing.assert_allclose(square.numpy(), expected, rtol=1e-12)


def test_the_gradients_of_a_weighted_bag() -> None:
    W = tn.tensor(rng.standard_normal((4, 2)), requires_grad=True)
    w = tn.tensor(rng.standard_normal(5), requires_grad=True)
    ids, bag = np.array([0, 3, 3, 0, 1]), [0, 0, 0, 1, 1]
    y = F.embedding_bag(tn.tensor(ids), W, tn.tensor([0, 3]), mode="sum", per_sample_weights=w)
    g = rng.standard_normal((2, 2))
    dW, dw = (d.numpy() for d in tn.autograd.grad(y, [W, w], tn.tensor(g)))
    expected = np.zeros((4, 2))
    for k in range(5):
        expected[ids[k]] += w.detach().numpy()[k] * g[bag[k]]
        assert math.isclose(dw[k], float(g[bag[k]] @ W.detach().numpy()[ids[k]]))
    np.testing.assert_allclose(dW, expected, rtol=1e-12)


def test_gradients_of_bags_scaled_by_frequency() -> None:
    """Checked by a loop: PyTorch 2.13 divides here by how often *another* id occurs."""
    W = tn.tensor(rng.standard_normal((4, 2)), requires_grad=True)
    ids, g = np.array([[0, 3, 3], [0, 1, 0]]), rng.standard_normal((2, 2))
    y = F.embedding_bag(tn.tensor(ids), W, mode="sum", scale_grad_by_freq=True)
    (dW,) = tn.autograd.grad(y, W, tn.tensor(g))
    expected = [(g[0] + 2 * g[1]) / 3, g[1], np.zeros(2), 2 * g[0] / 2]
    np.testing.assert_allclose(dW.numpy(), expected, rtol=1e-12)


def test_bags_of_nothing() -> None:
    W = tn.ones(3, 2, requires_grad=True)
    for mode in MODES:
        y = F.embedding_bag(tn.zeros(0, dtype=tn.int64), W, tn.tensor([0, 0]), mode=mode)
        assert y.tolist() == [[0, 0], [0, 0]]
        assert F.embedding_bag(tn.zeros(0, 3, dtype=tn.int64), W, mode=mode).shape == (0, 2)
        y.sum().backward()
        assert not W.grad.numpy().any()


def test_mistakes_with_bags_are_named() -> None:
    ids, W = tn.tensor([0, 1, 2]), tn.ones(3, 2)
    with pytest.raises(ShapeError, match=r"ids \(b, n\), or ids \(N,\) with offsets"):
        F.embedding_bag(ids, W)
    with pytest.raises(ShapeError, match="offsets belong to ids in a row"):
        F.embedding_bag(ids[None], W, tn.tensor([0]))
    with pytest.raises(ArgumentError, match="begin with 0 and do not fall"):
        F.embedding_bag(ids, W, tn.tensor([1, 2]))
    with pytest.raises(ArgumentError, match="begin with 0 and do not fall"):
        F.embedding_bag(ids, W, tn.tensor([0, 2, 1]))
    with pytest.raises(OutOfRangeError, match="offset 4 lies beyond"):
        F.embedding_bag(ids, W, tn.tensor([0, 4]))
    with pytest.raises(ArgumentError, match="the last offset is the number of ids"):
        F.embedding_bag(ids, W, tn.tensor([0, 2]), include_last_offset=True)
    with pytest.raises(ArgumentError, match="no bag"):
        F.embedding_bag(ids, W, tn.tensor([], dtype=tn.int64))
    with pytest.raises(ArgumentError, match="no such mode"):
        F.embedding_bag(ids[None], W, mode="median")
    with pytest.raises(ArgumentError, match="mode='sum'"):
        F.embedding_bag(ids[None], W, per_sample_weights=tn.ones(1, 3))
    with pytest.raises(ShapeError, match="one weight for each id"):
        F.embedding_bag(ids[None], W, mode="sum", per_sample_weights=tn.ones(3))
    with pytest.raises(ArgumentError, match="frequency"):
        F.embedding_bag(ids[None], W, mode="max", scale_grad_by_freq=True)
    with pytest.raises(OutOfRangeError, match="id 3 has no row"):
        F.embedding_bag(ids[None] + 1, W)


def test_on_the_gpu_as_on_the_cpu(cupy: Any) -> None:
    values, ids = rng.standard_normal((5, 3)), np.array([0, 2, 2, 4, 1, 3])
    calls = [
        lambda ids, W, o: F.embedding(ids, W, padding_idx=2, scale_grad_by_freq=True),
        lambda ids, W, o: F.embedding(ids, W * 1, max_norm=1.0),
        *(
            lambda ids, W, o, m=m: F.embedding_bag(ids, W, o, mode=m)
            for m in ("sum", "mean", "max")
        ),
        lambda ids, W, o: F.embedding_bag(ids.reshape(2, 3), W, mode="max", padding_idx=2),
        lambda ids, W, o: F.embedding_bag(
            ids, W, o, mode="sum", per_sample_weights=W[:, 0][ids], padding_idx=4
        ),
    ]
    for call in calls:
        found = []
        for device in ("cpu", "cuda"):
            W = tn.tensor(values, device=device, requires_grad=True)
            y = call(tn.tensor(ids, device=device), W, tn.tensor([0, 3, 3], device=device))
            (d,) = tn.autograd.grad((y * y).sum(), W)
            assert y.device == d.device == W.device
            found.append((y, d))
        for a, b in zip(*found, strict=True):
            assert_close(b, a)


# -- matrix factorisation --------------------------------------------------------------------------


def test_a_planted_table_of_low_rank_is_found() -> None:
    """Two thirds of a table of rank 2 plus biases are shown; the rest is predicted."""
    source = np.random.default_rng(3)
    users, items, d = 30, 20, 2
    true_P, true_Q = source.standard_normal((users, d)), source.standard_normal((items, d))
    b, c = source.standard_normal(users), source.standard_normal(items)
    table = 3.5 + b[:, None] + c + true_P @ true_Q.T
    shown = source.random((users, items)) < 0.67
    u, i = (tn.tensor(k) for k in np.nonzero(shown))
    r, mean = tn.tensor(table[shown]), float(table[shown].mean())
    sizes = ((users, d), (items, d), (users,), (items,))
    parts = [tn.tensor(0.3 * source.standard_normal(s), requires_grad=True) for s in sizes]
    adam = tn.optim.Adam(parts, lr=0.05)
    for _ in range(300):
        adam.zero_grad()
        loss = matrix_factorisation.loss(*parts, u, i, r, mean=mean, l2=0.01)
        loss.backward()
        adam.step()
    hidden = [tn.tensor(k) for k in np.nonzero(~shown)]
    found = matrix_factorisation.op(*parts, *hidden, mean=mean).detach().numpy()
    spread = np.std(table[~shown])
    biases_only = [p.detach().numpy() for p in parts[2:]]
    plain = mean + biases_only[0][hidden[0].numpy()] + biases_only[1][hidden[1].numpy()]
    error, of_biases = (np.sqrt(np.mean((x - table[~shown]) ** 2)) for x in (found, plain))
    assert error < 0.1 * spread
    assert of_biases > 0.4 * spread  # without the two factors


def test_the_loss_and_its_gradient_by_hand() -> None:
    sizes = ((3, 2), (4, 2), (3,), (4,))
    parts = [tn.tensor(rng.standard_normal(s), requires_grad=True) for s in sizes]
    u, i, r, l2 = np.array([0, 2, 0]), np.array([1, 1, 3]), rng.standard_normal(3), 0.3
    loss = matrix_factorisation.loss(
        *parts, tn.tensor(u), tn.tensor(i), tn.tensor(r), mean=0.5, l2=l2
    )
    loss.backward()
    P, Q, b, c = (p.detach().numpy() for p in parts)
    expected, value = [np.zeros(s) for s in sizes], 0.0
    for k in range(3):
        e = 0.5 + b[u[k]] + c[i[k]] + P[u[k]] @ Q[i[k]] - r[k]
        rows = (P[u[k]], Q[i[k]], b[u[k]], c[i[k]])
        value += (e * e + l2 * sum(float(np.sum(row * row)) for row in rows)) / 2
        for d, at, factor, row in zip(
            expected, (u, i, u, i), (Q[i[k]], P[u[k]], 1.0, 1.0), rows, strict=True
        ):
            d[at[k]] += e * factor + l2 * row
    assert math.isclose(loss.item(), value, rel_tol=1e-12)
    for p, d in zip(parts, expected, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), d, rtol=1e-11, atol=1e-12)
    assert not parts[0].grad.numpy()[1].any()  # user 1 rated nothing
    assert not parts[1].grad.numpy()[[0, 2]].any()


def test_factors_that_start_at_zero_stay_there() -> None:
    P, Q, b, c = (tn.zeros(*s, requires_grad=True) for s in ((2, 3), (2, 3), (2,), (2,)))
    loss = matrix_factorisation.loss(P, Q, b, c, tn.tensor([0]), tn.tensor([1]), tn.tensor([4.0]))
    loss.backward()
    assert not P.grad.numpy().any()
    assert not Q.grad.numpy().any()
    assert b.grad.tolist() == [-4, 0]


def test_mistakes_in_a_table_are_named() -> None:
    P, Q, b, c = tn.ones(2, 3), tn.ones(4, 3), tn.ones(2), tn.ones(4)
    u = i = tn.tensor([0, 1])
    op = matrix_factorisation.op
    assert op(P, Q, b, c, u, i).tolist() == [5, 5]
    with pytest.raises(ShapeError, match=r"Q \(items, d\)"):
        op(P, tn.ones(4, 2), b, c, u, i)
    with pytest.raises(ShapeError, match="biases"):
        op(P, Q, c, b, u, i)
    with pytest.raises(ShapeError, match="sizes"):
        op(P, Q, b, c, u, tn.tensor([0]))
    with pytest.raises(OutOfRangeError, match=r"matrix_factorisation: id 2 has no row\n.*0 … 1"):
        op(P, Q, b, c, i + 1, i)
    with pytest.raises(DTypeError, match="whole numbers"):
        op(P, Q, b, c, u, b)


# -- against PyTorch -------------------------------------------------------------------------------


@pytest.mark.peers
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding_idx": 2},
        {"padding_idx": -1, "scale_grad_by_freq": True},
        {"max_norm": 1.0},
        {"max_norm": 0.7, "norm_type": 1.0},
        {"sparse": False, "scale_grad_by_freq": True},
    ],
)
def test_peer_embedding_options(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    values, ids = rng.standard_normal((5, 3)), np.array([[0, 2, 2], [4, 0, 2]])
    ours, theirs = nn.Embedding(5, 3, **options), torch.nn.Embedding(5, 3, **options)
    assert repr(ours).split("  #")[0] == repr(theirs)
    ours.double(), theirs.double()
    ours.load_state_dict({"weight": values})
    theirs.load_state_dict({"weight": torch.tensor(values)})
    g = rng.standard_normal((2, 3, 3))
    y, z = ours(tn.tensor(ids)), theirs(torch.tensor(ids))
    y.backward(tn.tensor(g)), z.backward(torch.tensor(g))
    for mine, other in (
        (y, z),
        (ours.weight, theirs.weight),
        (ours.weight.grad, theirs.weight.grad),
    ):
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-12)


@pytest.mark.peers
@pytest.mark.parametrize(
    ("options", "offsets"),
    [
        ({}, [0, 3, 3, 6]),
        ({"mode": "max", "padding_idx": 1}, [0, 3, 3, 6]),
        ({"mode": "mean", "padding_idx": -1, "max_norm": 1.0}, [0, 2]),
        ({"mode": "sum", "include_last_offset": True}, [0, 3, 8]),
        ({"mode": "max"}, None),
        ({"norm_type": 1.0, "max_norm": 2.0}, None),
    ],
)
def test_peer_embedding_bag(options: dict[str, Any], offsets: Any) -> None:
    torch = pytest.importorskip("torch")
    values, ids = rng.standard_normal((5, 3)), np.array([0, 2, 2, 4, 1, 3, 1, 1])
    ids = ids if offsets else ids.reshape(2, 4)
    ours, theirs = nn.EmbeddingBag(5, 3, **options), torch.nn.EmbeddingBag(5, 3, **options)
    assert repr(ours).split("  #")[0] == repr(theirs)
    ours.double(), theirs.double()
    ours.load_state_dict({"weight": values})
    theirs.load_state_dict({"weight": torch.tensor(values)})
    y = ours(tn.tensor(ids), None if offsets is None else tn.tensor(offsets))
    z = theirs(torch.tensor(ids), None if offsets is None else torch.tensor(offsets))
    g = rng.standard_normal(y.shape)
    y.backward(tn.tensor(g)), z.backward(torch.tensor(g))
    for mine, other in (
        (y, z),
        (ours.weight, theirs.weight),
        (ours.weight.grad, theirs.weight.grad),
    ):
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-12)


@pytest.mark.peers
def test_peer_from_pretrained() -> None:
    torch = pytest.importorskip("torch")
    values = rng.standard_normal((4, 2))
    for name, args in (
        ("Embedding", (True, 1, 2.0)),
        ("EmbeddingBag", (False, 2.0, 1.0, True, "sum")),
    ):
        ours = getattr(nn, name).from_pretrained(tn.tensor(values), *args)
        theirs = getattr(torch.nn, name).from_pretrained(torch.tensor(values), *args)
        assert repr(ours).split("  #")[0] == repr(theirs)
        assert ours.weight.requires_grad == theirs.weight.requires_grad
        np.testing.assert_array_equal(ours.weight.detach().numpy(), values)
