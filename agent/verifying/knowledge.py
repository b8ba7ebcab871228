"""Why a difference is none: what is known of rows and documents that rightly have no counterpart.

    row without a document     dead_letter   the index refused it; kept with a reason
                               expired       a retention run has expired it and nobody indexes it again
                               watched       its gap was given up without proof and is still re-read
    document without a row     expired       older than what a retention run of ours has deleted, and not held
                               purged        older than every row that is left, and than a day: Core's own purge goes
                                             by age, in days

Whatever is left is drift. A row that somebody took out of the middle of the table leaves an orphan, because older
rows than it are still there. Ids of skipped gaps have neither row nor document, and open gaps lie above the watermark,
so neither is ever met here.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from agent.row import Row

Range = tuple[int, int]
FACTS = (
    "created_at",
    "module_slug",
    "source",
    "action",
    "severity",
    "service_id",
    "admin_id",
    "client_id",
    "ip_address",
)
"""The fields of a document by which retention may have decided about its row."""


class Reason(StrEnum):
    """Name why a difference is none."""

    DEAD_LETTER = "dead_letter"
    EXPIRED = "expired"
    WATCHED = "watched"
    PURGED = "purged"


class Letters(Protocol):
    """The dead letters of one instance."""

    def ids_between(self, lo: int, hi: int) -> set[int]:
        """Return the ids in [lo, hi] that are dead letters."""
        ...


@dataclass(frozen=True, slots=True)
class Front:
    """Where the table begins: id and `created_at` (UTC) of the oldest of its first rows, None if empty or undated.

    Of rows of one date a purge in parts takes lower ids first. Nothing younger than `purgeable` was purged by Core,
    which keeps rows for a number of days.
    """

    id: int | None
    created_at: str | None
    purgeable: str

    def purged(self, row_id: int, created_at: str | None) -> bool:
        """Say whether a row of this id and age must have gone if everything up to some age has."""
        if created_at is None or created_at >= self.purgeable:
            return False
        if self.id is None:
            return True
        if self.created_at is None:
            return False
        return created_at < self.created_at or (created_at == self.created_at and row_id < self.id)


@dataclass(frozen=True, slots=True)
class Removed:
    """What retention runs of ours have deleted: the latest cutoff of any, and whether it may be this document's row."""

    before: str | None
    may_be: Callable[[Mapping[str, Any]], bool]


_NOTHING_REMOVED = Removed(None, lambda _facts: False)
_NOTHING_PURGED = Front(None, None, "")


class Knowledge:
    """Explain differences; `refresh` before each look, because retention and Core go on meanwhile."""

    def __init__(
        self,
        *,
        dead_letters: Letters,
        refused: Callable[[Sequence[Row]], Container[int]],
        removed: Callable[[], Removed],
        front: Callable[[], Front],
        watched: Sequence[Range] = (),
    ) -> None:
        self._dead_letters = dead_letters
        self._refused = refused
        self._read_removed = removed
        self._read_front = front
        self._watched = watched
        self._removed = _NOTHING_REMOVED
        self._front = _NOTHING_PURGED

    def refresh(self) -> None:
        """Read afresh what retention has done and where the table begins."""
        self._removed = self._read_removed()
        self._front = self._read_front()

    def of_rows(self, rows: Sequence[Row]) -> dict[int, Reason]:
        """Explain rows without a document, as far as that can be done."""
        if not rows:
            return {}
        ids = [int(row[0] or 0) for row in rows]
        letters = self._dead_letters.ids_between(min(ids), max(ids))
        refused = self._refused(rows)
        found: dict[int, Reason] = {}
        for row_id in ids:
            if row_id in letters:
                found[row_id] = Reason.DEAD_LETTER
            elif row_id in refused:
                found[row_id] = Reason.EXPIRED
            elif any(first <= row_id <= last for first, last in self._watched):
                found[row_id] = Reason.WATCHED
        return found

    def of_document(self, row_id: int, facts: Mapping[str, Any]) -> Reason | None:
        """Explain a document without a row, if that can be done."""
        if self._removed.may_be(facts):
            return Reason.EXPIRED
        return Reason.PURGED if self._front.purged(row_id, facts.get("created_at")) else None

    def of_all_before(self) -> list[tuple[str, Reason]]:
        """Return instants before which no row is left, each with why: documents older than one need no closer look."""
        front, removed = self._front.created_at, self._removed.before
        if front is None:
            return []
        ours = [(min(front, removed), Reason.EXPIRED)] if removed is not None else []
        return [*ours, (min(front, self._front.purgeable), Reason.PURGED)]
