"""Documents by id, whatever partition they are in: found, deleted, counted.

Deleting is counted and can be repeated; a refusal in the middle does not mean that nothing was deleted, so callers
verify by counting afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent.errors import TemporaryError
from agent.opensearch.answers import printable
from agent.opensearch.client import Cluster, url_path
from agent.opensearch.connection import dumped
from agent.opensearch.names import Names
from agent.opensearch.search import Search, ids_among

_IDS_PER_REQUEST = 5000  # below every server's default for max_result_window and max_terms_count
_PAGE_ROWS = _IDS_PER_REQUEST + 1  # so that a document for every id does not need a second request
_DELETES_PER_REQUEST = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One document: row id, concrete index, checksum (None when it has none)."""

    id: int
    index: str
    crc: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What a delete-by-query did: deleted, and left alone because somebody wrote them meanwhile."""

    deleted: int
    conflicts: int


class Documents(Protocol):
    """One instance's documents across all partitions. Raises TemporaryError when the cluster can't do it now."""

    def find(self, ids: Iterable[int]) -> Iterator[Found]:
        """Return the documents of these rows by id, one in two partitions twice. Sees what was refreshed."""
        ...

    def delete(self, found: Iterable[tuple[str, int]]) -> int:
        """Delete (concrete index, row id) pairs; return how many there were. Idempotent."""
        ...

    def delete_by_query(self, index: str, query: dict[str, Any], *, most: int | None = None) -> Deleted:
        """Delete what matches now in an index, alias or partition alias; `most` bounds one call."""
        ...


class ClusterDocuments:
    """See `Documents`."""

    def __init__(self, cluster: Cluster, names: Names) -> None:
        self._cluster = cluster
        self._names = names
        self._search = Search(cluster, names.read)

    def find(self, ids: Iterable[int]) -> Iterator[Found]:
        """Find; see `Documents`."""
        wanted = list(ids)
        for start in range(0, len(wanted), _IDS_PER_REQUEST):
            # From columns alone: looked up by `_id`, and with the stored documents unpacked, it costs the cluster five
            # times as much, in bursts that inserts beside a purge wait for.
            body = {
                "query": ids_among(self._names.instance, wanted[start : start + _IDS_PER_REQUEST]),
                "stored_fields": "_none_",
                "docvalue_fields": ["id", "agent.crc"],
            }
            # Paged, because a document doubled across partitions makes more hits than ids.
            after: list[Any] | None = None
            while True:
                page = {**body, "size": _PAGE_ROWS, "sort": [{"id": "asc"}, {"_index": "asc"}]}
                if after:
                    page["search_after"] = after
                hits = self._search.search_or_empty(page)["hits"]["hits"]
                yield from (_found(hit) for hit in hits if "id" in hit.get("fields", {}))
                if len(hits) < _PAGE_ROWS:
                    break
                after = hits[-1]["sort"]

    def delete(self, found: Iterable[tuple[str, int]]) -> int:
        """Delete; see `Documents`."""
        pairs = list(found)
        deleted = 0
        for start in range(0, len(pairs), _DELETES_PER_REQUEST):
            part = pairs[start : start + _DELETES_PER_REQUEST]
            lines = [dumped({"delete": {"_index": index, "_id": self._key(row_id)}}) for index, row_id in part]
            deleted += self._delete_part(b"\n".join(lines) + b"\n", len(part))
        return deleted

    def delete_by_query(self, index: str, query: dict[str, Any], *, most: int | None = None) -> Deleted:
        """Delete; see `Documents`."""
        path = url_path(index, "_delete_by_query")
        params = {"conflicts": "proceed", "refresh": "true", "ignore_unavailable": "true"}
        body: dict[str, Any] = {"query": query}
        if most is not None:
            body["max_docs"] = most
        answer = self._cluster.call("POST", path, params=params, body=body)
        failures = answer.get("failures")
        if failures or answer.get("timed_out"):
            got = f"{answer.get('deleted', 0)} deleted, then {printable(failures or 'timed out', 200)}"
            raise TemporaryError("delete by query stopped early", where=path, got=got, kind=_failure_kind(failures))
        return Deleted(deleted=answer["deleted"], conflicts=answer["version_conflicts"])

    def count(self, query: dict[str, Any], *, index: str | None = None) -> int:
        """Return how many documents match, in this instance's documents or in one index; 0 without any index."""
        try:
            return (Search(self._cluster, index) if index else self._search).count(query)
        except TemporaryError as failure:
            if failure.kind != "missing_index":
                raise
            return 0

    def _delete_part(self, body: bytes, count: int) -> int:
        params = {"filter_path": "errors,items.*.status,items.*.error.type,items.*.error.reason"}
        items: Sequence[Any] = self._cluster.call("POST", "/_bulk", params=params, body=body).get("items", ())
        results = [next(iter(item.values())) for item in items]
        if len(results) != count:
            raise TemporaryError("the bulk answer is not whole", where="POST /_bulk", kind="short_answer")
        for result in results:
            # 404: the document or its whole index is gone already, which is what was asked for.
            if result["status"] not in (200, 404):
                error = result.get("error") or {}
                got = printable(f"{result['status']} {error.get('type', '')}: {error.get('reason', '')}")
                raise TemporaryError("documents cannot be deleted", where="POST /_bulk", got=got, kind="blocked")
        return sum(result["status"] == 200 for result in results)

    def _key(self, row_id: int) -> str:
        return f"{self._names.instance}:{row_id}"


def _found(hit: dict[str, Any]) -> Found:
    crc = hit["fields"].get("agent.crc")
    return Found(id=int(hit["fields"]["id"][0]), index=hit["_index"], crc=int(crc[0]) if crc else None)


def _failure_kind(failures: Any) -> str:
    return "blocked" if "cluster_block_exception" in str(failures) else "partial"
