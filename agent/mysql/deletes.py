"""Delete rows in small transactions: exactly those that were named and still qualify.

What may go is the caller's decision: only ids it names are deleted, and only while the predicate holds for them at that
moment. Rows that somebody else has locked are left for the next run where the server can say so (SKIP LOCKED): Core's
own purge must never find itself in a deadlock with us. A purge by the index on created_at locks a row's index entry
first and the row second, so that is our order too: whoever has the entry has the row, and neither ever holds what the
other waits for. Locks are held for one transaction, waits for other people's locks are short, and a transaction that
could not get them leaves everything as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from agent.mysql.engine import Connection, Database
from agent.mysql.predicate import Predicate
from agent.mysql.schema import Table, quoted

# No audit table has a column of these names: the predicate names its columns alone.
_NAMED_ID = "audit_agent_named_id"
_NAMED_DATE = "audit_agent_named_date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """How many rows this chunk removed, and which of the named ones are still there."""

    rows: int
    remaining: tuple[int, ...]


class RowDeleter:
    """Delete rows of one table."""

    def __init__(self, database: Database, table: Table) -> None:
        self._database = database
        self._table = table
        self._id = table.id.quoted
        self._needs_repeatable_read: bool | None = None

    def delete(self, dates: Mapping[int, str], predicate: Predicate) -> Deleted:
        """Delete those of the ids in `dates` that match now, in one transaction. Safe to repeat; all or nothing.

        `dates` gives each row's `created_at` as it was read; a row that has another by now stays.
        """
        if not dates:
            return Deleted(rows=0, remaining=())
        with self._database.connection() as connection:
            if self._isolation_must_be_raised(connection):
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            with connection.transaction():
                deleted = self._delete_free(connection, dates, predicate)
            if deleted == len(dates):
                return Deleted(rows=deleted, remaining=())
            left = f"SELECT {self._id} FROM {self._table.quoted_name} WHERE {self._named(dates)}"  # noqa: S608 - quoted
            return Deleted(rows=deleted, remaining=tuple(int(row[0]) for row in connection.rows(left)))

    def _delete_free(self, connection: Connection, dates: Mapping[int, str], predicate: Predicate) -> int:
        if not _can_skip_locked(connection.server_version):
            named = f"{self._named(dates)} AND ({predicate.sql})"
            statement = f"DELETE FROM {self._table.quoted_name} WHERE {named}"  # noqa: S608 - quoted, bound
            return connection.execute(statement, predicate.params)
        ids = self._locked(connection, dates)
        if not ids:
            return 0
        statement = f"DELETE expired FROM {self._joined_by_id} WHERE {predicate.sql}"
        return connection.execute(statement, (json.dumps([[row_id] for row_id in ids]), *predicate.params))

    @cached_property
    def _joined_by_id(self) -> str:
        """Return rows joined to a list of ids, which is to be bound.

        A list in a condition may be read by scanning the whole of a table, or of an index whose statistics are young:
        that waits for rows that are not ours, locks all that it passes, and takes no hint against it. A join from the
        list to a whole key looks at these rows alone.
        """
        return (
            f"JSON_TABLE(%s, '$[*]' COLUMNS ({_NAMED_ID} BIGINT UNSIGNED PATH '$[0]')) named"
            f" STRAIGHT_JOIN {self._table.quoted_name} expired ON expired.{self._id} = named.{_NAMED_ID}"
        )

    @cached_property
    def _joined_by_entry(self) -> str:
        """Return entries of the index on created_at joined to a list of ids and dates, which is to be bound."""
        created_at = self._table.created_at
        fraction = re.search(r"\(\d\)", created_at.column_type)
        date_type = created_at.data_type.upper() + (fraction.group() if fraction else "")
        return (
            f"JSON_TABLE(%s, '$[*]' COLUMNS ({_NAMED_ID} BIGINT UNSIGNED PATH '$[0]',"
            f" {_NAMED_DATE} {date_type} PATH '$[1]')) named"
            f" STRAIGHT_JOIN {self._table.quoted_name} expired"
            f" FORCE INDEX ({quoted(self._table.created_at_index or '')})"
            f" ON expired.{created_at.quoted} = named.{_NAMED_DATE} AND expired.{self._id} = named.{_NAMED_ID}"
        )

    def _locked(self, connection: Connection, dates: Mapping[int, str]) -> list[int]:
        """Lock those rows that nobody else has locked, and return their ids."""
        joined = self._joined_by_id if self._table.created_at_index is None else self._joined_by_entry
        # MySQL would lock the list as well, and finds that it cannot; MariaDB has no word for it and does not try.
        of_rows = "" if "mariadb" in connection.server_version.lower() else " OF expired"
        sql = f"SELECT expired.{self._id} FROM {joined} FOR UPDATE{of_rows} SKIP LOCKED"  # noqa: S608 - quoted, bound
        return [int(row[0]) for row in connection.rows(sql, (json.dumps(list(dates.items())),))]

    def _named(self, ids: Iterable[int]) -> str:
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
