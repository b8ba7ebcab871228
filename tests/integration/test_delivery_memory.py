"""What the agent holds in memory is bounded by its configuration: by no row's size, and by no backlog's length."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from demo.mariadb_server import MariaDB
from tests.integration.delivery import RunningAgent
from tests.world import Database, World

pytestmark = pytest.mark.integration
MOST_BYTES = 150 * 1024 * 1024
MEGABYTE = 1024 * 1024
MakeWorld = Callable[..., World]


def insert_large(database: Database, size: int, copies: int = 1) -> None:
    """Insert a row whose context is JSON of so many bytes, made by the server itself."""
    wrapping = len(json.dumps({"t": ""}))
    text = "CONCAT('{\"t\": \"', REPEAT('x', %s), '\"}')" if size > wrapping else "REPEAT('7', %s)"
    arguments = (size - wrapping,) if size > wrapping else (size,)
    for _ in range(copies):
        database.execute(
            "INSERT INTO mod_impulsecore_audit_log (created_at, module_slug, source, action, severity, context) "
            f"VALUES ('2026-11-20 21:04:05', 'impulsecore', 'cron', 'a.b', 'info', {text})",
            arguments,
        )


def ships_all(world: World, seconds: float) -> int:
    """Run the agent until every row is settled; return the most memory it took."""
    count, highest = world.database.execute("SELECT COUNT(*), MAX(id) FROM mod_impulsecore_audit_log")[0]
    with RunningAgent(world) as agent:
        agent.wait(lambda: agent.watermark() >= highest, seconds, "every row is settled")
        assert agent.dead_letters() == []
    assert world.count() == count
    print(f"peak {agent.peak_bytes / MEGABYTE:.0f} MiB")  # shown with -s: how near the bound it is
    return agent.peak_bytes


def mixed(database: Database, most: int, copies: int) -> None:
    size = 1
    while size <= most:
        insert_large(database, size, copies)
        insert_large(database, 100, copies)
        size *= 4
    insert_large(database, most, copies)


def test_rows_of_one_byte_to_eight_megabytes_fit_into_the_bound(world: World) -> None:
    mixed(world.database, 8 * MEGABYTE, copies=6)
    assert ships_all(world, 120) <= MOST_BYTES


@pytest.mark.slow
def test_rows_of_one_byte_to_64_megabytes_fit_into_the_bound(
    private_mariadb: Callable[..., MariaDB], make_world: MakeWorld
) -> None:
    server = private_mariadb(extra=["--max-allowed-packet=256M", "--innodb-log-file-size=1G"])
    database = Database(server.url)
    database.create_table()
    mixed(database, 64 * MEGABYTE, copies=4)
    assert ships_all(make_world(database), 300) <= MOST_BYTES


@pytest.mark.slow
def test_a_backlog_of_a_million_rows_fits_into_the_bound(world: World) -> None:
    world.database.fill(1_000_000, days=200)
    assert ships_all(world, 900) <= MOST_BYTES


@pytest.mark.slow
def test_a_backlog_of_full_sized_documents_fits_into_the_bound(world: World) -> None:
    insert_large(world.database, MEGABYTE - 100, copies=150)
    assert ships_all(world, 300) <= MOST_BYTES
