"""Sequences of unlike lengths in one batch: padded to one length, or packed without padding.

Three sequences of 3, 2 and 1 steps (one letter is one step), the longest first:

    padded  a b c      packed  a d f | b e | c       batch_sizes 3, 2, 1
            d e ·
            f · ·

Packed, the steps stand one after the other: first the first step of every sequence, then the second
of those that have one, and so on. batch_sizes[t] says how many sequences have a step t.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinynet import arrays
from tinynet.errors import ArgumentError, DTypeError, ShapeError, describe
from tinynet.ops.indexing import scatter
from tinynet.tensor import Tensor, raw


class _Packed(NamedTuple):
    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(_Packed):
    """Sequences of unlike lengths without their padding.

    data              (Σ lengths, …): all first steps, then all second steps, and so on
    batch_sizes       (T,): how many sequences have a step t; on the CPU
    sorted_indices    (N,): the places that the sequences, longest first, had in the batch that was
                      packed; None where it was sorted already
    unsorted_indices  the inverse: where each sequence of the batch stands now

    Recurrent layers take one and return one. `pack_padded_sequence` and `pack_sequence` make them.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Any,
        sorted_indices: Any = None,
        unsorted_indices: Any = None,
    ) -> PackedSequence:
        if unsorted_indices is None and sorted_indices is not None:
            unsorted_indices = Tensor(np.argsort(raw(sorted_indices)))
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same sequences with `data.to(...)`; the indices go to its device."""
        data = self.data.to(*args, **kwargs)
        at = [None if i is None else i.to(data.device) for i in self[2:]]
        return PackedSequence(data, self.batch_sizes, *at)


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """A padded batch without its padding. Shapes: input (T, N, …), or (N, T, …) with batch_first;
    lengths (N,), from 1 to T.

    With `enforce_sorted` the longest sequence must come first, and so on; without it they are
    sorted, and put back into their order by `pad_packed_sequence` and by the layers. Raises
    ShapeError or ArgumentError where the lengths do not fit.

    >>> import tinynet as tn
    >>> padded = tn.tensor([[1, 4, 6], [2, 5, 0], [3, 0, 0]])
    >>> packed = pack_padded_sequence(padded, [3, 2, 1])
    >>> packed.data, packed.batch_sizes
    (tensor([1, 4, 6, 2, 5, 3]), tensor([3, 2, 1]))
    """
    counts = _counts(lengths)
    x = _time_first(input, batch_first, "pack_padded_sequence")
    T, N = x.shape[:2]
    if len(counts) != N or not N or min(counts) < 1 or max(counts) > T:
        raise ShapeError(
            "pack_padded_sequence: the lengths do not fit",
            expected=f"{N} whole numbers from 1 to {T}" if N else "at least one sequence",
            got=f"{counts}",
        )
    order = None
    if not enforce_sorted:
        longest = np.argsort(-np.asarray(counts), kind="stable")
        counts = [counts[n] for n in longest]
        order = Tensor(arrays.to_device(longest, arrays.device_of(raw(x))))
        x = x[:, order]
    elif counts != sorted(counts, reverse=True):
        raise ArgumentError(
            "pack_padded_sequence: the longest sequence comes first, and so on",
            got=f"{counts}",
            hint="enforce_sorted=False",
        )
    x = x[: counts[0]]
    sizes = [sum(n > t for n in counts) for t in range(counts[0])]
    data = x[Tensor(_there(sizes, N, raw(x)))]
    return PackedSequence(data, Tensor(np.asarray(sizes, np.int64)), order)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Any, Tensor]:
    """(padded, lengths): undoes `pack_padded_sequence`. Shapes: padded (T, N, …), or (N, T, …) with
    batch_first; lengths (N,).

    T is the longest length, or `total_length`. Raises ArgumentError where that is shorter.

    >>> import tinynet as tn
    >>> packed = pack_sequence([tn.tensor([1.0]), tn.tensor([2.0, 3.0])], enforce_sorted=False)
    >>> pad_packed_sequence(packed, batch_first=True, padding_value=-1)
    (tensor([[ 1., -1.],
            [ 2.,  3.]]), tensor([1, 2]))
    """
    padded, counts = padded_of(sequence, padding_value, total_length)
    lengths = Tensor(np.asarray(counts, np.int64))
    if sequence.unsorted_indices is not None:
        padded = padded[:, sequence.unsorted_indices]
        lengths = lengths[sequence.unsorted_indices.to("cpu")]
    return np.swapaxes(padded, 0, 1) if batch_first else padded, lengths


def padded_of(
    sequence: PackedSequence, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, list[int]]:
    """The padded batch (T, N, …) in the order in which it was packed, longest first; its lengths.

    >>> import tinynet as tn
    >>> padded_of(pack_sequence([tn.tensor([1.0, 2.0]), tn.tensor([3.0])]))
    (tensor([[1., 3.],
            [2., 0.]]), [2, 1])
    """
    if not isinstance(sequence, PackedSequence):
        raise DTypeError(
            "a PackedSequence is expected",
            got=describe(sequence),
            hint="pack_padded_sequence(x, …)",
        )
    data, sizes = sequence.data, _counts(sequence.batch_sizes)
    T, N = len(sizes) if total_length is None else total_length, max(sizes)
    if len(sizes) > T:
        raise ArgumentError(
            "total_length is at least the longest length", expected=f"{len(sizes)}", got=f"{T}"
        )
    there = _there([*sizes, *[0] * (T - len(sizes))], N, raw(data))
    padded = scatter(data, index=(there,), shape=(T, N, *data.shape[1:]))
    if padding_value:
        there = np.reshape(there, (T, N) + (1,) * (data.ndim - 1))
        padded = np.where(Tensor(there), padded, padding_value)
    return padded, [sum(size > n for size in sizes) for n in range(N)]


def packed_like(sequence: PackedSequence, padded: Any) -> PackedSequence:
    """`padded` (T, N, …), laid out as `padded_of` gives it, packed as `sequence` is.

    >>> import tinynet as tn
    >>> packed = pack_sequence([tn.tensor([1.0, 2.0]), tn.tensor([3.0])])
    >>> packed_like(packed, padded_of(packed)[0] * 10).data
    tensor([10., 30., 20.])
    """
    there = _there(_counts(sequence.batch_sizes), padded.shape[1], raw(padded))
    return PackedSequence(padded[Tensor(there)], *sequence[1:])


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:
    """Sequences (L_n, …) side by side, padded to the longest: (T, N, …), or (N, T, …) with
    batch_first. The padding follows a sequence, or precedes it with padding_side "left".

    >>> import tinynet as tn
    >>> pad_sequence([tn.tensor([1, 2, 3]), tn.tensor([4])], batch_first=True)
    tensor([[1, 2, 3],
            [4, 0, 0]])
    """
    if padding_side not in ("left", "right"):
        raise ArgumentError("padding_side is 'left' or 'right'", got=repr(padding_side))
    given = list(sequences)
    if not given or any(x.ndim < 1 or x.shape[1:] != given[0].shape[1:] for x in given):
        raise ShapeError(
            "pad_sequence: sequences (L, …) are expected, alike but for L",
            got=", ".join(map(describe, given)) or "none",
        )
    T = max(x.shape[0] for x in given)
    padded = []
    for x in given:
        rest = np.full((T - x.shape[0], *x.shape[1:]), padding_value)
        filled = Tensor(arrays.to_device(rest.astype(x.dtype), arrays.device_of(raw(x))))
        padded.append(np.concatenate([x, filled] if padding_side == "right" else [filled, x]))
    return np.stack(padded, axis=0 if batch_first else 1)


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (L_n, …) packed: `pad_sequence`, then `pack_padded_sequence`.

    >>> import tinynet as tn
    >>> pack_sequence([tn.tensor([1, 2, 3]), tn.tensor([4])]).data
    tensor([1, 4, 2, 3])
    """
    given = list(sequences)
    lengths = [x.shape[0] for x in given]
    return pack_padded_sequence(pad_sequence(given), lengths, enforce_sorted=enforce_sorted)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences (L_n, …) of a padded batch, as a list: undoes `pad_sequence`.

    >>> import tinynet as tn
    >>> unpad_sequence(tn.tensor([[1, 2, 3], [4, 0, 0]]), [3, 1], batch_first=True)
    [tensor([1, 2, 3]), tensor([4])]
    """
    x = _time_first(padded_sequences, batch_first, "unpad_sequence")
    return [x[:length, n] for n, length in enumerate(_counts(lengths))]


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences (L_n, …) of a packed batch, as a list: undoes `pack_sequence`."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))


def _time_first(x: Any, batch_first: bool, name: str) -> Any:
    if x.ndim < 2:
        raise ShapeError(f"{name}: a batch (T, N, …) is expected", got=describe(x))
    return np.swapaxes(x, 0, 1) if batch_first else x


def _counts(lengths: Any) -> list[int]:
    counts = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    if any(n != int(n) for n in counts):
        raise ArgumentError("lengths are whole numbers", got=f"{counts}")
    return [int(n) for n in counts]


def _there(sizes: Sequence[int], N: int, like: Any) -> Any:
    """(T, N): whether sequence n has a step t, where sizes[t] sequences have one."""
    there = np.zeros((len(sizes), N), bool)
    for t, size in enumerate(sizes):
        there[t, :size] = True
    return arrays.to_device(there, arrays.device_of(like))
