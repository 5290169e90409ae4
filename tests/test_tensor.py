"""A tensor as a citizen of Python and NumPy: conversions, the two faces, dtypes, messages, repr."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, GraphError, OutOfRangeError, ShapeError

# -- NumPy, both ways ------------------------------------------------------------------------------


def test_arrays_and_tensors_mix_in_either_order() -> None:
    x, a = tn.tensor([1.0, 2.0], dtype=tn.float64, requires_grad=True), np.array([3.0, 4.0])
    for y in (x * a, a * x, np.multiply(a, x), a @ x, x @ a, a - x, a / x, a**x, 2 - x):
        assert isinstance(y, tn.Tensor)
        assert y.requires_grad
    (a * x + a @ x).sum().backward()
    np.testing.assert_array_equal(x.grad, [3.0 + 6.0, 4.0 + 8.0])
    assert isinstance(np.float64(2.0) * x, tn.Tensor)


def test_from_numpy_shares_memory_and_tensor_copies() -> None:
    a = np.zeros(3, dtype="f4")
    shared, copied = tn.from_numpy(a), tn.tensor(a)
    a[0] = 7.0
    assert shared[0].item() == 7.0
    assert copied[0].item() == 0.0
    shared.numpy()[1] = 8.0
    assert a[1] == 8.0
    assert tn.as_tensor(a).array is a
    assert tn.as_tensor(shared) is shared


def test_a_tensor_that_requires_gradients_does_not_become_an_array_unseen() -> None:
    x = tn.ones(2, requires_grad=True)
    for cut in (x.numpy, lambda: np.asarray(x), lambda: np.array([1.0, 2.0]).__iadd__(x)):
        with pytest.raises(GraphError):
            cut()
    np.testing.assert_array_equal(np.asarray(x.detach()), [1.0, 1.0])
    assert not hasattr(x, "__cuda_array_interface__")


def test_numpy_functions_follow_numpy_and_methods_follow_pytorch() -> None:
    x = tn.tensor([[1.0, 5.0], [2.0, 9.0]])
    assert np.var(x).item() == pytest.approx(np.var(x.numpy()))
    assert x.var().item() == pytest.approx(np.var(x.numpy(), ddof=1))
    np.testing.assert_array_equal(np.max(x, axis=1), [5.0, 9.0])
    np.testing.assert_array_equal(np.max(x, 0), [2.0, 9.0])
    assert x.max(dim=1).indices.tolist() == [1, 1]
    np.testing.assert_array_equal(np.sum(x, axis=1, keepdims=True), [[6.0], [11.0]])
    np.testing.assert_array_equal(np.add.reduce(x, axis=0), [3.0, 14.0])
    np.testing.assert_array_equal(np.clip(x, 2, 5), [[2.0, 5.0], [2.0, 5.0]])
    np.testing.assert_array_equal(np.concatenate([x, x], axis=1), np.tile(x.numpy(), 2))
    np.testing.assert_array_equal(np.stack([x, x]).shape, (2, 2, 2))
    np.testing.assert_array_equal(np.einsum("ij->ji", x), x.T)
    np.testing.assert_array_equal(np.moveaxis(x, 0, 1), x.T)
    np.testing.assert_array_equal(np.expand_dims(x, 0).shape, (1, 2, 2))
    np.testing.assert_array_equal(np.ravel(x), [1.0, 5.0, 2.0, 9.0])
    assert np.allclose(x, x.numpy())
    assert isinstance(np.median(x), np.floating)


def test_numpy_functions_without_derivative_work_or_are_named() -> None:
    x = tn.tensor([3.0, 1.0])
    assert isinstance(np.sinc(x), tn.Tensor)
    a = np.zeros(2)
    a += x
    np.testing.assert_array_equal(a, [3.0, 1.0])
    x.requires_grad_()
    with pytest.raises(GraphError, match=r"np\.nextafter has no derivative"):
        np.nextafter(x, 0)
    with pytest.raises(GraphError, match=r"np\.add has no derivative"):
        np.add(a, x, out=a)


@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)))
def test_round_trips(a: np.ndarray) -> None:
    x = tn.tensor(a)
    np.testing.assert_array_equal(x.numpy(), a)
    if a.size:
        np.testing.assert_array_equal(tn.tensor(a.tolist(), dtype=tn.float64), a)
    assert x.shape == a.shape
    assert x.ndim == a.ndim
    assert x.numel() == a.size


# -- Python ----------------------------------------------------------------------------------------


def test_numbers_lengths_and_truth() -> None:
    x = tn.tensor([[1.5, 2.0]])
    assert len(x) == 1
    assert float(x[0, 1]) == 2.0
    assert int(x[0, 0]) == 1
    assert [row.tolist() for row in x] == [[1.5, 2.0]]
    assert list("abc")[tn.tensor(1)] == "b"
    assert bool(tn.tensor(0.0)) is False
    assert 2.0 in x
    assert f"{x[0, 0]:.2f}" == "1.50"
    assert (x == None) is False  # noqa: E711
    assert x is not None
    with pytest.raises(ArgumentError, match="ambiguous"):
        bool(x)
    with pytest.raises(ShapeError, match="exactly one entry"):
        x.item()
    with pytest.raises(DTypeError, match="0-d tensor has no length"):
        len(tn.tensor(1.0))
    with pytest.raises(DTypeError, match="cannot be iterated"):
        iter(tn.tensor(1.0))
    with pytest.raises(DTypeError, match="used as an index"):
        [1, 2][tn.tensor(1.0)]


def test_tensors_are_keys_by_identity() -> None:
    x, y = tn.ones(2), tn.ones(2)
    assert {x: 1, y: 2}[x] == 1


def test_tensors_are_not_pickled() -> None:
    with pytest.raises(DTypeError, match=r"tn\.save"):
        pickle.dumps(tn.ones(2))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: tn.tensor([1.0, 2.5]), "tensor([1.0000, 2.5000])"),
        (lambda: tn.tensor([1, 2]), "tensor([1, 2])"),
        (lambda: tn.tensor(3.0, requires_grad=True), "tensor(3., requires_grad=True)"),
        (lambda: tn.tensor([True]), "tensor([ True])"),
        (lambda: tn.tensor([1.0], dtype=tn.float64), "tensor([1.], dtype=float64)"),
        (lambda: tn.zeros(2, 0), "tensor([], size=(2, 0))"),
        (lambda: tn.tensor([1e-6, 1.0]), "tensor([1.0000e-06, 1.0000e+00])"),
        (lambda: tn.tensor([math.nan, 0.5]), "tensor([   nan, 0.5000])"),
        (lambda: tn.ones(1, requires_grad=True) * 2, "tensor([2.], grad_fn=<MulBackward>)"),
        (lambda: tn.tensor(1.0, name="w"), "tensor(1., name='w')"),
    ],
)
def test_repr(make, text: str) -> None:
    assert repr(make()) == text


def test_large_tensors_are_shortened() -> None:
    assert len(repr(tn.zeros(100, 100))) < 500


# -- messages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "kind", "said"),
    [
        (lambda: tn.ones(2, 3) + tn.ones(4), ShapeError, "add: the shapes do not broadcast"),
        (lambda: tn.ones(2, 3) @ tn.ones(4, 5), ShapeError, "3 columns meet 4 rows"),
        (lambda: tn.ones(2) @ tn.tensor(1.0), ShapeError, "a number is not a matrix"),
        (lambda: tn.ones(2).sum(1), OutOfRangeError, "there is no axis 1"),
        (lambda: tn.ones(2, 2).sum((0, -2)), ArgumentError, "named twice"),
        (lambda: tn.ones(2).sum(dim=0, axis=0), ArgumentError, "not both"),
        (lambda: tn.ones(3)[5], OutOfRangeError, "index 5 is out of bounds"),
        (lambda: tn.ones(3)[tn.tensor([0.5])], DTypeError, "index is made of whole numbers"),
        (lambda: tn.ones(3) * [1, 2, 3], DTypeError, "expected tensors, arrays or numbers"),
        (lambda: tn.ones(4).reshape(3, 2), ShapeError, "4 entries do not fill the shape"),
        (lambda: tn.ones(4).reshape("a"), DTypeError, "a shape is made of whole numbers"),
        (lambda: tn.cat([tn.ones(2, 2), tn.ones(3, 3)]), ShapeError, "but that of axis 0"),
        (lambda: tn.stack([tn.ones(2), tn.ones(3)]), ShapeError, "shapes must be equal"),
        (lambda: tn.cat([]), ArgumentError, "at least one tensor"),
        (lambda: tn.ones(2, 3).permute(0, 0), ArgumentError, "each of the 2 axes once"),
        (lambda: tn.ones(3).expand(2), ShapeError, "broadcast"),
        (lambda: tn.tensor([1, 2]).mean(), ArgumentError, "floating-point"),
        (lambda: tn.tensor([[1], [2, 3]]), ArgumentError, "ragged"),
        (lambda: tn.tensor(["a"]), DTypeError, "expected numbers"),
        (lambda: tn.einsum("ij,jk->ik", tn.ones(2, 3), tn.ones(4, 5)), ShapeError, "label 'j'"),
        (lambda: tn.einsum("ij->k", tn.ones(2, 3)), ArgumentError, "each output label"),
        (lambda: tn.einsum("ij", tn.ones(2)), ShapeError, "2 labels"),
        (lambda: tn.ones(2).to("gpu"), ArgumentError, "a dtype, a device or a tensor"),
        (lambda: tn.ones(2, device="tpu"), ArgumentError, "no such device"),
        (lambda: tn.arange(0, 5, -1), ArgumentError, "lead from start to end"),
        (lambda: tn.randint(5, 5, (2,)), ArgumentError, "low < high"),
        (lambda: tn.manual_seed(-1), ArgumentError, "a seed is a whole number"),
        (lambda: tn.ones(2).add_(tn.ones(3, 2)), ShapeError, "cannot change the shape"),
        (lambda: tn.bernoulli(tn.tensor([1.5])), ArgumentError, "between 0 and 1"),
    ],
)
def test_a_mistake_is_said(wrong, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said.replace("(", r"\(")):
        wrong()


def test_our_errors_are_also_pythons_and_pytorchs() -> None:
    for kind in (RuntimeError, ValueError, tn.errors.TinynetError):
        with pytest.raises(kind):
            tn.ones(2) + tn.ones(3)
    with pytest.raises(IndexError):
        tn.ones(2)[9]


def test_the_gpu_without_cupy_says_what_to_install() -> None:
    import importlib.util

    if importlib.util.find_spec("cupy"):
        return
    with pytest.raises(tn.errors.DeviceError, match=r"tinynet\[cuda12\]"):
        tn.ones(2).cuda()


# -- random ----------------------------------------------------------------------------------------


@given(st.integers(0, 2**32))
def test_seeds_make_runs_repeatable(seed: int) -> None:
    def draw() -> list:
        tn.manual_seed(seed)
        return [
            tn.rand(3).tolist(),
            tn.randn(2).tolist(),
            tn.randint(0, 9, (4,)).tolist(),
            tn.randperm(5).tolist(),
        ]

    assert draw() == draw()
    g = tn.Generator().manual_seed(seed)
    h = tn.Generator().manual_seed(seed)
    assert tn.rand(4, generator=g).tolist() == tn.rand(4, generator=h).tolist()


def test_distributions_are_what_they_are_called() -> None:
    g = tn.Generator().manual_seed(0)
    n = 40_000
    u, z = tn.rand(n, generator=g), tn.randn(n, generator=g)
    assert u.dtype == z.dtype == tn.float32
    assert u.amin().item() >= 0
    assert u.amax().item() < 1
    assert abs(u.mean().item() - 0.5) < 0.01
    assert abs(z.var().item() - 1) < 0.03
    assert sorted(tn.randperm(50, generator=g).tolist()) == list(range(50))
    assert set(tn.randint(3, 6, (500,), generator=g).tolist()) == {3, 4, 5}
    assert abs(tn.bernoulli(tn.full((n,), 0.3), generator=g).mean().item() - 0.3) < 0.02
    assert tn.rand(2, dtype=tn.float16).dtype == tn.float16


def test_a_mistake_in_a_notebook_names_the_line_of_its_cell(tmp_path: Path) -> None:
    for name, place in (("3878362177.py", "cell, line 2"), ("mine.py", "mine.py:2")):
        path = tmp_path / name
        path.write_text("\ntn.ones(2, 3) @ tn.ones(4, 5)\n")
        with pytest.raises(tn.errors.ShapeError) as caught:
            exec(compile(path.read_text(), str(path), "exec"), {"tn": tn})
        assert f"at: {place}   tn.ones(2, 3) @ tn.ones(4, 5)" in str(caught.value)
