"""CUDA C on the CPU: `RawKernel` and `ElementwiseKernel` for the double of CuPy (`fake_cupy.py`).

They run the very source: a C++ compiler takes it, with `cuda_on_cpu.h` in the place of CUDA. A
launch runs twice, with blocks and threads in opposite orders, so that what depends on the order, as
where a barrier is missing, shows. Arrays lie between guard zones: a write beside an array is an
error, and what is read there is NaN. Arguments are compared with the C signature, which CuPy does
not do: there a wrong dtype is silent garbage.

Not modelled: speed, memory that is not yet visible to other blocks, registers.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import math
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import nvrtc

COMPILER = next(filter(None, map(shutil.which, ("g++", "clang++", "c++"))), None)
HERE = Path(__file__).parent
HEADER, MACHINE = HERE / "cuda_on_cpu.h", HERE / "cuda_on_cpu.cpp"
# -ffp-contract: a GPU fuses products with sums, so nothing may rely on their rounding apart
FLAGS = ["-std=c++17", "-O1", "-fwrapv", "-ffp-contract=fast", "-fPIC", "-w", f"-I{HERE}"]

C_NAMES = {"?": "bool", "i": "int", "q": "long long", "e": "half", "f": "float", "d": "double"}
KERNEL = r'extern "C" __global__ void (?:__launch_bounds__\([^)]*\) )?'
KINDS = {name: np.dtype(char) for char, name in C_NAMES.items()}
GUARD = 4096  # bytes, of 0xff: NaN in every float dtype
MOST_SHARED, SHARED_UNASKED = 227 * 1024, 48 * 1024  # of an H100, bytes


class Wrong(AssertionError):
    """What on a GPU would be silent garbage, or the death of the process."""


@functools.cache
def _compiled(source: str, *how: str) -> Path:
    """What the compiler makes of a source, kept on disk under its hash."""
    key = hashlib.sha256("\0".join([source, HEADER.read_text(), *FLAGS, *how]).encode()).hexdigest()
    folder = Path(os.environ.get("XDG_CACHE_HOME", tempfile.gettempdir())) / "tinynet-cuda-on-cpu"
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / key[:24]
    if not made.exists():
        with tempfile.TemporaryDirectory(dir=folder) as own:
            text, fresh = Path(own, "kernel.cpp"), Path(own, "kernel")
            text.write_text(source)
            assert COMPILER is not None, "no C++ compiler"
            command = [COMPILER, *FLAGS, str(text), *how, "-o", str(fresh)]
            run = subprocess.run(command, capture_output=True, text=True)
            if run.returncode:
                raise Wrong(f"the source does not compile:\n{run.stderr}\n{source}")
            fresh.replace(made)  # two processes may make it at once
    return made


@functools.cache
def _library(source: str) -> Any:
    """The kernels of a source, on a machine of their own."""
    machine = _compiled(MACHINE.read_text(), "-c")
    return ctypes.CDLL(str(_compiled(source, "-shared", "-xnone", str(machine))))


def _parameters(source: str, name: str) -> list[tuple[str, bool]]:
    """The types of a kernel's parameters, and whether each is a pointer."""
    text = re.sub(r"//[^\n]*", "", source)
    found = re.search(rf"{KERNEL}{name}\(([^)]*)\)", text)
    if found is None:
        raise Wrong(f'there is no extern "C" __global__ void {name}')
    names = {a: b for b, a in re.findall(r"typedef ([\w ]+?) (\w+);", text)}
    types = []
    for parameter in found[1].split(","):
        kind = re.sub(r"\b(const|__restrict__)\b|\w+\s*$", "", parameter)
        kind, pointer = kind.replace("*", "").strip(), "*" in kind
        types.append((names.get(kind, kind), pointer))
    return types


