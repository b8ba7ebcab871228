"""From a saved visualization to the search that Dashboards makes of it.

Buckets nest in the order they stand in the file, and every metric is asked at every level, as Dashboards does. The
queries of the file keep to what DQL and Lucene share, so `query_string` runs them as they are.
"""

from __future__ import annotations

import json
from typing import Any

from agent.content.saved_objects import SEARCH_SOURCE, SavedObject, vega_sources


def search_of(item: SavedObject) -> dict[str, Any]:
    """Return the body of a classic visualization."""
    state = item.text("visState")
    metrics = {agg["id"]: {agg["type"]: agg["params"]} for agg in state["aggs"] if agg["schema"] == "metric"}
    asked = {key: _metric(value) for key, value in metrics.items() if "count" not in value}
    nested: dict[str, Any] = dict(asked)
    for agg in reversed([agg for agg in state["aggs"] if agg["schema"] != "metric"]):
        nested = {agg["id"]: _bucket(agg, metrics) | ({"aggs": nested} if nested else {})} | asked
    return {"size": 0, "track_total_hits": True, "query": query_of(item), "aggs": nested}


def query_of(item: SavedObject) -> dict[str, Any]:
    text = item.text(*SEARCH_SOURCE)["query"]["query"]
    return {"query_string": {"query": text}} if text else {"match_all": {}}


def vega_of(item: SavedObject) -> dict[str, Any]:
    """Return the url of a Vega visualization: {index, body, …}."""
    [url] = vega_sources(json.loads(item.text("visState")["params"]["spec"]))
    return url


def _metric(agg: dict[str, Any]) -> dict[str, Any]:
    [(kind, params)] = agg.items()
    return {kind: {"field": params["field"]}}


def _bucket(agg: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    params = agg["params"]
    if agg["type"] == "date_histogram":
        return {"date_histogram": {"field": params["field"], "fixed_interval": "30m", "min_doc_count": 1}}
    order = params["orderBy"]
    order = "_count" if order in metrics and "count" in metrics[order] else order
    terms = {"field": params["field"], "size": params["size"], "order": {order: params["order"]}}
    missing = {"missing": params["missingBucketLabel"]} if params["missingBucket"] else {}
    return {"terms": terms | missing}
