"""NumPy or CuPy: which library, which device, which dtype. The one file that knows CuPy's name.

Everything above works on *arrays*: `numpy.ndarray` or `cupy.ndarray`. NumPy's own functions accept
both (CuPy arrays answer through NumPy's dispatch protocols), so only making, moving and
scatter-adding need to know the library, and erf, which NumPy lacks.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from threading import Lock
from typing import Any, TypeAlias
from weakref import finalize

import numpy as np

from tinynet.dtypes import (
    DTypeLike,
    Number,
    bool_,
    complex64,
    float32,
    get_default_dtype,
    int64,
    promote_types,
)
from tinynet.errors import ArgumentError, DeviceError, DTypeError, describe

Array: TypeAlias = Any  # numpy.ndarray or cupy.ndarray; static types cannot tell, dispatch can


class Duck:
    """The base of an array of another kind, around `data` of one of the two: `batching.Batch`."""

    __slots__ = ("__weakref__", "data")
    data: Array


class Letter(Duck):
    """The base of what stands for an array in a formula: `explanation.symbols.Symbol`. An op that
    is applied to it is written down, not run.
    """

    __slots__ = ()

    def apply(self, op: Any, values: Any, options: dict[str, Any]) -> Any:
        """The formula of the op applied to these values."""
        raise NotImplementedError


# -- the library -----------------------------------------------------------------------------------


def cupy() -> Any:
    """The CuPy module, imported when first needed; a clear error where there is none."""
    try:
        import cupy as module
    except ImportError as error:
        why = (
            "CuPy is not installed"
            if isinstance(error, ModuleNotFoundError) and error.name == "cupy"
            else f"CuPy does not load: {error}"
        )
        raise DeviceError(f"the GPU needs CuPy, and {why}", hint=_INSTALL) from None
    return module


_INSTALL = (
    'pip install "tinynet[cuda12]", or "tinynet[cuda13]" where nvidia-smi shows CUDA 13; '
    'or stay on device="cpu"'
)


def on_cpu(x: Any) -> bool:
    """Whether the array lives in the computer's own memory."""
    return isinstance(x, _NUMPYS)


_NUMPYS = (np.ndarray, np.generic)


def is_array(x: Any) -> bool:
    """Whether x is an array of either library. CuPy is asked only if somebody has imported it."""
    if on_cpu(x) or isinstance(x, Duck):
        return True
    module = sys.modules.get("cupy")
    return module is not None and isinstance(x, module.ndarray)


class Device(str):
    """Where arrays live, in one spelling: 'cpu', 'cuda:0', 'cuda:1'. Text, and PyTorch's `device`.

    type     "cpu" or "cuda"
    index    the number of the GPU; None for the CPU

    'cuda' alone is the current GPU: number 0, or what `tn.cuda.set_device` chose. Raises
    ArgumentError for a device of another kind.

    >>> Device("cuda"), Device("cuda", 1), Device("cpu") == "cpu"
    (device(type='cuda', index=0), device(type='cuda', index=1), True)
    """

    __slots__ = ()

    def __new__(cls, type: Any, index: int | None = None) -> Device:
        if isinstance(type, Device):
            return type
        kind, _, number = (
            f"cuda:{type}".partition(":") if isinstance(type, int) else (str(type).partition(":"))
        )
        if index is not None and not number:
            number = str(index)
        if kind == "cpu" and number in ("", "0"):
            return str.__new__(cls, kind)
        if kind == "cuda" and (number or "0").isdigit():
            return str.__new__(cls, f"cuda:{int(number) if number else current_gpu()}")
        raise ArgumentError(f"no such device: {str(type)!r}", expected="'cpu', 'cuda' or 'cuda:N'")

    @property
    def type(self) -> str:
        """The kind of device."""
        return "cpu" if self == "cpu" else "cuda"

    @property
    def index(self) -> int | None:  # type: ignore[override]  # where a text stands in another
        """Which one of its kind."""
        return int(self[5:]) if self != "cpu" else None

    def __repr__(self) -> str:
        index = "" if self == "cpu" else f", index={self.index}"
        return f"device(type={self.type!r}{index})"


CPU = Device("cpu")


