"""The view: one search, its rows newest first, how many there are in all, and when they happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from agent.searching.reader import Hit, Query, Reader
from agent.searching.rows import Row

# The server's own limit for one answer; longer ones are read from a point in time.
LONGEST_ANSWER_ROWS = 10_000
PAGE_ROWS = 5_000
BARS = 40
NEAR_IDS = 1_000


class Order(StrEnum):
    """Name the orders of an answer."""

    NEWEST = "-created_at"
    OLDEST = "created_at"
    ID_UP = "id"
    ID_DOWN = "-id"


@dataclass(frozen=True, slots=True)
class Bar:
    """Number of rows from one time until the next bar's."""

    start: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a search found."""

    rows: list[Row]
    total: int
    bars: list[Bar]


def look(
    reader: Reader,
    query: Query,
    *,
    limit: int,
    order: Order,
    row_of: Callable[[dict[str, Any]], Row],
    histogram: bool = False,
) -> View:
    """Return the first `limit` rows of a search. Raises TemporaryError."""
    is_long, is_near = limit > LONGEST_ANSWER_ROWS, histogram and order is Order.NEWEST
    body = _first(query, 0 if is_long or is_near else limit, order)
    if histogram:
        body["aggs"] = {"bars": {"auto_date_histogram": {"field": "created_at", "buckets": BARS}}}
    answer = reader.search(body)
    buckets = answer.get("aggregations", {}).get("bars", {}).get("buckets", ())
    bars = [Bar(bucket["key_as_string"], bucket["doc_count"]) for bucket in buckets]
    hits: Iterable[Hit] = answer["hits"]["hits"]
    if is_long:
        hits = islice(_all_hits(reader, query, order), limit)
    elif is_near:
        hits = _newest_hits(reader, query, limit, bars)
    total = int(answer["hits"]["total"]["value"])
    return View(rows=[row_of(hit["_source"]) for hit in hits], total=total, bars=bars)


def _first(query: Query, limit: int, order: Order) -> dict[str, Any]:
    return {"size": limit, "query": query, "sort": sort_of(order), "track_total_hits": True}


def _newest_hits(reader: Reader, query: Query, limit: int, bars: Sequence[Bar]) -> list[Hit]:
    """Return the newest hits. The bars say how far back they reach, so not every row must be put in order."""
    rows = 0
    for bar in reversed(bars):
        rows += bar.rows
        if rows >= limit:
            near = {"bool": {"filter": [query, {"range": {"created_at": {"gte": bar.start}}}]}}
            hits: list[Hit] = reader.search(_first(near, limit, Order.NEWEST))["hits"]["hits"]
            if len(hits) == limit:
                return hits
            break  # some were deleted in between
    found: list[Hit] = reader.search(_first(query, limit, Order.NEWEST))["hits"]["hits"]
    return found


def sort_of(order: Order) -> list[dict[str, Any]]:
    """Return a total order: one time and one id are one partition and one document there."""
    # Rows without a date stand where SQL puts NULL; the server's own default is last, and cheaper unsaid.
    if order.startswith("-"):
        times: dict[str, Any] = {"created_at": "desc"}
        ids: dict[str, Any] = {"id": "desc"}
    else:
        times = {"created_at": {"order": "asc", "missing": "_first"}}
        ids = {"id": "asc"}
    return [ids, times] if order in (Order.ID_UP, Order.ID_DOWN) else [times, ids]


def by_ids(reader: Reader, ids: Sequence[int]) -> list[Row]:
    """Return the documents of these row ids, as they are stored, by id."""
    body = {"size": LONGEST_ANSWER_ROWS, "query": {"terms": {"id": list(ids)}}, "sort": sort_of(Order.ID_UP)}
    return [hit["_source"] for hit in reader.search(body)["hits"]["hits"]]


def watermark_time(reader: Reader, watermark: int) -> str | None:
    """Return the created_at of the newest document that the watermark covers."""
    if not watermark:
        return None
    # It is nearly always close by, where looking costs nothing; ordering everything is a fifth of a short answer.
    for lowest in (watermark - NEAR_IDS, 1):
        ids = {"range": {"id": {"gte": max(1, lowest), "lte": watermark}}}
        body = {
            "size": 1,
            "query": {"bool": {"filter": [ids, {"exists": {"field": "created_at"}}]}},
            "sort": [{"id": "desc"}],
            "_source": ["created_at"],
            "track_total_hits": False,
        }
        hits = reader.search(body)["hits"]["hits"]
        if hits:
            return str(hits[0]["_source"]["created_at"])
    return None


def _all_hits(reader: Reader, query: Query, order: Order) -> Iterator[Hit]:
    for page in reader.pages({"query": query}, sort=sort_of(order), size=PAGE_ROWS):
        yield from page
