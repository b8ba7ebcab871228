"""How a process is asked to end: the first SIGTERM or SIGINT asks, the second one finds the system's own handlers."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType


@contextmanager
def stop_on_signals(stop: threading.Event, said: Callable[[str], None]) -> Iterator[None]:
    """Set `stop` at the first SIGTERM or SIGINT and hand its name to `said`; the second one ends the process at once.

    Both are done by a thread of their own, a moment after the signal and at the latest when the context is left.
    """
    told: SimpleQueue[int | None] = SimpleQueue()

    def first(number: int, _frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_DFL)
        # A handler runs between any two instructions of the main thread, also while that holds the lock inside
        # `stop` (as it does on its way into `wait`) or is in the midst of a log line: to set or to write here would
        # wait for ever, or raise. Of all ways to hand on a word, only this one may be entered twice.
        told.put(number)

    def listen() -> None:
        number = told.get()
        if number is not None:
            stop.set()
            said(signal.Signals(number).name)

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    before = {number: signal.signal(number, first) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        told.put(None)
        listener.join()
