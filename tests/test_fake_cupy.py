"""The double of CuPy behaves as CuPy's source says; each test names the file it was read in."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cupy_names
import fake_cupy
import numpy as np
import pytest
from cupy_facts import KINDS, VERSION, signature

cp = fake_cupy.MODULE
REAL: dict[str, Any] = {}
if importlib.util.find_spec("cupy") is not None:
    REAL = {name: importlib.import_module(name) for name in ("cupy", "cupyx", "cupyx.scipy")}


@pytest.fixture
def x() -> Any:
    return cp.asarray(np.arange(6.0, dtype="f4").reshape(2, 3))


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    with fake_cupy.installed():
        yield


def refused(function: Callable[[], Any], kind: type[Exception], reason: str) -> None:
    with pytest.raises(kind, match=reason):
        function()


needs_cupy = pytest.mark.skipif(
    importlib.util.find_spec("cupy") is None, reason="CuPy is not installed"
)


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The CuPy that is installed; neither its names nor its refusals need a GPU."""
    for name, module in REAL.items():
        monkeypatch.setitem(sys.modules, name, module)
    if REAL["cupy"].__version__ != VERSION:
        pytest.skip(f"the double is of CuPy {VERSION}, not of {REAL['cupy'].__version__}")
    return REAL["cupy"]


@needs_cupy
def test_the_list_of_names_is_that_of_the_real_cupy(real: Any) -> None:
    written = (Path(__file__).parent / "cupy_names.txt").read_text().splitlines()
    assert written == list(cupy_names.lines())


# What an array of the real CuPy answers before it touches memory: shapes, views and refusals.
WITHOUT_MEMORY: dict[str, Callable[[Any], Any]] = {
    "max with initial": lambda x: np.max(x, initial=0),
    "sum with where": lambda x: np.sum(x, where=True),
    "clip with min": lambda x: np.clip(x, min=0, max=1),
    "ufunc with where": lambda x: np.add(x, 1, where=True),
    "ones like": lambda x: np.ones(2, like=x),
    "full like": lambda x: np.full(2, 1.0, like=x),
    "maximum.reduce": lambda x: np.maximum.reduce(x),
    "logical_or.reduce": lambda x: np.logical_or.reduce(x),
    "multiply.at": lambda x: np.multiply.at(x, x, 2.0),
    "einsum_path": lambda x: np.einsum_path("i->", x),
    "asarray": np.asarray,
    "as_strided": lambda x: np.lib.stride_tricks.as_strided(x, (2,), (4,)),
    "fill by an array": lambda x: x.__setitem__(0, np.ones(3)),
    "number out of range": lambda x: x[2],
    "bool": bool,
    "item": lambda x: x.item(),
    "iterate 0-d": lambda x: iter(x[0]),
    "len 0-d": lambda x: len(x[0]),
    "no such name": lambda x: x.softmax,
    "no interface": lambda x: x.__array_interface__,
    "shape": np.shape,
    "len": len,
    "same dtype": lambda x: x.astype("f4", copy=False) is x,
    "base": lambda x: (x.base is None, x[...].base is None),
    "T of a vector": lambda x: x.T is x,
    "squeeze nothing": lambda x: np.squeeze(x) is x,
    "mT of a vector": lambda x: x.mT,
    "number": lambda x: x[0],
    "new axis": lambda x: x[None, ..., 0],
    "reshape": lambda x: np.reshape(x, (1, -1)),
    "transpose": lambda x: np.transpose(np.reshape(x, (1, 2)), (-1, -2)),
    "swapaxes": lambda x: np.swapaxes(np.reshape(x, (1, 2)), -1, 0),
    "expand_dims": lambda x: np.expand_dims(x, (0, -1)),
    "squeeze": lambda x: np.squeeze(np.reshape(x, (1, 2)), axis=0),
    "broadcast_to": lambda x: np.broadcast_to(x, (3, 2)),
    "wrong reshape": lambda x: np.reshape(x, (3,)),
    "wrong squeeze": lambda x: np.squeeze(x, axis=0),
    "wrong broadcast": lambda x: np.broadcast_to(x, (3,)),
}