class RawKernel:
    """cupy.RawKernel (cupy/_core/raw.pyx; cupy/cuda/function.pyx for what happens to arguments)."""

    def __init__(
        self, code: str, name: str, options: tuple[str, ...] = (), backend: str = "nvrtc"
    ) -> None:
        self.code, self.name, self.options = code, name, options
        self.max_dynamic_shared_size_bytes = SHARED_UNASKED

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: Any, *, shared_mem: int = 0
    ) -> None:
        grid, block = (tuple(max(1, n) for n in (*sizes, 1, 1)[:3]) for sizes in (grid, block))
        limits = zip((*grid, *block), (2**31 - 1, 65535, 65535, 1024, 1024, 64), strict=True)
        if any(type(n) is not int or n > most for n, most in limits) or math.prod(block) > 1024:
            raise Wrong(f"CUDA_ERROR_INVALID_VALUE: grid {grid}, block {block}")
        if shared_mem > min(self.max_dynamic_shared_size_bytes, MOST_SHARED):
            raise Wrong(f"CUDA_ERROR_INVALID_VALUE: {shared_mem} bytes of shared memory")
        types = _parameters(self.code, self.name)
        if len(types) != len(args):
            raise Wrong(f"{self.name} takes {len(types)} arguments, not {len(args)}")
        memory = Memory()
        values = [memory.value(*t, x) for t, x in zip(types, args, strict=True)]
        run = getattr(_library(_as_cpp(self.code, self.options)), f"run_{self.name}")
        run.restype = ctypes.c_char_p
        pointers = (ctypes.c_void_p * len(values))(*(v.ctypes.data for v in values))
        sizes = [(ctypes.c_uint * 3)(*n) for n in (grid, block)]
        found = []
        for backwards in (True, False):
            memory.fill()
            problem = run(*sizes, ctypes.c_size_t(shared_mem), backwards, pointers)
            if problem:
                raise Wrong(f"{self.name}: {problem.decode()}")
            memory.check(self.name)
            found.append([room.copy() for room, _ in memory.rooms.values()])
        memory.compare(self.name, *found)
        memory.write_back()


@functools.cache
def _accept(code: str) -> None:
    """Show the source to NVIDIA's compiler too, where that is installed."""
    if nvrtc.library() is not None:
        nvrtc.accept(code)


def _as_cpp(code: str, options: tuple[str, ...]) -> str:
    """The source as C++, and for each kernel a function that launches it."""
    _accept(code)
    defined = "".join(f"#define {o[2:].replace('=', ' ')}\n" for o in options if o[:2] == "-D")
    code = code.replace("#include <cuda_fp16.h>", "")
    code = re.sub(r"extern __shared__ (\w+) (\w+)\[\];", r"\1 *\2 = (\1 *)machine::dynamic;", code)
    runs = "".join(f"LAUNCHES({name})\n" for name in re.findall(KERNEL + r"(\w+)\(", code))
    return f'#include "{HEADER.name}"\n{defined}#line 1\n{code}\n{runs}'


class Memory:
    """Copies of the arrays of a launch, each between guard zones; two views of one memory share
    one.
    """

    def __init__(self) -> None:
        self.rooms: dict[int, tuple[Any, Any]] = {}  # by address: the room, and what it stands for

    def value(self, kind: str, pointer: bool, x: Any) -> Any:
        """What is handed over for an argument, as an array of one entry."""
        if pointer and hasattr(x, "_array"):
            if x.dtype != KINDS.get(kind):
                raise Wrong(f"{x.dtype} is passed for {kind} *")
            return np.array(self._address(x._array), "u8")
        if pointer and x is None:
            return np.zeros((), "u8")
        if isinstance(x, np.ndarray) and x.size == 1 and x.dtype.names:
            return x  # a struct, by value; its name has to be known to C
        dtype = np.dtype({int: "q", float: "d"}.get(type(x), getattr(x, "dtype", "V")))
        if pointer or dtype != KINDS.get(kind) or not np.isscalar(x):
            raise Wrong(f"{type(x).__name__} {x!r} is passed for {kind}{' *' * pointer}")
        return np.array(x, dtype)

    def _address(self, array: Any) -> int:
        whole = array
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        start, stop = np.lib.array_utils.byte_bounds(whole)
        if start not in self.rooms:
            room = np.empty(stop - start + 2 * GUARD, "u1")
            seen = np.frombuffer((ctypes.c_char * (stop - start)).from_address(start), "u1")
            self.rooms[start] = room, (seen, whole)  # `whole` keeps the memory alive
        return self.rooms[start][0].ctypes.data + GUARD + array.ctypes.data - start

    def fill(self) -> None:
        """The values before the launch."""
        for room, (seen, _) in self.rooms.values():
            room[:] = 0xFF
            room[GUARD : room.size - GUARD] = seen

    def check(self, name: str) -> None:
        """Raise where something was written beside an array."""
        for room, _ in self.rooms.values():
            if not (room[:GUARD] == 0xFF).all() or not (room[-GUARD:] == 0xFF).all():
                raise Wrong(f"{name} writes beside an array")

    def compare(self, name: str, one: list[Any], other: list[Any]) -> None:
        """Raise unless both orders gave the same, up to the rounding of sums by atomicAdd."""
        for (_, (_, whole)), a, b in zip(self.rooms.values(), one, other, strict=True):
            x, y = (v[GUARD : v.size - GUARD].view(whole.dtype) for v in (a, b))
            if whole.dtype.kind == "f":
                tolerance = 100 * float(np.finfo(whole.dtype).eps)
                same = np.allclose(x, y, tolerance, tolerance, equal_nan=True)
            else:
                same = np.array_equal(x, y)
            if not same:
                raise Wrong(f"{name} gives other numbers when its threads run in another order")

    def write_back(self) -> None:
        """The values after the launch."""
        for room, (seen, whole) in self.rooms.values():
            if whole.flags.writeable:
                seen[:] = room[GUARD : room.size - GUARD]


