"""Late commits on real servers, by every kind of evidence: nothing is missed, nothing waits longer than it must."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.table import TABLE
from tests.integration.tailing import INSERT, Watched, insert, transaction, until
from tests.world import Database, World

pytestmark = pytest.mark.integration

# rung → where it is found, and what makes the agent take it
RUNGS = {
    "metadata_lock_info": ("plugin_mariadb", "auto"),
    "metadata_locks": ("with_schema", "auto"),
    "innodb_trx": ("bare", "auto"),
    "grace": ("bare", "grace"),
    "metadata_locks on MySQL": ("mysql", "auto"),
}


LONG = ("metadata_locks", "innodb_trx", "grace")
"""What differs least from the other rungs: the long run has them."""


@pytest.fixture(
    scope="module", params=[pytest.param(rung, marks=pytest.mark.slow if rung in LONG else ()) for rung in RUNGS]
)
def running(
    request: pytest.FixtureRequest, opensearch: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    """Give a running agent on a server with one kind of evidence; the tests of this file share its table."""
    server, wanted = RUNGS[request.param]
    database = Database(request.getfixturevalue(server))
    database.create_table()
    world = World(folder=Path(tmp_path_factory.mktemp("world")), database=database, opensearch_url=opensearch)
    world.write({"tail.gaps.evidence": wanted, "tail.gaps.grace_seconds": 600 if wanted == "grace" else 60})
    watched = Watched(world)
    watched.start()
    try:
        insert(database)
        watched.caught_up()
        assert watched.state()["evidence"] == request.param.split(" ")[0]
        yield watched
        watched.stop()
    finally:
        world.remove()
        database.drop()


def is_grace(running: Watched) -> bool:
    return bool(running.state()["evidence"] == "grace")


def overtaken(running: Watched, late: int) -> None:
    """A row above the gap is searchable, and the gap holds the watermark and is shown."""
    later = insert(running.world.database)
    until(lambda: later in running.ids(), "the later row is searchable", told=running.state)
    until(lambda: running.progress().frontier >= later, "the frontier is at the later row", told=running.state)
    running.polls(5)
    assert running.progress().watermark < late
    assert running.state()["open_gaps"] == 1
    assert running.state()["gap_ids"] >= 1


def test_a_row_that_commits_late_arrives(running: Watched) -> None:
    with transaction(running.world.database) as first:
        late = first(INSERT)
        overtaken(running, late)
        first("COMMIT")
        until(lambda: late in running.ids(), "the late row is searchable", told=running.state)
    running.caught_up()
    assert running.ids() == running.table_ids()


def test_a_row_that_is_rolled_back_is_skipped_counted_and_journaled(running: Watched) -> None:
    if is_grace(running):
        pytest.skip("without evidence nothing tells a rollback from a long transaction")
    before = running.progress().skipped_total
    with transaction(running.world.database) as first:
        late = first(INSERT)
        overtaken(running, late)
        first("ROLLBACK")
        running.caught_up()
    assert running.progress().skipped_total == before + 1
    entry = running.journaled("gap_skipped")[-1]
    assert entry["what"]["ranges"] == [[late, late]]
    assert entry["what"]["evidence"] == running.state()["evidence"]


def test_an_insert_asleep_on_its_second_row_loses_none_of_its_rows(running: Watched) -> None:
    database = running.world.database
    slow = f"INSERT INTO {TABLE} (module_slug, source, action) VALUES ('m','c','a'), ('m','c',SLEEP(2)), ('m','c','a')"
    with transaction(database) as asleep:
        thread = threading.Thread(target=lambda: asleep(slow))
        before = insert(database)
        thread.start()
        while insert(database) < before + 4:  # its three ids are reserved once ours jump over them
            running.polls(1)
        until(lambda: running.progress().gaps, "the gap is seen", told=running.state)
        assert running.progress().gap_ids >= 3
        thread.join()
        running.polls(3)
        assert running.progress().gaps
        asleep("COMMIT")
    running.caught_up()
    assert running.ids() == running.table_ids()


def test_a_reader_and_a_writer_elsewhere_hold_nothing_for_ever(running: Watched) -> None:
    database = running.world.database
    if is_grace(running):
        pytest.skip("without evidence nobody is asked")
    with transaction(database) as reader, transaction(database) as writer:
        reader(f"SELECT COUNT(*) FROM {TABLE}")
        late = writer(INSERT)
        overtaken(running, late)
        writer("ROLLBACK")
        if running.state()["evidence"] != "innodb_trx":
            running.caught_up()
        reader("ROLLBACK")
        running.caught_up()


@pytest.mark.parametrize("ending", ["COMMIT", pytest.param("ROLLBACK", marks=pytest.mark.slow)])
def test_a_prepared_transaction_without_a_session_holds_its_gap(running: Watched, ending: str) -> None:
    if is_grace(running):
        pytest.skip("without evidence nobody is asked")
    database = running.world.database
    name = f"'{running.world.instance}{ending}'"
    connection = database.connect()
    with connection.cursor() as cursor:
        cursor.execute(f"XA START {name}")
        cursor.execute(INSERT)
        late = int(cursor.lastrowid)
    overtaken(running, late)
    with connection.cursor() as cursor:
        cursor.execute(f"XA END {name}")
        cursor.execute(f"XA PREPARE {name}")
    running.polls(3)
    connection.close()
    try:
        running.polls(10)
        assert running.progress().watermark < late
        assert running.progress().in_gap(late)
    finally:
        database.execute(f"XA {ending} {name}")
    running.caught_up()
    assert (late in running.ids()) is (ending == "COMMIT")


POLL_SECONDS = 1
SEARCHABLE_SECONDS = 3


@pytest.mark.slow
def test_at_the_default_pace_rows_come_in_three_seconds_and_dead_ids_go_within_two_polls(running: Watched) -> None:
    world = running.world
    if is_grace(running):
        pytest.skip("without evidence nothing tells a rollback from a long transaction")
    running.stop()
    world.write({"tail.poll_seconds": POLL_SECONDS})
    running.start()
    try:
        running.says("lease.acquired")
        for ending in ("COMMIT", "ROLLBACK"):
            with transaction(world.database) as first:
                late = first(INSERT)
                later = insert(world.database)
                until(lambda later=later: later in running.ids(), "the later row", seconds=SEARCHABLE_SECONDS)
                for _ in range(30 // POLL_SECONDS if ending == "COMMIT" else 3):
                    running.polls(1)
                    assert running.progress().watermark < late
                assert world.run("status", "--json").json["open_gaps"] == 1
                skipped = running.progress().skipped_total
                first(ending)
                # Two polls, the work of each, and what it takes to look.
                until(lambda: not running.progress().gaps, "it is settled", seconds=2 * POLL_SECONDS + 1.5)
            assert (late in running.ids()) is (ending == "COMMIT")
            assert running.progress().skipped_total == skipped + (ending == "ROLLBACK")
            assert world.run("status", "--json").json["open_gaps"] == 0
    finally:
        world.write({"tail.poll_seconds": 0.2})


def test_a_million_rolled_back_ids_and_ids_in_steps_of_three_are_passed(running: Watched) -> None:
    database = running.world.database
    highest = max(running.table_ids())
    database.execute(f"ALTER TABLE {TABLE} AUTO_INCREMENT = {highest + 1_000_001}")
    with database.connection.cursor() as cursor:
        cursor.execute("SET SESSION auto_increment_increment = 3")
        for _ in range(40):
            cursor.execute(INSERT)
        cursor.execute("SET SESSION auto_increment_increment = 1")
    if is_grace(running):
        until(lambda: running.progress().gap_ids > 1_000_000, "the ids are seen missing", told=running.state)
        return
    running.caught_up()
    assert running.progress().watermark > highest + 1_000_000
