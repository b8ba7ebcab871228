"""Delete rows in small transactions: candidates by primary key first, then exactly those of them that still qualify.

What may go is the caller's decision, made between the two: only ids it names are deleted, and only while the predicate
holds for them at that moment. Rows that somebody else has locked are left for the next run where the server can say
so (SKIP LOCKED): Core's own purge must never find itself in a deadlock with us. A purge by the index on created_at
locks a row's index entry first and the row second, so that is our order too: whoever has the entry has the row, and
neither ever holds what the other waits for. Locks are held for one chunk, waits for other people's locks are short, and
a chunk that could not get them leaves everything as it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent.mysql.engine import Connection, Database
from agent.mysql.predicate import Predicate
from agent.mysql.schema import Table, quoted

# No audit table has a column of this name: the predicate names its columns alone.
_NAMED_ID = "audit_agent_named_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Ids that matched, ascending, and the last id looked at; None says there was no row left to look at."""

    ids: tuple[int, ...]
    scanned_to: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """How many rows this chunk removed, and which of the named ones are still there."""

    rows: int
    remaining: tuple[int, ...]


class RowDeleter:
    """Find and delete rows of one table."""

    def __init__(self, database: Database, table: Table) -> None:
        self._database = database
        self._table = table
        self._id = table.id.quoted
        self._needs_repeatable_read: bool | None = None

    def candidates(self, predicate: Predicate, *, after_id: int, up_to_id: int, scan_rows: int) -> Candidates:
        """Look at the next `scan_rows` rows after an id and return those that match; never scans further."""
        sql = (
            f"SELECT {self._id}, ({predicate.sql}) IS TRUE FROM {self._table.quoted_name}"  # noqa: S608 - quoted, bound
            f" WHERE {self._id} > %s AND {self._id} <= %s ORDER BY {self._id} LIMIT %s"
        )
        with self._database.connection() as connection:
            rows = connection.rows(sql, (*predicate.params, after_id, up_to_id, scan_rows))
        ids = tuple(int(row_id) for row_id, matches in rows if int(matches))
        return Candidates(ids=ids, scanned_to=int(rows[-1][0]) if rows else None)

    def delete(self, ids: Sequence[int], predicate: Predicate) -> Deleted:
        """Delete those of `ids` that match now, in one transaction. Safe to repeat; all or nothing on an error."""
        if not ids:
            return Deleted(rows=0, remaining=())
        named = self._named(ids)
        with self._database.connection() as connection:
            if self._isolation_must_be_raised(connection):
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            with connection.transaction():
                deleted = self._delete_free(connection, ids, predicate)
            left = (
                []
                if deleted == len(ids)
                else connection.rows(
                    f"SELECT {self._id} FROM {self._table.quoted_name} WHERE {named}"  # noqa: S608 - the same
                )
            )
        return Deleted(rows=deleted, remaining=tuple(int(row[0]) for row in left))

    def _delete_free(self, connection: Connection, ids: Sequence[int], predicate: Predicate) -> int:
        if not _can_skip_locked(connection.server_version):
            statement = f"DELETE FROM {self._table.quoted_name} WHERE {self._named(ids)} AND ({predicate.sql})"  # noqa: S608
            return connection.execute(statement, predicate.params)
        ids = self._locked(connection, ids)
        if not ids:
            return 0
        return connection.execute(self._statement(ids, predicate), predicate.params)

    def _statement(self, ids: Sequence[int], predicate: Predicate) -> str:
        # A list of ids may be read by scanning the whole of a small table, which waits for rows that are not ours and
        # takes no hint against it. A join from the ids to the key looks at these rows alone.
        named = f"JSON_TABLE('{list(ids)}', '$[*]' COLUMNS ({_NAMED_ID} BIGINT UNSIGNED PATH '$')) named"
        return (
            f"DELETE expired FROM {named}"
            f" STRAIGHT_JOIN {self._table.quoted_name} expired ON expired.{self._id} = named.{_NAMED_ID}"
            f" WHERE {predicate.sql}"
        )

    def _locked(self, connection: Connection, ids: Sequence[int]) -> list[int]:
        """Lock those of `ids` that nobody else has locked, and return them."""
        params: tuple[str, ...] = ()
        if self._table.created_at_index is None:
            index, where = self._table.id_index, self._named(ids)
        else:
            index, (where, params) = self._table.created_at_index, self._entries(connection, ids)
        sql = (
            f"SELECT {self._id} FROM {self._table.quoted_name} FORCE INDEX ({quoted(index)})"  # noqa: S608 - quoted, bound
            f" WHERE {where} FOR UPDATE SKIP LOCKED"
        )
        return [int(row[0]) for row in connection.rows(sql, params)]

    def _entries(self, connection: Connection, ids: Sequence[int]) -> tuple[str, tuple[str, ...]]:
        """Name the rows by their entries in the index on created_at, a point each: no other entry is looked at."""
        created_at = self._table.created_at.quoted
        sql = f"SELECT {self._id}, CAST({created_at} AS CHAR) FROM {self._table.quoted_name} WHERE {self._named(ids)}"  # noqa: S608
        rows = connection.rows(sql)
        # Ids grouped by their date would let the server look at every entry of that date instead.
        points = [f"({created_at} = %s AND {self._id} = {int(row_id)})" for row_id, _date in rows]
        return " OR ".join(points) or "FALSE", tuple(str(date) for _id, date in rows)

    def _named(self, ids: Sequence[int]) -> str:
        return f"{self._id} IN ({','.join(str(int(row_id)) for row_id in ids)})"

    def _isolation_must_be_raised(self, connection: Connection) -> bool:
        # a server that logs statements refuses writes under READ COMMITTED
        if self._needs_repeatable_read is None:
            row = connection.row("SHOW VARIABLES LIKE 'binlog_format'")
            self._needs_repeatable_read = row is not None and str(row[1]).upper() == "STATEMENT"
        return self._needs_repeatable_read


def _can_skip_locked(server_version: str) -> bool:
    numbers = tuple(int(number) for number in re.findall(r"\d+", server_version.removeprefix("5.5.5-"))[:2])
    return numbers >= ((10, 6) if "mariadb" in server_version.lower() else (8, 0))
