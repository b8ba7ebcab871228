"""Slices: long work cut into short pieces, so that whoever drives it can tail, wait or stop between two of them.

A piece that must not be followed at once says for how long; the driver waits as it likes (the daemon tails meanwhile).
The work asks its own clock again, so a driver that comes too early only gets the rest of the pause.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One piece of work done: which phase, how far, how long to wait before the next; `reason`: what it waits for."""

    phase: str
    done: int = 0
    total: int | None = None
    pause_seconds: float = 0.0
    reason: str = ""


Slices = Generator[Slice, None, Outcome]


class Stopped(Exception):  # noqa: N818  a person's wish, not an error
    """Say that the work was ended early because somebody asked for it."""


def drive(
    slices: Slices[Outcome], wait: Callable[[float], bool], progress: Callable[[Slice], None] = lambda _: None
) -> Outcome:
    """Run work to its end, waiting where it says so.

    `wait` sleeps that many seconds (perhaps 0) and says whether to stop; then the work is closed and Stopped raised.
    """
    while True:
        try:
            piece = next(slices)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        progress(piece)
        if wait(piece.pause_seconds):
            slices.close()
            raise Stopped
