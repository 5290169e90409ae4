"""Convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.exercises.properties import gradient, number, right, values
from tinynet.exercises.task import Exercise


def _conv1d(a: Any, w: Any, stride: Any = 2) -> Any:
    return right("conv2d", stride=int(stride))(a, w)


def _dilated(a: Any, w: Any) -> Any:
    return right("conv2d", dilation=2)(a[None, None], w[None, None])[0, 0]


def _mean_pool(a: Any) -> Any:
    return right("avg_pool", kernel=(2, 2), stride=(2, 2), padding=(0, 0))(a)


def _overlapping(a: Any) -> Any:
    return right("max_pool", kernel=(3,), stride=(1,), padding=(0,), dilation=(1,))(a[:, None])[
        :, 0
    ]


def _rows() -> dict[str, Any]:
    from hypothesis import strategies as st

    from tinynet.check.strategies import arrays

    length = st.shared(st.integers(3, 7), key="length")
    return {
        "a": length.flatmap(lambda m: arrays(("n", "c", m))),
        "w": arrays("o c 3"),
        "stride": st.integers(1, 3),
    }


def _rows_of_two() -> dict[str, Any]:
    return {name: draw for name, draw in _rows().items() if name != "stride"}


def _row() -> dict[str, Any]:
    from hypothesis import strategies as st

    from tinynet.check.strategies import arrays

    return {"a": st.integers(5, 8).flatmap(arrays), "w": arrays("3")}


def _blocks() -> dict[str, Any]:
    from hypothesis import strategies as st

    from tinynet.check.strategies import arrays

    even = st.sampled_from([2, 4])
    return {"a": st.tuples(even, even).flatmap(lambda s: arrays(("n", "c", *s)))}


def _distinct_rows() -> dict[str, Any]:
    from hypothesis import strategies as st

    from tinynet.check.strategies import arrays

    return {"a": st.integers(3, 6).flatmap(lambda m: arrays(("n", m), distinct=True))}


EXERCISES = (
    Exercise(
        "06.outputs",
        "By hand: 32 pixels, a window of 5, padding 2, stride 2. How many outputs?",
        "a whole number",
        (number(lambda: _conv1d(np.ones((1, 1, 36)), np.ones((1, 1, 5))).shape[-1]),),
        (
            "How far may the first pixel of the last window be?",
            "At 32 + 4 − 5 = 31. Which multiples of 2 are at most that?",
            "0, 2, …, 30.",
        ),
    ),
    Exercise(
        "06.conv1d",
        "A convolution along one axis, with channels and a stride.",
        "conv1d(a, w, stride) -> z, a (n, c, m), w (o, c, 3), z (n, o, (m − 3) // stride + 1)",
        (values(_conv1d, _rows),),
        (
            "The loop of section 2 with one axis fewer. Where does window number p begin?",
            "At p times the stride.",
            "np.tensordot, or np.einsum('ncu,ocu->no', …) for each p.",
        ),
    ),
    Exercise(
        "06.conv1d_backward",
        "The gradients of conv1d with stride 2.",
        "conv1d_backward(g, a, w) -> (da, dw), shapes as above",
        (gradient(_conv1d, _rows_of_two),),
        (
            "Every window hands back what it took, at the place where it took it.",
            "Window p took a[:, :, 2p : 2p + 3].",
            "dw adds g[:, :, p] times that; da[:, :, 2p : 2p + 3] adds g[:, :, p] times w.",
        ),
    ),
    Exercise(
        "06.mean_pool_backward",
        "The backward pass of the mean over 2 × 2 blocks.",
        "mean_pool_backward(g, a) -> da, a (n, c, h, w) with even h and w",
        (gradient(_mean_pool, _blocks),),
        (
            "The slope of a mean by each of its four entries is the same. What is it?",
            "Each g goes to all four pixels of its block.",
            "np.repeat twice, and the quarter.",
        ),
    ),
    Exercise(
        "06.dilated_backward",
        "Dilation 2: z_p = Σ_u w_u a_{p+2u}. Both gradients.",
        "dilated_backward(g, a, w) -> (da, dw), a (m), w (3), g (m − 4)",
        (gradient(_dilated, _row),),
        (
            "w_u touches every z_p, with the slope a_{p+2u}.",
            "a_r is reached from p = r − 2u, for each u for which there is such a p.",
            "For each u: da[2u : 2u + m − 4] gets w_u g added, and dw_u is a scalar product.",
        ),
    ),
    Exercise(
        "06.planted_bug",
        "`overlapping_backward` of the chapter has a mistake. Write it right.",
        "overlapping_backward(g, a) -> da, a (n, m), g (n, m − 2)",
        (gradient(_overlapping, _distinct_rows),),
        (
            "Take one row of four numbers, the last the largest. Which window is treated wrongly?",
            "Window p begins at p. From where does argmax count?",
            "argmax says a place inside the window; in the row that is p further on.",
        ),
    ),
)
