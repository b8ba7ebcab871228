"""What an alert asks the index: one search, the same for the monitor, for `alerts test` and for the tests.

Pure. Times stand in the query as `{{period_end}}||-900s`, the form the Alerting plugin fills in; `at` fills them in
here. Windows end `shift_seconds` before now, because the newest rows are still on their way (the measured lag): a row
that is not here yet must not count as an error that did not happen.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from agent.config.alerts import AlertRule
from agent.config.match import MatchValue, is_glob

# The Alerting plugin keeps the whole answer with every alert, so answers stay small: fewer than 50 groups.
MOST_GROUPS = 49
# Groups a shard offers before they are merged; above the number of groups that really exist the result is exact.
GROUPS_PER_SHARD = 5_000
NO_VALUE = "-"
# An instance that has written nothing at all for longer than this is no longer missed.
LEAST_MEMORY_SECONDS = 7 * 86_400
BETWEEN_VALUES = " · "

# One key from several fields. Unlike `multi_terms` it takes fields that some partitions have not mapped yet.
GROUP_KEY = (
    "StringBuilder key = new StringBuilder(); "
    "for (def name : params.fields) { "
    "if (key.length() > 0) { key.append(params.between); } "
    "if (doc.containsKey(name) && doc[name].size() > 0) { key.append(doc[name].value.toString()); } "
    "else { key.append(params.none); } } "
    "return key.toString();"
)

# Missing or unreadable values count as lowered: what cannot be compared is for a person to look at.
IS_LOWERED = (
    "if (!doc.containsKey(params.before) || !doc.containsKey(params.after)) { return true; } "
    "if (doc[params.before].size() == 0 || doc[params.after].size() == 0) { return true; } "
    "return doc[params.after].value < doc[params.before].value;"
)

# What counts as standing out: at least the floor, and at least `factor` times the baseline's usual share.
STANDS_OUT = "params.now >= params.floor && params.now * params.windows >= params.factor * (params.all - params.now)"

Query = dict[str, Any]


def search_body(alert: AlertRule, *, shift_seconds: int) -> Query:
    """Return the search of one alert; its answer is what `triggers` decide on."""
    if alert.stalled_for is not None:
        return _stalled(alert.stalled_for)
    if alert.absent_for is not None:
        return _absent(alert, alert.absent_for, shift_seconds)
    if alert.first_ever:
        return _first_ever(alert, shift_seconds)
    if alert.factor is not None:
        return _compared(alert, shift_seconds)
    return _counted(alert, shift_seconds)


def at(body: Query, period_end_ms: int) -> Query:
    """Return the query with its times filled in, as the Alerting plugin does it."""
    filled: Query = json.loads(json.dumps(body).replace("{{period_end}}", str(period_end_ms)))
    return filled


def conditions(match: Mapping[str, tuple[MatchValue, ...]]) -> list[Query]:
    """Return one filter per column of a match: any of its values is enough, all columns must agree."""
    return [_any_of([_condition(field, value) for value in values]) for field, values in match.items()]


def compared_params(alert: AlertRule) -> dict[str, float]:
    """Return the numbers a comparison needs; `windows` says how many windows the baseline holds."""
    span = seconds(alert.baseline or alert.over)
    return {"floor": alert.threshold or 1, "factor": alert.factor or 1, "windows": span / seconds(alert.over)}


def seconds(span: dt.timedelta) -> int:
    """Return a span as whole seconds."""
    return int(span.total_seconds())


def _counted(alert: AlertRule, shift_seconds: int) -> Query:
    window = _range(seconds(alert.over) + shift_seconds, shift_seconds)
    return _search([*_matching(alert), window], {"groups": _groups(alert)})


def _compared(alert: AlertRule, shift_seconds: int) -> Query:
    """Count the window and the baseline before it side by side; the server keeps only the groups that stand out.

    All groups are compared before 49 of them are kept: the one that jumped from 0 to 6 is not among the largest.
    """
    start = seconds(alert.over) + shift_seconds
    span = seconds(alert.baseline or alert.over)
    groups = _groups(alert, order={"now": "desc"})
    groups["terms"]["size"] = GROUPS_PER_SHARD
    groups["aggs"]["now"] = {"filter": _range(start, shift_seconds)}
    groups["aggs"]["stands_out"] = {"bucket_selector": {"buckets_path": {"now": "now>_count", "all": "_count"}}}
    groups["aggs"]["stands_out"]["bucket_selector"]["script"] = {"source": STANDS_OUT, "params": compared_params(alert)}
    groups["aggs"]["largest"] = {"bucket_sort": {"sort": [{"now>_count": {"order": "desc"}}], "size": MOST_GROUPS}}
    return _search([*_matching(alert), _range(start + span, shift_seconds)], {"groups": groups})


def _first_ever(alert: AlertRule, shift_seconds: int) -> Query:
    """Put the groups first that the baseline before the window never held."""
    start = seconds(alert.over) + shift_seconds
    span = seconds(alert.baseline or alert.over)
    groups = _groups(alert, order={"before": "asc"})
    before = {"range": {"created_at": {"lt": _time(start), "format": "epoch_millis"}}}
    groups["aggs"]["before"] = {"filter": before}
    return _search([*_matching(alert), _range(start + span, shift_seconds)], {"groups": groups})


def _absent(alert: AlertRule, absent_for: dt.timedelta, shift_seconds: int) -> Query:
    """Look, in each instance that writes at all, for a sign of life up to this instant: an early row is alive too.

    One instance's rows must not hide that another's have stopped.
    """
    span = seconds(absent_for)
    alive = {"bool": {"filter": [*_matching(alert), _since(span + shift_seconds)]}}
    order, last_seen = {"alive": "asc"}, {"max": {"field": "created_at"}}
    terms = {"field": "instance", "size": MOST_GROUPS, "shard_size": GROUPS_PER_SHARD, "order": order}
    groups = {"terms": terms, "aggs": {"alive": {"filter": alive}, "last_seen": last_seen}}
    return _search([_since(max(LEAST_MEMORY_SECONDS, 2 * span) + shift_seconds)], {"groups": groups})


def _stalled(stalled_for: dt.timedelta) -> Query:
    """Ask the state documents: who has not written for too long, who is too far behind, or does not know how far."""
    span = seconds(stalled_for)
    silent, blind = (
        {"range": {name: {"lte": _time(span), "format": "epoch_millis"}}} for name in ("heartbeat", "lag_measured_at")
    )
    never = {"bool": {"must_not": [{"exists": {"field": "heartbeat"}}]}}
    behind = {"range": {"lag_seconds": {"gte": span}}}
    groups = {"terms": {"field": "instance", "size": MOST_GROUPS}}
    return {
        "size": 0,
        "track_total_hits": True,
        # Retention's ledger lies beside them: it names no instance, and is no agent.
        "query": {"exists": {"field": "instance"}},
        "aggs": {"stalled": {"filter": _any_of([silent, never, behind, blind]), "aggs": {"groups": groups}}},
    }


def _search(filters: list[Query], aggs: Query) -> Query:
    return {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": filters}}, "aggs": aggs}


def _groups(alert: AlertRule, *, order: Mapping[str, str] | None = None) -> Query:
    params = {"fields": list(alert.group_by), "between": BETWEEN_VALUES, "none": NO_VALUE}
    terms = {
        "script": {"lang": "painless", "source": GROUP_KEY, "params": params},
        "size": MOST_GROUPS,
        "shard_size": GROUPS_PER_SHARD,
        "order": dict(order or {"_count": "desc"}),
    }
    return {"terms": terms, "aggs": {"last_seen": {"max": {"field": "created_at"}}}}


def _matching(alert: AlertRule) -> list[Query]:
    found = conditions(alert.match)
    if alert.lowered is not None:
        params = {"before": f"{alert.lowered.before}.number", "after": f"{alert.lowered.after}.number"}
        found.append({"script": {"script": {"lang": "painless", "source": IS_LOWERED, "params": params}}})
    return found


def _condition(field: str, value: MatchValue) -> Query:
    if is_glob(value):
        return {"wildcard": {field: {"value": str(value)}}}
    return {"term": {field: {"value": value}}}


def _any_of(found: list[Query]) -> Query:
    return found[0] if len(found) == 1 else {"bool": {"should": found, "minimum_should_match": 1}}


def _since(seconds_before: int) -> Query:
    return {"range": {"created_at": {"gte": _time(seconds_before), "format": "epoch_millis"}}}


def _range(start_seconds: int, end_seconds: int) -> Query:
    bounds = {"gte": _time(start_seconds), "lt": _time(end_seconds), "format": "epoch_millis"}
    return {"range": {"created_at": bounds}}


def _time(seconds_before: int) -> str:
    return "{{period_end}}||-" + f"{seconds_before}s"
