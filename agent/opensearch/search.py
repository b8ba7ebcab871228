"""Reading documents: searches, streams of any size, and checksums per window of ids.

A partial answer is an error here, never a small result: counts decide what is deleted and what is called missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from agent.errors import TemporaryError
from agent.opensearch.client import Cluster, url_path
from agent.opensearch.connection import answers_up_to, dumped

PAGE_ROWS = 1000
# Of whole documents, each of which may be megabytes: a page is aimed at so many bytes, by what the one before it held,
# and the first one is small. One that would have far more is not read, but asked for in smaller ones.
PAGE_BYTES = 8 << 20
MOST_PAGE_BYTES = 32 << 20
FIRST_PAGE_ROWS = 10
GROWTH_OF_PAGES = 4
KEEP_ALIVE = "5m"  # how long a consumer may take over one page
# Below every server's default for search.max_buckets (65 535), and an answer of a few hundred kilobytes at most.
WINDOWS_PER_REQUEST = 5000
# Checksums are below 2³² and OpenSearch sums doubles: exact as long as fewer rows than this are in a window.
MOST_ROWS_SUMMED_EXACTLY = 2**21

_EMPTY: dict[str, Any] = {"hits": {"total": {"value": 0, "relation": "eq"}, "hits": []}, "aggregations": {}}


@dataclass(frozen=True, slots=True)
class Window:
    """Number of documents of a window of ids, and the sum of their checksums."""

    count: int
    crc_sum: int


class Search:
    """Search one index or alias."""

    def __init__(self, cluster: Cluster, index: str) -> None:
        self._cluster = cluster
        self._index = index

    def search(self, body: dict[str, Any], *, timeout_seconds: float | None = None) -> dict[str, Any]:
        """Return the whole answer of one search. Raises TemporaryError for an incomplete one."""
        params = {"allow_partial_search_results": "false"}
        return self._asked("_search", params=params, body=_exact(body), timeout_seconds=timeout_seconds)

    def search_or_empty(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer, or one without hits when the index does not exist (yet)."""
        try:
            return self.search(body)
        except TemporaryError as failure:
            if failure.kind != "missing_index":
                raise
            return _EMPTY

    def count(self, query: dict[str, Any]) -> int:
        """Return the exact number of documents that match."""
        return int(self._asked("_count", body={"query": query})["count"])

    def refresh(self) -> None:
        """Make everything acknowledged before this call visible to searches."""
        self._asked("_refresh", params={"ignore_unavailable": "true"})

    def pages(
        self, body: dict[str, Any], *, sort: Sequence[dict[str, Any]], size: int = PAGE_ROWS
    ) -> Iterator[list[dict[str, Any]]]:
        """Return all hits in pages from one point in time, which is closed at the end whatever happens.

        A page has at most `size` hits, fewer where whole documents (no `_source` in the body) are heavy. `sort` must be
        total (end in a unique field), or hits are lost or repeated between pages.
        """
        pit = self._open_pit()
        is_whole = "_source" not in body
        rows = min(size, FIRST_PAGE_ROWS) if is_whole else size
        after: list[Any] | None = None
        try:
            while True:
                asked = {**body, "sort": list(sort), "pit": {"id": pit, "keep_alive": KEEP_ALIVE}}
                asked.setdefault("track_total_hits", False)
                if after is not None:
                    asked["search_after"] = after
                answer, rows = self._page(asked, rows)
                pit = answer.get("pit_id", pit)
                hits: list[dict[str, Any]] = answer["hits"]["hits"]
                if hits:
                    yield hits
                if len(hits) < rows:
                    return
                after = hits[-1]["sort"]
                if is_whole:
                    rows = next_page_rows(rows, len(dumped(hits)), size)
        finally:
            # It ends by itself after the keep-alive; failing to end it early must not hide the real error.
            with suppress(TemporaryError):
                self._cluster.answer("DELETE", "/_search/point_in_time", body={"pit_id": [pit]}, accept=(404,))

    def _page(self, asked: dict[str, Any], rows: int) -> tuple[dict[str, Any], int]:
        """Return one page and its number of rows: fewer than asked for where an answer with so many would not fit."""
        while True:
            try:
                with answers_up_to(MOST_PAGE_BYTES) if rows > 1 else nullcontext():
                    answer = self._cluster.call("POST", "/_search", body=_exact({**asked, "size": rows}))
                return _whole(answer, "POST /_search"), rows
            except TemporaryError as failure:
                if failure.kind != "large_answer" or rows == 1:
                    raise
                rows = max(1, rows // GROWTH_OF_PAGES**2)

    def id_windows(self, instance: str, lo: int, hi: int, width: int) -> dict[int, Window]:
        """Return count and checksum sum of the ids in [lo, hi], by window number `id // width`; none for empty ones.

        Exact while a window holds fewer than 2²¹ documents.
        """
        found: dict[int, Window] = {}
        for first in range(lo // width, hi // width + 1, WINDOWS_PER_REQUEST):
            low = max(lo, first * width)
            high = min(hi, (first + WINDOWS_PER_REQUEST) * width - 1)
            body = {
                "size": 0,
                "track_total_hits": False,
                "query": ids_between(instance, low, high),
                "aggs": {
                    "windows": {
                        "histogram": {"field": "id", "interval": width, "min_doc_count": 1},
                        "aggs": {"crc": {"sum": {"field": "agent.crc"}}},
                    }
                },
            }
            for bucket in self.search_or_empty(body)["aggregations"].get("windows", {}).get("buckets", ()):
                found[int(bucket["key"]) // width] = Window(bucket["doc_count"], int(bucket["crc"]["value"]))
        return found

    def _asked(self, what: str, **request: Any) -> dict[str, Any]:
        """Return the whole answer to one question, asked again as long as the cluster's patience lasts.

        Each time the alias is resolved anew: an index that was deleted or made in between is no failure then.
        """
        path, failures = url_path(self._index, what), 0
        while True:
            try:
                return _whole(self._cluster.call("POST", path, **request), path)
            except TemporaryError as failure:
                failures += 1
                if not self._cluster.patience(failure, failures):
                    raise

    def _open_pit(self) -> str:
        path = url_path(self._index, "_search", "point_in_time")
        answer = self._cluster.call("POST", path, params={"keep_alive": KEEP_ALIVE})
        return str(_whole(answer, path)["pit_id"])


def next_page_rows(rows: int, size_bytes: int, most: int) -> int:
    """Return how many rows the page after one of `rows` rows and so many bytes may have, at most `most`."""
    return max(1, min(most, rows * GROWTH_OF_PAGES, rows * PAGE_BYTES // max(1, size_bytes)))


def ids_between(instance: str, lo: int, hi: int) -> dict[str, Any]:
    """Return the query for one instance's documents with ids in [lo, hi]."""
    return {"bool": {"filter": [{"term": {"instance": instance}}, {"range": {"id": {"gte": lo, "lte": hi}}}]}}


def ids_among(instance: str, ids: Sequence[int]) -> dict[str, Any]:
    """Return the query for one instance's documents with one of these ids."""
    return {"bool": {"filter": [{"term": {"instance": instance}}, {"terms": {"id": list(ids)}}]}}


def _exact(body: dict[str, Any]) -> dict[str, Any]:
    """Say of the first field of the order where missing values stand: last, which is where they stand anyway.

    OpenSearch (3.8) answers a bare range or match_all in the order of its field by an approximation that takes deleted
    documents for hits, and so leaves living ones out after many deletes. An order that says this, or an exact count,
    is not approximated.
    """
    order = body.get("sort")
    if not order or body.get("track_total_hits") is True:
        return body
    ((field, how),) = order[0].items()
    named = how if isinstance(how, dict) else {"order": how}
    if field.startswith("_"):
        return body
    return {**body, "sort": [{field: {"missing": "_last", **named}}, *order[1:]]}


def _whole(answer: Any, where: str) -> dict[str, Any]:
    """Return an answer to which every shard contributed."""
    shards = answer.get("_shards", {}) if isinstance(answer, dict) else {}
    if not isinstance(answer, dict) or answer.get("timed_out") or shards.get("failed"):
        got = f"{shards.get('failed', 0)} of {shards.get('total', 0)} shards failed"
        raise TemporaryError("the answer is incomplete", where=where, got=got, kind="partial")
    return answer
