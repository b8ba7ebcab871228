"""The index as retention sees it: conditions become queries, and what goes is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.errors import TemporaryError
from agent.opensearch.client import Cluster
from agent.opensearch.dead_letters import DeadLetters
from agent.opensearch.documents import ClusterDocuments
from agent.opensearch.names import Names
from agent.opensearch.partitions import Partitions
from agent.opensearch.search import Search, ids_between
from agent.retention.condition import Condition, Facts, as_query
from agent.retention.sides import Group, Groups

_PAGE = 10_000


class IndexSide:
    """See `sides.Documents`."""

    def __init__(self, cluster: Cluster, names: Names, partitions: Partitions, dead_letters: DeadLetters) -> None:
        self._cluster = cluster
        self._names = names
        self._partitions = partitions
        self._dead_letters = dead_letters
        self._documents = ClusterDocuments(cluster, names)
        self._all = Search(cluster, names.read)

    def refresh(self) -> None:
        """Refresh; see `Documents`."""
        try:
            self._all.refresh()
        except TemporaryError as failure:
            if failure.kind != "missing_index":
                raise

    def checksums(self, ids: Sequence[int]) -> dict[int, frozenset[int]]:
        """Find by id; see `Documents`."""
        found: dict[int, frozenset[int]] = {}
        for document in self._documents.find(ids):
            if document.crc is not None:
                found[document.id] = found.get(document.id, frozenset()) | {document.crc}
        return found

    def dead_letters(self, ids: Sequence[int]) -> frozenset[int]:
        """Look up; see `Documents`."""
        return frozenset(self._dead_letters.ids_between(min(ids), max(ids)) & set(ids)) if ids else frozenset()

    def group(self, conditions: Sequence[Condition], partition: str | None = None) -> Groups:
        """Count in one request; see `Documents`."""
        search = self._all if partition is None else Search(self._cluster, self._names.alias(partition))
        ends = {"oldest": {"min": {"field": "created_at"}}, "newest": {"max": {"field": "created_at"}}}
        filters = {str(position): as_query(condition) for position, condition in enumerate(conditions)}
        body: dict[str, Any] = {"size": 0, "track_total_hits": True, "query": self._mine()}
        if filters:
            body["aggs"] = {"conditions": {"filters": {"filters": filters}, "aggs": ends}}
        answer = search.search_or_empty(body)
        buckets = answer.get("aggregations", {}).get("conditions", {}).get("buckets", {})
        groups = tuple(_group(buckets.get(str(position))) for position in range(len(conditions)))
        return Groups(total=int(answer["hits"]["total"]["value"]), groups=groups)

    def partitions(self) -> list[str]:
        """List; see `Documents`."""
        listed = self._partitions.listed()
        whole = {each.name for each in listed if each.current and self._names.read in each.aliases}
        for name in sorted({each.name for each in listed} - whole):
            # Somebody removed its aliases: without them nobody finds its documents, and they would never go.
            self._partitions.ensure(name, {})
        return sorted({each.name for each in listed})

    def drop(self, partition: str) -> None:
        """Drop; see `Documents`."""
        self._partitions.drop(partition)

    def delete(self, condition: Condition, partition: str, limit: int) -> int:
        """Delete by query; see `Documents`."""
        query = {"bool": {"filter": [self._mine(), as_query(condition)]}}
        return self._documents.delete_by_query(self._names.alias(partition), query, most=limit).deleted

    def ids(self) -> tuple[int, int] | None:
        """Ask for both ends; see `Documents`."""
        ends = {"first": {"min": {"field": "id"}}, "last": {"max": {"field": "id"}}}
        answer = self._all.search_or_empty({"size": 0, "query": self._mine(), "aggs": ends})
        first, last = (answer.get("aggregations", {}).get(end, {}).get("value") for end in ends)
        return None if first is None or last is None else (int(first), int(last))

    def page(self, first_id: int, last_id: int, fields: Sequence[str]) -> dict[int, Facts]:
        """Read a few fields; see `Documents`."""
        body = {"_source": ["id", "created_at", *fields], "query": ids_between(self._names.instance, first_id, last_id)}
        found: dict[int, Facts] = {}
        for hits in self._all.pages(body, sort=({"id": "asc"}, {"_index": "asc"}), size=_PAGE):
            for hit in hits:
                source = hit["_source"]
                found[int(source["id"])] = source
        return found

    def delete_ids(self, ids: Sequence[int]) -> int:
        """Delete by id; see `Documents`."""
        return self._documents.delete([(found.index, found.id) for found in self._documents.find(ids)])

    def _mine(self) -> dict[str, Any]:
        return {"term": {"instance": self._names.instance}}


def _group(bucket: Any) -> Group:
    if not bucket:
        return Group()
    return Group(
        count=int(bucket["doc_count"]),
        oldest=bucket["oldest"].get("value_as_string"),
        newest=bucket["newest"].get("value_as_string"),
    )
