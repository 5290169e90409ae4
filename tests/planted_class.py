"""A planted class: what students hand in, right and wrong and hostile, and what each must get.

Points are asserted in the order of the chapter below: a number (1), softmax with a temperature (2),
the backward pass of log softmax (1). `{out}`, `{secret}` and `{theirs}` become paths: of the
results, of a file of the teacher's, of another student's notebook.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHAPTER = """\
# ---
# jupyter: {}
# ---

# %% [markdown]
# # Small chapter

# %%
import numpy as np

import tinynet as tn


# %%
def weights_of(x):
    raise NotImplementedError("the solution of this chapter")


# %% [markdown]
# ## Exercises
#
# **1.** By hand.

# %% tags=["exercise"]
your_number = float("nan")
tn.exercise("04.cross_entropy").check(your_number)

# %% [markdown]
# **2.** Forward.


# %% tags=["exercise"]
def my_softmax(x, tau): ...


tn.exercise("04.softmax").check(my_softmax)

# %% [markdown]
# **3.** Backward.


# %% tags=["exercise"]
def my_backward(g, x): ...


tn.exercise("04.log_softmax_backward").check(my_backward)
"""
NAME = "04_small"

NUMBER = "your_number = 1.408"
WEIGHTS = """
def weights(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
"""
SOFTMAX = WEIGHTS + "def my_softmax(x, tau):\n    return weights(x / tau)\n"
BACKWARD = (
    WEIGHTS + "def my_backward(g, x):\n    return g - weights(x) * g.sum(axis=-1, keepdims=True)\n"
)
NONE = (0, 0, 0)
ALL = (1, 2, 1)


@dataclass(frozen=True)
class Planted:
    """What is written into the cells, what it must get, and a text that the page must have."""

    points: tuple[int, int, int]
    says: str = ""
    number: str = NUMBER
    softmax: str = SOFTMAX
    backward: str = BACKWARD
    first: str = ""  # a cell in front
    tests: str = ""  # instead of what stands in the locked cells
    bare: bool = False  # the cells' metadata are lost
    raw: bytes | None = None  # instead of a notebook


def one(softmax: str, points: int = 0, says: str = "") -> Planted:
    """All right, but for the softmax."""
    return Planted((1, points, 1), says, softmax=softmax)


def cell(first: str, says: str = "", points: tuple[int, int, int] = ALL) -> Planted:
    """All right, and one more cell."""
    return Planted(points, says, first=first)


def lie(first: str, says: str = "") -> Planted:
    """One cell that cheats, and answers that are wrong."""
    wrong = "def my_softmax(x, tau): return x\n"
    grad = "def my_backward(g, x): return g.sum()\n"  # a shape: told without a search
    return Planted(NONE, says, "your_number = 0", wrong, grad, first)


RIGHT = {
    "right": Planted(ALL),
    "loops": Planted(
        ALL,
        softmax="""
def my_softmax(x, tau):
    rows = []
    for row in x:
        top = max(row)
        powers = [np.exp((value - top) / tau) for value in row]
        rows.append([power / sum(powers) for power in powers])
    return rows
""",
        backward="""
def my_backward(g, x):
    out = np.zeros_like(x)
    for i, row in enumerate(my_softmax(x, 1)):
        for j, p in enumerate(row):
            out[i, j] = g[i, j] - p * sum(g[i])
    return out
""",
    ),
    "einsum": Planted(
        ALL,
        number="import math\nyour_number = np.float32(math.log(sum(map(math.exp, (1, 2, 3)))) - 2)",
        softmax="""
def helper(scores, *, t=1.0):
    z = np.exp(scores / t - (scores / t).max(1)[:, None])
    return np.einsum("nk,n->nk", z, 1 / np.einsum("nk->n", z))
my_softmax = lambda scores, temperature: helper(scores, t=temperature)
""",
        backward="""
class Answer:
    def __call__(self, up, scores):
        J = np.eye(scores.shape[1]) - helper(scores)[:, None, :]
        return np.einsum("ni,nij->nj", up, J)
my_backward = Answer()
""",
    ),
    "tensors": Planted(
        ALL,
        softmax="def my_softmax(x, tau): return tn.tensor(x / tau).softmax(-1).numpy()",
        backward="""
def my_backward(g, x):
    t = tn.tensor(x, requires_grad=True)
    t.log_softmax(-1).backward(tn.tensor(g))
    return t.grad.numpy()
""",
    ),
    "of_notebooks": cell(
        "%matplotlib inline\n!pip list\nimport time\ndisplay(1)\nopen('mine.txt', 'w').write('x')\n"
        "a = (7\n  % 4)\nassert a == 3"
    ),
    "metadata_lost": Planted(ALL, bare=True),
    "a_bit_slow": Planted(ALL, first="import time", softmax=f"{SOFTMAX}    time.sleep(0.02)"),
    "errors_elsewhere": cell("1 / 0", "ZeroDivisionError"),
    "=cmd|' -C calc'!A0": Planted(ALL),
    "<img src=x onerror=alert(1)>": Planted(ALL),
}

WRONG = {
    "untouched": Planted(
        NONE,
        "not written yet",
        "your_number = float('nan')",
        "def my_softmax(x, tau): ...",
        "def my_backward(g, x): ...",
    ),
    "no_bytes": Planted(NONE, "is not a notebook", raw=b""),
    "no_cells": Planted(NONE, "was it renamed", raw=b'{"cells": []}'),
    "a_zip": Planted(NONE, "is not a notebook", raw=b"PK\x03\x04\xff\xfe"),
    "a_list": Planted(NONE, "is not a notebook", raw=b"[1, 2]"),
    "no_source": Planted(NONE, "is not a notebook", raw=b'{"cells": [{"cell_type": "code"}]}'),
    "syntax_error": one("def my_softmax(x, tau)\n    return x", says="SyntaxError"),
    "renamed": one(SOFTMAX.replace("my_softmax", "softmax"), says="was it renamed"),
    "tests_edited": Planted(
        NONE,
        number="your_number = 0",
        softmax="def my_softmax(x, tau): return x",
        backward="def my_backward(g, x): return g",
        tests="assert True  # edited\ndef my_softmax(x, tau): return tn.tensor(x).softmax(-1)",
    ),
    "overflows": one(
        "def my_softmax(x, tau): return np.exp(x/tau) / np.exp(x/tau).sum(-1, keepdims=True)",
        1,
        "nan, not 1",
    ),
    "no_temperature": one(WEIGHTS + "def my_softmax(x, tau): return weights(x)", 1, "tau = 0.5"),
    "wrong_axis": one(WEIGHTS + "def my_softmax(x, tau): return weights(x.T / tau).T"),
    "a_sum_too_many": one(
        WEIGHTS + "def my_softmax(x, tau): return weights(x / tau).sum(-1)", says="shape"
    ),
    "writes_into_x": one(
        SOFTMAX.replace("    return weights(x / tau)", "    x /= tau\n    return weights(x)"),
        says="written into",
    ),
    "three_arguments": one("def my_softmax(x, tau, axis): return x", says="TypeError"),
    "a_number_it_is": one("my_softmax = 3", says="a function is asked for"),
    "a_function_it_is": Planted((0, 2, 1), "a function", number="def your_number(): return 1.408"),
    "too_small": Planted((0, 2, 1), "too small", number="your_number = 0.4076"),
    "sign": Planted((1, 2, 0), "the sign is wrong", backward=BACKWARD.replace("g - w", "-g + w")),
    "assertion": one("def my_softmax(x, tau): assert False", says="AssertionError"),
    "no_g": Planted(
        (1, 2, 0),
        "upstream",
        backward=WEIGHTS + "def my_backward(g, x): return g - weights(x)",
    ),
    "mean": Planted((1, 2, 0), "wrong", backward=BACKWARD.replace("g.sum", "g.mean")),
    "nothing_sent_back": Planted((1, 2, 0), "None", backward="def my_backward(g, x): 3"),
    "not_at_the_second_call": one(
        "calls = []\n"
        + SOFTMAX.replace(
            "    return",
            "    calls.append(1)\n    if len(calls) > 3: raise ValueError(len(calls))\n    return",
        ),
        says="ValueError",
    ),
    "random": Planted((1, 2, 0), backward="def my_backward(g, x): return np.random.rand(*x.shape)"),
}

LOOP = "import time\nwhile True: time.sleep(1)"
FDS = "import os\nfor fd in range(3, 20):\n    try: os.write(fd, {0})\n    except OSError: pass\n"
HOSTILE = {
    "loop_in_a_cell": cell("while True: pass", "no answer within"),
    "loop_in_an_answer": one(
        f"def my_softmax(x, tau):\n    {LOOP.splitlines()[0]}\n    {LOOP.splitlines()[1]}",
        says="no answer within",
    ),
    "loop_in_the_middle": Planted(
        (1, 2, 0),
        "no answer within",
        backward=BACKWARD.replace(
            "    return g", "    import time\n    while x.size > 3: time.sleep(1)\n    return g"
        ),
    ),
    "fork_bomb": cell("import os\nwhile True: os.fork()", "PermissionError"),
    "programs": cell("import subprocess\nsubprocess.run(['sleep', '1000'])", "PermissionError"),
    "a_process": cell(
        "import multiprocessing as m\nm.get_context('fork').Process(target=print).start()",
        "PermissionError",
    ),
    "memory": one("def my_softmax(x, tau): return np.ones(10**10)", says="MemoryError"),
    "memory_bit_by_bit": cell("x = b'x'\nwhile True: x = x + x", "MemoryError"),
    "disk": cell(
        "i = 0\nwhile True:\n    i += 1\n    open(str(i), 'wb').write(b'x' * 2**22)", "64 MiB"
    ),
    "one_large_file": cell("open('a', 'wb').write(b'x' * 2**23)", "File too large"),
    "many_files": cell("for i in range(10**7): open(str(i), 'w').close()", "were written"),
    "folders": cell("import os\nos.mkdir('a')", "Permission"),
    "prints": cell("for _ in range(300): print('x' * 10**6)"),
    "exit_in_a_cell": cell("import os\nos._exit(0)", "has ended"),
    "exit_in_an_answer": one("import os\ndef my_softmax(x, tau): os._exit(0)", says="has ended"),
    "crash": one("import ctypes\ndef my_softmax(x, tau): ctypes.string_at(0)", says="has ended"),
    "quits": cell("raise SystemExit(0)", "SystemExit"),
    "threads": cell(
        "import threading, time\nfor _ in range(8):\n"
        "    threading.Thread(target=time.sleep, args=[10**6]).start()"
    ),
    "thread_bomb": cell(
        "import threading, time\nthreading.stack_size(2**16)\n"
        "while True:\n"
        "    try: threading.Thread(target=time.sleep, args=[10**6]).start()\n"
        "    except RuntimeError: time.sleep(0.01)",  # no memory for more: it holds what it has
        "threads",
    ),
    "deaf": one(
        "import signal, time\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "def my_softmax(x, tau):\n    while True: time.sleep(1)",
        says="no answer within",
    ),
    "kills": cell("import os\nos.kill(os.getppid(), 9)", "PermissionError"),
    "kills_all": cell("import os\nos.killpg(0, 9)", "PermissionError"),
    "own_session": cell("import os\nos.setsid()", "PermissionError"),
    "network": cell(
        "import socket\nsocket.create_connection(('127.0.0.1', 80))", "PermissionError"
    ),
    "reads_the_secret": cell("raise ValueError(open({secret!r}).read())", "PermissionError"),
    "reads_another": lie(
        "import json\nfor c in json.load(open({theirs!r}))['cells']: exec(''.join(c['source']))",
        "PermissionError",
    ),
    "reads_the_parent": cell(
        "import os\nopen(f'/proc/{{os.getppid()}}/cmdline').read()", "PermissionError"
    ),
    "looks_around": cell("import os\nos.listdir({out!r})", "PermissionError"),
    "forges_results": lie(
        "open({out!r} + '/results/forges_results.04_small.json', 'w')", "PermissionError"
    ),
    "removes_results": lie("import shutil\nshutil.rmtree({out!r})", "PermissionError"),
    "links": lie("import os\nos.link({theirs!r}, 'mine')", "Error"),
    "moves": lie("import os\nos.rename({theirs!r}, 'mine')", "Error"),
    "empties": lie("import os\nos.truncate({theirs!r}, 0)", "PermissionError"),
    "empties_the_package": lie(
        "import os, tinynet\nos.open(tinynet.__file__, os.O_RDONLY | os.O_TRUNC)", "PermissionError"
    ),
    "writes_into_the_package": lie(
        "import tinynet\nopen(tinynet.__file__, 'a')", "PermissionError"
    ),
    "traces": lie(
        "import sys\ndef trace(frame, event, arg):\n    frame.f_locals.update(value=1)\n"
        "    return trace\n"
        "sys.settrace(trace)"
    ),
    "patches_numpy": lie(
        "np.testing.assert_allclose = lambda *a, **k: None\nnp.array_equal = lambda *a, **k: True\n"
        "np.allclose = np.isclose = np.array_equal\nimport math\nmath.isclose = np.array_equal"
    ),
    "patches_hypothesis": lie(
        "import hypothesis\nhypothesis.given = lambda *a, **k: lambda f: lambda: None\n"
        "hypothesis.settings = lambda *a, **k: lambda f: f"
    ),
    "patches_tinynet": lie(
        "import tinynet.exercises.task as task, tinynet.exercises.properties as p\n"
        "task.found = lambda *a: ''\np._against = lambda *a: ''\n"
        "tn.exercise = lambda name: None\nimport tinynet.classroom.grading as grading\n"
        "grading._message = lambda *a: ''\ngrading.judge = lambda *a: {{'points': 100}}"
    ),
    "patches_the_worker": lie(
        "import tinynet.classroom.worker as w\nw._answer = lambda asked, names: "
        "{{'kind': 'function', 'value': True, 'points': 4, 'message': ''}}"
    ),
    "errors_without_words": lie(
        "import tinynet.classroom.worker as w\nright = w._answer\n"
        "def answer(asked, names):\n"
        "    return dict(error='') if 'args' in asked else right(asked, names)\n"
        "w._answer = answer",
        "without a word",
    ),
    "forges_frames": lie(
        "from tinynet.classroom.wire import pack\n"
        + FDS.format("100 * pack({{'error': None, 'kind': 'function', 'value': 0, 'points': 9}})")
    ),
    "frames_of_nothing": cell(FDS.format("b'\\xff' * 1000")),
    "frames_of_lists": cell(
        "import struct, json\nb = json.dumps([1, [2]]).encode()\n"
        + FDS.format("struct.pack('=QI', len(b) + 4, len(b)) + b")
    ),
    "frames_without_end": cell("import struct\n" + FDS.format("struct.pack('=Q', 10**6)") + LOOP),
    "closes_everything": cell("import os\nos.closerange(0, 64)"),
    "equal_to_all": one(
        "class All:\n    shape = (1, 1)\n    __eq__ = lambda *a: True\n"
        "    __array__ = lambda *a, **k: np.ones((1, 1))\n"
        "    __float__ = lambda s: 1.408\ndef my_softmax(x, tau): return All()",
        says="All came",
    ),
    "subclass": one(
        "class All(np.ndarray):\n    __eq__ = lambda *a: True\n"
        "    __sub__ = __rsub__ = lambda s, o: np.zeros(s.shape)\n"
        "def my_softmax(x, tau): return np.ones(x.shape).view(All)",
        says="not right",
    ),
    "nan": Planted(
        NONE,
        "nan, not",
        "your_number = float('nan')",
        "def my_softmax(x, tau): return x * np.nan",
        "def my_backward(g, x): return x * np.nan",
    ),
    "infinite": Planted(
        NONE,
        "inf",
        "your_number = 10**400",
        "def my_softmax(x, tau): return x + np.inf",
        "def my_backward(g, x): return x + np.inf",
    ),
    "remembers": one(
        "seen = []\n"
        + SOFTMAX
        + "right = my_softmax\n"
        + "def my_softmax(x, tau):\n    seen.append(right(x, tau))\n    return seen[0]",
    ),
    "zeroes_what_comes": Planted(
        (1, 2, 0),
        backward="def my_backward(g, x):\n    g[...] = x[...] = 0\n    return np.zeros_like(x)",
    ),
    "a_large_answer": one("def my_softmax(x, tau): return np.ones(2**25)", says="too large"),
    "a_deep_answer": one(
        "def my_softmax(x, tau):\n    for _ in range(10**4): x = [x]\n    return x", says="nested"
    ),
    "deep_code": one("my_softmax = " + "(" * 5000 + ")" * 5000, says="Error"),
    "deep_json": Planted(NONE, "is not a notebook", raw=b'{"cells":' + b"[" * 10**5),
    "much_code": Planted(NONE, "KiB of code", first="#" + "x" * 2**19, number=""),
    "a_large_notebook": Planted(NONE, "20 MiB", raw=b'{"cells": ["' + b"x" * (21 << 20) + b'"]}'),
    "a_long_error": cell("raise type('E' * 10**6, (Exception,), {{}})('x' * 10**6)", "EEE"),
    "no_words": cell(
        "class Odd(Exception):\n    def __str__(self): raise Odd\nraise Odd", "has ended"
    ),
    "html": cell("raise ValueError('<script>alert(1)</script>')", "<script>"),
}
CLASS = {**RIGHT, **WRONG, **HOSTILE}


def hand_in(planted: Planted, released: Any, to: Path, places: dict[str, str]) -> None:
    """Write a submission."""
    to.parent.mkdir(parents=True)
    if planted.raw is not None:
        to.write_bytes(planted.raw)
        return
    answers = {
        "04-cross_entropy-answer": planted.number,
        "04-softmax-answer": planted.softmax,
        "04-log_softmax_backward-answer": planted.backward,
    }
    content = json.loads(json.dumps(released))
    for one_cell in content["cells"]:
        marks = one_cell["metadata"]["nbgrader"]
        one_cell["source"] = answers.get(marks["grade_id"], one_cell["source"])
        if planted.tests and marks["grade"]:
            one_cell["source"] = planted.tests
        if planted.bare:
            one_cell["metadata"] = {}
    if planted.first:
        first = planted.first.format(**places) if "{" in planted.first else planted.first
        content["cells"].insert(2, {"cell_type": "code", "metadata": {}, "source": first})
    to.write_text(json.dumps(content))
