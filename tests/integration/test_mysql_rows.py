"""Rows are read exactly: any value, any size, bounded, in a fresh snapshot every time."""

from __future__ import annotations

import pytest

from agent.errors import TemporaryError
from agent.mysql import packets
from agent.mysql.rows import RowReader
from tests.integration.mysql_source import opened, reader
from tests.world import Database

pytestmark = pytest.mark.integration
TABLE = "mod_impulsecore_audit_log"


def ids(rows: list[tuple[object, ...]]) -> list[object]:
    return [row[0] for row in rows]


def plain(database: Database, *wanted: int) -> None:
    """Insert rows with these ids."""
    values = ", ".join(f"({row_id}, 'm', 'cron', 'a.b')" for row_id in wanted)
    database.execute(f"INSERT INTO {TABLE} (id, module_slug, source, action) VALUES {values}")


def test_batches_follow_each_other_without_loss_or_overlap(database: Database) -> None:
    database.fill(25)
    rows = reader(database.url)

    first, second, third = rows.after(0, 10), rows.after(10, 10), rows.after(20, 10)

    assert ids([*first.rows, *second.rows, *third.rows]) == list(range(1, 26))
    assert (first.is_complete, second.is_complete, third.is_complete) == (False, False, True)
    assert rows.after(25, 10).rows == []


def test_a_row_committed_between_reads_is_seen_by_the_next(database: Database) -> None:
    rows = reader(database.url)
    plain(database, 1)
    other = database.connect()
    other.begin()
    with other.cursor() as cursor:
        cursor.execute(f"INSERT INTO {TABLE} (id, module_slug, source, action) VALUES (2, 'm', 'cron', 'a')")
    assert ids(rows.after(0, 10).rows) == [1]

    other.commit()

    assert ids(rows.after(0, 10).rows) == [1, 2]
    other.close()


