"""Evaluate alerts against the live index now, with the very searches the monitors run; changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.config.alerts import AlertRule
from agent.config.times import duration_text
from agent.content.cluster import Cluster
from agent.content.queries import at, search_body
from agent.content.triggers import Decision, Group, decide
from agent.errors import AgentError, PermanentError, TemporaryError, cut

# Rows are searchable a poll and a refresh after they happened; a minute is never too much.
LEAST_SHIFT_SECONDS = 60
# Beyond an hour a window describes history: such a lag is for the stalled-agent alert.
MOST_SHIFT_SECONDS = 3600

_DELAY = (
    "if (doc['agent.indexed_at'].size() == 0 || doc['created_at'].size() == 0) { return 0; } "
    "long indexed = doc['agent.indexed_at'].value.toInstant().toEpochMilli(); "
    "return indexed - doc['created_at'].value.toInstant().toEpochMilli();"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Say what one alert sees now and whether it would fire."""

    name: str
    severity: str
    condition: str
    would_fire: bool
    reason: str
    total: int
    groups: tuple[Group, ...]
    error: str = ""
    """Why the index cannot tell; the monitor of such an alert is raised as an error, so `would_fire` is true."""


def evaluate(
    cluster: Cluster,
    alerts: Iterable[AlertRule],
    *,
    audit_index: str,
    state_index: str,
    now_ms: int,
    shift_seconds: int,
) -> tuple[Evaluation, ...]:
    """Run each alert's search as of `now_ms` and decide. Raises TemporaryError when the cluster cannot be asked now.

    A search that the cluster refuses, or answers in part, is told with its alert and keeps no other from being told.
    """
    return tuple(
        _evaluate(cluster, alert, state_index if alert.stalled_for else audit_index, now_ms, shift_seconds)
        for alert in alerts
    )


def measured_shift(cluster: Cluster, *, audit_index: str) -> int:
    """Return how far before now windows should end, in seconds: what 99 % of the last day's rows needed to arrive."""
    body = {
        "size": 0,
        "query": {"range": {"created_at": {"gte": "now-1d"}}},
        "aggs": {"delay": {"percentiles": {"percents": [99], "script": {"lang": "painless", "source": _DELAY}}}},
    }
    answer = _search(cluster, audit_index, body)
    values = answer.get("aggregations", {}).get("delay", {}).get("values", {})
    delay = values.get("99.0")
    if not isinstance(delay, int | float) or delay != delay:  # noqa: PLR0124  # NaN is how "no rows" may be answered
        return LEAST_SHIFT_SECONDS
    minutes = -(-int(delay) // 60_000)
    return max(LEAST_SHIFT_SECONDS, min(MOST_SHIFT_SECONDS, minutes * 60))


def condition_text(alert: AlertRule) -> str:
    """Return the condition in words, as `alerts show` prints it."""
    over = duration_text(alert.over)
    if alert.stalled_for is not None:
        return f"silent or behind for {duration_text(alert.stalled_for)}"
    if alert.absent_for is not None:
        return f"none for {duration_text(alert.absent_for)}"
    if alert.first_ever:
        return f"first in {over} that {duration_text(alert.baseline)} had not seen"
    if alert.factor is not None:
        usual = f"the usual of {duration_text(alert.baseline)}"
        return f"≥ {alert.factor:g} × {usual} in {over}, at least {alert.threshold or 1}"
    return f"≥ {alert.threshold} in {over}" + (", lowered" if alert.lowered else "")


def _evaluate(cluster: Cluster, alert: AlertRule, index: str, now_ms: int, shift_seconds: int) -> Evaluation:
    error = ""
    try:
        answer = _search(cluster, index, at(search_body(alert, shift_seconds=shift_seconds), now_ms))
        decision = decide(alert, answer)
    except TemporaryError:
        raise
    except AgentError as refusal:
        error = str(refusal)
        decision = Decision(fires=True, groups=(), total=0, reason=f"nobody can tell: {error}")
    return Evaluation(
        name=alert.name,
        severity=alert.severity,
        condition=condition_text(alert),
        would_fire=decision.fires,
        reason=decision.reason,
        total=decision.total,
        groups=decision.groups,
        error=error,
    )


def _search(cluster: Cluster, index: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    # An index that does not exist yet holds no rows; the stalled agent and the dead man's switch fire on that.
    lenient = {"ignore_unavailable": "true", "allow_no_indices": "true"}
    answer = cluster.call("POST", f"/{index}/_search", params=lenient, body=dict(body))
    shards = answer.get("_shards", {})
    if "hits" not in answer or shards.get("failed", 0) or answer.get("timed_out"):
        # Part of an index that did not answer is no proof of silence.
        raise PermanentError("a search was answered in part", where=index, got=cut(_lack(answer), 300))
    found: Mapping[str, Any] = answer
    return found


def _lack(answer: Mapping[str, Any]) -> str:
    """Return what an answer lacks and why: the innermost cause, for the outer one says no more than «runtime error»."""
    if answer.get("timed_out"):
        return "timed out"
    shards = answer.get("_shards", {})
    cause = next((failure.get("reason") for failure in shards.get("failures", ())), None) or {}
    while isinstance(cause.get("caused_by"), Mapping):
        cause = cause["caused_by"]
    failed = f"{shards.get('failed', 0)} of {shards.get('total', 0)} shards failed"
    return f"{failed}: {cause['reason']}" if cause.get("reason") else failed
