"""Values that are changed in place: versions, recorded changes, views and their bases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet.errors import InPlaceError


def leaf(*values: float) -> tn.Tensor:
    return tn.tensor(list(values), dtype=tn.float64, requires_grad=True)


@pytest.mark.parametrize("change", ["itself", "detached", "data", "view", "numpy out"])
def test_a_saved_value_that_is_changed_is_noticed(change: str) -> None:
    x = leaf(1.0, 2.0)
    h = x * 1
    y = (h * h).sum()
    with tn.no_grad():
        if change == "itself":
            h.add_(1)
        elif change == "detached":
            h.detach().add_(1)
        elif change == "data":
            h.data[0] = 5.0
        elif change == "view":
            h.detach()[:1].add_(1)
        else:
            np.add(h.detach(), 1, out=h.detach())
    with pytest.raises(InPlaceError, match="mul saved for its gradient was changed in place"):
        y.backward()


def test_a_change_to_what_nobody_saved_is_fine() -> None:
    x = leaf(1.0, 2.0)
    h = x + 1
    y = (h + h).sum()
    h.detach().zero_()
    y.backward()
    np.testing.assert_array_equal(x.grad, [2.0, 2.0])


def test_detach_and_data_share_memory_and_counter() -> None:
    x = leaf(1.0, 2.0)
    assert np.shares_memory(x.detach().array, x.array)
    x.data.mul_(10)
    np.testing.assert_array_equal(x.detach(), [10.0, 20.0])
    assert x._version == x.detach()._version == 1


def test_a_leaf_that_requires_gradients_refuses_in_place_changes_outside_no_grad() -> None:
    x = leaf(1.0)
    with pytest.raises(
        InPlaceError, match="a leaf that requires gradients is being used in an in-place operation"
    ):
        x += 1
    with pytest.raises(InPlaceError):
        x[0] = 3.0
    with tn.no_grad():
        x += 1
        x[0] = x[0] * 2
    assert x.item() == 4.0
    assert x.requires_grad
    assert x.is_leaf


def test_recorded_in_place_changes_have_the_right_gradient() -> None:
    x, v = leaf(1.0, 2.0, 3.0), leaf(10.0)
    h = x * 1
    h *= 3
    h[1] = v[0] * 2
    h.exp_()
    (h * tn.tensor([1.0, 2.0, 3.0])).sum().backward()
    e = np.exp([3.0, 20.0, 9.0])
    np.testing.assert_allclose(x.grad, [3 * e[0], 0, 9 * e[2]])
    np.testing.assert_allclose(v.grad, [4 * e[1]])


def _assert_both_agree(program: Callable[[Any, Any, Any], Any]) -> None:
    """The program gives PyTorch's values and gradients."""
    torch = pytest.importorskip("torch")
    found = []
    for m in (tn, torch):
        x = m.tensor(np.arange(1.0, 13.0).reshape(3, 4), requires_grad=True)
        v = m.tensor(np.array([0.5, -2.0, 3.0, 1.5]), requires_grad=True)
        y = program(m, x, v)
        (y * m.tensor(np.linspace(1, 2, y.numel())).reshape(y.shape)).sum().backward()
        found.append([y.detach().numpy(), x.grad.numpy(), v.grad.numpy()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def _part_times(m: Any, x: Any, v: Any) -> Any:
    h = x * 1
    h[1] *= v
    h[:, 2] += h[:, 0] * 2 + v[0]
    h[2, 3] *= v[1]
    h[0, 0].exp_()
    return h * h


def _view_of_view(m: Any, x: Any, v: Any) -> Any:
    h = x * 1
    rows = h.reshape(4, 3).T
    rows[1:, 0:2].mul_(v[:2]).exp_()
    return rows.sum(0) * h.sum() + rows[2]


def _siblings(m: Any, x: Any, v: Any) -> Any:
    h = x * 1
    a, b, c = h[0], h[:2], h.view(12)
    before = b * 3
    a.mul_(v)
    b[:, 1] = v[1] * 5
    return (a * v).sum() + b.sum(0) + c[:4] * c[4:8] + h[0] + before[0]


def _plain_buffer(m: Any, x: Any, v: Any) -> Any:
    buffer = m.zeros(3, 4, dtype=m.float64)
    other = buffer[:2]
    for i in range(3):
        buffer[i].add_(x[i] * (i + 1)).mul_(v)
    return other.sum() * buffer


def _emptied(m: Any, x: Any, v: Any) -> Any:
    h = x * v
    h[0].zero_()
    h.T[1].fill_(2.0)
    h.unsqueeze(0)[0, 2].copy_(v * 2)
    return h.squeeze() * v


@pytest.mark.peers
@pytest.mark.parametrize(
    "program", [_part_times, _view_of_view, _siblings, _plain_buffer, _emptied]
)
def test_changing_a_view_changes_its_base_as_in_pytorch(program: Any) -> None:
    _assert_both_agree(program)


def test_a_stale_view_can_start_the_backward_pass() -> None:
    x = leaf(1.0, 2.0)
    h = x * 1
    first = h[0]
    h[:1].mul_(10)
    first.backward()
    np.testing.assert_array_equal(x.grad, [10.0, 0.0])


def test_views_of_leaves_and_expanded_values_refuse_in_place_changes() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(InPlaceError, match="a leaf that requires gradients"):
        x[:1].mul_(2)
    np.testing.assert_array_equal(x.detach(), [1.0, 2.0])
    with pytest.raises(InPlaceError, match="share one place"):
        (x * 1).expand(3, 2).mul_(2)


def test_a_saved_value_that_is_changed_through_a_view_is_noticed() -> None:
    x = leaf(1.0, 2.0)
    h = x * 1
    y = (h * h).sum()
    h[:1].mul_(3)
    with pytest.raises(InPlaceError, match="mul saved for its gradient was changed in place"):
        y.backward()


@pytest.mark.parametrize("mode", ["reference", "compiled"])
def test_an_output_that_was_saved_under_another_shape_is_noticed(mode: str) -> None:
    x = tn.ones(2, 3, 4, requires_grad=True)
    with tn.kernels.use(mode):
        y = tn.softmax(x, -1)  # keeps y, its kernel as rows
        y.mul_(2)
        with pytest.raises(InPlaceError, match="softmax saved for its gradient was changed"):
            y.sum().backward()
        y = tn.nn.Linear(4, 5)(x)  # keeps x and W
        y.mul_(2)
        y.sum().backward()


def test_long_chains_of_views_stay_cheap() -> None:
    x = leaf(1.0, 2.0)
    h = x * 1
    for _ in range(20_000):
        h = h.reshape(2)
    h.sum().backward()
    np.testing.assert_array_equal(x.grad, [1.0, 1.0])