def _answer(function: Callable[[Any], Any], x: Any) -> Any:
    try:
        y = function(x)
    except Exception as error:
        return [kind.__name__ for kind in type(error).__mro__[:-3]]
    return tuple(y.shape) if hasattr(y, "dtype") else y


@needs_cupy
@pytest.mark.parametrize("name", WITHOUT_MEMORY)
def test_the_real_one_answers_alike(name: str, real: Any) -> None:
    nowhere = real.cuda.MemoryPointer(real.cuda.UnownedMemory(0, 8, None, 0), 0)
    found = _answer(WITHOUT_MEMORY[name], real.ndarray((2,), "f4", memptr=nowhere))
    assert _answer(WITHOUT_MEMORY[name], cp.zeros(2, "f4")) == found


def test_methods_written_by_hand_are_methods_of_the_real_one() -> None:
    for name, member in vars(fake_cupy.ndarray).items():
        if not name.startswith("_"):
            kind, _ = KINDS[f"ndarray.{name}"]
            assert kind == ("attribute" if isinstance(member, property) else "method")
            if kind == "method":
                own = member.__code__.co_varnames[: member.__code__.co_argcount]
                assert set(own) <= set(signature(f"ndarray.{name}").parameters) | {"blocking"}


def test_only_the_names_of_the_real_one() -> None:
    for name in ("errstate", "einsum_path", "ndenumerate", "vecdot", "scatter_add", "bfloat16"):
        assert not hasattr(cp, name)
    for name in ("normal", "permutation", "shuffle", "choice", "multinomial"):
        assert not hasattr(cp.random.default_rng(0), name)
    for name in ("__array_interface__", "__array_struct__", "__index__", "__contains__"):
        assert not hasattr(cp, name)
        assert not hasattr(cp.zeros(3), name)
    assert (cp.float32, cp.newaxis, cp.__version__) == (np.float32, None, VERSION)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # CuPy's takes no `copy` either
def test_no_silent_way_to_numpy(x: Any) -> None:
    """core.pyx, __array__."""
    for function in (
        np.asarray,
        np.array,
        lambda x: np.ones((2, 3)).__iadd__(x),
    ):
        refused(lambda f=function: f(x), TypeError, r"[Ii]mplicit|Unsupported")
    a = np.zeros((2, 3))
    refused(lambda: a.__setitem__(0, x[0]), TypeError, "mplicit")
    assert cp.asnumpy(x).tolist() == x.get().tolist() == x.tolist()
    assert isinstance(x.get(), np.ndarray)


def test_no_numpy_array_beside_ours(x: Any) -> None:
    """core.pyx, __array_ufunc__ ("numpy.ndarray is handled and then TypeError is raised"); and
    _scalar.pyx, CScalar.
    """
    ones = np.ones((2, 3), "f4")
    for f in (
        lambda: x + ones,
        lambda: ones - x,
        lambda: np.multiply(x, ones),
        lambda: x @ ones.T,
        lambda: np.concatenate([x, ones]),
        lambda: np.where(x > 0, ones, x),
        lambda: x + np.array(1.0),
        lambda: cp.add(x, x, out=ones),
    ):
        refused(f, TypeError, "Unsupported type")
    assert ((x < np.array(2.0)).get() == (x.get() < 2)).all()  # "workaround for numpy/numpy#12142"
    assert (x + np.float32(1)).dtype == np.float32
    assert (x + np.float64(1)).dtype == np.float64  # NEP 50: only Python's numbers are weak
    assert (x + 1.5).dtype == np.float32
    refused(lambda: np.add(x, "a"), TypeError, "NotImplemented")


def test_results_are_arrays_never_numbers(x: Any) -> None:
    results = [x.sum(), x[0, 0], np.max(x), np.count_nonzero(x), x.mean(), np.all(x), x.argmax()]
    results += [
        cp.random.default_rng(0).random(),
        np.add.reduce(x[0]),
        np.dot(x[0], x[0]),
        x[0, 0] * 2,
    ]
    for y in results:
        assert isinstance(y, cp.ndarray)
        assert y.shape == ()
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((2, 3), 2, 6)
    assert np.may_share_memory(x, x[0]) is True


