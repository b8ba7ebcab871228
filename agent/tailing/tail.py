"""The tail: one step reads rows above the frontier, ships them, revisits gaps, and writes the checkpoint last.

    read ──▶ ship (bounded requests in flight) ──▶ acknowledged prefix ──▶ gaps ──▶ journal ──▶ checkpoint
                                                                             │
              transactions still alive, sampled after the read ──────────────┘

The order of effects is what survives a crash: documents are in the index, dead letters are kept and skips are
journaled before the checkpoint says so; whatever is repeated after a crash writes the same documents again.
Reading runs ahead of acknowledgement in memory only: the progress that is saved covers the contiguous prefix of
acknowledged requests, so the rows read again after a kill are at most those in flight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agent.backoff import BatchSize
from agent.errors import TemporaryError
from agent.row import Row
from agent.tailing.evidence import Evidence
from agent.tailing.gaps import (
    Progress,
    Range,
    advanced,
    filled,
    graced,
    half_read,
    merged,
    sampled,
    skipped,
    unsampled,
    unwatched,
)

WATCH_EVERY_SECONDS = 10.0
SHRINKING_KINDS = frozenset({"throttled", "too_large", "timeout"})


class Batch(Protocol):
    """Rows in id order; `is_complete` says that nothing matching was left unread when the read was made."""

    @property
    def rows(self) -> list[Row]:
        """Return the rows."""
        ...

    @property
    def is_complete(self) -> bool:
        """Say whether the read ended at the end of what matched rather than at a limit."""
        ...


class Rows(Protocol):
    """Read rows; every call sees a fresh snapshot, and raises TemporaryError when the server is away."""

    def after(self, row_id: int, limit: int, max_bytes: int) -> Batch:
        """Return rows with a higher id, ascending."""
        ...

    def in_ranges(self, ranges: Sequence[Range], limit: int, max_bytes: int) -> Batch:
        """Return rows with ids in the ranges (ascending, disjoint), ascending."""
        ...


class Acknowledged(Protocol):
    """What became of a contiguous run of submitted rows: each is indexed, dead-lettered or refused as expired."""

    @property
    def ids(self) -> Sequence[int]:
        """Return the ids of the rows, ascending."""
        ...

    @property
    def counts(self) -> Counter[str]:
        """Return how many were indexed, dead_letters, overflowed:<reason>, redacted:<rule>, refused; and halvings."""
        ...

    @property
    def events(self) -> Counter[tuple[Any, ...]]:
        """Return how many rows there were of each (module_slug, severity, source)."""
        ...

    @property
    def last(self) -> Row | None:
        """Return the last row that was sent, if any was."""
        ...


class Pipeline(Protocol):
    """Ship rows with a bounded number of requests in flight; the outcomes come back in the order of submission."""

    def submit(self, rows: Sequence[Row], max_bytes: int) -> None:
        """Start to ship rows; raises TemporaryError when the cluster cannot take them now."""
        ...

    def acknowledged(self, *, drain: bool) -> Sequence[Acknowledged]:
        """Return the contiguous prefix taken by now; with `drain`, wait for all. Raises TemporaryError."""
        ...

    def abandon(self) -> None:
        """Wait out what is in flight and forget it; it will be submitted again."""
        ...


class Checkpoint(Protocol):
    """Durable progress, and the right to write it."""

    @property
    def progress(self) -> Progress:
        """Return the progress as last saved or adopted."""
        ...

    def refresh(self) -> bool:
        """Adopt what another writer saved since; say whether there was any. Raises Fenced when the lease is lost."""
        ...

    def save(self, progress: Progress, indexed: int, last: Row | None) -> None:
        """Make progress durable, with the last row it covers. Raises TemporaryError, also when fenced off."""
        ...


@dataclass(slots=True)
class Taken:
    """What the index took in one step."""

    counts: Counter[str] = field(default_factory=Counter)
    events: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    last: Row | None = None

    def add(self, acknowledged: Acknowledged) -> None:
        """Add one acknowledged run of rows."""
        self.counts.update(acknowledged.counts)
        self.events.update(acknowledged.events)
        # A late row below the frontier is not the one the table is recognised by.
        if acknowledged.last is not None and (self.last is None or _row_id(acknowledged.last) > _row_id(self.last)):
            self.last = acknowledged.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step did."""

    rows_read: int = 0
    caught_up: bool = True
    taken: Taken = field(default_factory=Taken)
    opened: int = 0
    closed: int = 0
    skipped: tuple[Range, ...] = ()
    unproven: tuple[Range, ...] = ()
    evidence_changed: bool = False


