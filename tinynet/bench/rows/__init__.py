"""What is measured, by room: the engine itself, matrices, attention, whole training steps of
networks and of sequences, memory, and what is paid once, at the start.

A row is a function with a `row` decorator: it takes a device and sizes, and returns {engine:
something to call}. All engines do the same work on the same numbers. "numpy" is the same arithmetic
written by hand, without an engine.
"""

# Each adds its rows, in the order in which they are shown.
# isort: off
from tinynet.bench.rows import engine  # noqa: F401
from tinynet.bench.rows import networks  # noqa: F401
from tinynet.bench.rows import sequences  # noqa: F401
from tinynet.bench.rows import matrices  # noqa: F401
from tinynet.bench.rows import attention  # noqa: F401
from tinynet.bench.rows import memory  # noqa: F401
from tinynet.bench.rows import starting  # noqa: F401
