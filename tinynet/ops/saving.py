"""Trees of tensors to a file and back: `tinynet.files`, with Tensors at the leaves."""

from __future__ import annotations

import os
from typing import Any

from tinynet import arrays, files
from tinynet.ops.public import public
from tinynet.tensor import Tensor


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Write nested dicts, lists and tuples of tensors, arrays, numbers, texts, True/False and None
    to a file.

    The file is safetensors, readable by other programs, and is written whole or not at all. Of a
    tensor the values are saved. Whatever else the tree holds is a `FileFormatError` that says where
    it stands.

    >>> import tinynet as tn, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
    >>> tn.save({"epoch": 2, "w": tn.ones(2)}, path)
    >>> tn.load(path)
    {'epoch': 2, 'w': tensor([1., 1.])}
    """
    files.save(obj, path)


def load(
    path: str | os.PathLike[str], map_location: Any = None, *, weights_only: bool = True
) -> Any:
    """What `tn.save` wrote; a safetensors file of another program as a flat dict of tensors.

    map_location    the device of the tensors; by default the CPU
    weights_only    accepted for programs that give it; nothing else is ever loaded

    Nothing in a file can run code. Raises `FileFormatError` for a file of another kind, or a
    damaged one.
    """

    def wrap(array: arrays.Array) -> Tensor:
        return Tensor(arrays.to_device(array, map_location or "cpu"))

    return files.load(path, tensor=wrap)


public(save, as_method=False)
public(load, as_method=False)
