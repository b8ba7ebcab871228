"""Instances whose names begin alike share a cluster and see nothing of each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.integration.context_agent import Agent
from tests.world import Database, World

pytestmark = pytest.mark.integration


@pytest.fixture
def neighbours(database_server: str, make_world: Callable[..., World]) -> Iterator[list[Agent]]:
    """Give shippers of instances `x`, `x-2` and `x-2-2` under the same prefixes, each on a table of its own."""
    databases = [Database(database_server) for _ in range(3)]
    first = make_world(databases[0])
    names = [first.instance, f"{first.instance}-2", f"{first.instance}-2-2"]
    worlds = [first, *(make_world(other, instance=name) for other, name in zip(databases[1:], names[1:], strict=True))]
    for world in worlds:
        world.database.create_table()
        world.write({"opensearch.index_prefix": first.index_prefix, "opensearch.agent_prefix": first.agent_prefix})
    yield [Agent(world) for world in worlds]
    for database in databases:
        database.drop()


def test_neighbours_see_nothing_of_each_other(neighbours: list[Agent]) -> None:
    shapes = [{"p": "leaf"}, {"p": {"object": 1}}, {"p": 3, "own": "x"}]
    for agent, shape in zip(neighbours, shapes, strict=True):
        agent.take([json.dumps(shape)] * 3)
        agent.take([json.dumps(shape)], "2026-10-01 00:00:00")

    for agent, shape in zip(neighbours, shapes, strict=True):
        names = agent.app.names
        listed = agent.app.partitions.listed()
        assert [(found.name, found.index) for found in listed] == [
            (partition, f"{names.read}-{partition}-000001") for partition in ("2026.10", "2026.11")
        ]
        agent.world.refresh()
        found = agent.world.request("POST", f"/{names.read}/_search", {"query": {"match_all": {}}, "size": 100})
        sources = [hit["_source"] for hit in found["hits"]["hits"]]
        assert [(source["instance"], source["context"]) for source in sources] == [(agent.app.instance, shape)] * 4
        assert agent.again().app.catalogue.exceptions("2026.11") is None
        assert {field.path for field in agent.again().app.catalogue.fields()} >= agent.leaves()
    paths = [{field.path for field in agent.again().app.catalogue.fields()} - {"duration_ms"} for agent in neighbours]
    assert paths == [{"p"}, {"p.object"}, {"p", "own"}]
    everything = neighbours[0].world.request("GET", f"/{neighbours[0].app.names.read_all}/_count")
    assert everything["count"] == 12


def test_dropping_partitions_of_one_leaves_the_others(neighbours: list[Agent]) -> None:
    for agent in neighbours:
        agent.take(['{"a": 1}'])
    neighbours[0].app.partitions.drop("2026.11")

    left = [[found.index for found in agent.app.partitions.listed()] for agent in neighbours]
    assert left == [[], *([f"{agent.app.names.read}-2026.11-000001"] for agent in neighbours[1:])]
