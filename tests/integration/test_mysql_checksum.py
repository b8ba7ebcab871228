"""The checksum is a function of what is stored: the same on every reading, another for every change."""

from __future__ import annotations

import pytest

from agent.mysql.windows import WindowReader
from tests.integration.mysql_source import opened, reader
from tests.world import Database

pytestmark = [pytest.mark.integration, pytest.mark.own_accounts("has tables that no grant names")]
TABLE = "mod_impulsecore_audit_log"

# column type, a value, another value
STORED = [
    ("VARCHAR(50)", "'a'", "'A'"),
    ("VARCHAR(50)", "''", "NULL"),
    ("VARCHAR(50)", "'NULL'", "NULL"),
    ("VARCHAR(50)", "'a'", "'a '"),
    ("VARCHAR(50)", "'0'", "''"),
    ("CHAR(9)", "'a'", "'b'"),
    ("VARCHAR(50) CHARACTER SET latin1", "'Grüße'", "'Grusse'"),
    ("TEXT CHARACTER SET utf8mb3", "'日本'", "'日'"),
    ("LONGTEXT CHARACTER SET utf8mb4", "'😀'", "'😁'"),
    ("JSON", """'{"a": 1}'""", """'{"a": "1"}'"""),
    ("JSON", "NULL", "'null'"),
    ("ENUM('info','warn')", "'info'", "'warn'"),
    ("SET('x','y')", "'x'", "'x,y'"),
    ("INT", "0", "NULL"),
    ("INT", "-1", "1"),
    ("BIGINT UNSIGNED", "18446744073709551615", "18446744073709551614"),
    ("TINYINT(1)", "0", "1"),
    ("BIT(9)", "b'1'", "b'10'"),
    ("DECIMAL(30,10)", "0.1", "0.1000000001"),
    ("DOUBLE", "0.1", "0.10000000000000002"),
    ("FLOAT", "1.5", "1.25"),
    ("DATETIME", "'2026-03-29 02:30:00'", "'2026-03-29 02:30:01'"),
    ("DATETIME(6)", "'2026-03-29 02:30:00.000001'", "'2026-03-29 02:30:00.000002'"),
    ("TIMESTAMP(3) NULL", "'2026-03-29 02:30:00.001'", "NULL"),
    ("DATE", "'2026-03-29'", "'2026-03-30'"),
    ("TIME", "'-01:00:00'", "'01:00:00'"),
    ("YEAR", "2026", "2027"),
    ("VARBINARY(9)", "x'ff00'", "x'ff'"),
    ("BLOB", "x'ff'", "x'fe'"),
    ("POINT", "POINT(1,2)", "POINT(2,1)"),
]


def crcs(database: Database, table: str = TABLE) -> list[int]:
    return [int(str(row[-1])) for row in reader(database.url, table=table).after(0, 10_000).rows]


@pytest.mark.parametrize(("column", "first", "second"), STORED, ids=[f"{row[0]} {row[1]}" for row in STORED])
@pytest.mark.parametrize("name", ["detail", "further"])
def test_every_type_has_a_stable_and_telling_checksum(
    database: Database, column: str, first: str, second: str, name: str
) -> None:
    database.execute(f"CREATE TABLE typed (id INT PRIMARY KEY, created_at DATETIME NULL, {name} {column})")
    database.execute(f"INSERT INTO typed VALUES (1, NULL, {first})")
    before = crcs(database, "typed")

    opened_database, table = opened(database.url, table="typed")
    windows = WindowReader(opened_database, table)
    assert crcs(database, "typed") == before
    assert [crc for _id, crc in windows.ids_and_crcs(0, 9)] == before
    assert [(window.start, window.rows, window.crc_sum) for window in windows.windows(0, 9, 5)] == [(0, 1, before[0])]

    database.execute(f"UPDATE typed SET {name} = {second}")

    assert crcs(database, "typed") != before


def test_values_cannot_move_between_columns_unnoticed(database: Database) -> None:
    database.execute(
        f"INSERT INTO {TABLE} (id, created_at, module_slug, source, action, service_id, admin_id, detail) VALUES"
        " (1, '2026-01-01', 'ab', 'c', '', 12, 3, NULL), (2, '2026-01-01', 'a', 'bc', '', 12, 3, NULL),"
        " (3, '2026-01-01', 'a', '', 'bc', 1, 23, NULL), (4, '2026-01-01', 'a', '', 'bc', NULL, 23, ''),"
        " (5, '2026-01-01', 'a', '', 'bc', 23, NULL, '')"
    )
    database.execute(f"UPDATE {TABLE} SET severity = ''")
    sums = set(crcs(database))

    assert len(sums) == 5


def test_the_session_and_the_clients_character_set_do_not_matter(database: Database) -> None:
    database.fill(50)
    opened_database, table = opened(database.url)
    expected = crcs(database)
    sql = f"SELECT {WindowReader(opened_database, table)._crc} FROM {TABLE} ORDER BY id"

    database.execute("SET NAMES latin1")
    database.execute("SET SESSION sql_mode = 'ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH', time_zone = '+00:00'")

    assert [int(row[0]) for row in database.execute(sql)] == expected


def test_a_new_column_changes_no_checksum_until_it_has_a_value(database: Database) -> None:
    database.fill(20)
    before = crcs(database)

    database.execute(f"ALTER TABLE {TABLE} ADD COLUMN project_id INT NULL AFTER id")
    assert crcs(database) == before

    database.execute(f"UPDATE {TABLE} SET project_id = 0 WHERE id = 1")
    after = crcs(database)
    assert after[0] != before[0]
    assert after[1:] == before[1:]


def test_windows_partition_the_ids_like_a_histogram(database: Database) -> None:
    database.fill(95)
    database.execute(f"DELETE FROM {TABLE} WHERE id BETWEEN 20 AND 49")
    opened_database, table = opened(database.url)
    windows = WindowReader(opened_database, table)

    found = windows.windows(5, 60, 10)

    by_id = dict(windows.ids_and_crcs(5, 60))
    assert [(window.start, window.rows) for window in found] == [(0, 5), (10, 10), (50, 10), (60, 1)]
    for window in found:
        assert window.crc_sum == sum(crc for row_id, crc in by_id.items() if row_id // 10 * 10 == window.start)
