"""Backfill: rows shipped again by range or by slice, without checkpoint or lease, any number side by side.

Slice i of n takes every n-th block of ids. Which block an id lies in depends on nothing but the id, so slices that
start at different times, on a table that grows or is purged meanwhile, still cover every row exactly once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.row import Row
from agent.verifying.sides import Rows

BLOCK_IDS = 1000
_BLOCKS_AT_ONCE = 50  # ranges of one statement: enough to fill a batch from a sparse table, few for the optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Which ids are ours: from `low` to `high`, and of these the blocks whose number is `index` modulo `count`."""

    low: int
    high: int
    index: int = 0
    count: int = 1

    def ranges(self, start: int) -> list[tuple[int, int]]:
        """Return the next ranges of ids from `start` on, ascending; none when the end is reached."""
        if self.count == 1:
            return [(start, self.high)] if start <= self.high else []
        found: list[tuple[int, int]] = []
        block = start // BLOCK_IDS
        block += (self.index - block) % self.count
        while len(found) < _BLOCKS_AT_ONCE and block * BLOCK_IDS <= self.high:
            first, last = max(start, block * BLOCK_IDS), min(self.high, (block + 1) * BLOCK_IDS - 1)
            if first <= last:
                found.append((first, last))
            block += self.count
        return found


class RangeRows(Rows, Protocol):
    """Rows that can be read from several ranges at once."""

    def in_ranges(self, ranges: Sequence[tuple[int, int]], limit: int, max_bytes: int = ...) -> _Batch:
        """Return rows with ids in the ranges, ascending."""
        ...


class _Batch(Protocol):
    @property
    def rows(self) -> list[Row]: ...
    @property
    def is_complete(self) -> bool: ...


class Taken(Protocol):
    """What became of a contiguous run of submitted rows."""

    @property
    def ids(self) -> Sequence[int]:
        """Return the ids."""
        ...

    @property
    def counts(self) -> Counter[str]:
        """Return how many were indexed, dead_letters, refused, …."""
        ...


class Pipeline(Protocol):
    """Ship rows with a bounded number of requests in flight."""

    def submit(self, rows: Sequence[Row], max_bytes: int) -> None:
        """Start to ship rows. Raises TemporaryError."""
        ...

    def acknowledged(self, *, drain: bool) -> Sequence[Taken]:
        """Return the contiguous prefix settled by now. Raises TemporaryError."""
        ...

    def abandon(self) -> None:
        """Forget what is in flight."""
        ...


class Backfill:
    """Ship one share of the table. `settled` is the id up to which that is done, `counts` what became of the rows."""

    def __init__(self, *, rows: RangeRows, pipeline: Pipeline, share: Share, batch_rows: int, batch_bytes: int) -> None:
        self._rows = rows
        self._pipeline = pipeline
        self._share = share
        self._batch_rows = batch_rows
        self._batch_bytes = batch_bytes
        self.settled = share.low - 1
        self.counts: Counter[str] = Counter()

    def steps(self, is_stopped: Callable[[], bool] = lambda: False) -> Iterator[int]:
        """Ship until the end or until told to stop; return after each batch how many rows were settled.

        After a TemporaryError call it again: it goes on behind what was settled.
        """
        self._pipeline.abandon()
        at: int | None = self.settled + 1
        while at is not None and not is_stopped():
            ranges = self._share.ranges(at)
            if not ranges:
                break
            batch = self._rows.in_ranges(ranges, self._batch_rows, self._batch_bytes)
            if batch.rows:
                self._pipeline.submit(batch.rows, self._batch_bytes)
            at = self._following(batch, ranges)
            yield self._take(drain=False)
        yield self._take(drain=True)

    def _following(self, batch: _Batch, ranges: Sequence[tuple[int, int]]) -> int | None:
        """Return where to read next; ids may jump by any distance, so an empty read asks where the next row is."""
        if not batch.is_complete and batch.rows:
            return int(batch.rows[-1][0] or 0) + 1
        if batch.rows:
            return ranges[-1][1] + 1
        following = self._rows.after(ranges[-1][1], 1).rows
        return int(following[0][0] or 0) if following else None

    def _take(self, *, drain: bool) -> int:
        settled = 0
        for taken in self._pipeline.acknowledged(drain=drain):
            self.counts.update(taken.counts)
            settled += len(taken.ids)
            if taken.ids:
                self.settled = max(self.settled, taken.ids[-1])
        return settled
