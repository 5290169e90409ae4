"""Products of matrices for the kernels: BLAS, on all cores through the pool of all kernels.

BLAS libraries bring threads of their own. After each call these watch for the next one for tens of
milliseconds and keep their cores busy meanwhile, so a kernel that runs in between finds one core
where there were two. In a training step, where products and other kernels take turns, both lose. So
there is one pool (`threads`): a large product is cut into pieces, BLAS computes each with one
thread, and its own threads sleep.

    Y = A B:    Y[rows] = A[rows] B      or      Y[:, columns] = A B[:, columns]

Of a stack each piece gets some of the products. BLAS is told through threadpoolctl, and only for
the time of the call: it is the user's BLAS too. Where it cannot be told, it gets the product whole.

BLAS first copies both factors into the order in which it reads them, and a B whose columns lie in
memory as rows, like the Wᵀ of a layer, slowly. Each copied number of B serves as many products as Y
has rows: where these are few, Yᵀ = Bᵀ Aᵀ is faster, in which a small Aᵀ is copied slowly. The bias
is added on the way back to Y.
"""

from __future__ import annotations

import functools
import os
import threading
from typing import Any

import numpy as np

from tinynet.kernels.threads import get_num_threads, share

SMALL = 5e5  # flops of one product that BLAS libraries compute with one thread anyway
LARGE = 1e7  # flops that are worth a second thread
ROWS = 96  # of Y that pay for a copy of B


def product(a: Any, b: Any, out: Any = None, *, bias: Any = None) -> Any:
    """a b, as `np.matmul`: a (…, m, k), b (…, k, n), into `out` (…, m, n) where it is given. A bias
    (n,) is added to every row, by the thread that has just computed it.

    >>> product(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), bias=np.array([0.5]))
    array([[11.5]])
    """
    if a.ndim < 2 or b.ndim < 2:
        return _plain(a, b, out, bias)
    flops, each = _flops(a, b), 2 * a.shape[-2] * a.shape[-1] * b.shape[-1]
    if flops <= LARGE and each <= SMALL:
        return _plain(a, b, out, bias)
    with blas_alone as told:
        threads = get_num_threads()
        if not told or threads == 1 or flops <= LARGE:
            return _whole(a, b, out, bias)
        return _in_pieces(a, b, out, bias, threads)


def _plain(a: Any, b: Any, out: Any, bias: Any) -> Any:
    y = np.matmul(a, b, out=out)
    return y if bias is None else np.add(y, bias, out=y)


def _whole(a: Any, b: Any, out: Any, bias: Any) -> Any:
    if not _turns(a, b):
        return _plain(a, b, out, bias)
    turned = np.matmul(b.T, a.T).T
    y = np.empty(turned.shape, turned.dtype) if out is None else out
    if bias is None:
        np.copyto(y, turned)
    else:
        np.add(turned, bias, out=y)
    return y


def _turns(a: Any, b: Any) -> bool:
    """Whether Yᵀ is computed: the columns of b lie in a row, and are more than a has rows."""
    few = a.ndim == b.ndim == 2 and len(a) < ROWS and 2 * len(a) <= b.shape[1]
    return bool(few and b.strides[0] < b.strides[1])


def _flops(a: Any, b: Any) -> float:
    """2·m·k·n for each product of the stack; at most twice too few where both stacks broadcast."""
    return 2 * float(max(a.size * b.shape[-1], b.size * a.shape[-2]))


def _in_pieces(a: Any, b: Any, out: Any, bias: Any, threads: int) -> Any:
    """The product, one piece for each thread: of the stack, or of its rows or columns."""
    if a.ndim == b.ndim == 2:
        shape: tuple[int, ...] = (a.shape[0], b.shape[1])
    else:
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        shape = (*stack, a.shape[-2], b.shape[-1])
    y = np.empty(shape, np.result_type(a, b)) if out is None else out
    stacked = y.ndim > 2 and y.shape[0] >= threads
    axis = -y.ndim if stacked else -2 if shape[-2] >= min(shape[-1], ROWS * threads) else -1
    size = -(-shape[axis] // threads)

    def piece(number: int) -> None:
        part = slice(number * size, (number + 1) * size)
        left = a if axis == -1 else _part(a, axis, part)
        right = b if axis == -2 else _part(b, axis, part)
        offset = bias[part] if bias is not None and axis == -1 else bias
        _whole(left, right, _part(y, axis, part), offset)

    share(-(-shape[axis] // size), piece, threads)
    return y


def _part(x: Any, axis: int, part: slice) -> Any:
    """x, cut along an axis (counted from behind); whole where it has none or it broadcasts."""
    if x.ndim < -axis or x.shape[axis] == 1:
        return x
    return x[(..., part, *(slice(None),) * (-axis - 1))]


class _BlasAlone:
    """While anyone is inside, BLAS uses one thread. Says whether BLAS could be told so."""

    def __init__(self) -> None:
        self.lock, self.inside, self.before = threading.Lock(), 0, [0]

    def __enter__(self) -> bool:
        libraries = _blas()
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.before = [library.num_threads for library in libraries]
                self._set([1] * len(libraries))
        return bool(libraries)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self._set(self.before)

    def _set(self, counts: list[int]) -> None:
        for library, count, before in zip(_blas(), counts, self.before, strict=True):
            if before > 1:
                library.set_num_threads(count)
                # From version 3.8 on, threadpoolctl listens to one thread until that one lets go.
                if hasattr(library, "clear_controlling_thread"):
                    library.clear_controlling_thread()


@functools.cache
def _blas() -> list[Any]:
    """The BLAS libraries of this process that can be told how many threads to use."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return []
    found = ThreadpoolController().lib_controllers
    return [library for library in found if library.user_api == "blas" and library.num_threads]


blas_alone = _BlasAlone()


def _forget() -> None:
    """A forked child starts anew: another thread may have held the lock."""
    if blas_alone.inside:
        blas_alone._set(blas_alone.before)
    blas_alone.lock, blas_alone.inside = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