def test_numbers_of_one_entry(x: Any) -> None:
    """core.pyx, __nonzero__, item, __float__."""
    assert (float(x[0, 1]), int(x[1, 2]), bool(x[0, 0]), x[1:, 1:2].item()) == (1.0, 5, False, 4.0)
    refused(lambda: bool(x), ValueError, "ambiguous")
    refused(x.item, ValueError, "size 1")
    with pytest.warns(DeprecationWarning, match="empty"):
        bool(x[:0])


def test_which_methods_of_ufuncs_pass(x: Any) -> None:
    """core.pyx, __array_ufunc__: six methods; _kernel.pyx, class ufunc: what they can do."""
    assert np.add.reduce(x, axis=1, keepdims=True).tolist() == [[3.0], [12.0]]
    assert np.multiply.reduce(x[1]).item() == 60
    assert np.multiply.outer(x[0], x[1]).shape == (3, 3)
    refused(lambda: np.maximum.reduce(x), NotImplementedError, "maximum.reduce")
    refused(lambda: np.logical_or.reduce(x), NotImplementedError, "logical_or.reduce")
    refused(lambda: np.add.reduce(x, initial=1.0), TypeError, "initial")
    refused(lambda: np.add(x, 1, where=x > 2), TypeError, "Wrong arguments")
    assert np.matmul(x, x.T).shape == (2, 2)  # _gufuncs.py: matmul is one of the two gufuncs
    refused(lambda: np.multiply.at(x, cp.asarray([0]), 2.0), NotImplementedError, "multiply.at")


def test_adding_at_an_index(x: Any) -> None:
    """core.pyx hands `at` only arrays and numbers; _routines_indexing.pyx takes every index."""
    ids = cp.asarray([0, 0, 1])
    np.add.at(x, ids, cp.ones((3, 3), "f4"))
    assert x[0].tolist() == [2.0, 3.0, 4.0]
    for index in ([0, 0], (slice(None), 0), slice(1)):
        refused(lambda i=index: np.add.at(x, i, 1.0), TypeError, "NotImplemented")
        cp.add.at(x, index, 1.0)
    assert x[0].tolist() == [6.0, 6.0, 7.0]
    refused(lambda: cp.add.at(cp.zeros(3, "i2"), ids, 1), TypeError, "only supports")
    import cupyx

    with pytest.warns(DeprecationWarning, match=r"cupy\.add\.at"):
        cupyx.scatter_add(x, ids, 1.0)


def test_functions_have_the_parameters_of_the_real_ones(x: Any) -> None:
    """core.pyx, __array_function__ passes the arguments on as they are."""
    refused(lambda: np.max(x, initial=0), TypeError, "initial")
    refused(lambda: np.sum(x, where=x > 0), TypeError, "where")
    refused(lambda: np.clip(x, min=0, max=1), TypeError, "min")
    refused(lambda: np.einsum_path("ij->i", x), TypeError, "no implementation found")
    refused(lambda: np.ones(2, like=x), TypeError, "device")  # NumPy adds device=None to the call
    refused(lambda: np.full(2, 1.0, like=x), TypeError, "device")
    for made in (np.zeros(2, like=x), np.arange(2, like=x), np.array(2, "f4", ndmin=1, like=x)):
        assert isinstance(made, cp.ndarray)
    assert np.zeros_like(x, shape=(4,)).shape == (4,)
    refused(lambda: np.lib.stride_tricks.as_strided(x, (2,), (4,)), TypeError, "mplicit|array")
    assert np.lib.stride_tricks.sliding_window_view(x, 2, 1).shape == (2, 2, 2)
    assert np.linalg.norm(x[0]).item() == pytest.approx(5**0.5)


def test_determinants_are_arrays_in_plain_tuples(x: Any) -> None:
    """cupy/linalg/_norms.py, det and slogdet."""
    y = x[:, :2]
    assert (np.linalg.det(y).shape, np.linalg.det(y).dtype) == ((), np.float32)
    assert type(np.linalg.slogdet(y)) is tuple
    assert all(isinstance(part, cp.ndarray) for part in np.linalg.slogdet(y))


