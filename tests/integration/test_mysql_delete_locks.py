"""Deleting rows takes nobody's locks but those rows', whatever the server's statistics say, and is in no deadlock."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import pymysql
import pytest

from agent.errors import TemporaryError
from agent.mysql import predicate
from agent.mysql.deletes import Deleted, RowDeleter
from agent.mysql.engine import Connection
from agent.mysql.engine import Database as OpenedDatabase
from agent.mysql.schema import Table
from demo.table import Kind
from tests.integration.mysql_source import dated, examined, opened
from tests.integration.test_mysql_deletes import add
from tests.world import Database

pytestmark = pytest.mark.integration
TABLE = "mod_impulsecore_audit_log"


@pytest.fixture(scope="module", params=["mariadb", pytest.param("mysql", marks=pytest.mark.slow)])
def database_server(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def deleted(opened_database: OpenedDatabase, table: Table, ids: Sequence[int]) -> Deleted:
    """Read the dates of rows, as a purge does, and delete them."""
    return RowDeleter(opened_database, table).delete(dated(opened_database, table, ids), predicate.EVERYTHING)


def test_a_row_somebody_holds_is_left_and_the_others_go(database: Database) -> None:
    add(database, *((n, "2026-01-01", "a", "info", n) for n in range(1, 6)))
    opened_database, table = opened(database.url)
    with database.connect() as other:
        other.begin()
        with other.cursor() as cursor:
            cursor.execute(f"UPDATE {TABLE} SET severity = 'warn' WHERE id = 4")

        found = deleted(opened_database, table, [1, 2, 3, 4, 5])

        assert (found.rows, found.remaining) == (4, (4,))
        other.rollback()
    assert deleted(opened_database, table, [4]).rows == 1


@pytest.mark.slow
def test_a_locked_table_ends_the_chunk_soon_and_nothing_is_deleted(database: Database) -> None:
    add(database, *((n, "2026-01-01", "a", "info", n) for n in range(1, 6)))
    opened_database, table = opened(database.url)
    with database.connect() as other, other.cursor() as cursor:
        cursor.execute(f"LOCK TABLES {TABLE} READ")

        with pytest.raises(TemporaryError) as error:
            deleted(opened_database, table, [1, 2, 3, 4, 5])

        assert error.value.kind == "lock_wait"
        cursor.execute("UNLOCK TABLES")
    assert database.count() == 5
    assert deleted(opened_database, table, [1, 2, 3, 4, 5]).rows == 5


@pytest.mark.parametrize("way", ["created_at", "PRIMARY"])
def test_a_purge_by_any_index_is_never_in_a_deadlock_with_us(database: Database, way: str) -> None:
    database.fill(6_000, days=20)
    opened_database, table = opened(database.url)
    done = threading.Event()
    failures: list[pymysql.err.OperationalError] = []
    purged = [0]

    def purge() -> None:
        sql = f"DELETE t FROM {TABLE} t JOIN (SELECT id FROM {TABLE} FORCE INDEX ({way}) LIMIT 20 FOR UPDATE) x USING (id)"
        with database.connect() as connection, connection.cursor() as cursor:
            while not done.is_set():
                try:
                    purged[0] += cursor.execute(sql)
                except pymysql.err.OperationalError as failure:
                    failures.append(failure)

    purger = threading.Thread(target=purge)
    purger.start()
    left = list(range(1, 6_001))
    while left:
        step, left = left[:50], left[50:]
        deleted(opened_database, table, step)
    done.set()
    purger.join()

    assert failures == []
    assert purged[0]


@pytest.mark.parametrize("index", ["created_at", "PRIMARY"])
@pytest.mark.parametrize("kind", [Kind.TIMESTAMP, Kind.DATETIME])
@pytest.mark.parametrize("statistics", ["fresh", "of an empty table"])
def test_a_chunk_looks_at_its_own_rows_only(database: Database, statistics: str, kind: Kind, index: str) -> None:
    """Eight thousand rows share a second; before, a list of conditions let the server walk the whole index."""
    database.execute(f"DROP TABLE {TABLE}")
    database.create_table(kind)
    if index == "PRIMARY":
        database.execute(f"DROP INDEX created_at ON {TABLE}")
    database.execute(f"ALTER TABLE {TABLE} STATS_AUTO_RECALC = 0")
    database.execute(f"ANALYZE TABLE {TABLE}")
    add(database, (1, "2026-01-01", "a", "info", 1), (2, "2026-02-01", "a", "info", 1))
    columns = "created_at, module_slug, source, action, severity"
    for _ in range(13):
        database.execute(f"INSERT INTO {TABLE} ({columns}) SELECT {columns} FROM {TABLE}")
    if statistics == "fresh":
        database.execute(f"ANALYZE TABLE {TABLE}")
    named = [int(row[0]) for row in database.execute(f"SELECT id FROM {TABLE} ORDER BY id LIMIT 500 OFFSET 5000")]
    opened_database, table = opened(database.url)

    before = examined(database)

    assert deleted(opened_database, table, named).rows == 500
    assert examined(database) - before < 500 * 16


@pytest.mark.parametrize("statistics", ["fresh", "young"])
def test_a_chunk_of_a_table_just_loaded_looks_at_its_own_rows_only(database: Database, statistics: str) -> None:
    """The server knows how many rows there are, but not yet how many of them have one date."""
    database.fill(50_000, days=100)
    if statistics == "fresh":
        database.execute(f"ANALYZE TABLE {TABLE}")
    opened_database, table = opened(database.url)
    before = examined(database)

    assert deleted(opened_database, table, range(1, 1_001)).rows == 1_000
    assert examined(database) - before < 1_000 * 16


def test_a_chunk_locks_its_own_rows_only(database: Database) -> None:
    """Others change the rows beside them while the chunk's transaction is still open."""
    database.execute(f"ALTER TABLE {TABLE} STATS_AUTO_RECALC = 0")
    database.execute(f"ANALYZE TABLE {TABLE}")
    database.fill(6_000, days=20)
    opened_database, table = opened(database.url)
    named = list(range(100, 600, 2))
    neighbours = [*range(99, 600, 2), 601, 3_000, 6_000]
    waited: list[BaseException] = []
    original = RowDeleter._locked

    def locked(deleter: RowDeleter, connection: Connection, dates: Mapping[int, str]) -> list[int]:
        found = original(deleter, connection, dates)
        with database.connect() as other, other.cursor() as cursor:
            cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
            for row_id in neighbours:
                cursor.execute(f"UPDATE {TABLE} SET severity = 'warn' WHERE id = {row_id}")
            try:
                cursor.execute(f"UPDATE {TABLE} SET severity = 'warn' WHERE id = {named[7]}")
            except pymysql.err.OperationalError as failure:
                waited.append(failure)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RowDeleter, "_locked", locked)
        assert deleted(opened_database, table, named).rows == len(named)
    assert len(waited) == 1, "the chunk's own rows were locked"


