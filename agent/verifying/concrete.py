"""One concrete index, named exactly: what a rebuild asks of the old and of the new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.opensearch.client import Cluster
from agent.opensearch.mappings import read_properties, widen
from agent.opensearch.names import Names
from agent.opensearch.partitions import ClusterPartitions
from agent.opensearch.search import Search
from agent.verifying.stored import Stored, StoredDocuments


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

    def ids_since(self, index: str, instant: str) -> list[int]:
        """Find; see `Indices`."""
        search = Search(self._cluster, index)
        search.refresh()
        body = {"_source": False, "query": {"range": {"agent.indexed_at": {"gte": instant}}}}
        return [int(hit["sort"][0]) for page in search.pages(body, sort=({"id": "asc"},)) for hit in page]
