"""Read rows: after an id, in ranges of ids, or by id, each carrying its checksum.

Every call is one or a few statements that walk the id's index and never the table. What a batch may hold is bounded by
rows and by bytes: a column that can grow large is cut by the server just beyond `max_value_bytes` (one character more,
so that a reader sees it was longer), and reading stops at `max_bytes`, giving up the connection rather than swallowing
the rest. The next batch asks for fewer rows then, by the average size seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from agent.mysql import packets
from agent.mysql.checksum import crc_expression, is_binary, is_structured
from agent.mysql.engine import Connection, Database, Params
from agent.mysql.predicate import Predicate
from agent.mysql.schema import Column, Table
from agent.row import Row, Value

_Item = TypeVar("_Item")
_NO_LIMIT = 1 << 62
_LARGE_TYPES = frozenset(("text", "mediumtext", "longtext", "blob", "mediumblob", "longblob", "json"))
_RANGES_PER_STATEMENT = 500  # the optimizer's work grows with it; 10 000 ranges stay 20 statements
_IDS_PER_STATEMENT = 5000
_LEAST_ROWS = 16  # rows asked for even when rows were huge: the byte limit still holds, and sizes may have shrunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows in id order. `is_complete` says nothing matching was left behind, neither by rows nor by bytes."""

    rows: list[Row]
    bytes_read: int
    is_complete: bool
    is_cut_by_bytes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The table at one moment: lowest and highest visible id, the newest row's created_at, the server's UTC time."""

    min_id: int | None
    max_id: int | None
    newest_created_at: str | None
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Rows above an id at one moment. `rows` is exact up to the cap, beyond it the distance of ids."""

    rows: int
    is_exact: bool
    oldest_created_at: str | None
    now: str


class RowReader:
    """Read the rows of one table. Safe to repeat; every statement sees what is committed at that moment."""

    def __init__(self, database: Database, table: Table, *, max_value_bytes: int) -> None:
        self._database = database
        self._table = table
        self._id = table.id.quoted
        selected = [_selected(column, max_value_bytes) for column in table.columns]
        selected.append(crc_expression(table.columns, table.known))
        self._integers = (*(column.is_integer for column in table.columns), True)
        self._select = f"SELECT {', '.join(selected)} FROM {table.quoted_name}"  # noqa: S608 - checked and quoted
        self._row_bytes = 0.0

    def after(self, row_id: int, limit: int, max_bytes: int = _NO_LIMIT) -> Batch:
        """Return up to `limit` rows with an id above `row_id`."""
        asked = self._affordable(limit, max_bytes)
        sql = f"{self._select} WHERE {self._id} > {int(row_id)} ORDER BY {self._id} LIMIT {asked}"
        return self._batch([sql], asked, max_bytes)

    def in_range(self, low: int, high: int, limit: int, max_bytes: int = _NO_LIMIT) -> Batch:
        """Return up to `limit` rows with low ≤ id ≤ high."""
        return self.in_ranges([(low, high)], limit, max_bytes)

    def in_ranges(self, ranges: Sequence[tuple[int, int]], limit: int, max_bytes: int = _NO_LIMIT) -> Batch:
        """Return up to `limit` rows whose id lies in one of the ranges (both ends included, ascending, disjoint)."""
        asked = self._affordable(limit, max_bytes)
        slices = _slices(ranges, _RANGES_PER_STATEMENT)
        statements = [
            f"{self._select} WHERE {_any_range(self._id, part)} ORDER BY {self._id} LIMIT {asked}" for part in slices
        ]
        return self._batch(statements, asked, max_bytes)

    def by_ids(self, ids: Sequence[int], max_bytes: int = _NO_LIMIT) -> Batch:
        """Return the rows that exist among `ids`."""
        ordered = sorted(set(ids))
        statements = [
            f"{self._select} WHERE {self._id} IN ({_numbers(part)}) ORDER BY {self._id}"
            for part in _slices(ordered, _IDS_PER_STATEMENT)
        ]
        return self._batch(statements, len(ordered) + 1, max_bytes)

    def matching(self, predicate: Predicate, low: int, high: int, limit: int) -> Batch:
        """Return up to `limit` rows with low ≤ id ≤ high that a predicate is true of, looking at that range only."""
        # As a bare condition it could make the server walk another index, over the whole table, and sort what it finds.
        condition = f"{self._id} BETWEEN {int(low)} AND {int(high)} AND IF({predicate.sql}, 1, 0) = 1"
        sql = f"{self._select} WHERE {condition} ORDER BY {self._id} LIMIT {int(limit)}"
        return self._batch([sql], limit, _NO_LIMIT, predicate.params)

    def bounds(self) -> Bounds:
        """Return the table's ends and the server's time, in one statement."""
        name, created = self._table.quoted_name, self._table.created_at.quoted
        sql = (
            f"SELECT (SELECT MIN({self._id}) FROM {name}), (SELECT MAX({self._id}) FROM {name}),"  # noqa: S608 - quoted
            f" (SELECT CONCAT({created}) FROM {name} ORDER BY {self._id} DESC LIMIT 1), CONCAT(UTC_TIMESTAMP(6))"
        )
        with self._database.connection() as connection:
            low, high, newest, now = connection.rows(sql)[0]
        return Bounds(
            min_id=_integer_or_none(low),
            max_id=_integer_or_none(high),
            newest_created_at=_text_or_none(newest),
            now=str(now),
        )

    def backlog(self, after_id: int, *, cap_rows: int = 10_000) -> Backlog:
        """Return how many rows lie above an id and since when the first has waited, at the cost of `cap_rows` keys."""
        name, created = self._table.quoted_name, self._table.created_at.quoted
        above = f"FROM {name} WHERE {self._id} > {int(after_id)}"
        sql = (
            f"SELECT (SELECT COUNT(*) FROM (SELECT 1 {above} LIMIT {int(cap_rows)}) AS counted),"  # noqa: S608 - quoted
            f" (SELECT MAX({self._id}) FROM {name}),"
            f" (SELECT CONCAT({created}) {above} ORDER BY {self._id} LIMIT 1), CONCAT(UTC_TIMESTAMP(6))"
        )
        with self._database.connection() as connection:
            counted, high, oldest, now = connection.rows(sql)[0]
        rows = int(counted)
        is_exact = rows < cap_rows
        if not is_exact:
            rows = max(rows, int(high or 0) - after_id)
        return Backlog(rows=rows, is_exact=is_exact, oldest_created_at=_text_or_none(oldest), now=str(now))

    def _affordable(self, limit: int, max_bytes: int) -> int:
        if not self._row_bytes:
            return limit
        return max(min(limit, _LEAST_ROWS), min(limit, int(max_bytes / self._row_bytes)))

    def _batch(self, statements: Sequence[str], limit: int, max_bytes: int, params: Params = ()) -> Batch:
        rows: list[Row] = []
        bytes_read, is_cut = 0, False
        left = len(statements)
        with self._database.connection() as connection:
            for sql in statements:
                more, size, is_whole = _read(connection, sql, params, self._integers, max_bytes - bytes_read)
                rows += more
                bytes_read += size
                is_cut = not is_whole
                left -= 1
                if is_cut or len(rows) >= limit or bytes_read >= max_bytes:
                    break
        if rows:
            self._row_bytes = bytes_read / len(rows)
        is_complete = not is_cut and not left and len(rows) < limit
        if len(rows) > limit:
            del rows[limit:]
        return Batch(rows=rows, bytes_read=bytes_read, is_complete=is_complete, is_cut_by_bytes=is_cut)


