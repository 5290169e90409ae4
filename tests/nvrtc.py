"""NVIDIA's own compiler, where `pip install nvidia-cuda-nvrtc-cu12` was run: it needs no GPU.

CuPy compiles with it. `accept` raises where it does not take a source, or warns, for the
oldest and the newest GPUs that we think of.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path
from typing import Any

ARCHITECTURES = ("sm_70", "sm_90")  # V100; H100 and H200


def _folder(package: str) -> Path | None:
    """Where `nvidia.package` lies; it holds no Python."""
    if importlib.util.find_spec("nvidia") is None:
        return None
    spec = importlib.util.find_spec(f"nvidia.{package}")
    return Path(next(iter(spec.submodule_search_locations or ""))) if spec else None


@functools.cache
def library() -> Any:
    """libnvrtc, or None."""
    folder = _folder("cuda_nvrtc")
    return ctypes.CDLL(str(next(folder.glob("lib/libnvrtc.so*")))) if folder else None


@functools.cache
def _headers() -> list[bytes]:
    """Where cuda_fp16.h is, if it is installed; CuPy brings it."""
    folder = _folder("cuda_runtime")
    return [f"-I{folder}/include".encode()] if folder else []


def accept(code: str) -> None:
    """Raise AssertionError, with what the compiler says, where it refuses the source."""
    if "#include" in code and not _headers():
        return
    for architecture in ARCHITECTURES:
        program = ctypes.c_void_p()
        text = code.encode()
        assert library().nvrtcCreateProgram(ctypes.byref(program), text, b"", 0, None, None) == 0
        options = [f"-arch={architecture}".encode(), b"-std=c++17"]
        options += _headers()
        array = (ctypes.c_char_p * len(options))(*options)
        wrong = library().nvrtcCompileProgram(program, len(options), array)
        size = ctypes.c_size_t()
        library().nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        library().nvrtcGetProgramLog(program, log)
        library().nvrtcDestroyProgram(ctypes.byref(program))
        said = log.value.decode()
        assert wrong == 0, f"{architecture}: {said}"
        assert "default_program" not in said, f"{architecture} warns: {said}"
