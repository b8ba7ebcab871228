"""What the index holds of paths that were not mapped: counted by the cluster, for `fields`."""

from __future__ import annotations

from dataclasses import dataclass

from agent.opensearch.search import Search

MOST_PATHS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class OverflowedPath:
    """One path, in how many documents it overflowed, and the reasons those documents name."""

    path: str
    documents: int
    reasons: tuple[str, ...]


def overflowed_paths(search: Search, *, most: int = MOST_PATHS) -> list[OverflowedPath]:
    """Return the paths that overflowed, the most frequent first.

    A document that overflowed for several reasons names all of them under each of its paths.
    """
    body = {
        "size": 0,
        "track_total_hits": False,
        "query": {"exists": {"field": "agent.overflow"}},
        "aggs": {
            "paths": {
                "terms": {"field": "agent.overflow", "size": most},
                "aggs": {"reasons": {"terms": {"field": "agent.overflow_reason", "size": 10}}},
            }
        },
    }
    buckets = search.search_or_empty(body)["aggregations"].get("paths", {}).get("buckets", ())
    return [
        OverflowedPath(
            path=str(bucket["key"]),
            documents=int(bucket["doc_count"]),
            reasons=tuple(str(reason["key"]) for reason in bucket["reasons"]["buckets"]),
        )
        for bucket in buckets
    ]
