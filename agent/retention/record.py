"""One row as an archive or export file holds it, and the two formats of such files: NDJSON and CSV.

A record is the table's columns by name plus the row's checksum and the rule it went by. CSV cells that a spreadsheet
would run as a formula get a leading apostrophe; it is part of the file and taken off again when the file is read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import orjson

from agent import csv_cell
from agent.errors import PermanentError
from agent.row import Row, RowShape, Value

# A cell may be as long as its column; the reader's own limit is 128 KiB.
csv.field_size_limit((1 << 31) - 1)

CRC = "agent.crc"
RULE = "agent.rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A row's columns by name, its checksum, and the rule that let it expire."""

    fields: dict[str, Value]
    crc: int
    rule: str

    @property
    def id(self) -> int:
        """Return the row's id."""
        return int(self.fields["id"] or 0)


def record_of(row: Row, shape: RowShape, rule: str) -> Record:
    """Return the record of a row as the table gave it."""
    names = (*shape.fields, *shape.extra)
    return Record(fields=dict(zip(names, row, strict=False)), crc=int(row[-1] or 0), rule=rule)


class NdjsonFormat:
    """One JSON object a line."""

    name = "ndjson"
    suffix = ".ndjson.gz"

    def header(self, record: Record) -> bytes:
        """Return nothing: NDJSON has no header."""
        del record
        return b""

    def line(self, record: Record) -> bytes:
        """Return one line."""
        content: dict[str, Value] = {**record.fields, CRC: record.crc, RULE: record.rule}
        return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)

    def records(self, file: IO[bytes]) -> Iterator[Record]:
        """Read lines back. Raises PermanentError at a damaged one."""
        for line in file:
            try:
                fields = orjson.loads(line)
                crc, rule = fields.pop(CRC), fields.pop(RULE)
            except (ValueError, KeyError) as error:
                raise PermanentError("archived row is damaged", got=str(error)) from error
            yield Record(fields=fields, crc=crc, rule=rule)


class CsvFormat:
    """A header line, then a line a row; NULL is an empty cell without quotes, an empty text one with."""

    name = "csv"
    suffix = ".csv.gz"

    def header(self, record: Record) -> bytes:
        """Return the line of column names."""
        return csv_cell.line([*record.fields, CRC, RULE]).encode()

    def line(self, record: Record) -> bytes:
        """Return one line."""
        return csv_cell.line([*record.fields.values(), record.crc, record.rule]).encode()

    def records(self, file: IO[bytes]) -> Iterator[Record]:
        """Read rows back; every value but the checksum is text. Raises PermanentError at a damaged one."""
        reader = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline=""))
        for cells in reader:
            try:
                crc, rule = int(cells.pop(CRC)), cells.pop(RULE)
                fields: dict[str, Value] = {name: csv_cell.plain(cell) for name, cell in cells.items()}
                fields["id"] = int(cells["id"])
            except (ValueError, KeyError, TypeError) as error:
                raise PermanentError("archived row is damaged", got=repr(error)) from error
            yield Record(fields=fields, crc=crc, rule=rule)


FORMATS: dict[str, type[NdjsonFormat | CsvFormat]] = {"ndjson": NdjsonFormat, "csv": CsvFormat}
