"""Tables, settings and servers that change under a running agent: it follows, or says so, and loses nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from demo.table import TABLE
from tests.integration.conftest import OwnServer
from tests.integration.tailing import INSERT, Watched, insert, until
from tests.world import Database, World

pytestmark = pytest.mark.integration
# A change of the table is looked for every half minute.
LOOK_SECONDS = 90

HOSTILE = (
    "SET autocommit = 0, sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH', sql_select_limit = 1,"
    " max_join_size = 10, completion_type = 1, time_zone = '+05:30', wait_timeout = 1;"
    " SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"
)


@pytest.fixture
def database_server(each_server: str) -> str:
    return each_server


@pytest.fixture
def running(world: World) -> Watched:
    """Give a running agent that has shipped three rows."""
    return started(world)


def started(world: World) -> Watched:
    watched = Watched(world)
    watched.start()
    insert(world.database, 3)
    watched.caught_up()
    return watched


def document(watched: Watched, row_id: int) -> dict[str, object]:
    (found,) = watched.world.documents({"term": {"id": row_id}})
    return found


@pytest.mark.slow
def test_a_column_that_is_added_flows_and_one_that_is_dropped_stops_nothing(running: Watched) -> None:
    database = running.world.database
    database.execute(f"ALTER TABLE {TABLE} ADD COLUMN project_id INT NOT NULL DEFAULT 7")
    until(lambda: "table_altered" in running.said(), "it sees the column", seconds=LOOK_SECONDS, told=running.said)
    added = insert(database)
    running.caught_up()
    assert document(running, added)["extra"] == {"project_id": 7}
    database.execute(f"ALTER TABLE {TABLE} DROP COLUMN project_id, DROP COLUMN client_id")
    dropped = insert(database)
    until(lambda: dropped in running.ids(), "it reads without it", seconds=LOOK_SECONDS, told=running.state)
    assert "extra" not in document(running, dropped)
    assert running.ids() == running.table_ids()
    running.stop()


def test_a_table_swapped_as_online_schema_changes_do_is_followed_without_loss(running: Watched) -> None:
    database = running.world.database
    database.execute(f"CREATE TABLE _new LIKE {TABLE}")
    database.execute("ALTER TABLE _new ADD COLUMN note VARCHAR(20) NULL, MODIFY id BIGINT NOT NULL AUTO_INCREMENT")
    columns = "id, created_at, module_slug, source, action, severity"
    database.execute(
        f"CREATE TRIGGER keep AFTER INSERT ON {TABLE} FOR EACH ROW REPLACE INTO _new ({columns}) VALUES"
        " (NEW.id, NEW.created_at, NEW.module_slug, NEW.source, NEW.action, NEW.severity)"
    )
    insert(database, 5)
    database.execute(f"INSERT IGNORE INTO _new ({columns}) SELECT {columns} FROM {TABLE}")
    insert(database, 5)
    database.execute(f"RENAME TABLE {TABLE} TO _old, _new TO {TABLE}")
    last = insert(database, 5) + 4
    running.caught_up()
    assert running.ids() == running.table_ids() == set(range(1, last + 1))
    assert running.progress().skipped_total == 0
    running.stop()


@pytest.mark.slow
def test_an_account_whose_sessions_begin_with_hostile_settings_reads_all_the_same(
    own_server: Callable[..., OwnServer], make_world: Callable[..., World]
) -> None:
    server = own_server(extra=[f"--init-connect={HOSTILE}"])
    database = Database(server.url)
    database.create_table()
    database.url = database.create_user("SELECT ON {database}.*")
    watched = started(make_world(database))
    insert(database, 40)
    watched.caught_up()
    assert watched.ids() == watched.table_ids()
    database.execute("SET SESSION lock_wait_timeout = 5")
    database.execute(f"ALTER TABLE {TABLE} COMMENT 'no transaction of the agent is left open'")
    verified = watched.world.run("verify", "--json")
    assert verified.code == 0, verified.stderr
    assert (verified.json["missing"], verified.json["different"]) == (0, 0)
    watched.stop()


def test_a_writer_that_is_demoted_under_an_open_gap_proves_nothing_any_more(
    own_server: Callable[..., OwnServer], make_world: Callable[..., World]
) -> None:
    server = own_server()
    database = Database(server.url)
    database.create_table()
    watched = started(make_world(database))
    database.execute("SET GLOBAL read_only = 1")
    # What replication applies: a later transaction is here, an earlier one is still open on the primary.
    database.execute(INSERT.replace("(module", "(id, module").replace("('m'", "(10, 'm'"))
    until(lambda: watched.progress().gaps, "the gap is seen", told=watched.state)
    watched.polls(10)
    assert watched.state()["evidence"] == "grace"
    assert "read-only" in watched.state()["evidence_reason"]
    assert watched.progress().gap_ids == 6
    database.execute(INSERT.replace("(module", "(id, module").replace("('m'", "(7, 'm'"))
    until(lambda: 7 in watched.ids(), "what comes late arrives", told=watched.state)
    said = watched.stop()
    assert "evidence=grace" in said
