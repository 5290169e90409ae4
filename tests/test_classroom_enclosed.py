"""What may pass between two processes that do not trust each other, and what one may not do."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinynet.classroom import wire
from tinynet.errors import DataError

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not hasattr(os, "setsid"), reason="grading needs Linux or macOS")

numbers = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text()
arrays = hnp.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.bool_, np.complex128, ">f8"]),
    hnp.array_shapes(min_dims=0, min_side=0),
)
values = st.recursive(
    numbers | arrays,
    lambda part: (
        st.lists(part, max_size=3)
        | st.tuples(part, part)
        | st.dictionaries(st.text(), part, max_size=3)
    ),
    max_leaves=8,
)


# -- the wire --------------------------------------------------------------------------------------


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and one.tobytes() == two.tobytes() and one.shape == two.shape
    if isinstance(one, list | tuple):
        return type(one) is type(two) and all(map(_same, one, two)) and len(one) == len(two)
    if isinstance(one, dict):
        return list(one) == list(two) and all(_same(one[k], two[k]) for k in one)
    return type(one) is type(two) and (one == two or (one != one and two != two))


@given(values)
def test_what_goes_over_the_wire_comes_back(value: Any) -> None:
    stream = io.BytesIO(wire.pack(value))
    assert _same(wire.read_frame(stream.read), value)


@given(st.binary(max_size=200))
def test_random_bytes_are_no_value(body: bytes) -> None:
    for frame in (body, len(body).to_bytes(4, sys.byteorder) + body):
        _assert_refused_or_a_value(frame)


def _assert_refused_or_a_value(frame: bytes) -> None:
    """A `DataError`, or a value that the wire can carry; nothing else is raised."""
    try:
        value = wire.unpack(frame)
    except DataError:
        return
    assert _same(wire.unpack(wire.pack(value)[8:]), value)


headers = st.recursive(
    st.integers() | st.text(max_size=5) | st.floats() | st.sampled_from(["<f8", "|b1", "(9,)f8"]),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(st.sampled_from(["array", "tuple", "dict", "other"]), part, max_size=2)
    ),
    max_leaves=10,
)


@given(headers, st.binary(max_size=32))
def test_a_made_up_header_is_a_value_or_none(header: Any, data: bytes) -> None:
    text = json.dumps(header).encode()
    _assert_refused_or_a_value(len(text).to_bytes(4, sys.byteorder) + text + data)


@pytest.mark.parametrize(
    "header",
    [
        {"array": ["<f8", [2**62]]},
        {"array": ["<f8", [0, 2**62]]},
        {"array": ["<f8", [-1]]},
        {"array": ["<f8", [True]]},
        {"array": ["|O8", [1]]},
        {"array": ["f8,f8", [1]]},
        {"array": ["<f99", [1]]},
        {"array": 7},
        {"tuple": 7},
        {"dict": 7},
        {},
        {"array": ["<f8", [1]]},
    ],
)
def test_an_array_that_is_not_there_takes_no_memory(header: Any) -> None:
    text = json.dumps(header).encode()
    tracemalloc.start()
    with pytest.raises(DataError):
        wire.unpack(len(text).to_bytes(4, sys.byteorder) + text)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_frame_has_an_end() -> None:
    with pytest.raises(DataError, match="too large"):
        wire.read_frame(io.BytesIO((2**60).to_bytes(8, sys.byteorder)).read)
    with pytest.raises(DataError, match="too much"):
        wire.pack(np.zeros(wire.MOST))
    with pytest.raises(DataError, match="left over"):
        wire.unpack(wire.pack(1)[8:] + b"x")
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    assert "nested too deeply" in repr(wire.unpack(wire.pack(deep)[8:]))


# -- the sandbox -----------------------------------------------------------------------------------

REFUSED = {
    "files": {
        "read": "open(f'{outside}/secret').read()",
        "list": "os.listdir(outside)",
        "write": "open(f'{outside}/new', 'w')",
        "append": "open(f'{outside}/secret', 'a')",
        "remove": "os.unlink(f'{outside}/secret')",
        "rename": "os.rename(f'{outside}/secret', 'mine')",
        "link": "os.link(f'{outside}/secret', 'mine')",
        "environment": "open('/proc/self/environ').read()",
        "passwords": "open('/etc/passwd').read()",
        "folder": "os.mkdir('folder')",
        "symbolic link": "os.symlink('/', 'root')",
        "queue": "os.mkfifo('queue')",
    },
    "calls": {
        "fork": "os.fork()",
        "spawn": "os.posix_spawn('/bin/true', ['true'], {})",
        "exec": "os.execv('/bin/true', ['true'])",
        "socket": "socket.socket()",
        "unix socket": "socket.socket(socket.AF_UNIX)",
        "pair": "socket.socketpair()",
        "kill": "os.kill(os.getppid(), 0)",
        "kill oneself": "os.kill(os.getpid(), 0)",
        "signal to another": "libc('tgkill', 234, os.getppid(), os.getppid(), 0)",
        "trace": "libc('ptrace', 101, 16, os.getppid(), 0, 0)",
        "truncate": "os.truncate(f'{outside}/secret', 0)",
        "empty": "os.open(f'{outside}/secret', os.O_RDONLY | os.O_TRUNC)",
        "modes": "os.chmod('.', 0o777)",
        "owner": "os.chown('.', 1, 1)",
        "times": "os.utime('.', (0, 0))",
        "priority": "os.setpriority(os.PRIO_PROCESS, 0, -5)",
        "cores": "os.sched_setaffinity(0, {0})",
        "limits": "resource.prlimit(os.getppid(), resource.RLIMIT_CPU)",
        "more": "resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))",
        "memory": "os.memfd_create('x')",
        "outlive": "libc('prctl', 157, 1, 0, 0, 0, 0)",
        "shared memory": "libc('shmget', 29, 1, 4096, 0o1600)",
        "messages": "libc('mq_open', 240, b'/tinynet', 0o102, 0o600, 0)",
        "keys": "libc('add_key', 248, b'user', b'tinynet', b'x', 1, -3)",
        "namespace": "libc('unshare', 272, 0x10000000)",
        "ring": "libc('io_uring_setup', 425, 1, 0)",
    },
    "limits": {
        "large file": "open('large', 'wb').write(b'x' * (5 << 20))",
        "memory": "bytearray(1 << 30)",
        "open files": "[os.open('.', os.O_RDONLY) for _ in range(99)]",
    },
}
ALLOWED = {
    "own file": "open('mine', 'w').write('x')",
    "own folder": "os.listdir('.')",
    "remove": "os.unlink('mine')",
    "packages": "__import__('numpy.fft')",
    "thread": "[t := threading.Thread(target=print), t.start(), t.join()]",
    "null": "open('/dev/null', 'w').write('x')",
    "random": "os.urandom(4)",
}
CHILD = """
import ctypes, json, os, resource, socket, sys, threading
import numpy
from tinynet.classroom.remote import _readable
from tinynet.classroom.sandbox import enclose
folder, outside = sys.argv[1:3]
actions = json.loads(sys.argv[3])
os.chdir(folder)
c = ctypes.CDLL(None, use_errno=True)
machine = os.uname().machine
def libc(name, number, *args):
    if machine != 'x86_64':
        raise PermissionError('known by its number on x86-64 only')
    if c.syscall(number, *args) < 0:
        raise OSError(ctypes.get_errno(), name)
held = enclose(folder, _readable(), seconds=20, mebibytes=900)
said = {}
for name, action in actions.items():
    try:
        exec(action)
        said[name] = 'done'
    except (OSError, MemoryError, ValueError) as error:
        said[name] = type(error).__name__
print(json.dumps([held, said]))
"""


def _tried(folder: Path, actions: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    inside, outside = folder / "inside", folder / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("secret")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(inside), str(outside), json.dumps(actions)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.stdout, done.stderr
    held, said = json.loads(done.stdout.splitlines()[-1])
    assert (outside / "secret").read_text() == "secret" or "files" not in held
    return held, said


@pytest.mark.parametrize("limit", REFUSED)
def test_what_is_refused(limit: str, tmp_path: Path) -> None:
    held, said = _tried(tmp_path, REFUSED[limit])
    if limit not in held:
        pytest.skip(f"this system has no such limit: {limit}; it has {held}")
    assert [name for name, what in said.items() if what == "done"] == []


def test_what_is_allowed(tmp_path: Path) -> None:
    _, said = _tried(tmp_path, ALLOWED)
    assert set(said.values()) == {"done"}, said
