"""Visualizations: what a visState may hold, and which fields it uses for what.

A wrong aggregation is accepted by an import and shows only when somebody opens the panel, so it is checked here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent.content.fields import Field
from agent.content.saved_objects import SEARCH_SOURCE, SavedObject, vega_sources

CHARTS = ("histogram", "line", "area", "horizontal_bar")
AGGREGATED = (*CHARTS, "pie", "table", "metric", "tagcloud")
WITHOUT_INDEX = ("markdown", "input_control_vis", "vega")
# Which place of which visualization takes a bucket; metrics always stand in `metric`.
BUCKET_SCHEMAS = {
    **dict.fromkeys(CHARTS, ("segment", "group", "split")),
    "pie": ("segment", "split"),
    "table": ("bucket", "split"),
    "metric": ("group",),
    "tagcloud": ("segment",),
}
METRIC_TYPES: dict[str, tuple[str, ...]] = {
    "sum": ("number",),
    "avg": ("number",),
    "min": ("number", "date"),
    "max": ("number", "date"),
    "cardinality": (),
}
BUCKET_TYPES: dict[str, tuple[str, ...]] = {
    "terms": ("string", "number", "boolean", "date", "ip"),
    "date_histogram": ("date",),
    "histogram": ("number",),
}
CONTROL_TYPES = {"list": BUCKET_TYPES["terms"], "range": ("number",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Say what a field is used for, and which types can serve (none named: any)."""

    field: str
    purpose: str
    types: tuple[str, ...]
    aggregated: bool

    def problem(self, known: Field | None, source: str) -> str:
        """Return what is wrong with this use of the field as a source knows it, or an empty string."""
        if known is None:
            return f"{self.purpose} uses the field {self.field}, unknown to the {source}"
        if self.types and known.type not in self.types:
            return f"{self.purpose} needs {' or '.join(self.types)}; {self.field} is {known.type} in the {source}"
        if self.aggregated and not known.aggregatable:
            return f"{self.purpose} cannot aggregate {self.field} (not aggregatable in the {source})"
        return ""


def visual_problems(item: SavedObject) -> Iterator[str]:
    """Yield what is wrong with a visualization apart from its references and fields."""
    state = item.text("visState")
    if not isinstance(state, dict):
        return
    kind = state.get("type")
    if kind not in (*AGGREGATED, *WITHOUT_INDEX):
        yield f"visState.type {kind!r} is not one of {', '.join((*AGGREGATED, *WITHOUT_INDEX))}"
        return
    if state.get("title") != item.attributes.get("title"):
        yield "visState.title differs from the object's title"
    if not isinstance(state.get("params"), dict) or not isinstance(state.get("aggs"), list):
        yield "visState needs params and aggs"
        return
    source = item.text(*SEARCH_SOURCE)
    named = isinstance(source, dict) and "indexRefName" in source
    if kind in AGGREGATED:
        if not named and "savedSearchRefName" not in item.attributes:
            yield "names no index pattern (indexRefName)"
        yield from _agg_problems(str(kind), state["aggs"])
    elif kind == "vega":
        yield from _vega_problems(state["params"].get("spec"))
    elif kind == "input_control_vis":
        yield from _control_problems(state["params"].get("controls"))


def fields_used(item: SavedObject) -> Iterator[Use]:
    """Yield the fields a visualization's aggregations use."""
    for agg in _aggs(item):
        name = agg["params"].get("field")
        types = {**METRIC_TYPES, **BUCKET_TYPES}.get(str(agg.get("type")), ())
        if isinstance(name, str):
            yield Use(field=name, purpose=f"{agg.get('type')} {agg.get('id')}", types=types, aggregated=True)