def device_of(x: Array) -> Device:
    """'cpu' or 'cuda:0', 'cuda:1', ..."""
    if on_cpu(x):
        return CPU
    return device_of(x.data) if isinstance(x, Duck) else Device("cuda", x.device.id)


def gpus() -> int:
    """How many GPUs CuPy can use; 0 where there is no CuPy, or no driver."""
    try:
        return int(cupy().cuda.runtime.getDeviceCount())
    except Exception:  # whichever error a missing driver raises
        return 0


def gpu(number: int) -> Any:
    """A GPU, as a context: what CuPy makes inside lives there.

    Raises DeviceError where there is no CuPy, no driver, or no GPU of this number.
    """
    cuda = cupy().cuda
    try:
        count = cuda.runtime.getDeviceCount()
    except Exception as error:
        raise DeviceError(
            f"CuPy is installed, but finds no GPU: {error}",
            hint="does nvidia-smi list a GPU, and a CUDA version that CuPy was built for? "
            + _INSTALL,
        ) from None
    if not 0 <= number < count:
        raise DeviceError(f"there is no GPU {number}", got=f"{count} of them, counted from 0")
    return cuda.Device(number)


def current_gpu() -> int:
    """The number of the GPU that 'cuda' means: 0, unless CuPy was told otherwise."""
    module = sys.modules.get("cupy")
    try:
        return 0 if module is None else int(module.cuda.get_device_id())
    except Exception:  # without a driver
        return 0


def away(values: Iterable[Any]) -> Any:
    """The GPU of the first array that lives on one, as a context; None where that is the current
    one, or there is no such array.
    """
    for x in values:
        while isinstance(x, Duck):
            x = x.data
        if not on_cpu(x) and is_array(x):
            number = x.device.id
            return None if number == current_gpu() else gpu(number)
    return None


def place(device: Device) -> AbstractContextManager[Any]:
    """A device as a context: arrays that are made inside live there."""
    return _HERE if device.index is None else gpu(device.index)


def home(x: Any) -> AbstractContextManager[Any]:
    """Where to compute with x: the GPU that it lives on, if that is not the current one."""
    if type(x) is np.ndarray:
        return _HERE
    return away((x,)) or _HERE


_HERE: AbstractContextManager[Any] = nullcontext()


def to_device(x: Array, device: Any, *, non_blocking: bool = False) -> Array:
    """The array on `device`; itself if it is there already. With `non_blocking`, Python goes on
    while the values of pinned memory are under way to a GPU.
    """
    device = Device(device)
    if device_of(x) == device:
        return x
    if device == "cpu":
        return cupy().asnumpy(x)
    with gpu(device.index):
        return _sent(x) if non_blocking and is_pinned(x) else cupy().asarray(x)


def linalg_errors(x: Array) -> AbstractContextManager[Any]:
    """Inside, a singular matrix is an error on a GPU too, where CuPy would return what its solver
    left behind. To know it the GPU is waited for.
    """
    if on_cpu(x.data if isinstance(x, Duck) else x):
        return _HERE
    import cupyx

    return cupyx.errstate(linalg="raise")  # type: ignore[no-any-return]


# -- memory that the GPU can read while Python goes on ---------------------------------------------

_under_way: deque[tuple[Any, Array]] = deque()  # transfers, each with what must not be freed yet
_transfers = Lock()


def pinned(x: Array) -> Array:
    """A copy on the CPU in page-locked memory, which never moves. Raises DeviceError without a
    GPU.
    """
    with gpu(current_gpu()):
        import cupyx

        y = cupyx.empty_pinned(x.shape, x.dtype)
    y[...] = x
    return y


def is_pinned(x: Any) -> bool:
    """Whether an array of the CPU lies in page-locked memory."""
    module = sys.modules.get("cupy")
    if module is None or not on_cpu(x):
        return False
    while isinstance(x, np.ndarray):
        x = x.base
    return isinstance(x, module.cuda.PinnedMemoryPointer)


def _sent(x: Array) -> Array:
    """A copy on the current GPU, on its way there. The next one forgets what has arrived."""
    module = cupy()
    y = module.empty(x.shape, x.dtype)
    stream = module.cuda.get_current_stream()
    x = x if x.flags.c_contiguous else pinned(x)
    y.set(x, stream)
    with _transfers:
        while _under_way and _under_way[0][0].done:
            _under_way.popleft()
        _under_way.append((stream.record(), x))
    return y


