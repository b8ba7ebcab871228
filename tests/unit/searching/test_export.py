"""An export gives each row once whatever fails, holds one page, and is harmless and readable in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent import csv_cell
from agent.errors import PermanentError, TemporaryError
from agent.searching.export import CsvLines, NdjsonLines, exported
from agent.searching.rows import row_of
from agent.searching.view import Order


class Shelf:
    """A reader over rows 1…n that fails after so many pages, once for each number in `failures`."""

    def __init__(self, rows: int, *, page: int = 10, failures: Sequence[int] = (), repeats: bool = False) -> None:
        self.rows, self.page, self.failures, self.repeats = rows, page, list(failures), repeats
        self.opened = 0

    def search(self, body: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError("an export reads pages")

    def pages(
        self, body: dict[str, Any], *, sort: Sequence[dict[str, Any]], size: int
    ) -> Iterator[list[dict[str, Any]]]:
        self.opened += 1
        left = self.failures.pop(0) if self.failures else None
        last = body["search_after"][0] if "search_after" in body and not self.repeats else 0
        for first in range(last + 1, self.rows + 1, self.page):
            if left == 0:
                raise TemporaryError("gone", kind="unreachable")
            left = None if left is None else left - 1
            yield [
                {"_id": f"w:{n}", "sort": [n, "i"], "_source": {"id": n}}
                for n in range(first, min(first + self.page, self.rows + 1))
            ]


def ids(shelf: Shelf, waits: list[float] | None = None) -> list[int]:
    waits = [] if waits is None else waits
    pages = exported(shelf, {"match_all": {}}, Order.ID_UP, row_of=row_of, wait=waits.append)
    return [row["id"] for page in pages for row in page]


def test_every_row_comes_once_in_order() -> None:
    for rows in (0, 1, 9, 10, 11, 95):
        assert ids(Shelf(rows)) == list(range(1, rows + 1))


def test_an_export_that_was_interrupted_goes_on_behind_its_last_row() -> None:
    shelf, waits = Shelf(95, failures=[3, 0, 2]), []
    assert ids(shelf, waits) == list(range(1, 96))
    assert shelf.opened == 4
    assert waits == [2, 4, 2]


def test_a_cluster_that_stays_away_ends_the_export() -> None:
    with pytest.raises(TemporaryError):
        ids(Shelf(95, failures=[2, 0, 0, 0, 0, 0]))


def test_a_row_that_comes_twice_stops_the_export() -> None:
    with pytest.raises(PermanentError, match="row twice"):
        ids(Shelf(95, failures=[3], repeats=True))


def test_cells_that_a_spreadsheet_would_run_are_harmless_and_can_be_read_back() -> None:
    evil = [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tx",
        "\r=1",
        "\n=1",
        "＝1",
        "'=1",
        "'",
        "plain",
        'a"b',
        "a,b",
        "two\nlines",
        "Łódź",
    ]
    line = csv_cell.line(evil)
    (cells,) = csv.reader(io.StringIO(line, newline=""))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝")) for cell in cells)
    assert [csv_cell.plain(cell) for cell in cells] == evil


def test_null_and_empty_text_differ() -> None:
    assert csv_cell.line([None, "", 0, -5]) == ',"",0,-5\r\n'


def test_csv_holds_the_whole_context_and_further_columns() -> None:
    lines = CsvLines(extra_columns=["project_id"], zone=ZoneInfo("Europe/Vienna"), bom=True)
    source = {
        "id": 7,
        "created_at": "2026-11-23T21:04:05.000Z",
        "detail": "\x1b[31mred\x00",
        "context": {"a": {"b": 1}},
        "context_overflow": {"a": {"": "odd"}},
        "extra": {"project_id": 3},
    }
    text = (lines.header() + lines.line(row_of(source))).decode("utf-8-sig")
    (read,) = csv.DictReader(io.StringIO(text, newline=""))
    assert lines.header().startswith(b"\xef\xbb\xbf")
    assert read["created_at"] == "2026-11-23 22:04:05+01:00"
    assert read["detail"] == "\\x1b[31mred\\x00"
    assert read["context"] == '{"a":{"b":1,"":"odd"}}'
    assert read["extra.project_id"] == "3"


def test_ndjson_holds_the_document_as_it_is() -> None:
    line = NdjsonLines().line(row_of({"id": 7, "context": {"a": "=1"}}))
    assert line.endswith(b"}\n")
    assert b'"context":{"a":"=1"}' in line