class ElementwiseKernel:
    """cupy.ElementwiseKernel (cupy/_core/_kernel.pyx): a loop around one line, for broadcast
    arrays; a type of one capital letter is that of the arrays.
    """

    def __init__(
        self, in_params: str, out_params: str, operation: str, name: str = "kernel", **how: Any
    ) -> None:
        self.ins, self.outs = (
            [tuple(p.split()) for p in text.split(",")] for text in (in_params, out_params)
        )
        self.operation, self.name, self.preamble = operation, name, how.pop("preamble", "")
        if how:
            raise NotImplementedError(f"the double of CuPy does not know {how}")

    def __call__(self, *args: Any) -> Any:
        from cupy_array import ndarray

        if len(args) not in (len(self.ins), len(self.ins) + len(self.outs)):
            raise TypeError(f"Wrong number of arguments for {self.name!r}")
        types: dict[str, Any] = {}
        for (kind, _), x in zip(self.ins + self.outs, args, strict=False):
            if isinstance(x, ndarray):
                if types.setdefault(kind, x.dtype) != x.dtype:
                    raise TypeError(f"Type is mismatched. {kind} {types[kind]} {x.dtype}")
            elif type(x) not in (bool, int, float) and not isinstance(x, np.generic):
                raise TypeError(f"Unsupported type {type(x)}")
        for kind, _ in self.ins + self.outs:
            known = types.setdefault(kind, np.dtype(kind) if len(kind) > 1 else None)
            if known is None or (len(kind) > 1 and known != np.dtype(kind)):
                raise TypeError(f"Type is mismatched. {kind} {known}")
        ins, given = args[: len(self.ins)], args[len(self.ins) :]
        raw = [x._array if isinstance(x, ndarray) else np.asarray(x) for x in args]
        shape = np.broadcast_shapes(*(x.shape for x in raw))
        if any(x.shape != shape for x in given):
            raise ValueError("Out shape is mismatched")
        full = [
            np.broadcast_to(x, shape).astype(types[kind], order="C")
            for x, (kind, _) in zip(raw[: len(ins)], self.ins, strict=True)
        ]
        # New memory holds anything, here NaN; what is given is read and changed.
        made = [
            np.full(shape, math.nan if types[kind].kind == "f" else -1, types[kind])
            for kind, _ in self.outs
        ]
        for new, old in zip(made, raw[len(ins) :], strict=False):
            new[...] = old
        self._run([ndarray._of(x) for x in full], [ndarray._of(x) for x in made], types)
        for x, new in zip(given, made, strict=False):
            x._array[...] = new
        results = given or [ndarray._of(x) for x in made]
        return results[0] if len(results) == 1 else tuple(results)

    def _run(self, ins: list[Any], outs: list[Any], types: dict[str, Any]) -> None:
        named = [(C_NAMES[types[k].char], n) for k, n in self.ins + self.outs]
        reads = "".join(
            f"        {c} {'' if k < len(ins) else '&'}{n} = _{n}[i];\n"
            for k, (c, n) in enumerate(named)
        )
        letters = "".join(
            f"typedef {C_NAMES[t.char]} {k};\n" for k, t in types.items() if len(k) < 2
        )
        code = (
            f"{self.preamble}\n{letters}"
            f'extern "C" __global__ void {self.name}('
            + ", ".join(f"{c} *_{n}" for c, n in named)
            + ", long long n) {\n    long long i = blockIdx.x * 32LL + threadIdx.x;\n"
            f"    if (i < n) {{\n{reads}        {self.operation};\n    }}\n}}\n"
        )
        n = outs[0].size
        if n:
            RawKernel(code, self.name)(((n + 31) // 32,), (32,), (*ins, *outs, n))
