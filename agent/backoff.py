"""How long to wait after a temporary failure, and how large the next batch may be (pure; randomness is an argument)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 60.0

# Kinds of failures that only a person heals: a verb that somebody waits for does not sit them out.
HOPELESS = frozenset({"missing_index", "forbidden", "closed_index", "tls", "large_answer"})

# What one row may need: a batch is cut no smaller, and a single document above it that is «too large» is so by itself.
LEAST_BYTES = 64 * 1024

# A quarter of the ceiling per good step: back to full size after a handful of steps, not by one leap into the
# condition that made the cluster refuse.
GROWTH_STEPS = 4


def delay_seconds(failures: int, draw: Callable[[], float], retry_after_seconds: float | None = None) -> float:
    """Return the wait before the next try after `failures` failures in a row (≥ 1).

    Exponential with jitter over the upper half, 0.5 s → 60 s, so that a minute into an outage the tries are more
    than five seconds apart; never earlier than the server's own Retry-After. `draw` returns a number in [0, 1).
    """
    ceiling = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 16))
    delay = ceiling * (0.5 + draw() / 2)
    return max(delay, retry_after_seconds or 0.0)


@dataclass(frozen=True, slots=True)
class BatchSize:
    """Rows and bytes the next batch may have: halves when the cluster says «too much», grows back when it takes all."""

    rows: int
    bytes: int
    most_rows: int
    most_bytes: int

    @classmethod
    def full(cls, rows: int, size_bytes: int) -> BatchSize:
        """Start at the configured size."""
        return cls(rows, size_bytes, rows, size_bytes)

    def halved(self) -> BatchSize:
        """Return half the size, at least one row; bytes go no lower than what one row may need."""
        return BatchSize(max(1, self.rows // 2), max(LEAST_BYTES, self.bytes // 2), self.most_rows, self.most_bytes)

    def grown(self) -> BatchSize:
        """Return a size a step nearer to the configured one."""
        if self.rows == self.most_rows and self.bytes == self.most_bytes:
            return self
        rows = min(self.most_rows, self.rows + max(1, self.most_rows // GROWTH_STEPS))
        size = min(self.most_bytes, self.bytes + max(1, self.most_bytes // GROWTH_STEPS))
        return BatchSize(rows, size, self.most_rows, self.most_bytes)