@pytest.mark.parametrize("index", ["created_at", "PRIMARY"])
@pytest.mark.parametrize("kind", [Kind.TIMESTAMP, Kind.DATETIME])
def test_a_row_that_was_given_another_date_meanwhile_stays(database: Database, kind: Kind, index: str) -> None:
    """With the index on created_at it is not even looked at; without it the caller's predicate decides."""
    database.execute(f"DROP TABLE {TABLE}")
    database.create_table(kind)
    database.execute(f"ALTER TABLE {TABLE} MODIFY created_at {kind.value}(6) NULL")
    if index == "PRIMARY":
        database.execute(f"DROP INDEX created_at ON {TABLE}")
    add(database, *((n, f"2026-01-0{n} 01:02:03.123456", "a", "info", n) for n in range(1, 5)))
    opened_database, table = opened(database.url)
    dates = dated(opened_database, table, range(1, 5))
    assert dates[1].endswith(" 01:02:03.123456")
    database.execute(f"UPDATE {TABLE} SET created_at = '2026-02-01' WHERE id = 2")
    database.execute(f"UPDATE {TABLE} SET created_at = NULL WHERE id = 3")

    found = RowDeleter(opened_database, table).delete(dates, predicate.one_of(table, "action", ["a"]))

    changed = (2, 3) if index == "created_at" else ()
    assert (found.rows, found.remaining) == (4 - len(changed), changed)
