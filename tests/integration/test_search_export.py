"""An export on a real node: each row once, whatever order, while others write, and over a lost point in time."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

from agent.cli.app import Application
from agent.errors import AgentError
from agent.opensearch.client import Cluster
from agent.searching import export
from agent.searching.export import exported
from agent.searching.rows import row_of
from agent.searching.view import Order
from demo.rows import insert, rows
from tests.integration.searched import Searched, run, searched
from tests.world import Database

pytestmark = pytest.mark.integration

ROWS = 1_200
PAGE = 100


@pytest.fixture(scope="module")
def found(mariadb: str, opensearch: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    def fill(database: Database) -> None:
        database.fill(ROWS, seed=6)
        database.execute("SET sql_mode = ''")
        # More rows without a date than a page holds: pages begin and end among them.
        database.execute("UPDATE mod_impulsecore_audit_log SET created_at = '0000-00-00' WHERE id % 7 = 0")

    with searched(mariadb, opensearch, tmp_path_factory.mktemp("exported"), fill) as shipped:
        yield shipped


class Losing:
    """The cluster, with the point in time of an export lost on demand, as it is after its keep-alive or a node's end."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.opened: list[str] = []

    def lose(self) -> None:
        self._cluster.call("DELETE", "/_search/point_in_time", body={"pit_id": [self.opened[-1]]})

    def call(self, method: str, path: str, **request: Any) -> Any:
        answer = self._cluster.call(method, path, **request)
        if path.endswith("/point_in_time") and method == "POST":
            self.opened.append(answer["pit_id"])
        return answer

    def answer(self, *request: Any, **more: Any) -> Any:
        return self._cluster.answer(*request, **more)


