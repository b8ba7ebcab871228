"""Slices cover every id exactly once, whenever each of them began; a failure goes on behind what was settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import TemporaryError
from agent.row import Row
from agent.verifying.backfill import BLOCK_IDS, Backfill, Share


def covered(share: Share) -> list[int]:
    found: list[int] = []
    at = share.low
    while ranges := share.ranges(at):
        for first, last in ranges:
            found += range(first, last + 1)
        at = ranges[-1][1] + 1
    return found


@given(
    count=st.integers(1, 7),
    low=st.integers(1, 3 * BLOCK_IDS),
    length=st.integers(0, 4 * BLOCK_IDS),
    growth=st.lists(st.integers(0, 2 * BLOCK_IDS), min_size=7, max_size=7),
)
def test_slices_are_disjoint_and_complete_although_the_table_grows(
    count: int, low: int, length: int, growth: list[int]
) -> None:
    high = low + length - 1
    found = Counter(
        row_id
        for index in range(count)
        for row_id in covered(Share(low=low, high=high + growth[index], index=index, count=count))
    )

    assert set(range(low, high + 1)) <= found.keys()
    assert set(found.values()) <= {1}


@dataclass
class Batch:
    rows: list[Row]
    is_complete: bool


class Table:
    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = sorted(ids)
        self.reads = 0

    def after(self, row_id: int, limit: int, max_bytes: int = 0) -> Batch:
        found = [each for each in self.ids if each > row_id]
        return self._batch(found, limit)

    def in_range(self, low: int, high: int, limit: int, max_bytes: int = 0) -> Batch:
        return self.in_ranges([(low, high)], limit)

    def in_ranges(self, ranges: Sequence[tuple[int, int]], limit: int, max_bytes: int = 0) -> Batch:
        self.reads += 1
        return self._batch([each for each in self.ids if any(low <= each <= high for low, high in ranges)], limit)

    def by_ids(self, ids: Sequence[int], max_bytes: int = 0) -> Batch:
        return self._batch([each for each in self.ids if each in ids], len(ids))

    def _batch(self, found: list[int], limit: int) -> Batch:
        return Batch([(each,) for each in found[:limit]], len(found) <= limit)


@dataclass
class Taken:
    ids: list[int]
    counts: Counter[str]


@dataclass
class Line:
    """A pipeline whose submissions fail where told to; what is in flight is settled one step later."""

    fails_at: set[int] = field(default_factory=set)
    shipped: list[int] = field(default_factory=list)
    flying: list[list[int]] = field(default_factory=list)
    calls: int = 0

    def submit(self, rows: Sequence[Row], max_bytes: int) -> None:
        self.calls += 1
        if self.calls in self.fails_at:
            raise TemporaryError("away")
        self.flying.append([int(row[0] or 0) for row in rows])

    def acknowledged(self, *, drain: bool) -> list[Taken]:
        done = self.flying if drain else self.flying[:-1]
        self.flying = [] if drain else self.flying[-1:]
        self.shipped += [row_id for ids in done for row_id in ids]
        return [Taken(ids, Counter(indexed=len(ids))) for ids in done]

    def abandon(self) -> None:
        self.flying = []


@pytest.mark.parametrize("fails_at", [set(), {1}, {2, 3}, {3, 5, 6}])
def test_after_a_failure_it_goes_on_behind_what_was_settled(fails_at: set[int]) -> None:
    ids = [*range(5, 400, 3), *range(10**9, 10**9 + 50)]
    table, line = Table(ids), Line(fails_at)
    share = Share(low=1, high=10**9 + 100)
    work = Backfill(rows=table, pipeline=line, share=share, batch_rows=20, batch_bytes=10**6)  # type: ignore[arg-type]
    for _ in range(len(fails_at) + 1):
        try:
            for _ in work.steps():
                pass
        except TemporaryError:
            continue
        break

    assert line.shipped == ids  # in order, none twice: what was in flight at a failure had not been settled
    assert work.counts["indexed"] == len(ids)
    assert table.reads < 100, "the hole of a thousand million ids is not walked through"


def test_a_slice_of_a_table_with_holes_finds_its_blocks() -> None:
    ids = [7, 5 * BLOCK_IDS + 1, 10**9 + 2 * BLOCK_IDS, 10**9 + 3 * BLOCK_IDS]
    found: list[int] = []
    for index in range(3):
        line = Line()
        share = Share(low=1, high=10**9 + 10**6, index=index, count=3)
        work = Backfill(rows=Table(ids), pipeline=line, share=share, batch_rows=20, batch_bytes=10**6)  # type: ignore[arg-type]
        assert sum(work.steps()) == len(line.shipped)
        found += line.shipped

    assert sorted(found) == ids


def test_it_stops_between_batches_and_settles_what_flies() -> None:
    line = Line()
    work = Backfill(
        rows=Table(range(1, 100)),
        pipeline=line,
        share=Share(low=1, high=99),
        batch_rows=10,
        batch_bytes=1,  # type: ignore[arg-type]
    )
    stops = iter([False, False, True])

    settled = sum(work.steps(lambda: next(stops)))

    assert settled == 20
    assert work.settled == 20
