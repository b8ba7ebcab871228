"""The table's side of `verify`: how many rows and what sum of checksums each window of ids has.

Each statement walks one range of the id's index. The caller bounds that range, and with it the statement's time.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.mysql.checksum import crc_expression
from agent.mysql.engine import Database
from agent.mysql.schema import Table


@dataclass(frozen=True, slots=True)
class Window:
    """The ids from `start` on, as many as the window's width: rows in them and the sum of their checksums."""

    start: int
    rows: int
    crc_sum: int


class WindowReader:
    """Sum checksums per window of ids."""

    def __init__(self, database: Database, table: Table) -> None:
        self._database = database
        self._table = table
        self._id = table.id.quoted
        self._crc = crc_expression(table.columns, table.known)

    def windows(self, low: int, high: int, width: int) -> list[Window]:
        """Return the windows with low ≤ id ≤ high that have rows; window n starts at n × width, as a histogram's do."""
        sql = (
            f"SELECT {self._id} DIV {int(width)} AS part, COUNT(*), SUM({self._crc})"  # noqa: S608 - checked and quoted
            f" FROM {self._table.quoted_name} WHERE {self._id} BETWEEN %s AND %s GROUP BY part"
        )
        with self._database.connection() as connection:
            rows = connection.rows(sql, (low, high))
        return sorted(
            (Window(int(part) * width, int(counted), int(crc_sum)) for part, counted, crc_sum in rows),
            key=lambda window: window.start,
        )

    def ids_and_crcs(self, low: int, high: int) -> list[tuple[int, int]]:
        """Return id and checksum of each row with low ≤ id ≤ high, ascending."""
        sql = (
            f"SELECT {self._id}, {self._crc} FROM {self._table.quoted_name}"  # noqa: S608 - checked and quoted
            f" WHERE {self._id} BETWEEN {int(low)} AND {int(high)} ORDER BY {self._id}"
        )
        with self._database.connection() as connection:
            rows = connection.rows(sql)
        return [(int(row_id), int(crc)) for row_id, crc in rows]
