"""The products of layers: BLAS or our own matmul, whoever is faster; and that it is no matter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinynet.kernels import matrices
from tinynet.kernels.matrices import KERNELS


def drawn(*shape: int, seed: int = 0, dtype: str = "f4") -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.fixture
def computed(monkeypatch: Any) -> list[str]:
    """The names of those who have been asked for a product."""
    asked: list[str] = []
    for name in ("matmul", "product"):
        real = getattr(matrices, name)

        def spy(*arrays: Any, name: str = name, real: Any = real, **options: Any) -> Any:
            asked.append(name)
            return real(*arrays, **options)

        monkeypatch.setattr(matrices, name, spy)
    return asked


def vectors(monkeypatch: Any, size: int) -> None:
    monkeypatch.setattr(matrices, "vector_bytes", lambda: size)


@pytest.mark.compiler
@pytest.mark.parametrize("lead", [(70,), (7, 10)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("size", [64, 32])
def test_a_layer_whoever_computes_it(
    monkeypatch: Any, computed: list[str], lead: tuple[int, ...], dtype: str, size: int
) -> None:
    vectors(monkeypatch, size)
    layer = KERNELS["linear"]
    W, b = drawn(150, 301, seed=1, dtype=dtype), drawn(150, seed=2, dtype=dtype)
    x, g = drawn(*lead, 301, dtype=dtype), drawn(*lead, 150, seed=3, dtype=dtype)
    rows, up = (v.reshape(70, -1).astype("f8") for v in (x, g))
    meant = (rows @ W.T + b, up @ W, up.T @ rows, up.sum(0))
    y, saved = layer.forward(x, W, b)
    found = (y, *layer.backward(g, saved, needs=(True, True, True)))
    for f, m, like in zip(found, meant, (g, x, W, b), strict=True):
        assert (f.shape, f.dtype) == (like.shape, like.dtype)
        np.testing.assert_allclose(
            f.reshape(m.shape), m, rtol=0, atol={4: 1e-3, 8: 1e-11}[f.itemsize]
        )
    assert computed == ["matmul" if size == 64 else "product"] * 3
    y, saved = layer.forward(x, W)
    assert layer.backward(g, saved, needs=(False, False))[:2] == (None, None)
    np.testing.assert_allclose(y.reshape(70, 150), meant[0] - b, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("u", "v", "who"),
    [
        (drawn(70, 301), drawn(301, 150), "matmul"),
        (drawn(301, 70).T, drawn(150, 301).T, "matmul"),
        (drawn(70, 301)[:, ::2], drawn(301, 300)[::2], "matmul"),
        (drawn(10, 301), drawn(301, 150), "product"),  # small
        (drawn(10, 800), drawn(800, 800), "product"),  # v larger than the second-level cache
        (drawn(70, 1024), drawn(1024, 50), "product"),  # rows of u a page apart,
        (drawn(300, 1024).T, drawn(300, 50), "product"),  # its columns
        (np.broadcast_to(drawn(70, 1), (70, 301)), drawn(301, 150), "product"),  # in one place
        (drawn(2, 70, 301), drawn(301, 150), "product"),  # a stack
    ],
)
def test_who_computes_a_product(
    monkeypatch: Any, computed: list[str], u: Any, v: Any, who: str
) -> None:
    vectors(monkeypatch, 64)
    y, _ = KERNELS["matmul"].forward(u, v)
    assert computed == [who]
    np.testing.assert_allclose(y, u.astype("f8") @ v.astype("f8"), rtol=0, atol=1e-3)
