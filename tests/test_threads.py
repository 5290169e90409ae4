"""The pool of all kernels: each piece once, errors, forks, several callers; and BLAS through it."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinynet as tn
from tinynet.derivations import linear
from tinynet.errors import ArgumentError
from tinynet.kernels import get_num_threads, matmul, matrices, products, set_num_threads, threads
from tinynet.kernels.products import product

rng = np.random.default_rng(0)


@pytest.fixture
def two_threads() -> Any:
    before = get_num_threads()
    set_num_threads(2)
    yield
    set_num_threads(before)


def numbers(*shape: int) -> Any:
    return rng.standard_normal(shape, np.float32)


# -- the pool --------------------------------------------------------------------------------------


def test_share_does_each_piece_once(two_threads: Any) -> None:
    for count in (0, 1, 2, 3, 100):
        done: list[int] = []
        threads.share(count, done.append)
        assert sorted(done) == list(range(count))


def who_did_what() -> dict[int, int]:
    """Ten pieces; while one thread is held up in the first, the other does the rest."""
    rest, who = threading.Event(), {}

    def work(piece: int) -> None:
        who[piece] = threading.get_ident()
        if piece == 0:
            assert rest.wait(20)
        elif piece == 9:
            rest.set()

    threads.share(10, work)
    return who


def test_two_threads_take_pieces(two_threads: Any) -> None:
    who = who_did_what()
    assert len(set(who.values())) == 2
    assert threading.get_ident() in who.values()
    assert [piece for piece in who if who[piece] == who[0]] == [0]


def test_one_thread_is_the_callers_own(two_threads: Any) -> None:
    set_num_threads(1)
    who = set()

    def work(_: int) -> None:
        time.sleep(0.002)  # long enough for another thread to wake
        who.add(threading.get_ident())

    threads.share(20, work)
    a, b = numbers(300, 200), numbers(200, 300)
    matmul(a, b), product(a, b)
    assert who == {threading.get_ident()}
    assert tn.get_num_threads() == 1


def test_nobody_is_asked_twice_for_more_threads(two_threads: Any) -> None:
    threads.share(2, lambda _: None)
    before = threading.active_count()
    for _ in range(50):
        threads.share(4, lambda _: None)
    assert threading.active_count() == before


def test_an_error_in_a_piece_arrives(two_threads: Any) -> None:
    done = []

    def work(piece: int) -> None:
        if piece == 3:
            raise ValueError("piece 3")
        done.append(piece)

    for _ in range(20):
        with pytest.raises(ValueError, match="piece 3"):
            threads.share(4, work)
    done.clear()
    threads.share(3, work)  # and the pool still works
    assert sorted(done) == [0, 1, 2]


def test_share_returns_when_all_is_done(two_threads: Any) -> None:
    """Also when a helper has the last piece."""
    for _ in range(20):
        done: list[int] = []

        def work(piece: int, done: list[int] = done) -> None:
            if threading.current_thread() is not threading.main_thread():
                time.sleep(0.003)
            done.append(piece)

        threads.share(2, work)
        assert len(done) == 2


def test_sharing_inside_a_piece(two_threads: Any) -> None:
    done: list[Any] = []

    def work(i: int) -> None:
        me = threading.get_ident()

        def part(j: int) -> None:
            time.sleep(0.005 * (i == 0))  # the other thread is done long before
            done.append((3 * i + j, threading.get_ident() == me))

        threads.share(3, part)

    threads.share(4, work)
    assert sorted(done) == [(n, True) for n in range(12)]


def test_in_a_piece_one_thread_is_left(two_threads: Any) -> None:
    counts: list[int] = []
    threads.share(4, lambda _: counts.append(get_num_threads()))
    assert counts == [1] * 4
    assert get_num_threads() == 2


def test_two_python_threads_multiply_at_once(two_threads: Any) -> None:
    a, b = numbers(300, 200), numbers(200, 250)
    stack = numbers(64, 40, 50)
    expected, wrong = (matmul(a, b), product(a, b), matmul(stack, stack.swapaxes(1, 2))), []

    def many() -> None:
        for _ in range(20):
            found = (matmul(a, b), product(a, b), matmul(stack, stack.swapaxes(1, 2)))
            wrong.extend(x for x, y in zip(found, expected, strict=True) if not np.allclose(x, y))

    workers = [threading.Thread(target=many) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_multiplies(two_threads: Any) -> None:
    a, b = numbers(300, 200), numbers(200, 250)
    expected = matmul(a, b), product(a, b)
    child = os.fork()
    if child == 0:
        found = matmul(a, b), product(a, b)
        right = all(map(np.allclose, found, expected)) and len(set(who_did_what().values())) == 2
        os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_helper_takes_what_waits_before_it_watches(monkeypatch: Any) -> None:
    """Else it would stay behind by one job as long as jobs follow each other fast."""
    pool, done = threads._Pool(), []
    for i in range(2):
        pool.jobs.put(threads._Job(1, lambda _, i=i: done.append(i)))

    class Watches(Exception):
        pass

    def watch(*_: Any) -> None:
        raise Watches

    monkeypatch.setattr(threads, "_watch", watch)
    with pytest.raises(Watches):
        threads._Helper(pool, "a helper").run()
    assert done == [0, 1]


def test_the_bell_rings_when_the_job_is_there(monkeypatch: Any) -> None:
    pool, rung = threads._Pool(), []
    queue = SimpleNamespace(put=lambda _: rung.append(int(pool.bell[0])))
    monkeypatch.setattr(pool, "jobs", queue)
    pool.helpers = [SimpleNamespace(avoids=threads._core()())]
    pool.post(threads._Job(1, print), 1)
    assert (rung, int(pool.bell[0])) == ([0], 1)


def test_set_num_threads_refuses_none() -> None:
    with pytest.raises(ArgumentError, match="at least one"):
        tn.set_num_threads(0)


def test_importing_tinynet_starts_nothing() -> None:
    program = """
