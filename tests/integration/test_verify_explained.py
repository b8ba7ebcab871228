"""What rightly has no counterpart is explained; what could not be looked at is never called clean."""

from __future__ import annotations

import signal
import time

import pytest

from agent.mysql.windows import WindowReader
from tests.integration.drift import lose
from tests.integration.mysql_source import opened
from tests.integration.test_dead_letters_verbs import strict
from tests.proxy import BULK, HttpProxy, answer
from tests.world import Database, World

pytestmark = pytest.mark.integration
TABLE = "mod_impulsecore_audit_log"
COLUMNS = "(created_at, module_slug, source, action, severity)"
ROW = "(UTC_TIMESTAMP(), 'm', 'cron', 'a.b', 'info')"


def synced(world: World, rows: int) -> None:
    world.database.fill(rows)
    outcome = world.run("sync")
    assert outcome.code == 0, outcome.stderr


def test_skipped_gaps_have_neither_row_nor_document_and_are_no_drift(world: World) -> None:
    world.database.fill(30)
    with world.database.connect() as other:
        for _ in range(5):
            other.begin()
            with other.cursor() as cursor:
                cursor.execute(f"INSERT INTO {TABLE} {COLUMNS} VALUES {ROW}")
            other.rollback()
    synced(world, 30)
    assert world.run("status", "--json").json["skipped_total"] == 5

    report = world.run("verify", "--json")

    assert report.code == 0, report.stdout
    assert (report.json["rows"], report.json["documents"], report.json["explained"]) == (60, 60, {})
    assert report.json["watermark"] == 65


def test_only_ids_up_to_the_watermark_are_compared(world: World) -> None:
    """A row above an open gap may be on its way, but a document there without a row has lost it."""
    world.database.fill(30)
    other = world.database.connect()
    other.begin()
    with other.cursor() as cursor:
        cursor.execute(f"INSERT INTO {TABLE} {COLUMNS} VALUES {ROW}")
    synced(world, 10)
    assert world.run("status", "--json").json["open_gaps"] == 1
    lose(world, 35)
    world.database.execute(f"DELETE FROM {TABLE} WHERE id = 36")

    report = world.run("verify", "--json").json

    other.rollback()
    other.close()
    assert (report["watermark"], report["rows"], report["missing"]) == (30, 30, 0)
    assert report["samples"]["orphan"] == [36]


@pytest.mark.slow
def test_a_row_shipped_after_it_was_refused_is_indexed(world: World) -> None:
    synced(world, 20)
    strict(world, yes=True)
    assert world.run("verify", "--repair", "--json").json["dead_letters"] == 20
    assert world.run("explain", "7", "--json").json["state"] == "dead_letter"
    assert world.run("verify", "--json").json["explained"] == {"dead_letter": 20}

    strict(world, yes=False)
    assert world.run("backfill", "--json").json["indexed"] == 20

    answer = world.run("explain", "7", "--json").json
    assert (answer["state"], answer["checksum_equal"]) == ("indexed", True)
    assert "dead-letters drop 7" in answer["reason"]


@pytest.mark.parametrize("spoil", ["close", "unalias"])
def test_an_index_that_cannot_be_read_is_never_clean(world: World, spoil: str) -> None:
    synced(world, 600)
    index = sorted(world.request("GET", f"/{world.index}-*"))[1]
    world.refresh()
    held = int(world.request("GET", f"/{index}/_count")["count"])
    if spoil == "close":
        world.request("POST", f"/{index}/_close")
    else:
        world.request("POST", "/_aliases", {"actions": [{"remove": {"index": index, "alias": world.index}}]})

    report = world.run("verify", "--json")

    if spoil == "unalias":
        assert (report.code, report.json["missing"]) == (3, held)
    else:
        assert report.code == 1, report.stdout
        assert "an index is closed" in report.stderr
        world.request("POST", f"/{index}/_open?wait_for_active_shards=1")
    assert world.run("verify", "--repair").code == 0
    assert world.run("verify", "--deep").code == 0
    assert world.count() == 600


@pytest.mark.parametrize("side", ["source.url", "opensearch.hosts"])
def test_without_one_side_nothing_is_clean(world: World, side: str) -> None:
    synced(world, 20)
    nobody = {"source.url": _elsewhere(world.settings["source"]["url"]), "opensearch.hosts": ["http://127.0.0.1:1"]}
    world.write({side: nobody[side]})

    outcome = world.run("verify", "--json")

    assert (outcome.code, outcome.stdout) == (1, "")
    assert len(outcome.stderr.strip().splitlines()) == 1, outcome.stderr


@pytest.mark.parametrize("mend", ["--repair", "--delete-orphans"])
def test_documents_are_not_mended_by_another_tables_rows(world: World, mend: str) -> None:
    synced(world, 20)
    world.database.execute(f"TRUNCATE {TABLE}")
    world.database.fill(5, seed=9)

    outcome = world.run("verify", mend)

    assert outcome.code == 1, outcome.stdout
    assert "`sync --restart`" in outcome.stderr
    assert world.count() == 20
    assert world.run("verify").code == 3, "to look at it is allowed"


def test_a_repair_waits_for_a_busy_cluster(world: World, opensearch: str) -> None:
    synced(world, 50)
    lose(world, 7, 8)
    with HttpProxy(opensearch) as proxy:
        world.write({"opensearch.hosts": [proxy.url]})
        busy = proxy.on(BULK, answer(429), times=3)

        outcome = world.run("verify", "--repair", "--json")

    assert (outcome.code, outcome.json["repaired"], busy.used) == (0, 2, 3), outcome.stderr


def _elsewhere(url: str) -> str:
    """Return the URL with a port where nobody listens."""
    head, _, tail = url.rpartition(":")
    return f"{head}:1/{tail.partition('/')[2]}"


def test_interrupted_it_says_how_far_it_came_and_nothing_more(world: World) -> None:
    world.write({"verify.window_rows": 100})
    synced(world, 4000)
    process = world.start("verify", "--deep", "--json")
    connected = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = %s"
    deadline = time.monotonic() + 60
    # Two connections are the test's own and the agent's first: it has begun to read.
    while world.database.execute(connected, (world.database.name,))[0][0] < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)

    assert process.returncode == 130, stderr
    if stdout:  # it may have been still on its way to the first window
        assert '"complete":false' in stdout


@pytest.mark.own_accounts("reads the server's counters")
def test_no_window_scans_the_table(world: World, database: Database) -> None:
    """Bounded statements: each touches the rows of its window, whatever the table's size and however ids jump."""
    database.fill(3000)
    database.execute(f"ALTER TABLE {TABLE} AUTO_INCREMENT = 2000000000")
    database.fill(3000)
    windows = WindowReader(*opened(database.url))
    touched = []
    for low in (1, 2501, 2_000_000_001, 2_000_002_501):
        with windows._database.connection() as connection:
            connection.execute("FLUSH LOCAL STATUS")
        windows.windows(low, low + 199, 200)
        windows.ids_and_crcs(low, low + 199)
        with windows._database.connection() as connection:
            counted = {
                str(name): int(value) for name, value in connection.rows("SHOW SESSION STATUS LIKE 'Handler_read%%'")
            }
        touched.append(counted["Handler_read_next"])
        # Asking for the status walks a temporary table of its own.
        assert counted["Handler_read_rnd_next"] < 6000 / 10, counted
    assert 0 < max(touched) <= 2 * 200 + 10
