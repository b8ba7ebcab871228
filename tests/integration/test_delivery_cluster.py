"""A node of one's own, set up as some clusters are, or full: what stands in the way is named and waited for."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from demo.opensearch_server import Cluster
from tests.integration.delivery import RunningAgent
from tests.world import Database, World

pytestmark = [pytest.mark.integration, pytest.mark.slow]
ANOTHER_MONTH = "2026-07-15 08:00:00"
STRICT = {
    "http.max_content_length": "1mb",
    "action.auto_create_index": "false",
    "action.destructive_requires_name": "true",
    "cluster.info.update.interval": "10s",
}
NO_DISK, SOME_DISK = "100000gb", "1kb"
"""What has to be free."""
WATERMARKS = [f"cluster.routing.allocation.disk.watermark.{stage}" for stage in ("low", "high", "flood_stage")]


def test_a_strict_and_small_node_is_served_and_waited_for_when_full(
    private_opensearch: Callable[..., Cluster], make_world: Callable[..., World], database: Database
) -> None:
    world = make_world(database, opensearch_url=private_opensearch(settings=STRICT).url)

    def of_the_cluster(**changes: object) -> None:
        world.request("PUT", "/_cluster/settings", {"persistent": changes})

    with RunningAgent(world) as agent:
        # Requests of 5 MB are asked for, and of 1 MB taken.
        large = json.dumps({"text": "x" * 5000})
        agent.delivers(agent.insert(2000, context=large), 120)
        assert not any("deferred" in line for line in agent.lines)

        of_the_cluster(**{"cluster.max_shards_per_node": 1})
        ids = agent.insert(20, at=ANOTHER_MONTH)
        agent.is_degraded_for("no room for another shard")
        assert agent.missing(ids) == set(ids)
        of_the_cluster(**{"cluster.max_shards_per_node": None})
        agent.delivers(ids)
        agent.is_well()

        # The node itself finds its disk full: it blocks every index, the agent's own among them.
        of_the_cluster(
            **dict.fromkeys(WATERMARKS, NO_DISK),
            **{"cluster.routing.allocation.disk.threshold_enabled": True},
        )
        agent.wait(lambda: is_blocked(world), 90, "the node blocks its indices")
        ids = agent.insert(20)
        agent.is_not_ready_for("blocks writing")
        assert agent.missing(ids) == set(ids)
        agent.wait(lambda: "is blocked" in world.run("status", "--json").json["reason"], 90, "status names it")
        assert world.run("status", "--json").json["state"] == "degraded"
        # With room again it lifts them itself.
        of_the_cluster(**dict.fromkeys(WATERMARKS, SOME_DISK))
        agent.delivers(ids, 120)
        agent.is_well()
        assert agent.dead_letters() == []
    assert world.count() == database.count()
    # So that the test's things can be removed by their prefix.
    of_the_cluster(**{"action.destructive_requires_name": False})


def is_blocked(world: World) -> bool:
    """Say whether the node blocks the agent's state."""
    found = world.request("GET", f"/{world.agent_prefix}-state/_settings?flat_settings=true")
    return any("index.blocks.read_only_allow_delete" in each["settings"] for each in found.values())