def same_device(arrays: Sequence[Any], names: Sequence[str]) -> None:
    """Raise where arrays of one operation live on several devices, naming each."""
    found = {name: device_of(x) for name, x in zip(names, arrays, strict=True) if is_array(x)}
    if len(set(found.values())) > 1:
        places = ", ".join(f"{name} on {device}" for name, device in found.items())
        raise DeviceError(f"the arrays live on different devices: {places}", hint="x.to(device)")


# -- names -----------------------------------------------------------------------------------------

_names: dict[int, str] = {}  # by the id of an array


def call(array: Array, name: str) -> None:
    """Give an array a name for as long as it lives: the tape keeps arrays, and their Tensors may be
    gone when it is explained.
    """
    if id(array) not in _names:
        finalize(array, _names.pop, id(array), None).atexit = False
    _names[id(array)] = name


def name_of(array: Array) -> str | None:
    """The name that `call` gave it, maybe under another shape."""
    return _names.get(id(reshaped(array))) if _names else None


def reshaped(array: Array) -> Array:
    """The array that a view shows under another shape: all its entries, in their order."""
    base: Array = getattr(array, "base", None)
    if not is_array(base) or (base.size, base.dtype) != (array.size, array.dtype):
        return array
    return reshaped(base) if base.flags.c_contiguous and array.flags.c_contiguous else array


# -- dtypes ----------------------------------------------------------------------------------------


def _number_dtype(x: Number) -> np.dtype[Any]:
    if isinstance(x, bool):
        return bool_
    if isinstance(x, int):
        return int64
    if isinstance(x, float):
        return get_default_dtype()
    return np.promote_types(get_default_dtype(), complex64)


def result_type(*operands: Any) -> np.dtype[Any]:
    """PyTorch's promotion: arrays with axes decide; 0-d arrays, then numbers, only lift the *kind*
    of dtype.

    >>> result_type(np.ones(2, "f4"), np.array(1.0)), result_type(np.ones(2, "i8"), 0.5)
    (dtype('float32'), dtype('float32'))
    """
    ranks: list[np.dtype[Any] | None] = [None, None, None]  # with axes, 0-d, Python numbers
    for x in operands:
        if is_array(x):
            rank, dtype = (0 if x.ndim else 1), x.dtype
        else:
            rank, dtype = 2, _number_dtype(x)
        known = ranks[rank]
        ranks[rank] = dtype if known is None else promote_types(known, dtype)
    result: np.dtype[Any] | None = None
    for dtype in ranks:
        if dtype is not None and (result is None or _kind(dtype) > _kind(result)):
            result = dtype if result is None else promote_types(result, dtype)
    assert result is not None
    return result


def _kind(dtype: np.dtype[Any]) -> int:
    return {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}[dtype.kind]


# -- making and scattering -------------------------------------------------------------------------


def as_array(data: Any, dtype: DTypeLike = None, device: Any = None) -> Array:
    """`data` as an array, copied only if it must be; Python floats get the default dtype."""
    if is_array(data):
        array = data if dtype is None else data.astype(dtype, copy=False)
        array = np.asarray(array) if on_cpu(array) else array  # a NumPy scalar becomes a 0-d array
    else:
        try:
            array = np.asarray(data)
        except ValueError:
            raise ArgumentError(
                "the nested lists are ragged: sizes differ at the same depth",
                got=describe(data),
            ) from None
        if array.dtype.kind not in "biufc":
            raise DTypeError(
                "expected numbers (nested lists, an array)",
                got=describe(data),
                hint="turn texts or objects into numbers first",
            )
        if dtype is not None:
            array = array.astype(dtype, copy=False)
        elif array.dtype.kind in "fc" and not hasattr(data, "__array__"):  # of other libraries
            array = array.astype(_dtype_of(data), copy=False)
    return array if device is None else to_device(array, device)


