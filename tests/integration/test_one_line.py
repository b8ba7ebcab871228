"""What a person must correct is told in one line: what, where, what was met, the remedy; and never in a traceback."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from demo.table import TABLE
from tests.world import World

pytestmark = pytest.mark.integration


def wrong_password(world: World) -> None:
    url = world.database.create_user(f"SELECT ON {{database}}.`{TABLE}`")
    world.write({"source.url": url.replace("a-Password-1", "Another-Secret-2")})


def unknown_table(world: World) -> None:
    world.write({"source.table": "mod_impulsecore_audit_logs"})


def no_id(world: World) -> None:
    world.database.execute(f"ALTER TABLE {TABLE} CHANGE id number INT UNSIGNED NOT NULL AUTO_INCREMENT")


def unknown_key(world: World) -> None:
    world.write({"tail.batch_row": 5})


def unreachable_database(world: World) -> None:
    world.write({"source.url": "mysql+pymysql://u:Another-Secret-2@127.0.0.1:1/whmcs"})


def unreachable_cluster(world: World) -> None:
    world.write({"opensearch.hosts": ["http://127.0.0.1:1"]})


def no_listener(world: World) -> None:
    world.write({"http.listen": "203.0.113.7:9465"})


Plant = Callable[[World], None]
FAULTS: list[tuple[Plant, int, str, str]] = [
    (wrong_password, 2, "Access denied", "source.password_file"),
    (unknown_table, 2, "mod_impulsecore_audit_logs", f"did you mean {TABLE}?"),
    (no_id, 2, "no column for id", "source.columns.id"),
    (unknown_key, 2, "agent.yml:", "did you mean «batch_rows»?"),
    (unreachable_database, 1, "mysql://127.0.0.1:1/whmcs", "source.url"),
    (unreachable_cluster, 1, "http://127.0.0.1:1", "opensearch.hosts"),
]


@pytest.mark.parametrize(("plant", "code", "met", "remedy"), FAULTS, ids=[plant.__name__ for plant, *_ in FAULTS])
def test_catching_up_ends_with_one_line(world: World, plant: Plant, code: int, met: str, remedy: str) -> None:
    plant(world)
    ended = world.run("sync")
    (line,) = ended.stderr.splitlines()
    assert ended.code == code
    assert ended.stdout == ""
    assert line.startswith("error: ")
    assert met in line
    assert remedy in line
    assert "Another-Secret-2" not in line


@pytest.mark.parametrize(
    ("plant", "remedy"), [(wrong_password, "password"), (no_id, "source.columns.id"), (no_listener, "http.listen")]
)
def test_the_daemon_ends_with_one_event(world: World, plant: Plant, remedy: str) -> None:
    plant(world)
    ended = world.run("run", timeout=60)
    *_, last = ended.stderr.splitlines()
    assert ended.code == 2
    assert " error agent.refused error=" in last
    assert remedy in last
    assert "Traceback" not in ended.stderr
    assert "Another-Secret-2" not in ended.stderr
