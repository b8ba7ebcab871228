"""Export: a search of any size as lines, from one point in time, a page in memory at a time.

The order is total and each page begins after the last row of the one before, also when the cluster failed in between
and a new point in time had to be opened: nothing comes twice, and a row that comes out of order stops the export.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import orjson

from agent import csv_cell
from agent.backoff import HOPELESS
from agent.errors import PermanentError, TemporaryError
from agent.mapping.sound import dumps
from agent.row import KNOWN_FIELDS, Value
from agent.searching.reader import Hit, Query, Reader
from agent.searching.rows import Row, whole_context
from agent.searching.view import Order, sort_of

# A page is held whole, as it came and as it was read; but for each the server looks through all rows that are left.
PAGE_ROWS = 2_500
BOM = b"\xef\xbb\xbf"

_TRIES = 5
# Control characters that no spreadsheet keeps and a terminal obeys; tabs and line ends are text.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Lines(Protocol):
    """A file format: bytes before the first row, and bytes of one row."""

    def header(self) -> bytes:
        """Return what the file begins with."""
        ...

    def line(self, row: Row) -> bytes:
        """Return one row, its line end included."""
        ...


class NdjsonLines:
    """One JSON object a line: the document as it is stored, times in UTC."""

    def header(self) -> bytes:
        """Return nothing: NDJSON has no header."""
        return b""

    def line(self, row: Row) -> bytes:
        """Return one line."""
        return dumps(row) + b"\n"


class CsvLines:
    """A header, then a line a row: the table's columns, its further ones, the whole context as one JSON cell."""

    def __init__(self, *, extra_columns: Sequence[str] = (), zone: ZoneInfo | None = None, bom: bool = False) -> None:
        self._extra = extra_columns
        self._zone = zone
        self._bom = bom

    def header(self) -> bytes:
        """Return the names of the columns, behind a byte order mark if asked for."""
        names = [*KNOWN_FIELDS, *(f"extra.{name}" for name in self._extra)]
        return (BOM if self._bom else b"") + csv_cell.line(names).encode()

    def line(self, row: Row) -> bytes:
        """Return one line."""
        extra = row.get("extra") or {}
        values = [row.get(name) for name in KNOWN_FIELDS[:-1]]
        values[1] = local(row["created_at"], self._zone)
        cells = [*values, whole_context(row), *(extra.get(name) for name in self._extra)]
        return csv_cell.line(map(_value, cells)).encode("utf-8", "replace")


def local(created_at: str | None, zone: ZoneInfo | None) -> str | None:
    """Return a document's time in a zone, its offset included; without a zone as it is stored."""
    if created_at is None or zone is None:
        return created_at
    return datetime.fromisoformat(created_at).astimezone(zone).isoformat(sep=" ", timespec="seconds")


def exported(
    reader: Reader,
    query: Query,
    order: Order,
    *,
    row_of: Callable[[dict[str, Any]], Row],
    wait: Callable[[float], object],
) -> Iterator[list[Row]]:
    """Return all rows in pages. `wait(seconds)` is called before a try after a failure.

    Raises TemporaryError when the cluster stays away, PermanentError when it gives a row twice.
    """
    after: list[Any] | None = None
    failures = 0
    while True:
        body = {"query": query, **({"search_after": after} if after else {})}
        try:
            for hits in reader.pages(body, sort=sort_of(order), size=PAGE_ROWS):
                _check_order(hits, after, order)
                yield [row_of(hit["_source"]) for hit in hits]
                after, failures = hits[-1]["sort"], 0
        except TemporaryError as failure:
            failures += 1
            if failures >= _TRIES or failure.kind in HOPELESS:
                raise
            wait(failure.retry_after_seconds or 2.0**failures)
            continue
        return


def _check_order(hits: list[Hit], after: list[Any] | None, order: Order) -> None:
    down = order.startswith("-")
    last = after
    for hit in hits:
        key = hit["sort"]
        if last is not None and (key >= last if down else key <= last):
            raise PermanentError("the export met a row twice or out of order", got=f"row {hit['_id']}")
        last = key


def _value(value: Any) -> Value:
    if value is None or value.__class__ is int:
        return value
    if isinstance(value, str):
        text = value
    elif isinstance(value, Mapping | list):
        text = dumps(value).decode()
    else:
        text = orjson.dumps(value).decode()
    return _CONTROL.sub(_escaped, text) if not text.isprintable() else text


def _escaped(match: re.Match[str]) -> str:
    return f"\\x{ord(match.group()):02x}"
