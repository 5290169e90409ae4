"""Files: what is saved comes back, what cannot be saved is named, and a crash loses nothing."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinynet import files
from tinynet.errors import FileFormatError
from tinynet.ops import saving
from tinynet.ops.creation import tensor
from tinynet.tensor import Tensor

DTYPES = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "c8", "c16"]
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    )
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | arrays
    | arrays.filter(lambda a: a.ndim == 0).map(lambda a: a[()])
    | arrays.map(Tensor)
)
trees = st.recursive(
    leaves,
    lambda below: (
        st.lists(below, max_size=3)
        | st.lists(below, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(), below, max_size=3)
    ),
    max_leaves=12,
)


def assert_same(a: Any, b: Any) -> None:
    """Equal in kind, structure, dtype, shape and bits."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        assert [type(k) for k in a] == [type(k) for k in b]
        a, b = list(a.values()), list(b.values())
    if isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, Tensor):
        assert_same(a.array, b.array)
    elif isinstance(a, np.ndarray | np.generic):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()
    elif isinstance(a, float | complex):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes() or (a != a and b != b)
    else:
        assert a == b


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@settings(max_examples=150, deadline=None)
@given(trees)
def test_a_tree_comes_back(folder: Path, tree: Any) -> None:
    saving.save(tree, folder / "tree")
    assert_same(saving.load(folder / "tree"), tree)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12).reshape(3, 4).T,
        np.arange(12)[::-2],
        np.broadcast_to(np.float32(3), (2, 2)),
        np.arange(3, dtype=">f4"),
    ],
)
def test_any_layout_in_memory(tmp_path: Path, array: Any) -> None:
    files.save({"x": array, "again": array}, tmp_path / "x")
    loaded = files.load(tmp_path / "x")
    np.testing.assert_array_equal(loaded["x"], array)
    assert loaded["x"].dtype == array.dtype.newbyteorder("=")
    loaded["x"][...] = 0  # its own memory, and writable
    np.testing.assert_array_equal(loaded["again"], array)


def test_optimizer_state_keeps_its_numbers_as_keys(tmp_path: Path) -> None:
    state = {
        "state": {0: {"step": 3, "m": tensor([1.0])}, 1: {}},
        "groups": [{"betas": (0.9, 0.99)}],
    }
    saving.save(state, tmp_path / "x")
    assert_same(saving.load(tmp_path / "x"), state)


def test_names_that_look_alike_stay_apart(tmp_path: Path) -> None:
    tree = {"a.b": np.ones(1), "a": {"b": np.zeros(2)}, "__metadata__": np.ones(3), "": np.ones(4)}
    files.save(tree, tmp_path / "x")
    assert_same(files.load(tmp_path / "x"), tree)


class Odd:
    pass


