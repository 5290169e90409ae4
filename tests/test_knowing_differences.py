"""Where tinynet's answer is knowingly not PyTorch's: the list of docs/engine.md, line by line.

Each test says what tinynet gives; for gradients also that PyTorch, where it is installed, still
gives another one, so that the list cannot outlive its reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet.errors import ShapeError

F = tn.nn.functional
rng = np.random.default_rng(0)


def gradient(f: Callable[..., Any], x: np.ndarray) -> np.ndarray:
    t = tn.tensor(x, requires_grad=True)
    (d,) = tn.autograd.grad(f(t), t)
    return d.numpy()


def theirs(f: Callable[..., Any], x: np.ndarray) -> np.ndarray:
    torch = pytest.importorskip("torch")
    t = torch.tensor(x, requires_grad=True)
    (d,) = torch.autograd.grad(f(torch, t), t)
    return d.numpy()


# -- gradients -------------------------------------------------------------------------------------

TABLE = rng.normal(size=(3, 2))
IDS = [1, 1, 1, 2]


def bag_loss(lib: Any, table: Any) -> Any:
    ids, offsets = lib.tensor(IDS), lib.tensor([0])
    f = lib.nn.functional.embedding_bag
    return f(ids, table, offsets, mode="sum", scale_grad_by_freq=True).sum()


def test_a_bag_divides_by_the_count_of_the_id_itself() -> None:
    found = gradient(lambda table: bag_loss(tn, table), TABLE)
    np.testing.assert_allclose(found, [[0, 0], [1, 1], [1, 1]])


@pytest.mark.peers
def test_pytorch_divides_by_the_count_of_another_id() -> None:
    np.testing.assert_allclose(theirs(bag_loss, TABLE)[2], [1 / 3, 1 / 3])


TIED = np.array([[1.0], [1.0]])


def largest(lib: Any, table: Any) -> Any:
    return lib.nn.functional.embedding_bag(lib.tensor([[0, 1]]), table, mode="max").sum()


def test_equal_rows_of_a_bag_share_the_gradient_of_its_maximum() -> None:
    np.testing.assert_allclose(gradient(lambda table: largest(tn, table), TIED), [[0.5], [0.5]])


@pytest.mark.peers
def test_pytorch_gives_it_to_the_first_row() -> None:
    np.testing.assert_allclose(theirs(largest, TIED), [[1.0], [0.0]])


X = rng.normal(size=(4, 2))


def after_a_later_batch(lib: Any, x: Any) -> Any:
    layer = lib.nn.BatchNorm1d(2).double().eval()
    y = layer(x)
    layer.train()(lib.tensor(5 * X))  # moves the running variance, from 1 on
    return y.sum()


def test_batch_norm_goes_back_with_the_statistics_it_used() -> None:
    found = gradient(lambda x: after_a_later_batch(tn, x), X)
    np.testing.assert_allclose(found, np.full((4, 2), 1 / np.sqrt(1 + 1e-5)))


@pytest.mark.peers
def test_pytorch_goes_back_with_the_statistics_of_today() -> None:
    assert not np.allclose(theirs(after_a_later_batch, X), 1, rtol=1e-3)


# -- what is an error, and what is not -------------------------------------------------------------


def test_a_window_that_sees_padding_alone_is_an_error() -> None:
    with pytest.raises(ShapeError, match="sees padding alone"):  # PyTorch: -inf
        F.max_pool1d(tn.ones(1, 2), 2, padding=1, dilation=3)


def test_nothing_left_of_an_output_is_an_error() -> None:
    with pytest.raises(ShapeError, match="nothing is left"):  # PyTorch: an empty tensor
        F.conv_transpose1d(tn.ones(1, 1, 2), tn.ones(1, 1, 1), padding=1)


def test_channels_are_dropped_where_there_are_channels() -> None:
    with pytest.raises(ShapeError, match="number of axes"):  # PyTorch: a warning
        F.dropout2d(tn.ones(3, 3))
    with pytest.raises(ShapeError, match="n, c"):  # PyTorch: single entries are dropped
        F.feature_alpha_dropout(tn.ones(3), training=True)


def test_a_query_that_may_look_at_nothing_has_no_weights() -> None:
    x, layer = tn.ones(2, 1, 4), tn.nn.MultiheadAttention(4, 2)
    _, weights = layer(x, x, x, attn_mask=tn.tensor([[True, True], [False, False]]))
    np.testing.assert_allclose(weights.detach(), [[[0, 0], [0.5, 0.5]]])  # PyTorch: NaN


def test_means_of_whole_numbers_are_no_whole_numbers() -> None:
    x = tn.tensor([[1, 2]])
    assert F.avg_pool1d(x, 2).tolist() == [[1.5]]  # PyTorch: 1
    assert F.rms_norm(x, (2,)).dtype == F.layer_norm(x, (2,)).dtype == tn.float32  # PyTorch: error


def test_padding_with_entries_serves_any_axes() -> None:
    x = tn.tensor([1, 2, 3])  # PyTorch: needs a batch or channels, and at most three axes
    assert F.pad(x, (1, 1), "reflect").tolist() == [2, 1, 2, 3, 2]
    assert F.pad(tn.tensor([1, 2]), (3, 0), "circular").tolist() == [2, 1, 2, 1, 2]


def test_an_empty_batch_is_a_batch() -> None:
    assert F.pixel_unshuffle(tn.ones(0, 1, 4, 6), 2).shape == (0, 4, 2, 3)  # PyTorch: unchanged
    x, mean, var = tn.ones(0, 2, 3), tn.zeros(2), tn.ones(2)
    F.instance_norm(x, mean, var)
    assert (mean.tolist(), var.tolist()) == ([0, 0], [1, 1])  # PyTorch: NaN


def test_one_value_standardised_by_itself_is_0() -> None:
    assert F.group_norm(tn.tensor([[3.0]]), 1).tolist() == [
        [0]
    ]  # PyTorch: an error; not layer_norm
