"""What the demo says while a person waits: one line a step on stderr, only when somebody is looking."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

Say = Callable[[str], None]


def silent(_: str) -> None:
    """Say nothing: for tests."""


def on_terminal() -> Say:
    """Return a voice that prints each step with the seconds since the start; silent when nobody is looking."""
    return aloud() if sys.stderr.isatty() else silent


def aloud() -> Say:
    """Return a voice that always prints."""
    began = time.monotonic()

    def say(step: str) -> None:
        print(f"  {time.monotonic() - began:5.1f} s  {step}", file=sys.stderr, flush=True)

    return say