@pytest.mark.parametrize(
    ("tree", "where", "what"),
    [
        ({"model": {"layers": [1, 2, {"weight": Odd()}]}}, "model.layers[2].weight", "Odd"),
        ({"a": (1, {2})}, "a[1]", "set"),
        ({"a": b"x"}, "a", "bytes"),
        ({"a": {(1, 2): 3}}, "a", "tuple"),
        ({"a": {1.5: 3}}, "a", "float"),
        ({"a": np.array(["text"])}, "a", "<U4"),
        ({"a": np.array([None])}, "a", "object"),
        ({3: {"b": lambda: 0}}, "[3].b", "function"),
        (Odd(), "the object", "Odd"),
        ([np.ma.masked_array([1.0], [True])], "[0]", "MaskedArray"),
    ],
)
def test_what_cannot_be_saved_is_named(tmp_path: Path, tree: Any, where: str, what: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        files.save(tree, tmp_path / "x")
    assert str(caught.value).startswith(f"{where}: ")
    assert what in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_trees_without_end(tmp_path: Path) -> None:
    loop: list[Any] = []
    loop.append({"again": loop})
    with pytest.raises(FileFormatError, match=r"\[0\]\.again: it contains itself"):
        files.save(loop, tmp_path / "x")
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(FileFormatError, match="too deeply"):
        files.save(deep, tmp_path / "x")


# -- other programs --------------------------------------------------------------------------------


def test_other_programs_read_ours_and_we_theirs(tmp_path: Path) -> None:
    st_numpy = pytest.importorskip("safetensors.numpy")
    ours = {
        "0.weight": np.arange(6, dtype="f4").reshape(2, 3),
        "0.bias": np.array(2.5),
        "n": np.ones(0, "i8"),
    }
    files.save(
        {**ours, "flag": np.array([True, False]), "half": np.ones(3, "f2")}, tmp_path / "ours"
    )
    theirs = st_numpy.load_file(tmp_path / "ours")
    assert set(theirs) == {*ours, "flag", "half"}
    for name, array in ours.items():
        np.testing.assert_array_equal(theirs[name], array)
    st_numpy.save_file(ours, tmp_path / "theirs", metadata={"format": "np"})
    assert_same(dict(sorted(files.load(tmp_path / "theirs").items())), dict(sorted(ours.items())))


@pytest.mark.peers
def test_bfloat16_of_pytorch_becomes_float32(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    x = torch.tensor([1.0, -2.5, 3.1415927, math.inf]).bfloat16()
    save_file({"x": x}, tmp_path / "x")
    loaded = saving.load(tmp_path / "x")["x"]
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded.array, x.float().numpy())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no safetensors file"),
        (b"\x00" * 8, "no safetensors file"),
        (b"\xff" * 100, "no safetensors file"),
        (b"PK\x03\x04" + b"x" * 50, "zip archive"),
        (b"\x80\x04\x95" + b"x" * 50, "pickle"),
        (b"\x93NUMPY" + b"x" * 50, "numpy.save"),
        ((2).to_bytes(8, "little") + b"[]", "not a table"),
        ((5).to_bytes(8, "little") + b"hello", "not JSON"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        files.load(tmp_path / "x")


def header_and_data(path: Path) -> tuple[dict[str, Any], bytes]:
    raw = path.read_bytes()
    n = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + n]), raw[8 + n :]


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["x"].update(shape=[99]),
        lambda h: h["x"].update(shape=[-2, -1]),
        lambda h: h["x"].update(data_offsets=[4, 12]),
        lambda h: h["x"].update(data_offsets=[8, 0]),
        lambda h: h["x"].pop("dtype"),
        lambda h: h["x"].update(dtype="F8_E4M3"),
        lambda h: h.update(y=dict(h["x"])),
        lambda h: h["__metadata__"].update(tinynet="{"),
        lambda h: h["__metadata__"].update(tinynet='{"version": 1, "tree": {"array": "y"}}'),
        lambda h: h["__metadata__"].update(tinynet='{"version": 1, "tree": {"call": "x"}}'),
        lambda h: h["__metadata__"].update(tinynet='{"version": 9, "tree": 1}'),
    ],
)
def test_a_damaged_header(tmp_path: Path, change: Any) -> None:
    files.save({"x": np.ones(1)}, tmp_path / "x")
    header, data = header_and_data(tmp_path / "x")
    change(header)
    text = json.dumps(header).encode()
    (tmp_path / "x").write_bytes(len(text).to_bytes(8, "little") + text + data)
    with pytest.raises(FileFormatError):
        files.load(tmp_path / "x")


def test_cut_off_anywhere(tmp_path: Path) -> None:
    files.save({"x": np.arange(3.0), "y": [True, {"z": np.ones(2, bool)}]}, tmp_path / "x")
    whole = (tmp_path / "x").read_bytes()
    for n in range(len(whole)):
        (tmp_path / "x").write_bytes(whole[:n])
        with pytest.raises(FileFormatError):
            files.load(tmp_path / "x")
    (tmp_path / "x").write_bytes(whole + b"\0")
    with pytest.raises(FileFormatError):
        files.load(tmp_path / "x")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flipped_byte_gives_an_answer_or_a_clear_error(folder: Path, data: Any) -> None:
    path = folder / "flipped"
    files.save({"x": np.arange(3.0), "y": (True, 1.5, {"z": np.ones(2, bool)})}, path)
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    try:
        result = files.load(path)
    except FileFormatError:
        return
    assert result is None or isinstance(
        result, bool | int | float | str | list | tuple | dict | np.ndarray
    )


# -- all or nothing --------------------------------------------------------------------------------


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def interrupted() -> None:
        with files.write_atomically(path) as file:
            file.write(b"new, and then the user stops it")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_content_is_there_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with files.write_atomically(path, text=True) as file:
        file.write("new é")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text(encoding="utf-8") == "new é"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_rename_or_flush_leaves_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    def fail(*_: Any) -> None:
        raise OSError("disk full")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(files.os, name, fail)
            with (
                pytest.raises(OSError, match="disk full"),
                files.write_atomically(tmp_path / "x") as file,
            ):
                file.write(b"new")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions and links as Unix has them")
def test_permissions_and_links_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "x", tmp_path / "link"
    with files.write_atomically(path, text=True) as file:
        file.write("first")
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    path.chmod(0o640)
    link.symlink_to(path)
    with files.write_atomically(link, text=True) as file:
        file.write("second")
    assert link.is_symlink()
    assert path.read_text() == "second"
    assert path.stat().st_mode & 0o777 == 0o640


def test_missing_places(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        files.save({}, tmp_path / "no" / "folder")
    with pytest.raises(IsADirectoryError):
        files.save({}, tmp_path)
