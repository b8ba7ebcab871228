"""The index's side: documents of one instance as they lie there, whatever index they are in and under which `_id`.

Documents are looked for by their `id` field and not by `_id`, so that one somebody put there by hand is met as well.
Every read is bounded by a range or a list of ids and sees what was refreshed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agent.errors import TemporaryError, cut
from agent.mapping.partition import bounds
from agent.opensearch.client import Cluster
from agent.opensearch.connection import dumped
from agent.opensearch.names import Names
from agent.opensearch.partitions import ClusterPartitions
from agent.opensearch.search import Search, Window, ids_among, ids_between

_PAGE = 10_000  # every server's default for max_result_window
_IDS_PER_REQUEST = 1000
_DELETES_PER_REQUEST = 1000


@dataclass(frozen=True, slots=True)
class Stored:
    """One document: the row's id, its `_id`, the concrete index, its checksum, and its source if asked for."""

    id: int
    key: str
    index: str
    crc: int | None
    source: dict[str, Any] | None = None


class StoredDocuments:
    """Read and delete the documents of one instance. Raises TemporaryError when the cluster can't do it now."""

    def __init__(self, cluster: Cluster, names: Names, partitions: ClusterPartitions) -> None:
        self._cluster = cluster
        self._names = names
        self._partitions = partitions
        self._search = Search(cluster, names.read)

    def refresh(self) -> None:
        """Make everything acknowledged before this call visible."""
        self._search.refresh()

    def windows(self, low: int, high: int, width: int) -> dict[int, Window]:
        """Return count and checksum sum by window number `id // width`."""
        return self._search.id_windows(self._names.instance, low, high, width)

    def next_id(self, low: int) -> int | None:
        """Return the lowest id from `low` on that has a document."""
        body = {"size": 1, "_source": False, "query": self._query(low, 2**63 - 1), "sort": [{"id": "asc"}]}
        hits = self._search.search_or_empty({**body, "track_total_hits": False})["hits"]["hits"]
        return int(hits[0]["sort"][0]) if hits else None

    def in_range(self, low: int, high: int) -> Iterator[Stored]:
        """Return every document with low ≤ id ≤ high; an id in two indices comes twice."""
        found = self._page(self._query(low, high))
        if len(found) < _PAGE or low == high:
            yield from found
            return
        middle = (low + high) // 2
        yield from self.in_range(low, middle)
        yield from self.in_range(middle + 1, high)

    def by_ids(self, ids: Sequence[int], source: bool | list[str] = False) -> Iterator[Stored]:
        """Return the documents of these rows, with their source or some fields of it if asked for."""
        for start in range(0, len(ids), _IDS_PER_REQUEST):
            yield from self._some(list(ids[start : start + _IDS_PER_REQUEST]), source)

    def created_before(self, low: int, high: int, instant: str) -> int:
        """Return how many documents with low ≤ id ≤ high were created before an instant."""
        query = self._query(low, high)
        query["bool"]["filter"].append({"range": {"created_at": {"lt": instant}}})
        return self._search.count(query)

    def misplaced(self, low: int, high: int) -> Iterator[list[int]]:
        """Return, in batches, ids of documents in an index that their own `created_at` does not belong to."""
        listed = self._partitions.listed()
        for partition in listed:
            if not partition.closed and self._names.read in partition.aliases:
                query = self._query(low, high)
                query["bool"]["must_not"] = [_belonging(partition.name)]
                yield from self._id_batches(Search(self._cluster, partition.index), query)
        strangers = self._query(low, high)
        strangers["bool"]["must_not"] = [{"terms": {"_index": [partition.index for partition in listed]}}]
        yield from self._id_batches(self._search, strangers)

    def is_right(self, document: Stored, partition: str) -> bool:
        """Say whether a document lies where its row's belongs, under its row's `_id`."""
        place = self._names.parse(document.index)
        key = f"{self._names.instance}:{document.id}"
        return place is not None and place.partition == partition and document.key == key

    def delete(self, documents: Sequence[Stored]) -> int:
        """Delete documents where they lie; return how many there were. Idempotent; visible when it returns."""
        deleted = 0
        for start in range(0, len(documents), _DELETES_PER_REQUEST):
            part = documents[start : start + _DELETES_PER_REQUEST]
            lines = [dumped({"delete": {"_index": each.index, "_id": each.key}}) for each in part]
            answer = self._cluster.call("POST", "/_bulk", params={"refresh": "true"}, body=b"\n".join(lines) + b"\n")
            results = [next(iter(item.values())) for item in answer.get("items", ())]
            refused = [result for result in results if result["status"] not in (200, 404)]
            if refused or len(results) != len(part):
                got = str(refused[0].get("error", "")) if refused else f"{len(results)} answers for {len(part)}"
                raise TemporaryError(
                    "documents cannot be deleted", where="POST /_bulk", got=cut(got, 300), kind="blocked"
                )
            deleted += sum(result["status"] == 200 for result in results)
        return deleted

    def _some(self, ids: list[int], source: bool | list[str]) -> Iterator[Stored]:
        found = self._page(ids_among(self._names.instance, ids), source)
        if len(found) < _PAGE or len(ids) == 1:
            yield from found
            return
        yield from self._some(ids[: len(ids) // 2], source)
        yield from self._some(ids[len(ids) // 2 :], source)

    def _page(self, query: dict[str, Any], source: bool | list[str] = False) -> list[Stored]:
        body = {
            "size": _PAGE,
            "track_total_hits": False,
            "_source": source,
            "query": query,
            "docvalue_fields": ["id", "agent.crc"],
            "sort": [{"id": "asc"}],
        }
        return [_stored(hit) for hit in self._search.search_or_empty(body)["hits"]["hits"]]

    def _id_batches(self, search: Search, query: dict[str, Any]) -> Iterator[list[int]]:
        body: dict[str, Any] = {"size": _PAGE, "track_total_hits": False, "_source": False, "query": query}
        body["sort"] = [{"id": "asc"}]
        while hits := search.search_or_empty(body)["hits"]["hits"]:
            yield sorted({int(hit["sort"][0]) for hit in hits})
            body["search_after"] = hits[-1]["sort"]

    def _query(self, low: int, high: int) -> dict[str, Any]:
        return ids_between(self._names.instance, low, high)


def _belonging(partition: str) -> dict[str, Any]:
    """Return the query for documents that belong to a partition."""
    period = bounds(partition)
    if period is None:
        return {"bool": {"must_not": [{"exists": {"field": "created_at"}}]}}
    first, after = (instant.strftime("%Y-%m-%dT%H:%M:%S.000Z") for instant in period)
    return {"range": {"created_at": {"gte": first, "lt": after}}}


def _stored(hit: dict[str, Any]) -> Stored:
    fields = hit.get("fields", {})
    crc = fields.get("agent.crc")
    return Stored(int(fields["id"][0]), hit["_id"], hit["_index"], int(crc[0]) if crc else None, hit.get("_source"))
