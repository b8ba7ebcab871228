"""The table as retention sees it: conditions become checked SQL, rows go in small transactions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from agent.errors import PermanentError
from agent.mysql import predicate as sql
from agent.mysql.census import count_by_first_match
from agent.mysql.checksum import crc_expression
from agent.mysql.deletes import RowDeleter
from agent.mysql.engine import Database
from agent.mysql.predicate import Predicate
from agent.mysql.rows import RowReader
from agent.mysql.schema import Table
from agent.retention.condition import MATCH_FIELDS, Before, Condition, Every, Is, Like, Not, Some, Within
from agent.retention.record import Record, record_of
from agent.retention.sides import Candidate, Group, Groups

# Rules ask about short columns only; longer values (context, detail) are not needed to decide.
_DECIDING_BYTES = 256
# An archive holds rows whole: nothing a column can hold is longer.
_WHOLE_BYTES = 1 << 31
_BLOCK_BYTES = 8 << 20
_IDS_PER_STATEMENT = 5_000
_BLOCK_ROWS = 1000
_DECIDING_FIELDS = frozenset(("id", "created_at", *MATCH_FIELDS))
_BEFORE_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class TableSide:
    """See `sides.Rows`. `zone` is the one `created_at` was written in."""

    def __init__(self, database: Database, table: Table, *, zone: ZoneInfo) -> None:
        self._database = database
        self._table = table
        self._zone = zone
        self._deciding = RowReader(database, table, max_value_bytes=_DECIDING_BYTES)
        self._whole = RowReader(database, table, max_value_bytes=_WHOLE_BYTES)
        self._deleter = RowDeleter(database, table)
        self._crc = crc_expression(table.columns, table.known)

    def now(self) -> datetime:
        """Ask the server; see `Rows`."""
        return datetime.fromisoformat(self._deciding.bounds().now).replace(tzinfo=UTC)

    def bounds(self) -> tuple[int, int] | None:
        """Ask the server; see `Rows`."""
        bounds = self._deciding.bounds()
        if bounds.min_id is None or bounds.max_id is None:
            return None
        last = bounds.max_id - 1 if self._forgets_its_counter() else bounds.max_id
        return (bounds.min_id, last) if last >= bounds.min_id else None

    def group(self, conditions: Sequence[Condition], first_id: int, last_id: int) -> Groups:
        """Count; see `Rows`."""
        predicates = [self.predicate(condition) for condition in conditions]
        counts = count_by_first_match(self._database, self._table, predicates, low=first_id, high=last_id)
        groups = [Group() for _ in conditions]
        for position, count in counts.items():
            if position is not None:
                groups[position] = Group(
                    count=count.rows,
                    first_id=first_id,
                    last_id=last_id,
                    oldest=count.oldest,
                    newest=count.newest,
                    bytes=count.bytes_estimate,
                )
        return Groups(total=sum(count.rows for count in counts.values()), groups=tuple(groups))

    def candidates(self, condition: Condition, first_id: int, last_id: int, limit: int) -> list[Candidate]:
        """Read what decides about them; see `Rows`."""
        places = [(field, place) for place, field in enumerate(self._table.shape.fields) if field in _DECIDING_FIELDS]
        return [
            Candidate(id=int(row[0] or 0), crc=int(row[-1] or 0), fields={field: row[place] for field, place in places})
            for row in self._deciding.matching(self.predicate(condition), first_id, last_id, limit).rows
        ]

    def records(self, rules: Mapping[int, str]) -> Iterator[list[Record]]:
        """Read whole rows; see `Rows`."""
        ids = sorted(rules)
        while ids:
            batch = self._whole.by_ids(ids[:_BLOCK_ROWS], _BLOCK_BYTES)
            if not batch.rows and not batch.is_complete:
                raise PermanentError("row is too large to be archived", where=f"id {ids[0]}")
            yield [record_of(row, self._table.shape, rules[int(row[0] or 0)]) for row in batch.rows]
            done = ids[:_BLOCK_ROWS][-1] if batch.is_complete else int(batch.rows[-1][0] or 0)
            ids = [row_id for row_id in ids if row_id > done]

    def existing(self, ids: Sequence[int]) -> frozenset[int]:
        """Look ids up; see `Rows`."""
        found: set[int] = set()
        name, column = self._table.quoted_name, self._table.id.quoted
        with self._database.connection() as connection:
            for start in range(0, len(ids), _IDS_PER_STATEMENT):
                listed = ",".join(str(int(row_id)) for row_id in ids[start : start + _IDS_PER_STATEMENT])
                rows = connection.rows(f"SELECT {column} FROM {name} WHERE {column} IN ({listed})")  # noqa: S608 - quoted
                found.update(int(row[0]) for row in rows)
        return frozenset(found)

    def delete(self, candidates: Sequence[Candidate], condition: Condition) -> list[int]:
        """Delete; see `Rows`."""
        dates = {each.id: str(each.fields["created_at"]) for each in candidates}
        unchanged = sql.all_of(self.predicate(condition), self._unchanged(candidates))
        deleted = self._deleter.delete(dates, unchanged)
        gone = sorted(set(dates) - set(deleted.remaining))
        # Whoever else purges this table may have been quicker with some: those were not deleted by us.
        return gone[: deleted.rows]

    def predicate(self, condition: Condition) -> Predicate:  # noqa: PLR0911  one case, one answer
        """Return the SQL that is true of exactly the rows the condition is true of."""
        match condition:
            case Is(field, number):
                return sql.one_of(self._table, field, [number])
            case Like(field, glob):
                return sql.like(self._table, field, glob)
            case Before(instant):
                cutoff = datetime.fromisoformat(instant)
                # The document of a row dated before computers is undated, so the row has no age either.
                undated = sql.older_than(self._table, _BEFORE_TIME, self._zone)
                return sql.all_of(sql.older_than(self._table, cutoff, self._zone), sql.negated(undated))
            case Within(first_id, last_id):
                return Predicate(f"{self._table.id.quoted} BETWEEN %s AND %s", (first_id, last_id))
            case Every(parts):
                return sql.all_of(*(self.predicate(part) for part in parts))
            case Some(parts):
                return sql.any_of(*(self.predicate(part) for part in parts))
            case Not(part):
                return sql.negated(self.predicate(part))

    def _unchanged(self, candidates: Sequence[Candidate]) -> Predicate:
        """Match the rows that still have the checksum under which they were confirmed and archived."""
        pairs = ",".join(f"({each.id},{each.crc})" for each in candidates)
        return Predicate(f"({self._table.id.quoted}, {self._crc}) IN ({pairs})")

    def _forgets_its_counter(self) -> bool:
        """Say whether the server may hand out the highest id again after a restart, so that its row has to stay."""
        with self._database.connection() as connection:
            text = connection.server_version.removeprefix("5.5.5-")
        version = tuple(int(number) for number in re.findall(r"\d+", text)[:3])
        return version < ((10, 2, 4) if "mariadb" in text.lower() else (8,))