def test_erf_is_that_of_cupyx(x: Any) -> None:
    """cupyx/scipy/special/_erf.py."""
    from cupyx.scipy import special

    assert special.erf(x).dtype == np.float32
    assert special.erf(x.astype("f2")).dtype == np.float64
    assert special.erf(x[0, 1]).item() == pytest.approx(0.8427008)
    refused(lambda: special.erf(x.get()), TypeError, "Unsupported type")


def test_dtypes_are_those_of_the_loops(x: Any) -> None:
    """_kernel.pyx, guess_routine, with the loops of `cupy_names.txt`."""
    assert np.where(x > 2, x, 0).dtype == np.float32
    assert np.where(x > 2, 1, 2).dtype == np.int64
    assert np.where(x > 2, 1, 2.0).dtype == np.float64
    assert (x > 1).sum().dtype == np.int64
    assert (cp.zeros(2, "i4") / 2).dtype == np.float64
    assert (cp.zeros(2, "u1") + 1).dtype == np.uint8
    assert (cp.zeros(2, "u1") + 1.5).dtype == np.float64
    assert np.exp(cp.zeros(2, "i8")).dtype == np.float64
    refused(lambda: cp.add(x, x, out=cp.zeros((2, 3), "i4")), TypeError, "[Cc]ast")
    refused(lambda: cp.asarray(["a"]), ValueError, "Unsupported dtype")


def test_indexing_takes_lists_and_numpy_arrays(x: Any) -> None:
    """_routines_indexing.pyx, _prepare_slice_list and _scatter_op."""
    assert x[[1, 0], np.array([0, 2])].tolist() == [3.0, 2.0]
    assert x[np.array([True, False])].shape == (1, 3)
    assert x[[]].shape == (0, 3)
    assert x[cp.asarray(1)].shape == (3,)
    assert x[[2, -3]].tolist() == x[[0, 1]].tolist()  # "CuPy wraps around them"
    refused(lambda: x[2], IndexError, "out of bounds")
    refused(lambda: x[np.array([0.5])], IndexError, "integer or boolean")
    x[0] = 7
    x[0, 1] = np.float32(8)
    x[1] = x[0]
    x[[0, 1], [0, 0]] = np.array([1.0, 2.0])
    assert x.tolist() == [[1.0, 8.0, 7.0], [2.0, 8.0, 7.0]]
    for value in (np.zeros(3), [0.0, 0.0, 0.0]):
        refused(lambda v=value: x.__setitem__(0, v), ValueError, "cannot be used for fill")


def test_views_and_copies(x: Any) -> None:
    y = x[0, 1]
    y[...] = 9
    assert x.tolist()[0] == [0.0, 9.0, 2.0]
    assert x.base is None
    x.T.base[...] = 1
    assert x.sum().item() == 6
    x += 1
    x *= cp.asarray([1.0, 2.0, 3.0])
    assert x[0].tolist() == [2.0, 4.0, 6.0]


def test_devices(x: Any) -> None:
    """_kernel.pyx, _check_peer_access; cupy/random/_bit_generator.pyx, _check_device."""
    with cp.cuda.Device(1) as device:
        y = cp.zeros((2, 3))
        assert (device.id, y.device.id, x.device.id) == (1, 1, 0)
        refused(lambda: x + y, ValueError, "different from the current device")
        assert cp.asarray(x).device.id == 1
    assert cp.cuda.Device().id == 0
    generator = cp.random.default_rng(0)
    with cp.cuda.Device(1):
        refused(lambda: generator.random(2), RuntimeError, "another device")
    assert callable(generator.bit_generator.state)
    refused(lambda: generator.random(2, dtype="f4", extra=1), TypeError, "extra")


def test_nothing_warns() -> None:
    zero = cp.zeros(2)
    assert np.isnan((zero / zero).get()).all()
    assert np.isinf(np.log(zero).get()).all()
    assert np.isnan(zero[:0].mean().get())


def test_what_the_double_does_not_know_it_says() -> None:
    with pytest.raises(NotImplementedError, match=re.escape("does not know cuda.Graph")):
        cp.cuda.Graph()
