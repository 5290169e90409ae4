"""Ctrl-C between two steps, not in the middle of one."""

from __future__ import annotations

import signal
import threading
from typing import Any


class Interruption:
    """Inside the block Ctrl-C is a wish: `wanted` becomes True, and the loop stops where weights,
    optimizer and random numbers belong together. A second Ctrl-C is a KeyboardInterrupt at once.

    Where somebody else handles the signal, and outside of the main thread, nothing is changed.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._before: Any = None

    def __enter__(self) -> Interruption:
        ours = threading.current_thread() is threading.main_thread()
        if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: object) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