def test_the_fast_reader_and_the_plain_cursor_agree(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database.fill(200)
    rows = reader(database.url)
    fast = rows.after(0, 1000).rows

    monkeypatch.setattr(packets, "supported", lambda _connection: False)

    assert rows.after(0, 1000).rows == fast
    assert len(fast) == 200


def test_only_wanted_ids_come_from_many_ranges(database: Database) -> None:
    plain(database, *range(1, 3001))
    rows = reader(database.url)
    ranges = [(start, start + 1) for start in range(1, 3000, 3)] + [(5000 + 2 * n, 5000 + 2 * n) for n in range(800)]

    batch = rows.in_ranges(ranges, 10_000)

    assert ids(batch.rows) == [row_id for row_id in range(1, 3001) if row_id % 3]
    assert batch.is_complete
    assert rows.in_ranges([], 10).rows == []


@pytest.mark.parametrize(("limit", "complete"), [(9, False), (10, False), (11, True)])
def test_a_limit_over_ranges_says_whether_something_was_left(database: Database, limit: int, complete: bool) -> None:
    plain(database, *range(1, 11))

    batch = reader(database.url).in_ranges([(n, n) for n in range(1, 3000)], limit)

    assert ids(batch.rows) == list(range(1, min(limit, 10) + 1))
    assert batch.is_complete is complete


def test_rows_are_found_by_id(database: Database) -> None:
    plain(database, 1, 2, 5)

    assert ids(reader(database.url).by_ids([5, 1, 9, 1]).rows) == [1, 5]
    assert reader(database.url).by_ids([]).rows == []


def test_a_batch_stops_at_the_byte_limit_and_the_next_goes_on(database: Database) -> None:
    plain(database, *range(1, 101))
    database.execute(f"UPDATE {TABLE} SET context = REPEAT('x', 10000)")
    rows = reader(database.url)

    seen: list[object] = []
    for _ in range(100):
        batch = rows.after(int(str(seen[-1])) if seen else 0, 1000, 95_000)
        seen += ids(batch.rows)
        assert batch.bytes_read <= 95_000 + 11_000
        if batch.is_complete:
            break

    assert seen == list(range(1, 101))


def test_a_connection_given_up_is_not_used_again(database: Database) -> None:
    plain(database, *range(1, 2001))
    database.execute(f"UPDATE {TABLE} SET context = REPEAT('x', 2000)")
    rows = reader(database.url)

    assert rows.after(0, 2000, 1).is_cut_by_bytes
    assert rows.bounds().max_id == 2000


def test_a_huge_value_is_cut_by_the_server_just_beyond_the_limit(database: Database) -> None:
    plain(database, 1, 2, 3)
    database.execute(f"UPDATE {TABLE} SET context = REPEAT('x', 64000000) WHERE id = 1")
    database.execute(f"UPDATE {TABLE} SET context = REPEAT('x', 1000) WHERE id = 2")
    database.execute(f"UPDATE {TABLE} SET context = REPEAT('ü', 1001) WHERE id = 3")
    small = reader(database.url, max_value_bytes=1000)

    found = {row[0]: str(row[11]) for row in small.after(0, 10).rows}

    assert [len(found[1]), len(found[2]), len(found[3])] == [1001, 1000, 1001]


def test_a_huge_value_has_a_checksum_of_its_own(database: Database) -> None:
    plain(database, 1, 2)
    database.execute(f"UPDATE {TABLE} SET created_at = '2026-01-01', context = REPEAT('x', 20000000)")
    rows = reader(database.url, max_value_bytes=100)
    before = [row[-1] for row in rows.after(0, 10).rows]

    database.execute(f"UPDATE {TABLE} SET context = CONCAT(context, 'y') WHERE id = 2")

    after = [row[-1] for row in rows.after(0, 10).rows]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_values_arrive_as_they_are_stored(database: Database) -> None:
    database.execute(f"DROP TABLE {TABLE}")
    database.execute(
        f"CREATE TABLE {TABLE} (id BIGINT UNSIGNED PRIMARY KEY, created_at DATETIME(6) NULL, detail TEXT,"
        " amount DECIMAL(30,10), ratio DOUBLE, flag TINYINT(1), bits BIT(9), raw VARBINARY(9), born DATE, span TIME,"
        " place POINT NULL, choice ENUM('a','b'), tags SET('x','y'), year_of YEAR) CHARACTER SET latin1"
    )
    database.execute(
        f"INSERT INTO {TABLE} VALUES (18446744073709551615, '2026-01-02 03:04:05.000006', 'Grüße', 12.5, 0.1, 1, b'101',"
        " x'ff41', '2026-02-03', '-10:20:30', POINT(1, 2), 'b', 'x,y', 2026)"
    )
    database.execute(f"INSERT INTO {TABLE} (id) VALUES (1)")

    null, full = reader(database.url).after(0, 10).rows

    assert null[1:-1] == (None,) * 13
    assert full[:6] == (18446744073709551615, "2026-01-02 03:04:05.000006", "Grüße", "12.5000000000", "0.1", 1)
    assert full[6:10] == (5, "\ufffdA", "2026-02-03", "-10:20:30")
    assert str(full[10]).endswith("000000000000F03F0000000000000040")
    assert full[11:14] == ("b", "x,y", 2026)


def test_zero_dates_and_missing_dates_are_read(database: Database) -> None:
    database.execute(f"DROP TABLE {TABLE}")
    database.execute(f"CREATE TABLE {TABLE} (id INT PRIMARY KEY, created_at DATETIME NULL)")
    database.execute("SET SESSION sql_mode = ''")
    database.execute(f"INSERT INTO {TABLE} VALUES (1, '0000-00-00'), (2, NULL), (3, '2026-00-10'), (4, '9999-12-31')")
    rows = reader(database.url)

    assert [row[1] for row in rows.after(0, 9).rows] == [
        "0000-00-00 00:00:00",
        None,
        "2026-00-10 00:00:00",
        "9999-12-31 00:00:00",
    ]
    assert rows.backlog(0).oldest_created_at == "0000-00-00 00:00:00"
    assert rows.backlog(1).oldest_created_at is None


def test_bounds_and_backlog_come_from_one_moment(database: Database) -> None:
    rows = reader(database.url)
    empty = rows.bounds()
    assert (empty.min_id, empty.max_id, empty.newest_created_at) == (None, None, None)
    assert (rows.backlog(0).rows, rows.backlog(0).is_exact) == (0, True)

    plain(database, 5, 7, 8, 20)

    bounds = rows.bounds()
    assert (bounds.min_id, bounds.max_id) == (5, 20)
    assert bounds.newest_created_at is not None
    assert abs(ord(bounds.now[0]) - ord("2")) == 0
    assert rows.backlog(5).rows == 3
    assert rows.backlog(20).rows == 0


@pytest.mark.parametrize(("cap", "counted", "exact"), [(3, 15, False), (4, 15, False), (5, 4, True)])
def test_a_long_backlog_is_estimated_not_counted(database: Database, cap: int, counted: int, exact: bool) -> None:
    plain(database, 1, 6, 7, 8, 16)

    backlog = reader(database.url).backlog(1, cap_rows=cap)

    assert (backlog.rows, backlog.is_exact) == (counted, exact)


def test_no_read_scans_the_table(database: Database) -> None:
    plain(database, *range(1, 3001))
    opened_database, table = opened(database.url)
    rows = RowReader(opened_database, table, max_value_bytes=100)

    def rows_touched() -> int:
        with opened_database.connection() as connection:
            return sum(int(row[1]) for row in connection.rows("SHOW SESSION STATUS LIKE 'Handler_read%%'"))

    for read in (
        lambda: rows.after(1500, 10),
        lambda: rows.in_ranges([(10, 12), (1500, 1502), (9000, 9999)], 100),
        lambda: rows.by_ids([5, 2000]),
        rows.bounds,
        lambda: rows.backlog(2990),
        lambda: rows.backlog(0, cap_rows=20),
    ):
        # the pool lends the same connection each time, so the session's counters are the reader's
        before = rows_touched()
        nothing = rows_touched() - before
        before = rows_touched()
        read()
        assert rows_touched() - before - nothing < 100


def test_a_killed_connection_is_replaced_by_the_next_use(database: Database) -> None:
    plain(database, 1)
    opened_database, table = opened(database.url)
    rows = RowReader(opened_database, table, max_value_bytes=100)
    assert len(rows.after(0, 9).rows) == 1

    for (thread,) in database.execute(
        "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()", (database.name,)
    ):
        database.execute(f"KILL {thread}")

    assert len(rows.after(0, 9).rows) == 1


def test_a_connection_killed_in_mid_statement_is_a_temporary_error(database: Database) -> None:
    opened_database, _ = opened(database.url)

    with pytest.raises(TemporaryError) as error, opened_database.connection() as connection:
        thread = connection.driver_connection.thread_id()
        database.execute(f"KILL {thread}")
        connection.rows("SELECT 1")

    assert error.value.kind == "mysql_unreachable"
    with opened_database.connection() as connection:
        assert connection.row("SELECT 1") == (1,)
