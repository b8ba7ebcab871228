"""What a step of the tail did, and what it has found so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from agent.row import Row
from agent.tailing.gaps import Gap, Progress, Range
from agent.tailing.seams import Acknowledged


@dataclass(slots=True)
class Taken:
    """What the index took in one step."""

    counts: Counter[str] = field(default_factory=Counter)
    events: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    last: Row | None = None
    saved: int = 0
    """How many of the indexed ones a checkpoint has counted already."""

    def add(self, acknowledged: Acknowledged) -> None:
        """Add one acknowledged run of rows."""
        self.counts.update(acknowledged.counts)
        self.events.update(acknowledged.events)
        # A late row below the frontier is not the one the table is recognised by.
        if acknowledged.last is not None and (self.last is None or id_of(acknowledged.last) > id_of(self.last)):
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


@dataclass(slots=True)
class Visit:
    """What one look at the gaps has found so far."""

    progress: Progress
    to_read: tuple[Gap, ...] = ()
    closed: int = 0
    skipped: tuple[Range, ...] = ()
    unproven: tuple[Range, ...] = ()
    evidence_changed: bool = False


def id_of(row: Row) -> int:
    """Return the primary key of a row."""
    row_id = row[0]
    assert isinstance(row_id, int)  # noqa: S101  the shape puts the primary key first; this narrows the type
    return row_id
