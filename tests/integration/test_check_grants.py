"""Each grant taken away is named by `check`, it alone, on a server whose exact evidence needs grants."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from demo.mariadb_server import MariaDB
from demo.table import SETTINGS_TABLE, TABLE
from tests.integration.test_check_planted import Lines, lines, planted
from tests.world import Database, World

pytestmark = [pytest.mark.integration, pytest.mark.own_accounts("takes grants away")]

GRANTS = {
    f"SELECT ON {TABLE}": f"SELECT ON {{database}}.{TABLE}",
    f"DELETE ON {TABLE}": f"DELETE ON {{database}}.{TABLE}",
    "SELECT ON metadata_locks": "SELECT ON performance_schema.metadata_locks",
    "SELECT ON setup_instruments": "SELECT ON performance_schema.setup_instruments",
    f"SELECT ON {SETTINGS_TABLE}": f"SELECT ON {{database}}.{SETTINGS_TABLE}",
}


@pytest.fixture
def here(private_mariadb: Callable[..., MariaDB], make_world: Callable[..., World]) -> Iterator[World]:
    """Give a world on a MariaDB with performance_schema, whose policy deletes and follows Core."""
    database = Database(private_mariadb(performance_schema=True).url)
    database.create_table()
    database.create_settings({"audit_retention_days": "90"})
    database.fill(5)
    world = make_world(database)
    world.retention = {
        "mode": "enforce",
        "rows": {"days": 90},
        "documents": {"days": 90},
        "follow_core_setting": True,
    }
    yield world
    database.drop()


def examined(world: World, *grants: str) -> Lines:
    world.write({"source.url": world.database.create_user(*grants)})
    return lines(world.run("check", "--json"))


def lacking(found: Lines) -> list[str]:
    """Return the grants that are named as missing."""
    return [
        name.removeprefix("grant ")
        for name, told in found.items()
        if name.startswith("grant ") and told[0]["level"] != "OK"
    ]


def test_with_all_grants_none_is_missed_and_without_one_it_alone_is_named(here: World) -> None:
    complete = examined(here, *GRANTS.values())
    assert lacking(complete) == []
    assert complete["evidence"][0]["level"] == "OK"
    assert complete["evidence"][0]["finding"].startswith("metadata_locks")
    assert complete["needless privileges"][0]["level"] == "OK"

    for short, grant in GRANTS.items():
        found = examined(here, *(other for other in GRANTS.values() if other != grant))
        what, _, table = short.partition(" ON ")
        if short == f"SELECT ON {TABLE}":
            assert found["table"][0]["level"] == "FAIL" or lacking(found)[0].endswith(TABLE)
            continue
        (named,) = lacking(found)
        assert named.startswith(f"{what} ON ")
        assert named.endswith(table)
        if "performance_schema" in grant:
            planted(found, "evidence", "WARN", f"GRANT {what} ON performance_schema.{table}")


def test_a_read_only_server_cannot_be_purged_and_gives_no_evidence(here: World) -> None:
    here.database.execute("SET GLOBAL read_only = 1")

    found = examined(here, *GRANTS.values())

    planted(found, "mysql role", "FAIL", "writer")
    planted(found, "evidence", "WARN", "tail.gaps.evidence: grace")
