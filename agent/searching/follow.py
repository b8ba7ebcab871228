"""Follow: the rows of a search as they come in, each once, in the order they were indexed.

A row counts as new when it was indexed after the start and its id is above what was settled then; so a row that
commits late is shown when it comes, and one that `backfill` ships again is not. Rows become visible some time after
they were stamped: every poll looks OVERLAP back and leaves out what it has shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from agent.searching.ranges import iso
from agent.searching.reader import Hit, Query, Reader
from agent.searching.rows import Row

# Longer than a row needs from its stamp to being visible, unless the cluster is very slow; every poll reads it again.
OVERLAP = timedelta(seconds=20)
PAGE_ROWS = 1_000
_SORT = [{"agent.indexed_at": "asc"}, {"id": "asc"}]


class Follow:
    """What is new since it was made, and since each call of `new_rows`. Raises TemporaryError; may be called again."""

    def __init__(
        self, reader: Reader, query: Query, *, watermark: int, row_of: Callable[[dict[str, Any]], Row]
    ) -> None:
        self._reader = reader
        self._query = query
        self._row_of = row_of
        self._shown: dict[int, datetime] = {}
        self._newest = self._latest()
        self._floor = self._settled(watermark)
        for hit in self._hits():
            self._note(hit["_source"])

    def leave_out(self, rows: Iterable[Row]) -> None:
        """Take rows as shown: somebody read them another way in the meantime."""
        for row in rows:
            self._note(row)

    def new_rows(self) -> Iterator[Row]:
        """Return rows not returned before, page by page."""
        for hit in self._hits():
            if hit["_source"]["id"] not in self._shown:
                self._note(hit["_source"])
                yield self._row_of(hit["_source"])
        self._forget()

    def _hits(self) -> Iterator[Hit]:
        since = [{"range": {"agent.indexed_at": {"gte": iso(self._newest - OVERLAP)}}}] if self._newest else []
        clauses = [self._query, {"range": {"id": {"gt": self._floor}}}, *since]
        body: dict[str, Any] = {
            "size": PAGE_ROWS,
            "query": {"bool": {"filter": clauses}},
            "sort": _SORT,
            "track_total_hits": False,
        }
        while True:
            hits: list[Hit] = self._reader.search(body)["hits"]["hits"]
            yield from hits
            if len(hits) < PAGE_ROWS:
                return
            body["search_after"] = hits[-1]["sort"]

    def _note(self, source: Mapping[str, Any]) -> None:
        stamped = datetime.fromisoformat(source["agent"]["indexed_at"])
        self._shown[source["id"]] = stamped
        self._newest = max(self._newest or stamped, stamped)

    def _forget(self) -> None:
        """Drop what the next poll will not meet again, so that memory does not grow with the hours."""
        if self._newest is not None:
            edge = self._newest - OVERLAP
            self._shown = {row_id: stamped for row_id, stamped in self._shown.items() if stamped >= edge}

    def _latest(self) -> datetime | None:
        body = {"size": 0, "track_total_hits": False, "aggs": {"latest": {"max": {"field": "agent.indexed_at"}}}}
        text = self._reader.search(body)["aggregations"]["latest"].get("value_as_string")
        return datetime.fromisoformat(text) if text else None

    def _settled(self, watermark: int) -> int:
        """Return the id above which rows are new: settled, and indexed long enough ago to be visible."""
        if self._newest is None:
            return 0
        body = {
            "size": 1,
            "query": {"range": {"agent.indexed_at": {"lt": iso(self._newest - OVERLAP)}}},
            "sort": [{"id": "desc"}],
            "_source": ["id"],
            "track_total_hits": False,
        }
        hits = self._reader.search(body)["hits"]["hits"]
        return min(watermark, int(hits[0]["_source"]["id"])) if hits else 0
