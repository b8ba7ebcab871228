"""The seams of the tail: what it asks of the table, of shipping and of the checkpoint, and nothing more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from agent.row import Row
from agent.tailing.gaps import Progress, Range


class Batch(Protocol):
    """Rows in id order; `is_complete` says that nothing matching was left unread when the read was made.

    A batch that is not complete holds at least one row.
    """

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
        """Return the progress as last given to `save`, or as adopted since."""
        ...

    def refresh(self) -> bool:
        """Adopt what another writer saved since; say whether there was any. Raises Fenced when the lease is lost."""
        ...

    def save(self, progress: Progress, indexed: int, last: Row | None, *, at_once: bool) -> None:
        """Make progress durable, with the last row it covers. Raises TemporaryError, also when fenced off.

        Unless `at_once`, it may be held back for up to a second; a kill then costs what it covered again.
        """
        ...