def older(args: tuple[Any, ...], dtype: DTypeLike) -> Array:
    """What PyTorch's older constructors make: of sizes an array of that shape, its values not set;
    of nested lists an array of those numbers.

    >>> older((2, 3), float32).shape, older(([2, 3],), float32)
    ((2, 3), array([2., 3.], dtype=float32))
    """
    if args and all(isinstance(n, int) for n in args):
        return np.empty(args, dtype)
    if len(args) == 1:
        return as_array(args[0], dtype)
    raise DTypeError(
        "expected sizes, or the data alone",
        got=", ".join(map(describe, args)),
        hint="tn.tensor(data)",
    )


def _dtype_of(data: Any) -> np.dtype[Any]:
    """The dtype of nested lists: NumPy values bring their own, which was chosen by somebody."""
    if not isinstance(data, list | tuple):
        return data.dtype if isinstance(data, np.ndarray | np.generic) else _number_dtype(data)
    if not data or not isinstance(data[0], list | tuple | np.ndarray | np.generic):
        return _number_dtype(0j if any(isinstance(x, complex) for x in data) else 0.0)
    return reduce(promote_types, (_dtype_of(x) for x in data), bool_)


def index_add(target: Array, index: Any, values: Array) -> None:
    """target[index] += values, in place, where an index that occurs twice is added twice."""
    # NumPy's own hands CuPy arrays on, but no slices
    library = np if on_cpu(target) or isinstance(target, Duck) else cupy()
    library.add.at(target, index, values)


def everywhere(x: Array) -> bool:
    """Whether all entries are true; of all examples, in a batch of them."""
    return everywhere(x.data) if isinstance(x, Duck) else bool(np.all(x))


def repeats(index: Any) -> bool:
    """Whether an index can name one entry twice: only integer arrays can.

    >>> repeats((slice(None), 0)), repeats((np.array([0, 0]),)), repeats(np.array([True, False]))
    (False, True, False)
    """
    parts: Iterable[Any] = index if isinstance(index, tuple) else (index,)
    return any(
        isinstance(p, list) or (is_array(p) and p.ndim > 0 and p.dtype.kind in "iu") for p in parts
    )


# -- a function that NumPy lacks -------------------------------------------------------------------

# W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969):
# numerator and denominator, highest power first, for |x| <= 0.46875 (in x²) and beyond (in |x|).
_ERF = (
    (
        *(1.85777706184603153e-1, 3.16112374387056560, 113.864154151050156),
        *(377.485237685302021, 3209.37758913846947),
    ),
    (1.0, 23.6012909523441209, 244.024637934444173, 1282.61652607737228, 2844.23683343917062),
)
_ERFC = (
    (
        *(2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 66.1191906371416295),
        *(298.635138197400131, 881.952221241769090, 1712.04761263407058, 2051.07837782607147),
        1230.33935479799725,
    ),
    (
        *(1.0, 15.7449261107098347, 117.693950891312499, 537.181101862009858, 1621.38957456669019),
        *(3290.79923573345963, 4362.61909014324716, 3439.36767414372164, 1230.33935480374942),
    ),
)


def _rational(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    """The quotient of two polynomials, each by Horner's rule."""
    top, bottom = x * coefficients[0][0], x * coefficients[1][0]
    for a, b in zip(coefficients[0][1:-1], coefficients[1][1:-1], strict=True):
        top, bottom = (top + a) * x, (bottom + b) * x
    return (top + coefficients[0][-1]) / (bottom + coefficients[1][-1])


def erf(x: Array) -> Array:
    """The error function 2/√π ∫₀ˣ e^(−t²) dt, to the last digits of float64 and float32.

    >>> float(erf(np.array(0.5)))
    0.5204998778130465
    """
    if not on_cpu(x) and not isinstance(x, Duck):
        from cupyx.scipy import special

        return special.erf(x).astype(x.dtype, copy=False)  # of float16 it makes float64
    wide = np.promote_types(x.dtype, float32)  # float16 could not hold the polynomials
    a = np.minimum(np.abs(x, dtype=wide), 6)  # erf(6) rounds to 1
    inner = a * _rational(_ERF, a * a * (a < 1))
    outer = 1 - np.exp(-a * a) * _rational(_ERFC, a)
    return np.copysign(np.where(a <= 0.46875, inner, outer), x).astype(x.dtype, copy=False)
