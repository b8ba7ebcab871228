"""The two sides as a verification sees them: seams to the table and to the index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from agent.row import Row
from agent.verifying.stored import Stored


class Batch(Protocol):
    """Rows in id order; `is_complete` says nothing matching was left behind."""

    @property
    def rows(self) -> list[Row]:
        """Return the rows."""
        ...

    @property
    def is_complete(self) -> bool:
        """Say whether everything that matched was read."""
        ...


class Rows(Protocol):
    """Read rows in a fresh snapshot each time. Raises TemporaryError when the server is away."""

    def after(self, row_id: int, limit: int, max_bytes: int = ...) -> Batch:
        """Return rows with a higher id, ascending."""
        ...

    def in_range(self, low: int, high: int, limit: int, max_bytes: int = ...) -> Batch:
        """Return rows with low ≤ id ≤ high, ascending."""
        ...

    def by_ids(self, ids: Sequence[int], max_bytes: int = ...) -> Batch:
        """Return the rows that exist among ids, ascending."""
        ...


class RowWindow(Protocol):
    """Ids from `start` on: how many rows, and the sum of their checksums."""

    @property
    def start(self) -> int:
        """Return the window's first id."""
        ...

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        ...

    @property
    def crc_sum(self) -> int:
        """Return the sum of their checksums."""
        ...


class RowWindows(Protocol):
    """Sum checksums in the server. Each call walks one range of the id's index."""

    def windows(self, low: int, high: int, width: int) -> Sequence[RowWindow]:
        """Return the windows that have rows; window n starts at n × width."""
        ...

    def ids_and_crcs(self, low: int, high: int) -> list[tuple[int, int]]:
        """Return id and checksum of each row."""
        ...


class DocumentWindow(Protocol):
    """How many documents, and the sum of their checksums."""

    @property
    def count(self) -> int:
        """Return the number of documents."""
        ...

    @property
    def crc_sum(self) -> int:
        """Return the sum of their checksums."""
        ...


class Documents(Protocol):
    """The documents of one instance wherever they lie; see `stored.StoredDocuments`."""

    def refresh(self) -> None:
        """Make everything acknowledged before this call visible."""
        ...

    def windows(self, low: int, high: int, width: int) -> Mapping[int, DocumentWindow]:
        """Return count and checksum sum by window number."""
        ...

    def next_id(self, low: int) -> int | None:
        """Return the lowest id from `low` on that has a document."""
        ...

    def in_range(self, low: int, high: int) -> Iterator[Stored]:
        """Return every document with an id in the range."""
        ...

    def by_ids(self, ids: Sequence[int], source: bool | list[str] = ...) -> Iterator[Stored]:
        """Return every document of these rows."""
        ...

    def created_before(self, low: int, high: int, instant: str) -> int:
        """Count documents in a range of ids that were created before an instant."""
        ...

    def misplaced(self, low: int, high: int) -> Iterator[list[int]]:
        """Return ids of documents that lie in another period's index than their `created_at` says."""
        ...

    def is_right(self, document: Stored, partition: str) -> bool:
        """Say whether a document lies where it belongs, under its own `_id`."""
        ...

    def delete(self, documents: Sequence[Stored]) -> int:
        """Delete documents where they lie; return how many there were. Idempotent."""
        ...
