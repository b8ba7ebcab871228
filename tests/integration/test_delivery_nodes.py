"""Three real nodes, one replica, two thousand rows a second, and a node killed in the middle: every row arrives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice

import pytest

from demo.opensearch_server import Cluster, Node
from demo.rows import insert, rows
from tests.integration.delivery import RunningAgent
from tests.world import Database, World

pytestmark = [pytest.mark.integration, pytest.mark.slow]
ROWS_PER_SECOND = 2000
SECONDS = 24
WARM = 3000


def write(database: Database, stop: threading.Event) -> None:
    """Insert rows at a steady rate, a hundred in a transaction, until told to stop or the time is over."""
    connection = database.connect()
    content = rows(ROWS_PER_SECOND * SECONDS, now=datetime.now(UTC), seed=7, days=0.5)
    begun = time.monotonic()
    for done in range(0, ROWS_PER_SECOND * SECONDS, 100):
        if stop.wait(max(0.0, begun + done / ROWS_PER_SECOND - time.monotonic())):
            return
        insert(connection, islice(content, 100))


@pytest.mark.parametrize("killed", ["the cluster manager", "another node", "the node of the primary"])
def test_a_killed_node_costs_no_acknowledged_row(
    private_opensearch: Callable[..., Cluster],
    make_world: Callable[..., World],
    database: Database,
    killed: str,
) -> None:
    cluster = private_opensearch(nodes=3)
    world = make_world(database, opensearch_url=cluster.url)
    world.write({"opensearch.hosts": cluster.urls, "opensearch.replicas": 1, "opensearch.timeout_seconds": 10})
    stop = threading.Event()
    writer = threading.Thread(target=write, args=(database, stop), daemon=True)
    with RunningAgent(world) as agent:
        # Every path of the catalogue is known and mapped before the clock runs.
        database.fill(WARM, days=0.5)
        agent.wait(lambda: agent.watermark() >= WARM, 120, "the first rows are there")
        world.request("GET", "/_cluster/health?wait_for_status=green&timeout=60s")
        victim = chosen(world, cluster, killed)
        # What asks the cluster must not ask the dead.
        world.opensearch_url = next(node.url for node in cluster.nodes if node is not victim)
        writer.start()
        try:
            agent.wait(lambda: agent.watermark() > WARM + ROWS_PER_SECOND, 120, "it ships what is written")
            before = agent.watermark()
            assert writer.is_alive(), "the kill comes too late"
            victim.kill()
            time.sleep(SECONDS / 3)
            inserted = database.count() - WARM
            print(f"{inserted} rows written; delivered {before - WARM} before the kill, ", end="")
            print(f"{agent.watermark() - before} between it and the restart")
            victim.restart()
            writer.join()
            highest = int(database.execute("SELECT MAX(id) FROM mod_impulsecore_audit_log")[0][0])
            agent.wait(lambda: agent.watermark() >= highest, 180, "the watermark passes the last row")
        finally:
            stop.set()
        world.request("GET", "/_cluster/health?wait_for_status=green&timeout=60s")
        assert database.count() == ROWS_PER_SECOND * SECONDS + WARM
        assert world.count() == database.count()
        assert agent.dead_letters() == []
        assert agent.state()["state"] in ("shipping", "idle")
    assert world.run("verify", "--json").code == 0


def chosen(world: World, cluster: Cluster, which: str) -> Node:
    """Return the node to be killed."""
    by_name = {node.name: node for node in cluster.nodes}
    manager = world.request("GET", "/_cat/cluster_manager?format=json")[0]["node"]
    shards = world.request("GET", f"/_cat/shards/{world.index}-*?format=json")
    primary = next(shard["node"] for shard in shards if shard["prirep"] == "p")
    if which == "the cluster manager":
        return by_name[manager]
    if which == "the node of the primary":
        return by_name[primary]
    return by_name[next(name for name in by_name if name not in (manager, primary))]
