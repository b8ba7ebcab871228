"""`check` finds what is wrong with the servers themselves: on a database made so, and in front of a cluster that says so."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from demo.mariadb_server import MariaDB
from demo.table import TABLE
from tests.integration.test_check_planted import LEAST, account, lines, planted
from tests.proxy.faults import answer, path
from tests.proxy.http import Asked, Forward, HttpProxy, Reply
from tests.world import Database, World

pytestmark = pytest.mark.integration

MakeWorld = Callable[..., World]


@pytest.fixture
def misconfigured(private_mariadb: Callable[..., MariaDB]) -> Database:
    """Give a read-only database without evidence, with small packets and a clock that is ten minutes ahead."""
    server = private_mariadb(
        extra=["--max-allowed-packet=1M", "--init-connect=SET timestamp=UNIX_TIMESTAMP()+600"],
    )
    database = Database(server.url)
    database.create_table()
    database.fill(20, days=10)
    return database


def test_plants_in_the_database_server_are_found(misconfigured: Database, make_world: MakeWorld) -> None:
    world = make_world(misconfigured)
    world.retention = {"mode": "enforce", "rows": {"days": 30}, "documents": {"days": 60}}
    account(world, *LEAST, f"DELETE ON {{database}}.`{TABLE}`")
    misconfigured.execute("SET GLOBAL read_only = 1")

    outcome = world.run("check", "--json")

    found = lines(outcome)
    assert outcome.code == 1
    planted(found, "mysql role", "FAIL", "name the writer in source.url")
    planted(found, "max_allowed_packet", "WARN", "SET GLOBAL max_allowed_packet")
    planted(found, "clock of mysql", "WARN", "NTP")
    planted(found, "evidence", "WARN", "tail.gaps.evidence: grace")
    assert "read-only" in found["evidence"][0]["finding"]

    world.write({"tail.gaps.evidence": "metadata_locks"})
    assert lines(world.run("check", "--json"))["evidence"][0]["level"] == "FAIL"


def test_evidence_that_the_server_does_not_give_is_found(
    private_mariadb: Callable[..., MariaDB], make_world: MakeWorld
) -> None:
    database = Database(private_mariadb().url)
    database.create_table()
    world = make_world(database)
    account(world, *LEAST)

    found = lines(world.run("check", "--json"))

    told = planted(found, "evidence", "WARN", "grace")
    assert "performance_schema is off" in told["finding"]
    assert "PROCESS" in told["finding"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("MODIFY id INT UNSIGNED NOT NULL", "table id"),
        ("DROP PRIMARY KEY, ADD UNIQUE (id), ADD PRIMARY KEY (created_at, id)", "table id"),
        ("MODIFY id INT UNSIGNED NOT NULL, DROP PRIMARY KEY", "table"),
    ],
)
def test_a_table_whose_id_is_no_auto_increment_primary_key_is_found(world: World, change: str, name: str) -> None:
    world.database.execute(f"ALTER TABLE {TABLE} {change}")
    planted(lines(world.run("check", "--json")), name, "FAIL", "PRIMARY KEY")


@pytest.mark.parametrize("gone", ["id", "created_at"])
def test_a_table_without_a_column_that_is_needed_is_found(world: World, gone: str) -> None:
    if gone == "id":
        world.database.execute(f"ALTER TABLE {TABLE} MODIFY id INT UNSIGNED NOT NULL, DROP PRIMARY KEY")
    world.database.execute(f"ALTER TABLE {TABLE} DROP COLUMN {gone}")
    found = lines(world.run("check", "--json"))
    planted(found, "table", "FAIL", f"source.columns.{gone}")


def telling(members: dict[str, object]) -> Callable[[Asked, Forward], Reply]:
    """Return a fault that lets the node answer, but for these members."""

    def fault(_asked: Asked, forward: Forward) -> Reply:
        reply = forward()
        return Reply(reply.status, json.dumps(json.loads(reply.body) | members).encode(), reply.headers)

    return fault


def settings(asked: Asked) -> bool:
    return asked.path.startswith("/_cluster/settings")


@pytest.fixture
def proxy(opensearch: str) -> Iterator[HttpProxy]:
    with HttpProxy(opensearch) as between:
        yield between


def test_plants_in_the_cluster_that_only_an_owner_could_make_are_found(world: World, proxy: HttpProxy) -> None:
    world.database.fill(5)
    assert world.run("sync").code == 0
    partition = min(world.request("GET", f"/{world.index}-*/_alias"))
    policy = {"index.plugins.index_state_management.policy_id": "delete-after-30d"}
    disk = {"total": {"total_in_bytes": 1000, "available_in_bytes": 20}}
    node = {"name": "data-7", "fs": disk, "timestamp": int((time.time() - 900) * 1000)}
    proxy.on(path("^/_plugins/_ism/explain"), answer(200, {partition: policy, "total_managed_indices": 1}))
    proxy.on(path("^/_nodes/stats/fs"), answer(200, {"nodes": {"n": node}}))
    proxy.on(path("^/_cluster/health"), telling({"status": "red"}))
    limit = {"cluster.max_shards_per_node": "1", "cluster.blocks.read_only": "true"}
    proxy.on(settings, answer(200, {"persistent": limit, "transient": {}, "defaults": {}}))
    world.write({"opensearch.hosts": [proxy.url]})

    outcome = world.run("check", "--json")

    found = lines(outcome)
    assert outcome.code == 1
    told = planted(found, "ISM policy", "WARN", f"_plugins/_ism/remove/{partition}")
    assert "delete-after-30d" in told["finding"]
    planted(found, "disk of data-7", "FAIL", "add disk")
    planted(found, "clock of opensearch", "WARN", "NTP")
    planted(found, "opensearch health", "FAIL", "allocation/explain")
    planted(found, "shard headroom", "FAIL", "cluster.max_shards_per_node")
    planted(found, "blocks", "FAIL", '{"persistent": {"cluster.blocks.read_only": null}}')


def test_the_policy_is_looked_for_on_the_agents_own_indices_too(world: World, proxy: HttpProxy) -> None:
    world.write({"opensearch.hosts": [proxy.url]})
    world.run("check")
    (asked,) = [seen.path for seen in proxy.requests if "_ism/explain" in seen.path]
    assert f"{world.agent_prefix}-" in asked
    assert parse_qs(urlsplit(asked).query) == {}


@pytest.mark.parametrize(("number", "remedy"), [("2.4.0", "upgrade to 2.11"), ("1.3.2", "upgrade to 2.11")])
def test_a_cluster_that_is_too_old_is_found(world: World, proxy: HttpProxy, number: str, remedy: str) -> None:
    proxy.on(lambda asked: asked.path == "/", telling({"version": {"distribution": "opensearch", "number": number}}))
    world.write({"opensearch.hosts": [proxy.url]})
    planted(lines(world.run("check", "--json")), "opensearch version", "FAIL", remedy)


def test_what_is_no_opensearch_is_found(world: World, proxy: HttpProxy) -> None:
    proxy.on(lambda asked: asked.path == "/", telling({"version": {"number": "8.15.0"}}))
    world.write({"opensearch.hosts": [proxy.url]})
    planted(lines(world.run("check", "--json")), "opensearch version", "FAIL", "name an OpenSearch cluster")
