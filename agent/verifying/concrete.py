"""One concrete index, named exactly: what a rebuild asks of the old and of the new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.opensearch.client import Cluster, url_path
from agent.opensearch.mappings import read_properties, widen
from agent.opensearch.names import Names
from agent.opensearch.partitions import ClusterPartitions
from agent.opensearch.search import Search
from agent.verifying.stored import Stored, StoredDocuments

CLOCKS_APART = timedelta(minutes=5)
"""How far the clocks of a node and of an agent may differ, and how long a document may be on its way; too much only
costs time."""


class ConcreteIndices:
    """See `rebuild.Indices`."""

    def __init__(self, cluster: Cluster, names: Names, partitions: ClusterPartitions) -> None:
        self._cluster = cluster
        self._names = names
        self._documents = StoredDocuments(cluster, names, partitions)

    def mapping_of(self, index: str) -> Mapping[str, Any]:
        """Read; see `Indices`."""
        return read_properties(self._cluster, index) or {}

    def widen(self, index: str, properties: Mapping[str, Any]) -> None:
        """Widen; see `Indices`."""
        widen(self._cluster, index, properties)

    def delete(self, index: str, ids: Sequence[int]) -> int:
        """Delete; see `Indices`."""
        instance = self._names.instance
        return self._documents.delete([Stored(row_id, f"{instance}:{row_id}", index, None) for row_id in ids])

    def count(self, index: str) -> int:
        """Count; see `Indices`."""
        search = Search(self._cluster, index)
        search.refresh()
        return search.count({"match_all": {}})

    def ids_since_created(self, index: str) -> list[int]:
        """Find; see `Indices`."""
        settings = self._cluster.call("GET", url_path(index, "_settings"))[index]["settings"]["index"]
        created = datetime.fromtimestamp(int(settings["creation_date"]) / 1000, UTC) - CLOCKS_APART
        search = Search(self._cluster, index)
        search.refresh()
        since = {"gte": created.strftime("%Y-%m-%dT%H:%M:%S.000Z")}
        body = {"_source": False, "query": {"range": {"agent.indexed_at": since}}}
        return [int(hit["sort"][0]) for page in search.pages(body, sort=({"id": "asc"},)) for hit in page]
