"""What a learner does wrong with layers: the message says what was expected and what came."""

from __future__ import annotations

from typing import Any

import pytest

import tinynet as tn
from tinynet.errors import ArgumentError, DTypeError, ShapeError

nn, F = tn.nn, tn.nn.functional
image, steps = tn.ones(2, 8, 8, 3), tn.ones(5, 2, 3)
state = tn.zeros(1, 2, 4)

MISTAKES: dict[str, tuple[Any, type[Exception], str]] = {
    "channels last": (lambda: nn.Conv2d(3, 4, 3)(image), ShapeError, r"np\.moveaxis\(x, -1, 1\)"),
    "no groups": (
        lambda: F.conv1d(tn.ones(1, 2, 3), tn.ones(2, 2, 1), groups=0),
        ArgumentError,
        r"groups is a whole number, from 1 on\n  got: groups=0",
    ),
    "a kernel as a word": (
        lambda: F.max_pool2d(image, "2"),
        ArgumentError,
        "kernel_size is a whole number, or one for each of 2 axes, from 1 on",
    ),
    "half a kernel": (lambda: F.avg_pool2d(image, 2.5), ArgumentError, "got: kernel_size=2.5"),
    "a size as a word": (lambda: F.interpolate(image, "2"), ArgumentError, "size='2'"),
    "a scale as a word": (
        lambda: F.interpolate(image, scale_factor="2"),
        ArgumentError,
        "scale_factor is a positive number",
    ),
    "a negative output": (
        lambda: F.adaptive_avg_pool2d(image, (-1, 2)),
        ArgumentError,
        r"output_size=\[-1, 2\]",
    ),
    "one size for the last axes": (
        lambda: F.layer_norm(steps, 3),
        ArgumentError,
        r"sizes of the last axes\n  expected: \(3,\)\n  got: 3",
    ),
    "ids in a list": (lambda: nn.Embedding(4, 2)([1, 2]), DTypeError, r"tn\.tensor\(ids\)"),
    "a negative table": (lambda: nn.Embedding(-4, 2), ArgumentError, "num_embeddings=-4"),
    "two states for a GRU": (
        lambda: nn.GRU(3, 4)(steps, (state, state)),
        ShapeError,
        r"expected: h_0 \(1, 2, 4\)\n  got: tuple",
    ),
    "half a step": (
        lambda: nn.utils.rnn.pack_padded_sequence(steps, [3.5, 2]),
        ArgumentError,
        "lengths are whole numbers",
    ),
    "nothing packed": (
        lambda: nn.utils.rnn.pad_packed_sequence(steps),
        DTypeError,
        "a PackedSequence is expected",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_mistake_is_named(name: str) -> None:
    call, kind, message = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()
