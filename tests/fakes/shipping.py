"""A pipeline into a dictionary, and a checkpoint in memory, both of which can be made to fail at any effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.row import Row
from agent.tailing.checkpoint import decoded, encoded
from agent.tailing.gaps import Progress


class Crash(BaseException):
    """The process is gone: nothing in it may run any further."""


@dataclass
class Index:
    """What the cluster holds: survives any crash of the agent."""

    documents: dict[int, int] = field(default_factory=dict)
    saved: dict[str, object] | None = None
    skipped: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Taken:
    """The outcome of one submitted run of rows."""

    ids: list[int]
    counts: Counter[str]
    events: Counter[tuple[object, ...]] = field(default_factory=Counter)
    last: Row | None = None


class FakePipeline:
    """Take rows in requests of `request_rows`; each request is one effect."""

    def __init__(self, index: Index, effect: Callable[[str], None], request_rows: int = 3) -> None:
        self.index = index
        self.effect = effect
        self.request_rows = request_rows
        self.pending: list[list[Row]] = []

    def submit(self, rows: Sequence[Row], max_bytes: int) -> None:
        """Queue rows."""
        del max_bytes
        for start in range(0, len(rows), self.request_rows):
            self.pending.append(list(rows[start : start + self.request_rows]))

    def acknowledged(self, *, drain: bool) -> list[Taken]:
        """Index queued requests: all of them, or all but the last when not draining."""
        taken = []
        while self.pending and (drain or len(self.pending) > 1):
            rows = self.pending.pop(0)
            self.effect("bulk")
            ids = [int(str(row[0])) for row in rows]
            for row_id in ids:
                self.index.documents[row_id] = self.index.documents.get(row_id, 0) + 1
            self.effect("bulk answered")
            taken.append(Taken(ids, Counter(indexed=len(ids))))
        return taken

    def abandon(self) -> None:
        """Forget what is queued."""
        self.pending.clear()


class FakeCheckpoint:
    """Save through the real encoding, so that what survives a crash is what the index holds."""

    def __init__(self, index: Index, effect: Callable[[str], None]) -> None:
        self.index = index
        self.effect = effect
        self.progress = Progress() if index.saved is None else decoded(index.saved, where="memory")
        self.held = 0

    def refresh(self) -> bool:
        """Nobody else writes."""
        return False

    def save(self, progress: Progress, indexed: int, last: Row | None, *, at_once: bool) -> None:
        """Make progress durable; every other time that it may wait, it does."""
        del indexed, last
        self.held = 0 if at_once else self.held + 1
        if self.held % 2:
            self.progress = progress
            return
        self.effect("checkpoint")
        self.index.saved = encoded(progress)
        self.effect("checkpoint answered")
        self.progress = progress
