"""Gaps: which ids below the frontier are not settled yet, and what proves that some never will be (pure).

    ids      1 2 3 . . 6 7 . 9          frontier 9, gaps 4-5 and 8, watermark 3
                   └─┬─┘   │
          first sighting: the transactions that may still commit into the gap

MySQL hands out ids at INSERT and shows rows at COMMIT, so a lower id can appear after a higher one. Whoever
reserved an id below one already seen committed did so earlier, in a transaction that has ended or still holds a
write metadata lock on the table. Hence the rule, whose order is its proof:

    1. a read shows the gap;
    2. *after* it, the transactions that now hold such a lock are sampled (the gap's first sighting);
    3. when each of them has gone, a *fresh* read of the gap shows every row that will ever be there:
       what is still missing is dead, and is skipped.

A gap whose sampled transactions dwindle is re-read at once, because one of those that ended may have committed.
Without any evidence (`grace`) a gap leaves the watermark's way after a time, and its ids stay on a watch list.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Sighting:
    """When gaps were first seen (seconds of the caller's clock), and which sampled transactions still live.

    `alive` is None until the first sample after the read that showed the gap; only a sample taken after that read
    can be trusted to hold every transaction that may still fill the gap.
    """

    seen_at: float
    alive: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Ids `first`..`last`, none of which has been read, and the sighting that decides their fate."""

    first: int
    last: int
    sighting: Sighting

    @property
    def ids(self) -> int:
        """Count the ids of the range."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Watched:
    """A range that left the watermark's way without proof; its ids are re-read until `until`."""

    first: int
    last: int
    until: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the table is read: the frontier, the open gaps below it (ascending, disjoint), the watch list."""

    frontier: int = 0
    gaps: tuple[Gap, ...] = ()
    watch: tuple[Watched, ...] = ()
    skipped_total: int = 0

    @property
    def watermark(self) -> int:
        """Return the highest id at or below which every id is settled."""
        return self.gaps[0].first - 1 if self.gaps else self.frontier

    @property
    def gap_ids(self) -> int:
        """Count the ids in open gaps."""
        return sum(gap.ids for gap in self.gaps)

    def in_gap(self, row_id: int) -> bool:
        """Say whether an id lies in an open gap."""
        place = bisect_right(self.gaps, row_id, key=lambda gap: gap.first) - 1
        return place >= 0 and row_id <= self.gaps[place].last


def advanced(progress: Progress, ids: Sequence[int], seen_at: float) -> Progress:
    """Move the frontier over ids read above it (strictly ascending) and open a gap wherever one is missing."""
    if not ids:
        return progress
    if ids[-1] - progress.frontier == len(ids):
        return replace(progress, frontier=ids[-1])
    sighting = Sighting(seen_at)
    opened = []
    expected = progress.frontier + 1
    for row_id in ids:
        if row_id != expected:
            opened.append(Gap(expected, row_id - 1, sighting))
        expected = row_id + 1
    return replace(progress, frontier=ids[-1], gaps=progress.gaps + tuple(opened))


def sampled(progress: Progress, alive_now: frozenset[str]) -> tuple[Progress, tuple[Gap, ...]]:
    """Take in a sample of live transactions; return the gaps that must be re-read because of it.

    A gap without a first sample gets this one. A gap any of whose transactions has ended must be re-read: that
    transaction may have committed into it. `skipped` may then be told of the re-read, and of nothing older.
    """
    verdicts: dict[Sighting, tuple[Sighting, bool]] = {}
    gaps = []
    to_read = []
    for gap in progress.gaps:
        if gap.sighting not in verdicts:
            verdicts[gap.sighting] = _observed(gap.sighting, alive_now)
        sighting, ended = verdicts[gap.sighting]
        seen = gap if sighting is gap.sighting else Gap(gap.first, gap.last, sighting)
        gaps.append(seen)
        if ended:
            to_read.append(seen)
    return replace(progress, gaps=tuple(gaps)), tuple(to_read)


def filled(progress: Progress, ids: Iterable[int]) -> Progress:
    """Close gaps, and shorten the watch list, by rows that have arrived in them; other ids change nothing."""
    arrived = sorted(set(ids))
    if not arrived:
        return progress
    gaps = [
        Gap(first, last, gap.sighting)
        for gap in progress.gaps
        for first, last in _without(gap.first, gap.last, arrived)
    ]
    watch = [
        Watched(first, last, watched.until)
        for watched in progress.watch
        for first, last in _without(watched.first, watched.last, arrived)
    ]
    return replace(progress, gaps=tuple(gaps), watch=tuple(watch))


def skipped(progress: Progress, reread: Iterable[Gap], read_to: int) -> tuple[Progress, tuple[Range, ...]]:
    """Skip what is still open of re-read gaps whose every sampled transaction has gone; return the dead ranges.

    Call it only after `sampled` named these gaps, a fresh read of them up to `read_to` followed, and `filled` took
    in what that read found.
    """
    dead_spans = sorted(
        (gap.first, min(gap.last, read_to))
        for gap in reread
        if gap.first <= read_to and gap.sighting.alive == frozenset()
    )
    if not dead_spans:
        return progress, ()
    starts = [first for first, _ in dead_spans]
    kept = []
    dead = []
    for gap in progress.gaps:
        place = bisect_right(starts, gap.first) - 1
        if place >= 0 and gap.last <= dead_spans[place][1] and gap.sighting.alive == frozenset():
            dead.append((gap.first, gap.last))
        else:
            kept.append(gap)
    count = sum(last - first + 1 for first, last in dead)
    return replace(progress, gaps=tuple(kept), skipped_total=progress.skipped_total + count), tuple(dead)


def graced(progress: Progress, now: float, grace_seconds: float, watch_seconds: float) -> tuple[Progress, list[Range]]:
    """Move gaps older than the grace onto the watch list; return the ranges that left the watermark's way.

    This is the rung without proof: the ids stay watched.
    """
    moved = [gap for gap in progress.gaps if now - gap.sighting.seen_at >= grace_seconds]
    if not moved:
        return progress, []
    kept = tuple(gap for gap in progress.gaps if now - gap.sighting.seen_at < grace_seconds)
    watch = [*progress.watch, *(Watched(gap.first, gap.last, now + watch_seconds) for gap in moved)]
    watch.sort(key=lambda watched: watched.first)
    count = sum(gap.ids for gap in moved)
    changed = replace(progress, gaps=kept, watch=tuple(watch), skipped_total=progress.skipped_total + count)
    return changed, [(gap.first, gap.last) for gap in moved]


def unwatched(progress: Progress, now: float) -> Progress:
    """Drop watched ranges whose time is over; a read of them must have come just before."""
    if all(now < watched.until for watched in progress.watch):
        return progress
    return replace(progress, watch=tuple(watched for watched in progress.watch if now < watched.until))


def unsampled(progress: Progress, seen_at: float | None = None) -> Progress:
    """Forget all samples, because the evidence or the server they came from is no longer the same.

    Sampling later is always sound: a later first sample still holds whoever may fill the gap. With `seen_at` the
    gaps count as seen then: where evidence gives way to grace, the grace begins.
    """
    gaps = tuple(
        Gap(gap.first, gap.last, Sighting(gap.sighting.seen_at if seen_at is None else seen_at))
        for gap in progress.gaps
    )
    return replace(progress, gaps=gaps)


def _observed(sighting: Sighting, alive_now: frozenset[str]) -> tuple[Sighting, bool]:
    if sighting.alive is None:
        return Sighting(sighting.seen_at, alive_now), not alive_now
    left = sighting.alive & alive_now
    if left == sighting.alive:
        return sighting, not left
    return Sighting(sighting.seen_at, left), True


def _without(first: int, last: int, arrived: list[int]) -> Iterable[Range]:
    """Yield what is left of a range once the arrived ids (ascending) are taken out."""
    start = first
    for place in range(bisect_left(arrived, first), bisect_right(arrived, last)):
        if arrived[place] > start:
            yield start, arrived[place] - 1
        start = arrived[place] + 1
    if start <= last:
        yield start, last