def _read(
    connection: Connection, sql: str, params: Params, integers: Sequence[bool], max_bytes: int
) -> tuple[list[Row], int, bool]:
    driver_connection = connection.driver_connection
    if packets.supported(driver_connection):
        rows, size, is_whole = packets.read_rows(driver_connection, connection.bound(sql, params), integers, max_bytes)
        if not is_whole:
            connection.discard()
        return rows, size, is_whole
    found = [_plain(row, integers) for row in connection.rows(sql, params)]
    return found, sum(len(str(value)) for row in found for value in row), True


def _plain(row: Sequence[object], integers: Sequence[bool]) -> Row:
    """Give a row of another driver the form rows have here."""
    return tuple(_plain_value(value, integer) for value, integer in zip(row, integers, strict=True))


def _plain_value(value: object, integer: bool) -> Value:
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return int(str(value)) if integer else str(value)


def _selected(column: Column, max_value_bytes: int) -> str:
    if column.data_type == "bit":
        return f"CAST({column.quoted} AS UNSIGNED)"
    if is_structured(column):
        return f"LEFT(HEX({column.quoted}), {max_value_bytes + 1})"
    if column.data_type in _LARGE_TYPES or is_binary(column):
        return f"LEFT({column.quoted}, {max_value_bytes + 1})"
    return column.quoted


def _any_range(column: str, ranges: Sequence[tuple[int, int]]) -> str:
    single = [low for low, high in ranges if low == high]
    clauses = [f"{column} BETWEEN {int(low)} AND {int(high)}" for low, high in ranges if low != high]
    if single:
        clauses.append(f"{column} IN ({_numbers(single)})")
    return f"({' OR '.join(clauses)})"


def _numbers(values: Sequence[int]) -> str:
    return ",".join(str(int(value)) for value in values)


def _slices(items: Sequence[_Item], size: int) -> list[Sequence[_Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _integer_or_none(value: object) -> int | None:
    return None if value is None else int(str(value))


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)
