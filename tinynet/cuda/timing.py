"""Marks in the work that a GPU is asked to do: how long it takes, and in which order it is done."""

from __future__ import annotations

from typing import Any

from tinynet import arrays
from tinynet.errors import ArgumentError


class Event:
    """A mark in the work of a GPU, reached when all that was asked before it is done.

        start, end = tn.cuda.Event(enable_timing=True), tn.cuda.Event(enable_timing=True)
        start.record()
        y = model(x)
        end.record()
        end.synchronize()
        milliseconds = start.elapsed_time(end)

    enable_timing   whether it remembers when; needed for `elapsed_time`
    blocking        whether `synchronize` lets other threads have the processor meanwhile

    Raises DeviceError without a GPU.
    """

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        with arrays.gpu(arrays.current_gpu()):
            self._event = arrays.cupy().cuda.Event(
                block=blocking, disable_timing=not enable_timing, interprocess=interprocess
            )
        self._timed, self._recorded = enable_timing, False

    def record(self, stream: Stream | None = None) -> None:
        """Put the mark behind what has been asked so far, of the current stream or of `stream`."""
        self._event.record((stream or current_stream()).raw)
        self._recorded = True

    def synchronize(self) -> None:
        """Wait until the mark is reached."""
        self._event.synchronize()

    def query(self) -> bool:
        """Whether it is reached; also of one that was never recorded."""
        return bool(self._event.done)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds between this mark and a later one, which is waited for.

        Raises ArgumentError where one of them was not recorded, or without enable_timing.
        """
        for event in (self, end_event):
            if not (event._timed and event._recorded):
                raise ArgumentError(
                    "elapsed_time() needs two recorded events", hint="Event(enable_timing=True)"
                )
        end_event.synchronize()
        return float(arrays.cupy().cuda.get_elapsed_time(self._event, end_event._event))


class Stream:
    """A queue of work: what is asked of one stream is done in order, two of them may overlap.

    As a context (`with tn.cuda.stream(s): …`) it receives the work of the block. Waiting is left to
    the caller: `s.synchronize()`, or `other.wait_stream(s)`. Raises DeviceError without a GPU.
    """

    def __init__(self, device: Any = None, priority: int = 0, *, raw: Any = None) -> None:
        if raw is None:
            with arrays.place(arrays.Device("cuda" if device is None else device)):
                raw = arrays.cupy().cuda.Stream(non_blocking=True, priority=priority or None)
        self.raw = raw

    def __enter__(self) -> Stream:
        self.raw.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.raw.__exit__(*error)

    def synchronize(self) -> None:
        """Wait until all that was asked of it is done."""
        self.raw.synchronize()

    def query(self) -> bool:
        """Whether all is done."""
        return bool(self.raw.done)

    def record_event(self, event: Event | None = None) -> Event:
        """An event behind what has been asked so far."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        """Let what follows wait for an event of another stream."""
        self.raw.wait_event(event._event)

    def wait_stream(self, stream: Stream) -> None:
        """Let what follows wait for all that was asked of another stream so far."""
        self.wait_event(stream.record_event())


def stream(stream: Stream) -> Stream:
    """`with tn.cuda.stream(s): …` gives the work of the block to s."""
    return stream


def current_stream(device: Any = None) -> Stream:
    """The stream that receives the work now, in this thread."""
    with arrays.gpu(arrays.current_gpu()):
        return Stream(raw=arrays.cupy().cuda.get_current_stream())


def default_stream(device: Any = None) -> Stream:
    """The stream that receives the work outside all blocks."""
    with arrays.gpu(arrays.current_gpu()):
        return Stream(raw=arrays.cupy().cuda.Stream.null)
