"""A person's hand on a running daemon, tables that are not what they were, and clocks that disagree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.errors import PermanentError
from agent.tailing.checkpoint import decoded
from demo.table import TABLE
from tests.integration.conftest import OwnServer
from tests.integration.tailing import INSERT, Watched, insert, until
from tests.integration.test_tail_two_agents import versions
from tests.world import Database, World

pytestmark = pytest.mark.integration


@pytest.fixture
def database_server(each_server: str) -> str:
    return each_server


@pytest.fixture
def running(world: World) -> Watched:
    """Give a running agent that has shipped ten rows."""
    watched = Watched(world)
    watched.start()
    insert(world.database, 10)
    watched.caught_up()
    return watched


def test_a_pause_is_obeyed_within_a_poll_shown_and_lifted(running: Watched) -> None:
    world = running.world
    assert world.run("pause", "--why", "maintenance").code == 0
    until(lambda: "maintenance" in running.state()["reason"], "the daemon obeys", told=running.state)
    insert(world.database, 3)
    running.polls(10)
    assert running.progress().frontier == 10
    status = world.run("status", "--json").json
    assert "maintenance" in status["reason"]
    assert status["backlog_rows"] == 3
    assert world.run("resume").code == 0
    running.caught_up()
    until(lambda: not running.state()["reason"], "the reason is gone", told=running.state)
    assert [entry["what"]["what"] for entry in running.journaled("paused") + running.journaled("resumed")] == [
        "tail"
    ] * 2
    said = running.stop()
    assert (said.count(" paused "), said.count(" resumed ")) == (1, 1), said


def test_a_pause_outlives_the_daemon(running: Watched) -> None:
    running.world.run("pause", "--why", "maintenance")
    running.stop()
    insert(running.world.database)
    running.start()
    running.polls(15)
    assert running.progress().frontier == 10
    running.world.run("resume")
    running.caught_up()
    running.stop()


def test_a_rewind_under_a_running_daemon_ships_again_onto_the_same_documents(running: Watched) -> None:
    world = running.world
    shown = world.run("checkpoint", "show", "--json").json
    assert (shown["watermark"], shown["frontier"], shown["open_gaps"]) == (10, 10, 0)
    assert world.run("checkpoint", "rewind", "--to-id", "11", "--yes").code == 1
    assert world.run("checkpoint", "rewind", "--to-id", "4", "--yes").code == 0
    until(lambda: versions(world).get(10) == 2, "rows are shipped again", told=running.state)
    running.caught_up()
    assert versions(world) == {**dict.fromkeys(range(1, 5), 1), **dict.fromkeys(range(5, 11), 2)}
    assert running.journaled("checkpoint_rewound")[-1]["what"] == {"from_id": 10, "to_id": 4}
    running.stop()


def test_a_rewind_is_asked_about_and_refused_without_an_answer(running: Watched) -> None:
    assert running.world.run("checkpoint", "rewind", "--to-id", "4").code != 0
    assert running.progress().watermark == 10
    running.stop()


def ended(watched: Watched, said: str) -> str:
    """Wait until the daemon refuses to go on; it names the fault and the remedy where a person looks."""
    assert watched.process
    watched.process.communicate(timeout=60)
    told = watched.said()
    assert watched.process.returncode == 1, told
    assert said in told
    assert "sync --restart" in told
    return told


def emptied(database: Database) -> None:
    database.execute(f"TRUNCATE TABLE {TABLE}")


def restored(database: Database) -> None:
    """An old copy: it ends at 6, and other rows get the ids above."""
    database.execute(f"DELETE FROM {TABLE} WHERE id > 6")
    database.execute(f"ALTER TABLE {TABLE} AUTO_INCREMENT = 7")


def restored_and_written_to(database: Database) -> None:
    database.execute(f"DELETE FROM {TABLE} WHERE id > 6")
    database.execute(f"INSERT INTO {TABLE} (id, created_at, module_slug, source, action) VALUES "
                     "(10, '2020-01-01', 'm', 'c', 'a'), (20, '2020-01-02', 'm', 'c', 'a')")  # fmt: skip


def replaced(database: Database) -> None:
    database.execute(f"CREATE TABLE other LIKE {TABLE}")
    database.execute("ALTER TABLE other AUTO_INCREMENT = 1000")
    database.execute(f"DROP TABLE {TABLE}")
    database.execute(f"RENAME TABLE other TO {TABLE}")
    insert(database, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (emptied, "fewer ids"),
        (restored, "fewer ids"),
        (restored_and_written_to, "another row under an id"),
        (replaced, "another server or a new table"),
    ],
)
def test_a_table_that_is_another_one_is_named_and_never_begun_at_0_by_itself(
    running: Watched, change: Callable[[Database], None], said: str
) -> None:
    running.stop()
    before = versions(running.world)
    change(running.world.database)
    running.start()
    ended(running, said)
    assert versions(running.world) == before
    status = running.world.run("status", "--json").json
    assert status["state"] == "stopped"
    assert said in status["reason"]
    assert running.world.run("sync", "--restart").code == 0
    assert running.progress().frontier == max(running.table_ids(), default=0)


def test_rows_purged_while_the_agent_was_down_are_reported(running: Watched) -> None:
    running.stop()
    insert(running.world.database, 20)
    running.world.database.execute(f"DELETE FROM {TABLE} WHERE id <= 25")
    running.start()
    running.caught_up()
    said = running.stop()
    assert "tail.rows_lost" in said
    assert "first=11 last=25" in said
    assert running.journaled("rows_lost")[-1]["what"] == {"first": 11, "last": 25, "ids": 15}


def damage(world: World, **members: Any) -> None:
    world.request("POST", f"/{world.agent_prefix}-state/_update/{world.instance}", {"doc": members})


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"format_version": 2}, "newer agent"),
        ({"frontier": 10**6}, "unreadable"),
        ({"gaps": "zeroed"}, "unreadable"),
        ({"watermark": None, "frontier": None}, "unreadable"),
    ],
)
def test_a_damaged_or_newer_checkpoint_stops_the_agent_and_is_left_as_it_is(
    running: Watched, members: dict[str, Any], said: str
) -> None:
    running.stop()
    damage(running.world, **members)
    running.start()
    ended(running, said)
    with pytest.raises(PermanentError):
        decoded(running.state(), where="the index")
    insert(running.world.database)
    assert running.world.run("sync", "--restart").code == 0
    assert running.progress().watermark == 11
    assert running.ids() == running.table_ids()


@pytest.mark.parametrize("hours", [-1, 1])
def test_lag_is_right_though_the_hosts_clock_is_an_hour_off(
    own_server: Callable[..., OwnServer], make_world: Callable[..., World], hours: int
) -> None:
    # Of two clocks that differ it does not matter which is moved: here the database's own is, for every session.
    server = own_server(extra=[f"--init-connect=SET timestamp=UNIX_TIMESTAMP(SYSDATE())+{3600 * hours}"])
    database = Database(server.url)
    database.create_table()
    database.url = database.create_user("SELECT ON {database}.*")
    world = make_world(database)
    watched = Watched(world)
    watched.start()
    created = f"(UNIX_TIMESTAMP(SYSDATE())+{3600 * hours})"
    database.execute(
        INSERT.replace("(module", "(created_at, module").replace("('m'", f"(FROM_UNIXTIME({created}), 'm'")
    )
    watched.caught_up()
    world.run("pause")
    until(lambda: "paused" in watched.state()["reason"], "the daemon obeys", told=watched.state)
    database.execute(
        INSERT.replace("(module", "(created_at, module").replace("('m'", f"(FROM_UNIXTIME({created}), 'm'")
    )
    status = world.run("status", "--json").json
    assert status["backlog_rows"] == 1
    assert 0 <= status["lag_seconds"] < 600
    assert status["state"] == "idle", "a heartbeat is no older for the host's clock being off"
    watched.stop()