@pytest.mark.parametrize("order", list(Order))
def test_rows_written_meanwhile_and_lost_points_in_time_neither_double_nor_drop_a_row(
    found: Searched, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", PAGE)
    monkeypatch.setattr("agent.opensearch.search.FIRST_PAGE_ROWS", PAGE)
    app = Application(found.world.config)
    losing = Losing(app.cluster)
    monkeypatch.setattr(app.search, "_cluster", losing)
    waits: list[float] = []
    ids: list[int] = []
    written = 0
    for page in exported(app.search, {"match_all": {}}, order, row_of=row_of, wait=waits.append):
        ids += [row["id"] for row in page]
        if len(ids) == 3 * PAGE:
            written = _write_rows_like(found, ids[0], ids[-1])
        if len(ids) in (5 * PAGE, 6 * PAGE, 9 * PAGE):
            losing.lose()
    _remove(found, above=ROWS)
    assert len(waits) == 3, "each lost point in time was met"
    assert len(losing.opened) == 4
    assert len(set(ids)) == len(ids), "a row came twice"
    assert {number for number in ids if number <= ROWS} == set(range(1, ROWS + 1))
    assert len(ids) <= ROWS + written


def test_a_point_in_time_holds_what_was_there_and_nothing_written_since(
    found: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", PAGE)
    ids: list[int] = []
    for page in exported(found.app.search, {"match_all": {}}, Order.OLDEST, row_of=row_of, wait=_never):
        if not ids:
            _write_rows_like(found, 3, 1_111)
        ids += [row["id"] for row in page]
    _remove(found, above=ROWS)
    assert sorted(ids) == list(range(1, ROWS + 1))


def test_an_export_that_fails_leaves_what_was_there(
    found: Searched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "all.csv"
    file.write_text("an older export")

    def fails(self: object, row: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("agent.searching.export.CsvLines.line", fails)
    with pytest.raises(click.Abort):
        run(found, "export", "--output", str(file))
    assert file.read_text() == "an older export"
    assert [path.name for path in tmp_path.iterdir()] == ["all.csv"]


def test_an_export_keeps_a_file_s_mode_and_no_device_becomes_a_file(found: Searched, tmp_path: Path) -> None:
    shared, pipe = tmp_path / "shared.csv", tmp_path / "pipe"
    shared.touch()
    shared.chmod(0o640)
    os.mkfifo(pipe)
    run(found, "export", "--output", str(shared))
    assert shared.stat().st_mode & 0o777 == 0o640
    with (tmp_path / "read.csv").open("wb") as read, subprocess.Popen(["cat", str(pipe)], stdout=read):
        run(found, "export", "--output", str(pipe))
    assert (tmp_path / "read.csv").read_bytes() == shared.read_bytes() != b""
    assert pipe.is_fifo()


def test_an_export_into_a_folder_that_is_not_there_is_one_line(found: Searched, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="the export can't be written"):
        run(found, "export", "--output", str(tmp_path / "nowhere" / "all.csv"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_million_documents_are_exported_with_flat_memory_while_the_tail_writes(
    mariadb: str, opensearch: str, tmp_path: Path
) -> None:
    count = 1_000_000
    folder = tmp_path / "million"
    folder.mkdir()
    with searched(mariadb, opensearch, folder, lambda database: database.fill(count, seed=2)) as shipped:
        peaks = []
        with _new_rows_coming_in(shipped) as inserted:
            for name, options in (("little.ndjson", ("--action", "region.added")), ("all.ndjson", ())):
                process = shipped.world.start("export", "--format", "ndjson", "-o", str(tmp_path / name), *options)
                peaks.append(_peak_bytes(process))
                assert process.returncode == 0, process.stderr.read() if process.stderr else ""
        seen = bytearray(count + inserted[0] + 1)
        with (tmp_path / "all.ndjson").open("rb") as file:
            for line in file:
                seen[json.loads(line)["id"]] += 1
        assert inserted[0] > 0, "nothing was written meanwhile"
        assert max(seen) == 1, "a row came twice"
        assert seen[1 : count + 1].count(1) == count
        assert peaks[1] < peaks[0] + 40 * 1024 * 1024, peaks


@pytest.mark.slow
@pytest.mark.parametrize("heavy_from", [1, 1_500])
def test_rows_of_nearly_a_megabyte_are_exported_in_the_memory_of_a_few(
    mariadb: str, opensearch: str, tmp_path: Path, heavy_from: int
) -> None:
    heavy = (heavy_from, heavy_from + 299)

    def fill(database: Database) -> None:
        database.fill(2_000, seed=4)
        context = """CONCAT('{"note": "', REPEAT('word ', 180000), '"}')"""
        database.execute(f"UPDATE mod_impulsecore_audit_log SET context = {context} WHERE id BETWEEN %s AND %s", heavy)

    with searched(mariadb, opensearch, tmp_path, fill) as shipped:
        target = tmp_path / "heavy.ndjson"
        process = shipped.world.start("export", "--format", "ndjson", "-o", str(target), "--sort", "id")
        peak = _peak_bytes(process)
        assert process.returncode == 0, process.stderr.read() if process.stderr else ""
        with target.open("rb") as file:
            assert [json.loads(line)["id"] for line in file] == list(range(1, 2_001))
        assert target.stat().st_size > 300 * 900_000
        assert peak < 230 << 20, f"{peak >> 20} MB"


@contextmanager
def _new_rows_coming_in(shipped: Searched) -> Iterator[list[int]]:
    """Have the agent run and rows come in; give their number, which is final at the end."""
    inserted, ended = [0], threading.Event()
    connection = shipped.world.database.connect()

    def write() -> None:
        while not ended.wait(0.2):
            inserted[0] += insert(connection, rows(50, now=datetime.now(UTC), seed=inserted[0], days=1))

    daemon = shipped.world.start("run")
    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield inserted
    finally:
        ended.set()
        writer.join()
        connection.close()
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=60)


def _peak_bytes(process: Any) -> int:
    peak = 0
    page = resource.getpagesize()
    while process.poll() is None:
        peak = max(peak, int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * page)
        time.sleep(0.05)
    return peak


def _write_rows_like(found: Searched, *numbers: int) -> int:
    """Index copies of some documents under new ids, as a running agent would ship new rows, some of them late."""
    for number in numbers:
        hits = found.world.request("POST", f"/{found.world.index}/_search", {"query": {"term": {"id": number}}})
        (hit,) = hits["hits"]["hits"]
        copy = hit["_source"] | {"id": ROWS + number}
        path = f"/{hit['_index']}/_doc/{found.world.instance}:{copy['id']}?refresh=true"
        found.world.request("PUT", path, copy)
    return len(numbers)


def _remove(found: Searched, *, above: int) -> None:
    query = {"query": {"range": {"id": {"gt": above}}}}
    found.world.request("POST", f"/{found.world.index}/_delete_by_query?refresh=true&conflicts=proceed", query)


def _never(seconds: float) -> None:
    raise AssertionError(f"nothing failed, but it waits {seconds} s")
