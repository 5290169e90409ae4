"""What importing loads, who may import whom, and that names do not hide modules."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import tinynet as tn

HEAVY = ("numba", "matplotlib", "scipy", "cupy", "torch", "tqdm", "safetensors", "hypothesis")
MODULES = [m.name for m in pkgutil.walk_packages(tn.__path__, "tinynet.")]


def test_importing_tinynet_loads_the_engine_only() -> None:
    script = "import sys, tinynet; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert loaded.isdisjoint(HEAVY)
    rooms = ("nn", "optim", "data", "train", "plot", "bench", "tour", "cli", "check")
    assert loaded.isdisjoint(f"tinynet.{room}" for room in rooms)


def test_all_modules_import_and_say_what_they_are() -> None:
    for name in MODULES:
        if name != "tinynet.__main__":
            doc = importlib.import_module(name).__doc__
            assert doc, f"{name} has no docstring"
            assert doc.strip(), f"{name} has no docstring"


def test_import_contracts_hold() -> None:
    pytest.importorskip("importlinter")
    from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


@pytest.mark.parametrize("name", MODULES)
def test_no_public_function_hides_a_module_of_its_package(name: str) -> None:
    if name == "tinynet.__main__":
        return
    package = importlib.import_module(name.rpartition(".")[0])
    leaf = name.rpartition(".")[2]
    importlib.import_module(name)
    if name == "tinynet.tensor":  # the one exception
        assert callable(tn.tensor)
    else:
        assert isinstance(getattr(package, leaf), ModuleType)


def test_tensor_the_function_and_tensor_the_module_both_work() -> None:
    from tinynet.tensor import Tensor

    assert isinstance(tn.tensor([1.0]), Tensor)
    assert sys.modules["tinynet.tensor"].Tensor is Tensor
    assert importlib.import_module("tinynet.tensor").Tensor is tn.Tensor


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tensr'"):
        tn.tensr  # noqa: B018
    for room in tn._ROOMS:
        assert room in dir(tn)
        assert isinstance(getattr(tn, room), ModuleType)


def test_every_module_of_the_package_can_be_reached_from_it() -> None:
    top = {name.split(".")[1] for name in MODULES} - {"__main__", "tensor"}
    script = (
        "import sys, tinynet; print(*[type(getattr(tinynet, n)).__name__ for n in sys.argv[1:]])"
    )
    command = [sys.executable, "-c", script, *sorted(top)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) == {"module"}
