"""The tail: one step reads rows above the frontier, ships them, revisits gaps, and writes the checkpoint last.

    read ──▶ ship (bounded requests in flight) ──▶ acknowledged prefix ──▶ gaps ──▶ journal ──▶ checkpoint
                                                                             │
              transactions still alive, sampled after the read ──────────────┘

The order of effects is what survives a crash: documents are in the index, dead letters are kept and skips are
journaled before the checkpoint says so; whatever is repeated after a crash writes the same documents again.
Reading runs ahead of acknowledgement in memory only: the progress that is saved covers the contiguous prefix of
acknowledged requests, so the rows read again after a kill are those in flight and, while catching up, those of the
last second: a checkpoint waits for the cluster's disk, and one for each of many full batches would cost as much as
the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.backoff import BatchSize
from agent.errors import TemporaryError
from agent.tailing.evidence import Evidence
from agent.tailing.gaps import (
    Progress,
    Range,
    advanced,
    filled,
    graced,
    sampled,
    skipped,
    unsampled,
    unwatched,
)
from agent.tailing.merging import merged
from agent.tailing.seams import Checkpoint, Pipeline, Rows
from agent.tailing.step import Step, Taken, Visit, id_of

WATCH_EVERY_SECONDS = 10.0
SHRINKING_KINDS = frozenset({"throttled", "too_large", "timeout"})


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
        stopping: Callable[[], bool] = lambda: False,
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
        self._stopping = stopping
        self._read_to: int | None = None
        self._saved_to = 0
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
        self._saved_to = 0

    def _step(self, *, careful: bool) -> Step:
        if self._checkpoint.refresh():
            self.forget()
        progress = self._checkpoint.progress
        if self._read_to is None:
            self._read_to = progress.frontier

        batch = self._rows.after(self._read_to, self._size.rows, self._size.bytes)
        if batch.rows:
            self._pipeline.submit(batch.rows, self._size.bytes)
            self._read_to = id_of(batch.rows[-1])

        taken = Taken()
        before = len(progress.gaps)
        # After a failure nothing is read ahead: a step that only submitted would pass for a recovery, and the pauses
        # between the tries of an outage would never grow.
        progress = self._take_acknowledged(progress, taken, drain=batch.is_complete or careful)
        opened = max(0, len(progress.gaps) - before)
        visit = self._revisit(progress, taken) if progress.gaps or progress.watch else Visit(progress)
        # What was journaled is checkpointed at once, or it would be journaled again after a kill.
        waits = not batch.is_complete and not visit.skipped and not visit.unproven
        # What a kill costs is to stay what was in flight: small steps share a checkpoint, full ones have their own.
        waits = waits and visit.progress.frontier - self._saved_to < self._size.rows
        self._save(visit.progress, taken, at_once=not waits)
        return Step(
            rows_read=len(batch.rows),
            caught_up=batch.is_complete,
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

    def _revisit(self, progress: Progress, taken: Taken) -> Visit:
        """Re-read the gaps that may have changed and skip what is proven dead."""
        # The sample must follow the read that showed the gaps, and the re-read must follow the sample: the other
        # order could miss a transaction that began, or a commit that happened, in between.
        alive, changed = self._evidence.sample()
        if changed:
            # Transactions known to live a moment ago get the whole grace from here on.
            progress = unsampled(progress, self._clock() if alive is None else None)
        visit = Visit(progress, evidence_changed=changed)
        if alive is not None:
            visit.progress, visit.to_read = sampled(progress, alive)
            self._reread(visit, taken)
            return visit
        visit.to_read = progress.gaps
        self._reread(visit, taken)
        visit.progress, left = graced(visit.progress, self._clock(), self._grace_seconds, self._watch_seconds)
        if left:
            visit.unproven = tuple(left)
            self._journal_skips(left, self._evidence.rung.name)
        return visit

    def _watched_due(self, progress: Progress, now: float) -> list[Range]:
        # A range whose time is over is read once more before it is dropped.
        if now < self._watch_due and all(now < watched.until for watched in progress.watch):
            return []
        self._watch_due = now + WATCH_EVERY_SECONDS
        return [(watched.first, watched.last) for watched in progress.watch]

    def _reread(self, visit: Visit, taken: Taken) -> None:
        """Ship the rows that have appeared in gaps, and in watched ranges when those are due, batch by batch.

        A transaction can commit a million rows into a gap: each batch is checkpointed as it is taken, and what is
        proven dead is skipped as far as the read has come, so that neither a kill nor memory costs more than a batch.
        """
        now = self._clock()
        left = _disjoint([(gap.first, gap.last) for gap in visit.to_read] + self._watched_due(visit.progress, now))
        while left:
            batch = self._rows.in_ranges(left, self._size.rows, self._size.bytes)
            if batch.rows:
                self._pipeline.submit(batch.rows, self._size.bytes)
                self._close(visit, taken)
                visit.closed += len(batch.rows)
            read_to = left[-1][1] if batch.is_complete else id_of(batch.rows[-1])
            self._skip(visit, read_to)
            left = _above(left, read_to)
            if left and self._stopping():
                return
            if left:
                visit.progress = merged(visit.progress, self._max_ranges)
                self._save(visit.progress, taken)
        visit.progress = unwatched(visit.progress, now)

    def _close(self, visit: Visit, taken: Taken) -> None:
        """Take in all that is in flight: rows of gaps, and before them rows above the frontier."""
        for acknowledged in self._pipeline.acknowledged(drain=True):
            later = [row_id for row_id in acknowledged.ids if row_id > visit.progress.frontier]
            visit.progress = filled(advanced(visit.progress, later, self._clock()), acknowledged.ids)
            taken.add(acknowledged)

    def _skip(self, visit: Visit, read_to: int) -> None:
        """Skip what is proven dead of the gaps read so far."""
        visit.progress, dead = skipped(visit.progress, visit.to_read, read_to)
        if dead:
            # Journaled before the checkpoint forgets the gap: after a crash in between it is found dead once more.
            self._journal_skips(dead, self._evidence.rung.name)
            visit.skipped += dead

    def _save(self, progress: Progress, taken: Taken, *, at_once: bool = True) -> None:
        # Last of all effects: a crash before this line only repeats work.
        indexed = taken.counts["indexed"]
        progress = merged(progress, self._max_ranges)
        self._checkpoint.save(progress, indexed - taken.saved, taken.last, at_once=at_once)
        taken.saved = indexed
        if at_once:
            self._saved_to = progress.frontier


def _above(ranges: list[Range], row_id: int) -> list[Range]:
    """Return what lies above an id."""
    return [(max(first, row_id + 1), last) for first, last in ranges if last > row_id]


def _disjoint(ranges: list[Range]) -> list[Range]:
    """Return the ranges ascending, with overlaps joined."""
    result: list[Range] = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1]:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return result
