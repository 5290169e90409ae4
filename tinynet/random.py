"""Seeds and generators: every random number in tinynet comes from here.

`tn.manual_seed(0)` makes a run repeatable; `generator=tn.Generator().manual_seed(0)` does so for
one call. The stream is NumPy's PCG64 (CuPy's on a GPU), so the numbers differ from PyTorch's for
the same seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

import numpy as np

from tinynet import arrays, dtypes
from tinynet.arrays import Array
from tinynet.batching import once_for_all
from tinynet.errors import ArgumentError


class Generator:
    """A source of random numbers on one device.

    >>> a, b = Generator().manual_seed(7), Generator().manual_seed(7)
    >>> bool((a.random((3,)) == b.random((3,))).all())
    True
    """

    def __init__(self, device: Any = "cpu") -> None:
        self.device = arrays.Device(device)
        self._source: Any = None
        self._seed: int | None = None

    def manual_seed(self, seed: Any) -> Generator:
        """Start the stream that belongs to `seed`, and return the generator."""
        if not isinstance(seed, int | np.integer) or int(seed) < 0:
            raise ArgumentError("a seed is a whole number, 0 or larger", got=repr(seed))
        with arrays.place(self.device):
            module = np if self.device == "cpu" else arrays.cupy()
            self._source = module.random.default_rng(int(seed))
        self._seed = int(seed)
        return self

    def initial_seed(self) -> int:
        """The seed with which the stream began."""
        if self._seed is None:
            self.seed()
        assert self._seed is not None
        return self._seed

    def seed(self) -> int:
        """Begin a stream that nobody chose, and tell its seed."""
        import secrets

        return self.manual_seed(secrets.randbits(63)).initial_seed()

    @property
    def source(self) -> Any:
        """The NumPy or CuPy generator itself; seeded from the system when first used without a
        seed.
        """
        once_for_all("a draw of random numbers")
        if self._source is None:
            self.seed()
        return self._source

    def get_state(self) -> Any:
        """The position in the stream, to be given back to `set_state`.

        CuPy does not tell where it stands. On a GPU the stream is therefore continued from a new
        seed, drawn from itself, and that seed is the position.
        """
        if self.device == "cpu":
            return self.source.bit_generator.state
        with arrays.place(self.device):
            seed = int(self.source.integers(0, 2**62))
        self.manual_seed(seed)
        return seed

    def set_state(self, state: Any) -> None:
        """Continue from a position that `get_state` gave."""
        if self.device == "cpu":
            self.source.bit_generator.state = state
        else:
            self.manual_seed(state)

    def random(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """Uniform on [0, 1)."""
        return self._draw(self.source.random, shape, dtype)

    def standard_normal(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """Mean 0, variance 1."""
        return self._draw(self.source.standard_normal, shape, dtype)

    def _draw(self, draw: Any, shape: tuple[int, ...], dtype: Any) -> Array:
        """Floats of this dtype; float16 is rounded from float32."""
        dtype = np.dtype(dtype or dtypes.get_default_dtype())
        drawn = dtypes.float32 if dtype == dtypes.float16 else dtype
        with arrays.place(self.device):
            return draw(shape, dtype=drawn).astype(dtype, copy=False)

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """Whole numbers from low up to, and without, high."""
        with arrays.place(self.device):
            drawn = self.source.integers(low, high, shape)
            return drawn.astype(dtype or dtypes.int64, copy=False)

    def permutation(self, n: int) -> Array:
        """0 … n − 1 in random order: the order of n random keys, which both libraries can draw."""
        with arrays.place(self.device):
            return np.argsort(self.random((n,), dtypes.float64))


_default: dict[str, Generator] = {}
_seed: int | None = None
_stream: ContextVar[Stream | None] = ContextVar("stream", default=None)  # one for every thread


class Stream:
    """Random numbers of their own for a block: inside it, and in this thread, the default
    generators are others, which begin at a place that `key` alone decides.

    Entered again, the stream goes on. So whoever draws in the block repeats itself, whatever is
    drawn elsewhere and in whichever order the threads run.

    >>> import tinynet as tn
    >>> with Stream(7, 1):
    ...     a = tn.rand(2)
    >>> with Stream(7, 1):
    ...     b = tn.rand(2)
    >>> bool((a == b).all())
    True
    """

    def __init__(self, *key: int) -> None:
        self.key = key
        self.generators: dict[str, Generator] = {}
        self._before: Token[Stream | None] | None = None

    def __enter__(self) -> None:
        self._before = _stream.set(self)

    def __exit__(self, *_: object) -> None:
        assert self._before is not None
        _stream.reset(self._before)

    def generator(self, name: arrays.Device) -> Generator:
        """The generator that stands in for the default one of this device."""
        if name not in self.generators:
            seed = int(np.random.SeedSequence(self.key).generate_state(1, np.uint64)[0])
            self.generators[name] = Generator(name).manual_seed(seed >> 1)
        return self.generators[name]


def default_generator(device: Any = "cpu") -> Generator:
    """The generator that is used where none is given."""
    name = arrays.Device(device)
    stream = _stream.get()
    if stream is not None:
        return stream.generator(name)
    if name not in _default:
        _default[name] = Generator(name)
        if _seed is not None:
            _default[name].manual_seed(_seed)
    return _default[name]


def manual_seed(seed: int) -> Generator:
    """Make everything random in tinynet repeatable, on every device.

    >>> import tinynet as tn
    >>> _ = tn.manual_seed(0); a = tn.rand(3)
    >>> _ = tn.manual_seed(0); bool((tn.rand(3) == a).all())
    True
    """
    global _seed
    _seed = seed
    for generator in _default.values():
        generator.manual_seed(seed)
    return default_generator("cpu")


def initial_seed() -> int:
    """The seed with which the CPU's default generator began.

    >>> import tinynet as tn
    >>> _ = tn.manual_seed(7); tn.initial_seed()
    7
    """
    return default_generator().initial_seed()


def get_rng_state() -> Any:
    """Where the CPU's default generator stands."""
    return default_generator().get_state()


def set_rng_state(state: Any) -> None:
    """Put the CPU's default generator back to where it stood."""
    default_generator().set_state(state)


def positions(devices: Iterable[str]) -> dict[str, Any]:
    """Where the default generators of these devices stand."""
    return {str(device): default_generator(device).get_state() for device in sorted(devices)}


@contextmanager
def replay(states: dict[str, Any]) -> Iterator[None]:
    """Draw the numbers that followed these positions once more, then go on as if nothing had been
    drawn.
    """
    now = positions(states)
    set_positions(states)
    try:
        yield
    finally:
        set_positions(now)


def set_positions(states: dict[str, Any]) -> None:
    """Put default generators to where `positions` found them."""
    for device, state in states.items():
        default_generator(device).set_state(state)
