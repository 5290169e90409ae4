"""The double's cupy.cuda and cupy.linalg: no member that the real ones lack, and their manners."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import cupy_cuda
import fake_cupy
import numpy as np
import pytest

cp = fake_cupy.MODULE
REAL: Any = None
if importlib.util.find_spec("cupy") is not None:
    REAL = importlib.import_module("cupy"), importlib.import_module("cupyx")


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    with fake_cupy.installed():
        yield


@pytest.mark.skipif(REAL is None, reason="CuPy is not installed")
def test_members_and_parameters_are_those_of_the_real_ones() -> None:
    """Neither needs a GPU. Compiled signatures stand in the first line of the docstring."""
    cupy, cupyx = REAL
    owners = {
        "Device": cupy_cuda.GPU,
        "Event": cupy_cuda.Event,
        "Stream": cupy_cuda.Stream,
        "MemoryHook": cupy_cuda.MemoryHook,
        "MemoryPool": cupy_cuda.MemoryPool,
        "runtime": cupy_cuda.runtime,
    }
    for name, ours in owners.items():
        theirs = getattr(cupy.cuda, name)
        public = [n for n in dir(ours) if n[0] != "_" and n not in ("all_total",)]
        assert [n for n in public if not hasattr(theirs, n)] == [], name
    for kind in ("Event", "Stream"):
        ours, theirs = (
            inspect.signature(getattr(m, kind).__init__) for m in (cupy_cuda, cupy.cuda)
        )
        assert [*ours.parameters] == [*theirs.parameters], kind
    errstates = (fake_cupy.CUPYX.errstate, cupyx.errstate)
    ours, theirs = (inspect.signature(errstate) for errstate in errstates)
    assert [*ours.parameters] == [*theirs.parameters]
    memory = np.arange(4.0)  # stands for pinned memory, which needs a GPU
    there = SimpleNamespace(ptr=memory.ctypes.data, size=memory.nbytes)
    pointer = cupy.cuda.PinnedMemoryPointer(there, 0)
    assert np.ndarray((4,), "f8", buffer=pointer).base is pointer
    nothing = cupy.cuda.PinnedMemoryPointer(cupy.cuda.PinnedMemory(0), 0)
    assert np.ndarray((0,), "f8", buffer=nothing).base is None


def test_a_singular_matrix_passes_unless_errors_are_asked_for() -> None:
    """cupy/linalg/_util.py, _check_cusolver_dev_info_if_synchronization_allowed."""
    import cupyx

    u = cp.asarray(np.array([np.eye(2), np.ones((2, 2))]))
    for function in (cp.linalg.inv, lambda u: cp.linalg.solve(u, u), cp.linalg.cholesky):
        y = function(u - 2 * cp.eye(2) if function is cp.linalg.cholesky else u)
        assert y.shape == (2, 2, 2)
        with cupyx.errstate(linalg="raise"), pytest.raises(np.linalg.LinAlgError, match="devInfo"):
            function(-u)
    assert not np.isfinite(cp.linalg.inv(u)[1].get()).any()
    assert np.isfinite(cp.linalg.inv(u)[0].get()).all()
    with pytest.raises(NotImplementedError), cupyx.errstate(linalg="warn"):
        pass
    with pytest.raises(TypeError, match="float16"):
        np.linalg.inv(u.astype("f2"))
    with pytest.raises(ValueError, match="must have"):
        np.linalg.solve(u, cp.ones((2, 1)))
    with pytest.raises(np.linalg.LinAlgError, match="square"):
        np.linalg.inv(u[:, :1])


def test_the_pool_keeps_what_is_freed() -> None:
    """memory.pyx, SingleDeviceMemoryPool: multiples of 512 bytes, a device each."""
    pool = cp.get_default_memory_pool()
    pool.free_all_blocks()
    before = pool.used_bytes()
    held = pool.malloc(513)
    assert pool.used_bytes() == before + 1024
    with cp.cuda.Device(1):
        assert pool.used_bytes() == 0
    del held
    assert (pool.used_bytes(), pool.free_bytes()) == (before, pool.total_bytes() - before)
    assert pool.free_bytes() >= 1024
    pool.free_all_blocks()
    assert pool.free_bytes() == 0


def test_times_of_events_that_took_none() -> None:
    """stream.pyx, get_elapsed_time: CUDA refuses events without a time."""
    timed, untimed = cp.cuda.Event(), cp.cuda.Event(disable_timing=True)
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError):
        cp.cuda.get_elapsed_time(timed, timed)
    timed.record()
    untimed.record()
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError):
        cp.cuda.get_elapsed_time(untimed, timed)
    assert cp.cuda.get_elapsed_time(timed, cp.cuda.get_current_stream().record()) >= 0
