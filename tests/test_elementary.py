"""`kernels/elementary.py`: errors in units of the last place, and edges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinynet.kernels import elementary
from tinynet.kernels.jit import kernel

mpmath = pytest.importorskip("mpmath")

EXACT = {
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "erfc": mpmath.erfc,
}
UNITS = {"exp": 2, "expm1": 4, "tanh": 4, "sigmoid": 2, "erfc": 4}


def over_arrays(name: str) -> Any:
    """A kernel that maps the function over an array."""
    function = getattr(elementary, name)

    @kernel("y")
    def run(x: Any, y: Any) -> None:
        for i in range(x.shape[0]):
            y[i] = function(x[i])

    return run


RUN = {name: over_arrays(name) for name in EXACT}


def apply(name: str, x: Any) -> Any:
    y = np.empty_like(x)
    RUN[name](x, y)
    return y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXACT)
def test_errors_in_units_of_the_last_place(name: str, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    wide = 12 if name == "erfc" else np.log(np.finfo(dtype).max) + 1
    x = np.concatenate([rng.uniform(-wide, wide, 300), rng.standard_normal(300)]).astype(dtype)
    x = np.concatenate([x, x[-50:] * dtype(1e-4), x[-50:] * dtype(1e-20)])
    for a, y in zip(x, apply(name, x), strict=True):
        exact = EXACT[name](mpmath.mpf(float(a)))
        if abs(exact) > float(np.finfo(dtype).max):
            assert math.isinf(y)
        elif abs(exact) > 4 * float(np.finfo(dtype).tiny):
            units = UNITS[name] + (2 * max(float(a), 0.0) ** 2 if name == "erfc" else 0)
            assert abs((mpmath.mpf(float(y)) - exact) / exact) <= units * float(np.finfo(dtype).eps)
        else:
            assert abs(y) <= 8 * np.finfo(dtype).tiny


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_edges(dtype: Any) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1e4, -1e4], dtype)
    for name, meant in {
        "exp": [np.nan, np.inf, 0, 1, 1, np.inf, 0],
        "expm1": [np.nan, np.inf, -1, 0, 0, np.inf, -1],
        "tanh": [np.nan, 1, -1, 0, 0, 1, -1],
        "sigmoid": [np.nan, 1, 0, 0.5, 0.5, 1, 0],
        "erfc": [np.nan, 0, 2, 1, 1, 0, 2],
    }.items():
        np.testing.assert_allclose(apply(name, x), meant, rtol=2 * np.finfo(dtype).eps)
    assert math.copysign(1, apply("tanh", x)[4]) == -1


@given(x=st.floats(-700, 700), small=st.booleans())
def test_what_is_true_of_them(x: float, small: bool) -> None:
    """exp(−x) = 1/exp(x), σ(x) + σ(−x) = 1, erfc(x) + erfc(−x) = 2; tanh is odd."""
    a = np.array([x / 1000 if small else x, -x / 1000 if small else -x])
    up, down = apply("exp", a)
    assert up * down == pytest.approx(1, rel=1e-14)
    assert sum(apply("sigmoid", a)) == pytest.approx(1, rel=1e-15)
    assert sum(apply("erfc", a)) == pytest.approx(2, rel=1e-15)
    plus, minus = apply("tanh", a)
    assert plus == -minus


def test_the_series_of_erfc_is_what_it_says() -> None:
    """The table holds the Chebyshev coefficients of erfc(x) e^(x²)/t, t = 3/(3 + x), 0 ≤ x ≤ 27."""
    mpmath.mp.dps = 40
    n = 24
    angles = [mpmath.pi * (j + mpmath.mpf(1) / 2) / n for j in range(n)]

    def value(u: Any) -> Any:
        t = (u + 1) * (1 - mpmath.mpf("0.1")) / 2 + mpmath.mpf("0.1")
        x = 3 / t - 3
        return mpmath.erfc(x) * mpmath.exp(x * x) / t

    values = [value(mpmath.cos(a)) for a in angles]
    for i, c in enumerate(elementary._ERFC):
        total = sum(v * mpmath.cos(i * a) for v, a in zip(values, angles, strict=True))
        assert c == pytest.approx(float(total * (1 if i == 0 else 2) / n), rel=1e-12)
    mpmath.mp.dps = 15
