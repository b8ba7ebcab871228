"""The journal's store: numbered entries per instance, only ever added; chaining them is retention's business."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from agent.errors import TemporaryError
from agent.opensearch.client import Cluster, url_path
from agent.opensearch.connection import dumped
from agent.opensearch.search import Search
from agent.opensearch.state import Fenced

_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry: its number, when (UTC, ISO 8601), its kind, and its content exactly as it was given."""

    seq: int
    at: str
    kind: str
    content: dict[str, Any]


class JournalStore(Protocol):
    """Entries 1, 2, 3, … of one instance."""

    def last(self) -> Entry | None:
        """Return the entry with the highest number, also one added a moment ago by another process."""
        ...

    def append(self, entry: Entry) -> None:
        """Add an entry under its own number. Idempotent for the same content.

        Raises Fenced when another entry has that number; TemporaryError when the outcome is unknown: repeat it.
        """
        ...

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Return the entries above a number, ascending."""
        ...


class ClusterJournal:
    """Documents `<instance>:<number>` in the journal index."""

    def __init__(self, cluster: Cluster, index: str, instance: str) -> None:
        self._cluster = cluster
        self._index = index
        self._instance = instance
        self._search = Search(cluster, index)

    def last(self) -> Entry | None:
        """Return the newest; see `JournalStore`."""
        body = {"size": 1, "query": self._mine(), "sort": [{"seq": "desc"}]}
        hits = self._search.search_or_empty(body)["hits"]["hits"]
        found = _entry(hits[0]["_source"]) if hits else None
        # The search lags behind by a refresh; reading by id does not.
        while following := self._get((found.seq if found else 0) + 1):
            found = following
        return found

    def append(self, entry: Entry) -> None:
        """Add; see `JournalStore`."""
        document = {
            "instance": self._instance,
            "seq": entry.seq,
            "at": entry.at,
            "kind": entry.kind,
            "entry": entry.content,
        }
        path = url_path(self._index, "_create", self._key(entry.seq))
        answer = self._cluster.answer("PUT", path, params={"refresh": "true"}, body=dumped(document), accept=(409,))
        if answer.status == 409 and self._get(entry.seq) != entry:
            got = f"entry {entry.seq} exists already"
            raise Fenced("another process writes the journal", where=path, got=got, remedy="run one agent per instance")

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """List; see `JournalStore`."""
        while True:
            query = {"bool": {"filter": [self._mine(), {"range": {"seq": {"gt": after}}}]}}
            body = {"size": _PAGE, "query": query, "sort": [{"seq": "asc"}]}
            hits = self._search.search_or_empty(body)["hits"]["hits"]
            for hit in hits:
                entry = _entry(hit["_source"])
                yield entry
                after = entry.seq
            if len(hits) < _PAGE:
                return

    def _mine(self) -> dict[str, Any]:
        return {"term": {"instance": self._instance}}

    def _key(self, seq: int) -> str:
        return f"{self._instance}:{seq}"

    def _get(self, seq: int) -> Entry | None:
        answer = self._cluster.answer("GET", url_path(self._index, "_doc", self._key(seq)), accept=(404,))
        if answer.status == 404:
            if answer.body.get("found") is False or answer.fault_type == "index_not_found_exception":
                return None
            raise TemporaryError("the journal cannot be read", where=self._index, kind="not_json")
        return _entry(answer.body["_source"])


def _entry(source: dict[str, Any]) -> Entry:
    return Entry(seq=source["seq"], at=source["at"], kind=source["kind"], content=source["entry"])