def control_patterns(item: SavedObject) -> Iterator[tuple[str, Use]]:
    """Yield, for each control, the name of its index pattern's reference and the field it offers."""
    state = item.text("visState") if item.type == "visualization" else None
    params = state.get("params") if isinstance(state, dict) else None
    controls = params.get("controls") if isinstance(params, dict) else None
    for control in controls if isinstance(controls, list) else []:
        if isinstance(control, dict) and isinstance(control.get("fieldName"), str):
            types = CONTROL_TYPES.get(str(control.get("type")), ())
            use = Use(field=control["fieldName"], purpose="control", types=types, aggregated=True)
            yield str(control.get("indexPatternRefName")), use


def _aggs(item: SavedObject) -> list[dict[str, Any]]:
    state = item.text("visState") if item.type == "visualization" else None
    aggs = state.get("aggs") if isinstance(state, dict) else None
    listed = aggs if isinstance(aggs, list) else []
    return [agg for agg in listed if isinstance(agg, dict) and isinstance(agg.get("params"), dict)]


def _agg_problems(kind: str, aggs: list[Any]) -> Iterator[str]:
    identities = [str(agg.get("id")) for agg in aggs if isinstance(agg, dict)]
    if len(set(identities)) != len(aggs):
        yield "aggs need an id each, all different"
    metrics = {str(agg.get("id")) for agg in aggs if isinstance(agg, dict) and agg.get("schema") == "metric"}
    if not metrics:
        yield "aggs have no metric"
    for agg in aggs:
        if not isinstance(agg, dict) or not isinstance(agg.get("params"), dict) or not isinstance(agg.get("id"), str):
            yield "an agg needs id, enabled, type, schema and params"
            continue
        yield from _one_agg_problems(kind, agg, metrics)


def _one_agg_problems(kind: str, agg: dict[str, Any], metrics: set[str]) -> Iterator[str]:
    name = f"agg {agg['id']}"
    what = agg.get("type")
    if not isinstance(agg.get("enabled"), bool):
        yield f"{name}: enabled is missing"
    if what == "count" or what in METRIC_TYPES:
        allowed: tuple[str, ...] = ("metric",)
    elif what in BUCKET_TYPES:
        allowed = BUCKET_SCHEMAS[kind]
    else:
        yield f"{name}: unknown type {what!r}"
        return
    if agg.get("schema") not in allowed:
        yield f"{name}: schema {agg.get('schema')!r} of a {kind} must be {' or '.join(allowed)}"
    if what != "count" and not isinstance(agg["params"].get("field"), str):
        yield f"{name}: params.field is missing"
    order_by = agg["params"].get("orderBy")
    if what == "terms" and order_by not in (*metrics, "_key"):
        yield f"{name}: orderBy {order_by!r} is no metric of this visualization"


def _vega_problems(spec: Any) -> Iterator[str]:
    try:
        decoded = json.loads(spec)
    except (TypeError, ValueError) as error:
        yield f"the Vega spec does not parse: {error}"
        return
    if not isinstance(decoded, dict) or "vega.github.io/schema/vega" not in str(decoded.get("$schema")):
        yield "the Vega spec names no schema"
        return
    urls = list(vega_sources(decoded))
    if not urls:
        yield "the Vega spec asks no index"
    for url in urls:
        body = url.get("body")
        if not isinstance(body, dict) or not isinstance(url.get("index"), str):
            yield "a Vega url needs index and body"
        elif "query" in body and ("%context%" in url or "%timefield%" in url):
            yield "a Vega url with %context% or %timefield% must not hold a query of its own"


def _control_problems(controls: Any) -> Iterator[str]:
    listed = controls if isinstance(controls, list) else []
    if not listed:
        yield "has no controls"
    for control in listed:
        if not isinstance(control, dict) or control.get("type") not in CONTROL_TYPES:
            yield f"a control's type must be {' or '.join(CONTROL_TYPES)}"
        elif "indexPattern" in control or not isinstance(control.get("indexPatternRefName"), str):
            yield f"the control on {control.get('fieldName')} must name a reference (indexPatternRefName), not an id"
