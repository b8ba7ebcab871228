"""A corner of a real cluster for one test: its own prefixes and instance, removed afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from agent.config.connections import OpenSearchSettings
from agent.opensearch.agent_indices import ensure_agent_indices
from agent.opensearch.bulk import ClusterBulk, Outcome
from agent.opensearch.client import Cluster, open_cluster, url_path
from agent.opensearch.documents import ClusterDocuments
from agent.opensearch.names import Names
from agent.opensearch.partitions import ClusterPartitions
from agent.opensearch.search import Search
from agent.opensearch.shipped import shipped_templates
from agent.opensearch.templates import Templates
from tests.least_privilege import administrators_cluster, agents_account


class Corner:
    """Everything of the room `opensearch`, for one instance."""

    def __init__(self, cluster: Cluster, instance: str = "shop", mark: str = "") -> None:
        mark = mark or uuid.uuid4().hex[:8]
        self.mark = mark
        self.cluster = cluster
        self.names = Names(instance, index_prefix=f"t{mark}-audit", agent_prefix=f"t{mark}-agent")
        self.templates = Templates(cluster, self.names)
        self.partitions = ClusterPartitions(cluster, self.names, self.templates, replicas=0)
        self.bulk = ClusterBulk(cluster)
        self.search = Search(cluster, self.names.read)
        self.documents = ClusterDocuments(cluster, self.names)

    def other(self, instance: str) -> Corner:
        """Return another instance under the same prefixes."""
        return Corner(self.cluster, instance, self.mark)

    def document(self, row_id: int, **fields: Any) -> dict[str, Any]:
        """Return a small document."""
        plain = {"id": row_id, "instance": self.names.instance, "created_at": "2026-11-23T21:04:05.000Z"}
        return {**plain, "agent": {"crc": row_id * 1000 + 7}, **fields}

    def keys(self, *ids: int) -> list[str]:
        """Return the `_id` of documents."""
        return [f"{self.names.instance}:{row_id}" for row_id in ids]

    def body(self, documents: Iterable[dict[str, Any]], partition: str = "2026.11") -> bytes:
        """Return a bulk body."""
        lines = []
        for document in documents:
            (key,) = self.keys(document["id"])
            lines += [{"index": {"_index": self.names.alias(partition), "_id": key}}, document]
        return b"".join(orjson.dumps(line) + b"\n" for line in lines)

    def ship(self, documents: Iterable[dict[str, Any]], partition: str = "2026.11") -> dict[int, Outcome]:
        """Send documents and make them visible."""
        listed = list(documents)
        found = dict(self.bulk.send(self.body(listed, partition), self.keys(*[each["id"] for each in listed])))
        self.cluster.answer("POST", url_path(self.names.alias(partition), "_refresh"), accept=(404,))
        return found

    def index(self, partition: str = "2026.11", number: int = 1) -> str:
        """Return a concrete index."""
        return self.names.concrete(partition, number)

    def agent_indices(self) -> None:
        """Create the state, dead-letter and journal indices."""
        ensure_agent_indices(self.cluster, self.names, self.templates)

    def remove(self) -> None:
        """Delete every index and template under the prefixes."""
        for prefix in (self.names.prefix, self.names.agent_prefix):
            for index in self.cluster.call("GET", url_path(f"{prefix}-*"), params={"expand_wildcards": "all"}):
                self.cluster.answer("DELETE", url_path(index), accept=(404,))
        for template in reversed(shipped_templates(self.names)):
            self.cluster.answer("DELETE", url_path(template.endpoint, template.name), accept=(404,))


@contextmanager
def corner_of(url: str) -> Iterator[Corner]:
    """Give a corner of the cluster at `url`."""
    cluster = open_cluster(OpenSearchSettings(hosts=(url,), **agents_account(url)))
    corner = Corner(cluster)
    remover = administrators_cluster(url)
    try:
        yield corner
    finally:
        Corner(remover, mark=corner.mark).remove()
        remover.close()
        cluster.close()
