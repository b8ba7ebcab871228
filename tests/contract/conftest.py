"""One suite, two worlds: every store is tested in memory and on a real node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agent.opensearch.bulk import Bulk
from agent.opensearch.dead_letters import ClusterDeadLetters, DeadLetters
from agent.opensearch.journal import ClusterJournal, JournalStore
from agent.opensearch.partitions import Partitions
from agent.opensearch.state import ClusterState, StateStore
from tests.corner import Corner, corner_of
from tests.fakes.opensearch import FakeBulk, FakeCluster, FakeDeadLetters, FakeJournal, FakePartitions, FakeState


class InMemory:
    """The stores of one instance on the fake cluster."""

    def __init__(self, cluster: FakeCluster, instance: str) -> None:
        self.cluster = cluster
        self.instance = instance
        self.bulk: Bulk = FakeBulk(cluster)
        self.partitions: Partitions = FakePartitions(cluster, instance)
        self.state: StateStore = FakeState(cluster, instance)
        self.dead_letters: DeadLetters = FakeDeadLetters(cluster, instance)
        self.journal: JournalStore = FakeJournal(cluster, instance)

    def other(self, instance: str) -> InMemory:
        return InMemory(self.cluster, instance)

    def alias(self, partition: str) -> str:
        return f"impulse-audit-{self.instance}-{partition}"

    def document(self, key: str) -> dict[str, Any] | None:
        return self.cluster.documents().get(key)


class OnNode:
    """The stores of one instance on a real node."""

    def __init__(self, corner: Corner) -> None:
        self.corner = corner
        names = corner.names
        self.instance = names.instance
        self.bulk: Bulk = corner.bulk
        self.partitions: Partitions = corner.partitions
        self.state: StateStore = ClusterState(corner.cluster, names.state, names.instance)
        self.dead_letters: DeadLetters = ClusterDeadLetters(corner.cluster, names.dead_letters, names.instance)
        self.journal: JournalStore = ClusterJournal(corner.cluster, names.journal, names.instance)

    def other(self, instance: str) -> OnNode:
        return OnNode(self.corner.other(instance))

    def alias(self, partition: str) -> str:
        return self.corner.names.alias(partition)

    def document(self, key: str) -> dict[str, Any] | None:
        self.corner.search.refresh()
        hits = self.corner.search.search({"query": {"ids": {"values": [key]}}})["hits"]["hits"]
        return hits[0]["_source"] if hits else None


Stores = InMemory | OnNode


@pytest.fixture(params=["memory", pytest.param("node", marks=pytest.mark.integration)])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    """Give the stores of instance `shop`."""
    if request.param == "memory":
        yield InMemory(FakeCluster(), "shop")
        return
    with corner_of(request.getfixturevalue("opensearch")) as corner:
        corner.agent_indices()
        yield OnNode(corner)
