"""Rows come out of the wire's bytes whole, wherever the chunks of the network happen to end."""

from __future__ import annotations

import io
import struct
from typing import Any

import pymysql
import pytest

from agent.mysql import packets

EOF = b"\xfe\x00\x00\x02\x00"


class Chunks(io.RawIOBase):
    """Give at most `size` bytes a read, like a slow network."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size

    def read1(self, size: int) -> bytes:
        taken, self._data = self._data[: min(self._size, size)], self._data[min(self._size, size) :]
        return taken

    def read(self, size: int = -1) -> bytes:
        taken, self._data = self._data[:size], self._data[size:]
        return taken


def value(text: bytes | None) -> bytes:
    if text is None:
        return b"\xfb"
    if len(text) < 251:
        return bytes([len(text)]) + text
    if len(text) < 1 << 16:
        return b"\xfc" + struct.pack("<H", len(text)) + text
    if len(text) < 1 << 24:
        return b"\xfd" + len(text).to_bytes(3, "little") + text
    return b"\xfe" + struct.pack("<Q", len(text)) + text


def packet(payload: bytes) -> bytes:
    parts = [payload[at : at + 0xFFFFFF] for at in range(0, len(payload) + 1, 0xFFFFFF)]
    return b"".join(len(part).to_bytes(3, "little") + bytes([n % 256]) + part for n, part in enumerate(parts))


def parsed(data: bytes, chunk: int, integers: tuple[bool, ...], max_bytes: int = 1 << 40) -> Any:
    return packets._parse(packets._Source(Chunks(data, chunk)), integers, max_bytes)


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 5, 7, 64, 1 << 20])
def test_rows_are_the_same_wherever_chunks_end(chunk: int) -> None:
    rows = [(1, "a", None), (2, "x" * 250, "ü"), (3, "y" * 251, ""), (4, "z" * 70000, "NULL"), (2**63, "", None)]
    data = b"".join(
        packet(b"".join(value(None if v is None else str(v).encode()) for v in row)) for row in rows
    ) + packet(EOF)

    assert (rows, True) == parsed(data, chunk, (True, False, False))[::2]


@pytest.mark.parametrize("size", [0xFFFFFF - 9, 0xFFFFFF - 8, 0xFFFFFF, 2 * 0xFFFFFF, 2 * 0xFFFFFF + 5])
def test_a_row_that_spans_packets_is_one_row(size: int) -> None:
    rows = [(7, "v" * size), (8, "after")]
    data = b"".join(packet(b"".join(value(str(v).encode()) for v in row)) for row in rows) + packet(EOF)

    assert (rows, True) == parsed(data, 1 << 18, (True, False))[::2]


def test_bytes_that_are_no_text_are_replaced() -> None:
    data = packet(value(b"1") + value(b"a\xff\xfeb")) + packet(EOF)

    assert parsed(data, 100, (True, False))[0] == [(1, "a\ufffd\ufffdb")]


def test_no_rows_is_an_empty_whole_result() -> None:
    assert parsed(packet(EOF), 3, (True,)) == ([], 0, True)


def test_reading_stops_at_the_byte_limit_but_never_before_the_first_row() -> None:
    data = b"".join(packet(value(str(n).encode()) + value(b"x" * 100)) for n in range(1, 6)) + packet(EOF)
    one = len(value(b"1") + value(b"x" * 100))

    assert len(parsed(data, 50, (True, False), max_bytes=1)[0]) == 1
    assert len(parsed(data, 50, (True, False), max_bytes=one)[0]) == 1
    rows, size, is_whole = parsed(data, 50, (True, False), max_bytes=one + 1)
    assert (2, 2 * one, False) == (len(rows), size, is_whole)


def test_an_error_in_the_middle_of_a_result_is_raised() -> None:
    killed = b"\xff" + struct.pack("<H", 1317) + b"#70100Query execution was interrupted"
    data = packet(value(b"1")) + packet(killed)

    with pytest.raises(pymysql.err.OperationalError, match="interrupted"):
        parsed(data, 5, (True,))


@pytest.mark.parametrize("cut", [1, 3, 4, 5])
def test_a_connection_that_ends_in_the_middle_is_an_error(cut: int) -> None:
    data = packet(value(b"1"))

    with pytest.raises(pymysql.err.OperationalError, match="Lost connection"):
        parsed(data[:cut], 2, (True,))
