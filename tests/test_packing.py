"""Sequences of unlike lengths in one batch: padded, packed, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinynet as tn
from tinynet.errors import ArgumentError, ShapeError
from tinynet.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)


def sequence(length: int, seed: int) -> Any:
    values = np.random.default_rng((length, seed)).standard_normal((length, 2))
    return tn.tensor(values, requires_grad=True)


def assert_same(found: Any, expected: Any) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(
            *(v.detach().numpy() if isinstance(v, tn.Tensor) else v for v in (a, b))
        )


@given(lengths=st.lists(st.integers(1, 4), min_size=1, max_size=5), batch_first=st.booleans())
def test_packing_and_back(lengths: list[int], batch_first: bool) -> None:
    sequences = [sequence(n, k) for k, n in enumerate(lengths)]
    packed = pack_sequence(sequences, enforce_sorted=False)
    sizes = packed.batch_sizes.tolist()
    assert sum(sizes) == sum(lengths) == packed.data.shape[0]
    assert sizes == [sum(n > t for n in lengths) for t in range(max(lengths))]
    assert_same([packed.data[0]], [sequences[packed.sorted_indices.tolist()[0]][0]])
    assert_same(unpack_sequence(packed), sequences)
    padded, counts = pad_packed_sequence(packed, batch_first, padding_value=7.0, total_length=6)
    assert counts.tolist() == lengths
    assert_same(unpad_sequence(padded, counts, batch_first), sequences)
    padding = 6 * len(lengths) - sum(lengths)
    assert int((padded.detach() == 7.0).sum()) == 2 * padding
    g = np.random.default_rng(0).standard_normal(padded.shape)
    (d,) = tn.autograd.grad(padded, [sequences[-1]], tn.tensor(g))
    assert_same([d], [g[-1, : lengths[-1]] if batch_first else g[: lengths[-1], -1]])


def test_padding_on_either_side() -> None:
    given = [tn.tensor([1, 2]), tn.tensor([3])]
    assert pad_sequence(given, True, 9).tolist() == [[1, 2], [3, 9]]
    assert pad_sequence(given, True, 9, padding_side="left").tolist() == [[1, 2], [9, 3]]
    assert pad_sequence(given).tolist() == [[1, 3], [2, 0]]
    assert pad_sequence(given).dtype == np.int64


def test_a_packed_sequence_is_a_tuple_with_names() -> None:
    packed = pack_sequence([tn.ones(1), tn.ones(2)], enforce_sorted=False)
    data, batch_sizes, order, back = packed
    assert data is packed.data
    assert batch_sizes.tolist() == [2, 1]
    assert (order.tolist(), back.tolist()) == ([1, 0], [1, 0])
    assert packed.to(tn.float64).data.dtype == np.float64
    inverted = PackedSequence(data, batch_sizes, tn.tensor([1, 2, 0])).unsorted_indices
    assert inverted.tolist() == [2, 0, 1]
    assert pack_sequence([tn.ones(2), tn.ones(1)]).sorted_indices is None


def test_mistakes_in_packing() -> None:
    x = tn.ones(3, 2, 4)
    with pytest.raises(ArgumentError, match=r"longest sequence(.|\n)*enforce_sorted=False"):
        pack_padded_sequence(x, [2, 3])
    for lengths in ([3], [3, 0], [4, 1]):
        with pytest.raises(ShapeError, match="2 whole numbers from 1 to 3"):
            pack_padded_sequence(x, lengths)
    with pytest.raises(ShapeError, match="at least one sequence"):
        pack_padded_sequence(x[:, :0], [])
    with pytest.raises(ShapeError, match="a batch"):
        pack_padded_sequence(tn.ones(3), [3])
    packed = pack_padded_sequence(x, tn.tensor([3, 1]))
    with pytest.raises(ArgumentError, match="total_length"):
        pad_packed_sequence(packed, total_length=2)
    for wrong in ([], [tn.ones(2, 3), tn.ones(2, 4)], [tn.tensor(1.0)]):
        with pytest.raises(ShapeError, match="pad_sequence"):
            pad_sequence(wrong)
    with pytest.raises(ArgumentError, match="padding_side"):
        pad_sequence([tn.ones(2)], padding_side="top")


# -- against PyTorch -------------------------------------------------------------------------------


@pytest.mark.peers
@given(
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    batch_first=st.booleans(),
    total=st.sampled_from([None, 4, 6]),
    side=st.sampled_from(["left", "right"]),
)
def test_peer_packing(lengths: list[int], batch_first: bool, total: int | None, side: str) -> None:
    torch = pytest.importorskip("torch")
    utils = torch.nn.utils.rnn
    sequences = [sequence(n, k).detach() for k, n in enumerate(lengths)]
    theirs = [torch.tensor(x.numpy()) for x in sequences]
    a = pad_sequence(sequences, batch_first, 5.0, padding_side=side)
    b = utils.pad_sequence(theirs, batch_first, 5.0, padding_side=side)
    assert_same([a], [b.numpy()])
    a = pack_sequence(sequences, enforce_sorted=False)
    b = utils.pack_sequence(theirs, enforce_sorted=False)
    for mine, other in zip(a, b, strict=True):
        assert_same([mine], [other.numpy()])
    a = pad_packed_sequence(a, batch_first, 3.0, total)
    b = utils.pad_packed_sequence(b, batch_first, 3.0, total)
    assert_same(a, [v.numpy() for v in b])
