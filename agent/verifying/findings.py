"""What a verification found: counts, sample ids, what was explained, what was repaired."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# Counts are exact; of ids so many are kept for each kind that a person can work with them and memory stays flat.
SAMPLE_IDS = 10_000
FIELDS_KEPT = 100
MOST_ID = 2**63 - 1  # what an index can hold


class Drift(StrEnum):
    """Name the kinds of difference.

    A row whose document lies in the wrong partition, or in several, is `different`: the row is there, and what the
    index makes of it is not what it should. Documents without a row are `orphan`, however many there are of one id.
    """

    MISSING = "missing"
    ORPHAN = "orphan"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What to compare: ids from `low` to `high` (both included, `high` at most the watermark), and what to do.

    From there up to `last` only documents without a row are looked for.
    """

    low: int
    high: int
    last: int = MOST_ID
    deep: bool = False
    repair: bool = False
    delete_orphans: bool = False


@dataclass(slots=True)
class Findings:
    """Filled while a verification runs; `at` is the id it has come to."""

    scope: Scope
    at: int = 0
    rows: int = 0
    documents: int = 0
    drift: Counter[Drift] = field(default_factory=Counter)
    samples: dict[Drift, list[int]] = field(default_factory=lambda: {kind: [] for kind in Drift})
    explained: Counter[str] = field(default_factory=Counter)
    fields: dict[int, list[str]] = field(default_factory=dict)
    repaired: int = 0
    dead_letters: int = 0
    refused: int = 0
    orphans_deleted: int = 0
    seconds: float = 0.0

    def add(self, kind: Drift, ids: list[int]) -> None:
        """Count drift of one kind."""
        self.drift[kind] += len(ids)
        room = SAMPLE_IDS - len(self.samples[kind])
        self.samples[kind] += ids[: max(0, room)]

    def note_fields(self, row_id: int, names: list[str]) -> None:
        """Keep which fields of a document differ, for the first ones."""
        if len(self.fields) < FIELDS_KEPT:
            self.fields[row_id] = names

    @property
    def left(self) -> int:
        """Return how many differences are left: not repaired, nor become a dead letter or expired meanwhile."""
        return self.drift.total() - self.repaired - self.dead_letters - self.refused - self.orphans_deleted

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "from_id": self.scope.low,
            "to_id": self.scope.high,
            "deep": self.scope.deep,
            "rows": self.rows,
            "documents": self.documents,
            **{str(kind): self.drift[kind] for kind in Drift},
            "samples": {str(kind): sorted(self.samples[kind]) for kind in Drift},
            "fields": {str(row_id): names for row_id, names in self.fields.items()},
            "repaired": self.repaired,
            "dead_letters": self.dead_letters,
            "refused": self.refused,
            "orphans_deleted": self.orphans_deleted,
            "left": self.left,
            "explained": dict(self.explained),
            "seconds": round(self.seconds, 3),
        }
