"""The pace: how fast rows may go, and whether replicas keep up. Time and sleep are arguments.

Waiting is proportional to work done: after a chunk of n rows the next may not start before n / rows_per_second has
passed since this one began. A sleep that lasted a little too long is made up for, or the rate would never be reached;
time lost in waits is not, so a purge never turns into a burst.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

OVERSLEPT_SECONDS = 0.1


class Replica(Protocol):
    """One replica of the source."""

    @property
    def name(self) -> str:
        """Return a name without credentials."""
        ...

    def lag_seconds(self) -> float | None:
        """Return how far it is behind, or None when it does not say, does not replicate, or cannot be asked."""
        ...


class Gait:
    """Keep a rate of rows a second."""

    def __init__(self, *, rows_per_second: int, clock: Callable[[], float]) -> None:
        self._rows_per_second = rows_per_second
        self._clock = clock
        self._due = clock()

    def pause_seconds(self) -> float:
        """Return how long to wait before the next chunk may start."""
        return max(0.0, self._due - self._clock())

    def went(self, rows: int, started: float) -> None:
        """Note that a chunk which started then deleted so many rows."""
        self._due = max(started - OVERSLEPT_SECONDS, self._due) + rows / self._rows_per_second

    def start(self) -> float:
        """Return the time at which a chunk starts now."""
        return self._clock()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaWatch:
    """Say whether replicas are near enough; one that is silent counts as far behind."""

    replicas: Sequence[Replica]
    max_lag_seconds: float

    def should_wait(self) -> tuple[bool, str]:
        """Return whether to wait, and why."""
        for replica in self.replicas:
            lag = replica.lag_seconds()
            if lag is None:
                return True, f"replica {replica.name} does not say how far behind it is"
            if lag > self.max_lag_seconds:
                return True, f"replica {replica.name} is {lag:.0f} s behind, allowed are {self.max_lag_seconds:g} s"
        return False, "replicas keep up" if self.replicas else "no replicas are watched"
