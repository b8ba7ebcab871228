"""Only what a predicate allows is counted and deleted, in small transactions that wait for nobody long."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from agent.mysql import RowReader, open_database, predicate
from agent.mysql.census import count_by_first_match
from agent.mysql.core_settings import core_retention
from agent.mysql.deletes import RowDeleter
from agent.mysql.facts import server_facts
from agent.mysql.grants import needless_privileges, probe_grants
from agent.mysql.predicate import Predicate
from agent.mysql.replica_lag import replica_lag
from agent.mysql.schema import Table
from demo.mariadb_server import MariaDB
from tests.integration.mysql_source import dated, examined, opened, source
from tests.world import Database, World

pytestmark = pytest.mark.integration
TABLE = "mod_impulsecore_audit_log"
UTC_ZONE = ZoneInfo("UTC")
CUTOFF = datetime(2026, 8, 25, 3, 20, tzinfo=UTC)


def add(database: Database, *rows: tuple[object, ...]) -> None:
    """Insert (id, created_at, action, severity, client_id)."""
    for row in rows:
        database.execute(
            f"INSERT INTO {TABLE} (id, created_at, module_slug, source, action, severity, client_id)"
            " VALUES (%s, %s, 'm', 'cron', %s, %s, %s)",
            row,
        )


def matching(database: Database, make: Callable[[Table], Predicate]) -> list[int]:
    opened_database, table = opened(database.url)
    found = RowReader(opened_database, table, max_value_bytes=1000).matching(make(table), 0, 1 << 40, 1000)
    return [int(row[0] or 0) for row in found.rows]


def test_age_is_strict_to_the_second_and_undated_rows_have_none(database: Database) -> None:
    database.execute(f"ALTER TABLE {TABLE} MODIFY created_at DATETIME NULL")
    database.execute("SET SESSION sql_mode = 'ALLOW_INVALID_DATES'")
    dates = ("2026-08-25 03:19:59", "2026-08-25 03:20:00", "2026-08-25 03:20:01", None)
    odd = ("0000-00-00", "2026-00-10", "2026-02-00", "2026-02-31", "2024-02-29")
    add(database, *((n, date, "a", "info", 1) for n, date in enumerate((*dates, *odd), 1)))

    assert matching(database, lambda table: predicate.older_than(table, CUTOFF, UTC_ZONE)) == [1, 9]


def test_text_matches_exactly_and_patterns_match_as_globs(database: Database) -> None:
    values = ("error", "Error", "error ", "err%r", "errör")
    add(database, *((n, "2026-01-01", value, "info", 1) for n, value in enumerate(values, 1)))

    assert matching(database, lambda table: predicate.one_of(table, "action", ["error"])) == [1]
    assert matching(database, lambda table: predicate.one_of(table, "action", ["error", "err%r"])) == [1, 4]
    assert matching(database, lambda table: predicate.like(table, "action", "err*")) == [1, 3, 4, 5]
    assert matching(database, lambda table: predicate.like(table, "action", "err?r")) == [1, 4, 5]
    assert matching(database, lambda table: predicate.like(table, "action", "err%r")) == [4]


def test_a_hold_and_its_absence_never_both_apply(database: Database) -> None:
    database.execute(f"ALTER TABLE {TABLE} MODIFY created_at DATETIME NULL")
    add(database, (1, "2026-01-01", "a", "info", 1234), (2, "2026-01-01", "a", "info", None), (3, None, "a", "info", 5))

    def held(table: Table) -> Predicate:
        return predicate.one_of(table, "client_id", ["1234"])

    assert matching(database, held) == [1]
    assert matching(database, lambda table: predicate.negated(held(table))) == [2, 3]
    assert matching(database, lambda table: predicate.one_of(table, "client_id", [None, 5])) == [2, 3]
    assert matching(database, lambda table: predicate.one_of(table, "client_id", ["12 OR 1=1"])) == []


def test_rows_that_match_are_looked_for_in_their_range_only(database: Database) -> None:
    database.fill(6_000, days=20)
    opened_database, table = opened(database.url)
    reading = RowReader(opened_database, table, max_value_bytes=1000)
    expired = predicate.older_than(table, datetime(2100, 1, 1, tzinfo=UTC), UTC_ZONE)

    before = examined(database)
    found = reading.matching(expired, 2_001, 2_300, 1_000)

    assert [row[0] for row in found.rows] == list(range(2_001, 2_301))
    assert examined(database) - before < 300 * 2 + 50
    assert [row[0] for row in reading.matching(expired, 2_001, 2_300, 7).rows] == list(range(2_001, 2_008))
    assert reading.matching(predicate.negated(expired), 1, 6_000, 1_000).rows == []


def test_what_matches_is_said_by_values_that_are_escaped(database: Database) -> None:
    odd = "a%s 'b' \\\\ %% {x}"
    add(database, (1, "2026-01-01", odd, "info", 1), (2, "2026-01-01", "a", "info", 2))
    opened_database, table = opened(database.url)
    reading = RowReader(opened_database, table, max_value_bytes=1000)

    assert [row[0] for row in reading.matching(predicate.one_of(table, "action", [odd]), 1, 9, 10).rows] == [1]
    assert [row[0] for row in reading.matching(predicate.like(table, "action", "a%s*"), 1, 9, 10).rows] == [1]


def test_a_named_row_that_no_longer_qualifies_stays(database: Database) -> None:
    add(database, *((n, "2026-01-01", "a", "info", n) for n in range(1, 6)))
    opened_database, table = opened(database.url)
    deleter = RowDeleter(opened_database, table)
    wanted = predicate.one_of(table, "action", ["a"])
    dates = dated(opened_database, table, [1, 2, 3, 4])
    database.execute(f"UPDATE {TABLE} SET action = 'held' WHERE id = 2")
    database.execute(f"DELETE FROM {TABLE} WHERE id = 3")

    deleted = deleter.delete(dates, wanted)

    assert (deleted.rows, deleted.remaining) == (2, (2,))
    assert [row[0] for row in database.execute(f"SELECT id FROM {TABLE} ORDER BY id")] == [2, 5]
    assert deleter.delete(dates, wanted).rows == 0
    assert deleter.delete({}, wanted).rows == 0


def test_a_server_that_logs_statements_deletes_too(private_mariadb: Callable[..., MariaDB]) -> None:
    fresh = Database(private_mariadb(extra=["--log-bin", "--binlog-format=STATEMENT"]).url)
    fresh.create_table()
    add(fresh, (1, "2026-01-01", "a", "info", 1), (2, "2026-01-01", "a", "info", 2))
    opened_database, table = opened(fresh.url)

    assert (
        RowDeleter(opened_database, table).delete(dated(opened_database, table, [1, 2]), predicate.EVERYTHING).rows == 2
    )


def test_each_row_is_counted_once_by_its_first_match(database: Database) -> None:
    add(
        database,
        (1, "2026-01-01", "license.ok", "error", 1),
        (2, "2026-01-02", "a", "error", 1),
        (3, "2026-01-03", "a", "info", 1),
        (4, "2026-01-04", "license.x", "info", 1),
        (9, "2026-01-09", "a", "error", 1),
    )
    opened_database, table = opened(database.url)
    rules = [predicate.like(table, "action", "license.*"), predicate.one_of(table, "severity", ["error"])]

    counts = count_by_first_match(opened_database, table, rules, low=1, high=8)

    found = {rule: (count.rows, count.oldest, count.newest) for rule, count in counts.items()}
    assert found == {
        0: (2, "2026-01-01 00:00:00", "2026-01-04 00:00:00"),
        1: (1, "2026-01-02 00:00:00", "2026-01-02 00:00:00"),
        None: (1, "2026-01-03 00:00:00", "2026-01-03 00:00:00"),
    }
    assert all(count.bytes_estimate > 0 for count in counts.values())
    assert count_by_first_match(opened_database, table, [], low=1, high=8)[None].rows == 4


@pytest.mark.parametrize(
    ("values", "days"),
    [
        ({"audit_retention_days": "90"}, 90),
        ({"audit.retention_days": "0"}, 0),
        ({"retention_days": '"365"'}, 365),
        ({"audit_retention_days": "-1"}, None),
        ({"audit_retention_days": "ninety", "retention_days": "30"}, None),
        ({"audit_retention_days": None}, None),
        ({"audit_retention_days": ""}, None),
        ({"audit_retention_days": " 60\n"}, 60),
        ({"audit_retention_days": "60.0"}, None),
        ({"audit_retention_days": "1e3"}, None),
        ({"audit_retention_days": "٩٠"}, None),
        ({"audit_retention_days": "9" * 30}, None),
        ({"audit_retention_days": "60 days"}, None),
        ({"other": "1"}, None),
    ],
)
def test_cores_retention_is_read_or_said_to_be_unreadable(
    database: Database, values: dict[str, str | None], days: int | None
) -> None:
    database.create_settings(values)
    opened_database, table = opened(database.url)

    found = core_retention(opened_database, table.schema)

    assert found.days == days
    assert found.reason


def test_cores_retention_is_read_from_the_configured_columns_and_from_no_other(database: Database) -> None:
    database.create_settings({"audit_retention_days": "90"})
    database.execute("ALTER TABLE mod_impulsecore_settings ADD COLUMN Wert TEXT NULL, ADD COLUMN `a%name` TEXT NULL")
    database.execute("UPDATE mod_impulsecore_settings SET Wert = '30', `a%name` = 'audit_retention_days'")
    opened_database, table = opened(database.url)

    def days(**columns: str) -> int | None:
        return core_retention(opened_database, table.schema, **columns).days

    assert days(key_column="setting_key", value_column="setting_value") == 90
    assert days(value_column="wert") == 30
    assert days(key_column="a%name", value_column="Wert") == 30
    assert days(value_column="missing") is None
    assert days(key_column="missing") is None
    assert "missing" in core_retention(opened_database, table.schema, key_column="missing").reason


def test_the_configured_columns_reach_the_plan_and_check(make_world: Callable[..., World], database: Database) -> None:
    database.create_settings({"audit_retention_days": "90"})
    database.execute("ALTER TABLE mod_impulsecore_settings ADD COLUMN wert TEXT NULL")
    database.execute("UPDATE mod_impulsecore_settings SET wert = '7'")
    database.fill(200, days=60)
    world = make_world(database)
    world.retention = {
        "mode": "preview",
        "rows": {"days": 90},
        "documents": {"days": 90},
        "follow_core_setting": {"value_column": "wert"},
    }
    world.write()
    world.run("sync")

    expired = world.run("retain", "--json").json["rows"]["expired"]

    older = f"SELECT COUNT(*) FROM {TABLE} WHERE created_at < UTC_TIMESTAMP() - INTERVAL %s DAY"
    assert expired == database.execute(older, (7,))[0][0] > database.execute(older, (60,))[0][0]
    told = world.run("check").stdout
    assert [line for line in told.splitlines() if "7 days" in line], told


def test_a_setting_that_is_there_twice_is_not_chosen_from(database: Database) -> None:
    database.create_settings({"audit_retention_days": "90"})
    database.execute("ALTER TABLE mod_impulsecore_settings DROP PRIMARY KEY")
    database.execute(
        "INSERT INTO mod_impulsecore_settings (setting_key, setting_value) VALUES ('AUDIT_retention_days', '9')"
    )
    opened_database, table = opened(database.url)

    found = core_retention(opened_database, table.schema)
    assert (found.days, "more than once" in found.reason) == (None, True)


def test_unreadable_settings_are_an_answer(database: Database) -> None:
    opened_database, table = opened(database.url)
    assert core_retention(opened_database, table.schema).days is None

    database.create_settings()
    opened_database, table = opened(database.create_user("SELECT ON {database}." + TABLE))
    assert core_retention(opened_database, table.schema).days is None
    assert core_retention(opened_database, table.schema, keys=("x' OR '1'='1",)).days is None


def test_the_least_privileged_account_holds_exactly_what_it_was_given(database: Database) -> None:
    opened_database, table = opened(
        database.create_user("SELECT ON {database}." + TABLE, "DELETE ON {database}." + TABLE)
    )

    grants = {
        (grant.privilege, grant.on.replace("`", "").split(".")[-1]): grant
        for grant in probe_grants(opened_database, table)
    }

    assert [key for key, grant in grants.items() if grant.is_held] == [("SELECT", TABLE), ("DELETE", TABLE)]
    assert "GRANT PROCESS ON *.* TO 'u_" in grants["PROCESS", "*"].statement
    assert needless_privileges(opened_database) == ()


def test_a_missing_delete_grant_is_found_without_deleting(database: Database) -> None:
    database.fill(3)
    opened_database, table = opened(database.create_user("SELECT ON {database}.*"))

    grants = probe_grants(opened_database, table)

    assert [grant.is_held for grant in grants[:2]] == [True, False]
    assert needless_privileges(opened_database) == (f"SELECT ON {database.name}.*",)
    assert database.count() == 3


@pytest.mark.own_accounts("asks as root")
def test_root_has_needless_privileges(database: Database) -> None:
    opened_database, _ = opened(database.url)

    assert needless_privileges(opened_database)


@pytest.mark.own_accounts("asks as who may ask replicas")
def test_a_server_that_is_no_replica_has_no_known_lag(database: Database) -> None:
    opened_database, _ = opened(database.url)

    lag = replica_lag(opened_database)

    assert lag.seconds is None
    assert "not a replica" in lag.reason


def test_a_replicas_lag_is_known_while_it_replicates(private_mariadb: Callable[..., MariaDB]) -> None:
    primary = private_mariadb(extra=["--log-bin", "--server-id=1"])
    replica = private_mariadb(extra=["--server-id=2"])
    fresh = Database(primary.url)
    fresh.create_table()
    fresh.execute("CREATE USER 'r'@'%' IDENTIFIED BY 'r'")
    fresh.execute("GRANT REPLICATION SLAVE ON *.* TO 'r'@'%'")
    opened_database = open_database(source(f"{replica.url}mysql"))
    with replica.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "CHANGE MASTER TO master_host='127.0.0.1', master_user='r', master_password='r', master_port=%s",
            (primary.port,),
        )
        stopped = replica_lag(opened_database)
        cursor.execute("START SLAVE")
        deadline = time.monotonic() + 20
        while replica_lag(opened_database).seconds is None and time.monotonic() < deadline:
            time.sleep(0.1)

    assert stopped.seconds is None
    assert "does not replicate" in stopped.reason
    assert replica_lag(opened_database).seconds is not None


def test_the_servers_facts_are_told(database: Database) -> None:
    database.fill(1)
    opened_database, table = opened(database.url)

    facts = server_facts(opened_database, table)

    assert facts.max_allowed_packet > 1 << 20
    assert facts.now > (facts.newest_created_at or "")
    assert facts.is_id_auto_increment
    assert facts.has_created_at_index
    assert facts.engine == "InnoDB"
