"""What all tests share: a quiet matplotlib, Hypothesis profiles, skips where a machine lacks a GPU
or PyTorch, and CuPy or its double.
"""

from __future__ import annotations

import gc
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("MPLBACKEND", "Agg")
# Their doctests could not even be collected without PyTorch, which they import at the top.
_ON_TORCH = ["module_samples.py", "operator_samples.py", "pytorch_samples.py"]
collect_ignore_glob = ["torch_programs/*"]  # programs, not tests: test_torch_programs runs them
collect_ignore = [] if importlib.util.find_spec("torch") else _ON_TORCH

_SHARED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=20, derandomize=True, database=None, **_SHARED)
settings.register_profile("thorough", max_examples=400, **_SHARED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def _gpu() -> bool:
    if importlib.util.find_spec("cupy") is None:
        return False
    import cupy

    try:
        return bool(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:
        return False


def _fetched(sources: Any) -> bool:
    from tinynet.data import is_cached

    return os.environ.get("TINYNET_NETWORK") == "1" or all(map(is_cached, sources))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need what this machine has not are skipped, with the reason."""
    from tinynet.kernels.choice import has_compiler

    missing = {}
    if importlib.util.find_spec("torch") is None:
        missing["peers"] = "PyTorch is not installed"
    if not has_compiler():
        missing["compiler"] = "nothing is compiled without Numba"
    if any(item.get_closest_marker("gpu") for item in items) and not _gpu():
        missing["gpu"] = "no GPU that CuPy can use"
    for item in items:
        for marker, reason in missing.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
        data = item.get_closest_marker("network")
        if data and not _fetched(data.args):
            names = " ".join(source.name for source in data.args)
            item.add_marker(pytest.mark.skip(reason=f"not fetched: {names}; TINYNET_NETWORK=1"))


@pytest.fixture(autouse=True, scope="module")
def _freeze() -> None:
    """Twelve thousand tests and what they import are a million objects. The collector, before each
    file told to leave alone what is there, walks only over what the file's tests make. So does
    `tn.explain`, which asks it for the names of constants: it finds those that were made in a test,
    not beside it.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(params=["double", pytest.param("real", marks=pytest.mark.gpu)])
def cupy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module that `import cupy` gives: the double everywhere, the real one on a GPU."""
    import cuda_on_cpu
    import fake_cupy

    from tinynet import kernels, random

    monkeypatch.setattr(random, "_default", {})  # a generator belongs to one of the two
    if request.param == "real":
        yield pytest.importorskip("cupy")
    else:
        mode = (
            kernels.choice.mode() if cuda_on_cpu.COMPILER else "reference"
        )  # or CUDA C cannot run
        with fake_cupy.installed() as module, kernels.use(mode):
            yield module
