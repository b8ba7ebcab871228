"""Both sides in memory: a table of rows and an index of documents, each as the servers would answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from agent.mapping.document import Document
from agent.mapping.partition import bounds
from agent.row import Row
from agent.verifying.stored import Stored
from tests.unit.verifying.rows import builder

NOW = "2026-11-23T00:00:00.000Z"


@dataclass
class Batch:
    rows: list[Row]
    is_complete: bool


@dataclass
class Sum:
    start: int
    rows: int
    crc_sum: int

    @property
    def count(self) -> int:
        return self.rows


@dataclass
class Table:
    """Rows by id; `listed` is how many ids were ever named one by one."""

    rows: dict[int, Row] = field(default_factory=dict)
    listed: int = 0

    def put(self, row: Row) -> None:
        self.rows[int(row[0] or 0)] = row

    def after(self, row_id: int, limit: int, max_bytes: int = 0) -> Batch:
        return self._batch(sorted(each for each in self.rows if each > row_id), limit)

    def in_range(self, low: int, high: int, limit: int, max_bytes: int = 0) -> Batch:
        return self._batch(self._ids(low, high), limit)

    def by_ids(self, ids: Sequence[int], max_bytes: int = 0) -> Batch:
        return self._batch(sorted(self.rows.keys() & set(ids)), len(ids) + 1)

    def windows(self, low: int, high: int, width: int) -> list[Sum]:
        ids = self._ids(low, high)
        return [
            Sum(number * width, len(part), sum(int(self.rows[each][-1] or 0) for each in part))
            for number in sorted({each // width for each in ids})
            if (part := [each for each in ids if each // width == number])
        ]

    def ids_and_crcs(self, low: int, high: int) -> list[tuple[int, int]]:
        self.listed += 1
        return [(each, int(self.rows[each][-1] or 0)) for each in self._ids(low, high)]

    def _ids(self, low: int, high: int) -> list[int]:
        return sorted(each for each in self.rows if low <= each <= high)

    def _batch(self, ids: list[int], limit: int) -> Batch:
        return Batch([self.rows[each] for each in ids[:limit]], len(ids) <= limit)


@dataclass
class Index:
    """Documents by index and `_id`; an index is named as its partition."""

    documents: dict[tuple[str, str], Stored] = field(default_factory=dict)

    def index(self, document: Document, *, into: str = "", key: str = "") -> None:
        self.put(Stored(document.id, key or document.key, into or document.partition, document.crc, document.source))

    def put(self, stored: Stored) -> None:
        self.documents[stored.index, stored.key] = stored

    def ship(self, rows: Sequence[Row]) -> dict[str, int]:
        for row in rows:
            self.index(builder().build(row, NOW))
        return {"indexed": len(rows)}

    def of(self, row_id: int) -> list[Stored]:
        return [each for each in self.documents.values() if each.id == row_id]

    def refresh(self) -> None:
        pass

    def windows(self, low: int, high: int, width: int) -> dict[int, Sum]:
        found: dict[int, Sum] = {}
        for each in self.in_range(low, high):
            window = found.setdefault(each.id // width, Sum(each.id // width * width, 0, 0))
            window.rows += 1
            window.crc_sum += each.crc or 0
        return found

    def next_id(self, low: int) -> int | None:
        return min((each.id for each in self.documents.values() if each.id >= low), default=None)

    def in_range(self, low: int, high: int) -> Iterator[Stored]:
        yield from [replace(each, source=None) for each in self.documents.values() if low <= each.id <= high]

    def by_ids(self, ids: Sequence[int], source: bool | list[str] = False) -> Iterator[Stored]:
        yield from [each for each in self.documents.values() if each.id in ids]

    def created_before(self, low: int, high: int, instant: str) -> int:
        return sum(self._created_at(each) < instant for each in self.in_range_whole(low, high))

    def misplaced(self, low: int, high: int) -> Iterator[list[int]]:
        for each in self.in_range_whole(low, high):
            first, after = bounds(each.index) or (None, None)
            if first is None or after is None or not str(first)[:10] <= self._created_at(each)[:10] < str(after)[:10]:
                yield [each.id]

    def is_right(self, document: Stored, partition: str) -> bool:
        return (document.index, document.key) == (partition, f"i:{document.id}")

    def delete(self, documents: Sequence[Stored]) -> int:
        return sum(self.documents.pop((each.index, each.key), None) is not None for each in documents)

    def in_range_whole(self, low: int, high: int) -> list[Stored]:
        return [each for each in self.documents.values() if low <= each.id <= high]

    def _created_at(self, stored: Stored) -> str:
        return str((stored.source or {}).get("created_at") or "")