import sys, threading, tinynet
assert threading.active_count() == 1
assert not {"numba", "concurrent.futures", "threadpoolctl"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# -- BLAS through the pool -------------------------------------------------------------------------

STACKS = (((), ()), ((5,), ()), ((), (3,)), ((2, 1), (3,)), ((4,), (4,)), ((1,), (4,)), ((0,), ()))


def laid(x: Any, kind: str) -> Any:
    if kind == "columns":
        return np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)
    if kind == "sliced":
        return np.repeat(np.repeat(x, 2, -1), 3, -2)[..., ::3, ::2]
    return x


@pytest.mark.parametrize("kinds", [("rows", "columns"), ("columns", "sliced"), ("sliced", "rows")])
@pytest.mark.parametrize(("left", "right"), STACKS)
@pytest.mark.parametrize("into", [False, True])
def test_product_is_matmul(
    two_threads: Any, monkeypatch: Any, kinds: Any, left: Any, right: Any, into: bool
) -> None:
    monkeypatch.setattr(products, "LARGE", 0)  # so that all these are cut into pieces
    monkeypatch.setattr(products, "SMALL", 0)
    monkeypatch.setattr(products, "ROWS", 10)
    for m, k, n in ((33, 20, 7), (5, 30, 40), (20, 6, 50), (1, 9, 1), (4, 0, 3)):
        a, b = laid(numbers(*left, m, k), kinds[0]), laid(numbers(*right, k, n), kinds[1])
        bias = numbers(n)
        expected = np.matmul(a.astype("f8"), b.astype("f8"))
        out = np.full(expected.shape, 9, "f4") if into else None
        found = product(a, b, out)
        assert found.shape == expected.shape
        assert found.dtype == np.float32
        assert out is None or found is out
        np.testing.assert_allclose(found, expected, atol=1e-4)
        np.testing.assert_allclose(product(a, b, bias=bias), expected + bias, atol=1e-4)


@pytest.mark.parametrize("needs", [*itertools.product((False, True), repeat=3)])
def test_the_gradients_of_a_layer_side_by_side(
    two_threads: Any, monkeypatch: Any, needs: tuple[bool, ...]
) -> None:
    """Each on a thread of its own where both are wanted; and the same with one thread."""
    x, W, b, g = numbers(2, 90, 150), numbers(120, 150), numbers(120), numbers(2, 90, 120)
    meant = linear.backward(g.astype("f8"), (x.astype("f8"), W, b), needs=needs)
    known, shared = matrices.share, []
    monkeypatch.setattr(matrices, "share", lambda *x: (shared.append(1), known(*x)))
    for count in (2, 1, 3):
        set_num_threads(count)
        found = matrices.linear_backward(g, (x, W, b), needs=needs)
        assert len(shared) == (needs[0] and needs[1])
        for d, expected in zip(found, meant, strict=True):
            assert (d is None) == (expected is None)
            if d is not None:
                np.testing.assert_allclose(d, expected, atol=1e-3)
    u, v, h = numbers(3, 60, 150), numbers(3, 150, 120), numbers(3, 60, 120)
    set_num_threads(2)
    shared.clear()
    du, dv = matrices.times_backward(h, (u, v), needs=(True, True))
    assert shared
    np.testing.assert_allclose(du, h @ v.swapaxes(1, 2), atol=1e-3)
    np.testing.assert_allclose(dv, u.swapaxes(1, 2) @ h, atol=1e-3)


def test_blas_has_one_thread_inside_and_its_own_outside(two_threads: Any) -> None:
    libraries = products._blas()
    if not libraries:
        pytest.skip("BLAS cannot be told")
    before = [library.num_threads for library in libraries]
    try:
        for library in libraries:
            library.set_num_threads(2)
        with products.blas_alone:
            with products.blas_alone:
                assert {library.num_threads for library in libraries} == {1}
            assert {library.num_threads for library in libraries} == {1}
        assert {library.num_threads for library in libraries} == {2}
        with ThreadPoolExecutor(1) as another:  # whoever comes first and whoever leaves last
            products.blas_alone.__enter__()
            another.submit(products.blas_alone.__enter__).result()
            products.blas_alone.__exit__()
            assert {library.num_threads for library in libraries} == {1}
            another.submit(products.blas_alone.__exit__).result()
            assert {library.num_threads for library in libraries} == {2}
            another.submit(products.blas_alone.__enter__).result()
            assert {library.num_threads for library in libraries} == {1}
            products.blas_alone.__enter__()
            another.submit(products.blas_alone.__exit__).result()
            products.blas_alone.__exit__()
        assert {library.num_threads for library in libraries} == {2}
        product(numbers(300, 200), numbers(200, 300))
        with pytest.raises(ValueError, match="mismatch"):
            product(numbers(300, 200), numbers(201, 300))
        assert {library.num_threads for library in libraries} == {2}
    finally:
        for library, count in zip(libraries, before, strict=True):
            library.set_num_threads(count)


def test_product_where_blas_cannot_be_told(two_threads: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(products, "_blas", lambda: [])
    a, b = numbers(300, 200), numbers(200, 300)
    np.testing.assert_array_equal(product(a, b), np.matmul(a, b))


def test_products_need_neither_numba_nor_scipy() -> None:
    program = """
import sys
for name in ("numba", "llvmlite", "scipy"):
    sys.modules[name] = None
import numpy as np
from tinynet.kernels import choice
from tinynet.kernels.products import product
a, b = np.ones((300, 200), "f4"), np.ones((200, 300), "f4")
assert (product(a, b) == 200).all()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