class Tail:
    """Ship every row that ever becomes visible, exactly."""

    def __init__(
        self,
        *,
        rows: Rows,
        pipeline: Pipeline,
        evidence: Evidence,
        checkpoint: Checkpoint,
        journal_skips: Callable[[Sequence[Range], str], None],
        size: BatchSize,
        grace_seconds: float,
        watch_seconds: float,
        max_ranges: int,
        clock: Callable[[], float],
    ) -> None:
        self._rows = rows
        self._pipeline = pipeline
        self._evidence = evidence
        self._checkpoint = checkpoint
        self._journal_skips = journal_skips
        self._size = size
        self._grace_seconds = grace_seconds
        self._watch_seconds = watch_seconds
        self._max_ranges = max_ranges
        self._clock = clock
        self._read_to: int | None = None
        self._watch_due = 0.0
        self._is_proving = False

    def step(self) -> Step:
        """Do one step; on TemporaryError everything not checkpointed will be read again by the next."""
        was_proving, self._is_proving = self._is_proving, True
        try:
            step = self._step(careful=was_proving)
            self._is_proving = False
        except TemporaryError as failure:
            if failure.kind in SHRINKING_KINDS:
                self._size = self._size.halved()
            raise
        finally:
            # Whatever the error was: what is in flight must not fail the next step too.
            if self._is_proving:
                self.forget()
        self._size = self._size.halved() if step.taken.counts["halvings"] else self._size.grown()
        return step

    def drain(self) -> Step:
        """Take in what is in flight and checkpoint it, reading nothing new: the graceful end."""
        taken = Taken()
        progress = self._take_acknowledged(self._checkpoint.progress, taken, drain=True)
        self._save(progress, taken)
        return Step(taken=taken)

    def forget(self) -> None:
        """Drop what was read but not acknowledged, as after an error or a changed checkpoint."""
        self._pipeline.abandon()
        self._read_to = None

    def _step(self, *, careful: bool) -> Step:
        if self._checkpoint.refresh():
            self.forget()
        progress = self._checkpoint.progress
        if self._read_to is None:
            self._read_to = progress.frontier

        batch = self._rows.after(self._read_to, self._size.rows, self._size.bytes)
        if batch.rows:
            self._pipeline.submit(batch.rows, self._size.bytes)
            self._read_to = _row_id(batch.rows[-1])

        taken = Taken()
        before = len(progress.gaps)
        # After a failure nothing is read ahead: a step that only submitted would pass for a recovery, and the pauses
        # between the tries of an outage would never grow.
        progress = self._take_acknowledged(progress, taken, drain=batch.is_complete or careful)
        opened = max(0, len(progress.gaps) - before)
        visit = self._revisit(progress, taken) if progress.gaps or progress.watch else _Visit(progress)
        self._save(visit.progress, taken)
        return Step(
            rows_read=len(batch.rows),
            caught_up=batch.is_complete and visit.is_complete,
            taken=taken,
            opened=opened,
            closed=visit.closed,
            skipped=visit.skipped,
            unproven=visit.unproven,
            evidence_changed=visit.evidence_changed,
        )

    def _take_acknowledged(self, progress: Progress, taken: Taken, *, drain: bool) -> Progress:
        for acknowledged in self._pipeline.acknowledged(drain=drain):
            progress = advanced(progress, acknowledged.ids, self._clock())
            taken.add(acknowledged)
        return progress

    def _revisit(self, progress: Progress, taken: Taken) -> _Visit:
        """Re-read the gaps that may have changed and skip what is proven dead."""
        # The sample must follow the read that showed the gaps, and the re-read must follow the sample: the other
        # order could miss a transaction that began, or a commit that happened, in between.
        alive, changed = self._evidence.sample()
        if changed:
            # Transactions known to live a moment ago get the whole grace from here on.
            progress = unsampled(progress, self._clock() if alive is None else None)
        if alive is None:
            return self._revisit_by_grace(progress, taken, changed)
        progress, to_read = sampled(progress, alive)
        progress, closed, unread_from = self._reread(progress, [(gap.first, gap.last) for gap in to_read], taken)
        if unread_from is not None:
            progress = half_read(progress, unread_from)
            to_read = tuple(gap for gap in to_read if gap.last < unread_from)
        progress, dead = skipped(progress, to_read)
        if dead:
            # Journaled before the checkpoint forgets the gap: after a crash in between it is found dead once more.
            self._journal_skips(dead, self._evidence.rung.name)
        return _Visit(progress, closed, dead, (), changed, is_complete=unread_from is None)

    def _revisit_by_grace(self, progress: Progress, taken: Taken, changed: bool) -> _Visit:
        due = [(gap.first, gap.last) for gap in progress.gaps]
        progress, closed, unread_from = self._reread(progress, due, taken)
        if unread_from is not None:
            return _Visit(progress, closed, (), (), changed, is_complete=False)
        progress, unproven = graced(progress, self._clock(), self._grace_seconds, self._watch_seconds)
        if unproven:
            self._journal_skips(unproven, self._evidence.rung.name)
        return _Visit(progress, closed, (), tuple(unproven), changed)

    def _watched_due(self, progress: Progress, now: float) -> list[Range]:
        # A range whose time is over is read once more before it is dropped.
        if now < self._watch_due and all(now < watched.until for watched in progress.watch):
            return []
        self._watch_due = now + WATCH_EVERY_SECONDS
        return [(watched.first, watched.last) for watched in progress.watch]

    def _reread(self, progress: Progress, gaps: list[Range], taken: Taken) -> tuple[Progress, int, int | None]:
        """Ship rows that have appeared in gaps, and in watched ranges when those are due: one batch of them.

        Return how many there were, and the id from which on there may be more: a transaction can commit a million
        rows into a gap, and a step must end within a batch, checkpointed.
        """
        now = self._clock()
        ranges = _disjoint(gaps + self._watched_due(progress, now))
        if not ranges:
            return progress, 0, None
        batch = self._rows.in_ranges(ranges, self._size.rows, self._size.bytes)
        if batch.rows:
            self._pipeline.submit(batch.rows, self._size.bytes)
            for acknowledged in self._pipeline.acknowledged(drain=True):
                later = [row_id for row_id in acknowledged.ids if row_id > progress.frontier]
                progress = advanced(progress, later, self._clock())
                progress = filled(progress, acknowledged.ids)
                taken.add(acknowledged)
        if batch.is_complete:
            return unwatched(progress, now), len(batch.rows), None
        self._watch_due = now
        return progress, len(batch.rows), _row_id(batch.rows[-1]) + 1 if batch.rows else ranges[0][0]

    def _save(self, progress: Progress, taken: Taken) -> None:
        # Last of all effects: a crash before this line only repeats work.
        self._checkpoint.save(merged(progress, self._max_ranges), taken.counts["indexed"], taken.last)


@dataclass(frozen=True, slots=True)
class _Visit:
    progress: Progress
    closed: int = 0
    skipped: tuple[Range, ...] = ()
    unproven: tuple[Range, ...] = ()
    evidence_changed: bool = False
    is_complete: bool = True


def _row_id(row: Row) -> int:
    row_id = row[0]
    assert isinstance(row_id, int)  # noqa: S101  the shape puts the primary key first; this narrows the type
    return row_id


def _disjoint(ranges: list[Range]) -> list[Range]:
    """Return the ranges ascending, with overlaps joined."""
    result: list[Range] = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1]:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return result
