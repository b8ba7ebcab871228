"""Read a result set from PyMySQL's own socket, several times faster than its cursors do.

PyMySQL builds one packet object per row and calls several methods per value; this reads the text protocol from large
chunks in one loop. It sends the query and reads the column definitions through PyMySQL, so authentication, TLS, errors
and time-outs stay the driver's. It touches three internals, named in `supported`, and callers fall back to a plain
cursor when a driver version does not have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymysql.connections import Connection as DriverConnection
from pymysql.constants import CR
from pymysql.err import OperationalError, raise_mysql_exception

from agent.row import Row, Value

_CHUNK_BYTES = 1 << 18  # large enough that system calls vanish beside parsing, small beside the memory budget
_FULL_PACKET = 0xFFFFFF  # a row of 16 MiB or more continues in the next packet
_HEADER_BYTES = 4
_NULL = 0xFB
_WIDTHS = {0xFC: 2, 0xFD: 3, 0xFE: 8}  # bytes that hold the length of a longer value
_EOF = 0xFE
_EOF_MAX_BYTES = 9
_ERROR = 0xFF


def supported(driver_connection: object) -> bool:
    """Say whether this driver has the internals this module reads from."""
    return (
        isinstance(driver_connection, DriverConnection)
        and hasattr(getattr(driver_connection, "_rfile", None), "read1")
        and hasattr(driver_connection, "_result")
    )


def read_rows(
    driver_connection: Any, sql: str, integers: Sequence[bool], max_bytes: int
) -> tuple[list[Row], int, bool]:
    """Run `sql` and return (rows, bytes read, whether all rows were read).

    Stop once `max_bytes` were read; the caller must then throw the connection away, because the rest is still coming.
    At least one row is read if there is one, whatever its size.
    """
    driver_connection.query(sql, unbuffered=True)
    result = driver_connection._result  # noqa: SLF001 - what `supported` has checked
    if not result.unbuffered_active:
        return [], 0, True
    try:
        return _parse(_Source(driver_connection._rfile), tuple(integers), max_bytes)  # noqa: SLF001 - the same
    except OSError as error:
        raise OperationalError(CR.CR_SERVER_LOST, f"Lost connection to MySQL server during query ({error})") from error
    finally:
        # PyMySQL must not look for the end of a result that was consumed, or given up, behind its back
        result.unbuffered_active = False
        result.connection = None
        driver_connection._result = None  # noqa: SLF001 - the same


def _parse(source: _Source, integers: tuple[bool, ...], max_bytes: int) -> tuple[list[Row], int, bool]:
    rows: list[Row] = []
    buffer = b""
    start = bytes_read = 0
    while bytes_read < max_bytes or not rows:
        while len(buffer) < start + _HEADER_BYTES:
            buffer, start = buffer[start:] + source.some(), 0
        size = buffer[start] | buffer[start + 1] << 8 | buffer[start + 2] << 16
        start += _HEADER_BYTES
        if len(buffer) < start + size:
            buffer, start = source.completed(buffer[start:], size), 0
        if size == _FULL_PACKET:
            row, buffer, start = *source.joined(buffer[start:]), 0
            rows.append(_row(row, 0, integers))
            bytes_read += len(row)
            continue
        first = buffer[start]
        if first == _EOF and size < _EOF_MAX_BYTES:
            return rows, bytes_read, True
        if first == _ERROR:
            raise_mysql_exception(buffer[start : start + size])
        rows.append(_row(buffer, start, integers))
        bytes_read += size
        start += size
    return rows, bytes_read, False


def _row(buffer: bytes, at: int, integers: tuple[bool, ...]) -> Row:
    """Decode one row that starts at `at`; this runs per value, so the common case comes first and calls little."""
    values: list[Value] = []
    for integer in integers:
        size = buffer[at]
        at += 1
        if size >= _NULL:
            if size == _NULL:
                values.append(None)
                continue
            width = _WIDTHS[size]
            size = int.from_bytes(buffer[at : at + width], "little")
            at += width
        end = at + size
        values.append(int(buffer[at:end]) if integer else buffer[at:end].decode("utf-8", "replace"))
        at = end
    return tuple(values)


class _Source:
    """Hand out bytes of the connection: whatever is there, or exactly as many as a large row still lacks."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def some(self) -> bytes:
        return self._checked(self._file.read1(_CHUNK_BYTES), 1)

    def completed(self, head: bytes, size: int) -> bytes:
        """Return at least `size` bytes that begin with `head`, read in as few steps as the socket allows."""
        missing = size - len(head)
        if missing <= _CHUNK_BYTES:
            while len(head) < size:
                head += self.some()
            return head
        return head + self._checked(self._file.read(missing), missing)

    def joined(self, buffer: bytes) -> tuple[bytes, bytes]:
        """Return a row that spans packets as one piece, and what follows it; `buffer` starts with its first piece."""
        pieces = [buffer[:_FULL_PACKET]]
        rest = buffer[_FULL_PACKET:]
        size = _FULL_PACKET
        while size == _FULL_PACKET:
            rest = self.completed(rest, _HEADER_BYTES)
            size = int.from_bytes(rest[:3], "little")
            rest = self.completed(rest[_HEADER_BYTES:], size)
            pieces.append(rest[:size])
            rest = rest[size:]
        return b"".join(pieces), rest

    @staticmethod
    def _checked(data: bytes | None, least: int) -> bytes:
        if data is None or len(data) < least:
            raise OperationalError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query")
        return data
