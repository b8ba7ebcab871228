"""Whether an answer means an alert: one painless sentence for the monitor, the same in Python for `alerts test`.

Pure. Both are run on the same answers in the tests, because two versions of one rule drift apart unseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.config.alerts import AlertRule
from agent.content.queries import NO_VALUE

_NONE: Mapping[str, Any] = {"buckets": []}
_GROUPS = "answer.aggregations.groups.buckets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Name one group of an answer, its count, and whether it alone makes the alert fire."""

    name: str
    count: int
    fires: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Say whether the alert fires, on which groups, and why in words."""

    fires: bool
    groups: tuple[Group, ...]
    total: int
    reason: str


# Part of an index that did not answer is no proof of silence, nor of absence. A script that fails makes the plugin
# raise the alert as an error, with this reason.
_WHOLE = (
    "def answer = ctx.results[0]; "
    "if (answer.timed_out == true || (answer._shards != null && answer._shards.failed > 0)) "
    "{ throw new IllegalStateException('the index answered in part: nobody can tell'); } "
)


def painless(alert: AlertRule) -> str:
    """Return the condition of the monitor's trigger; it sees the whole answer as `ctx.results[0]`."""
    return _WHOLE + _condition(alert)


def _condition(alert: AlertRule) -> str:
    if alert.stalled_for is not None:
        # No document at all is the strongest sign of all: nobody ever shipped, or the state is gone.
        return "return answer.hits.total.value == 0 || answer.aggregations.stalled.doc_count > 0;"
    if alert.absent_for is not None:
        none = "if (answer.hits.total.value == 0) { return true; } "
        return none + _any_group("group.alive.doc_count == 0")
    return _any_group(_group_condition(alert))


def _any_group(condition: str) -> str:
    return f"for (def group : {_GROUPS}) {{ if ({condition}) {{ return true; }} }} return false;"


def decide(alert: AlertRule, answer: Mapping[str, Any]) -> Decision:
    """Decide as the trigger does, and say why."""
    total = int(answer["hits"]["total"]["value"])
    # An index that does not exist yet is answered without aggregations.
    aggregations = answer.get("aggregations", {})
    if alert.stalled_for is not None:
        return _stalled(aggregations.get("stalled", {"doc_count": 0, "groups": _NONE}), total)
    if alert.absent_for is not None:
        return _absent(aggregations.get("groups", _NONE)["buckets"], total)
    groups = tuple(_group(alert, bucket) for bucket in aggregations.get("groups", _NONE)["buckets"])
    firing = [group for group in groups if group.fires]
    reason = f"{len(firing)} of {len(groups)} groups" if firing else "no group reaches the condition"
    return Decision(fires=bool(firing), groups=groups, total=total, reason=reason)


def _group_condition(alert: AlertRule) -> str:
    if alert.first_ever:
        return "group.before.doc_count == 0"
    if alert.factor is not None:
        # The server kept only groups that stand out (`stands_out` in the query).
        return f"group.now.doc_count >= {alert.threshold or 1}"
    return f"group.doc_count >= {alert.threshold or 1}"


def _group(alert: AlertRule, bucket: Mapping[str, Any]) -> Group:
    name = str(bucket["key"]) or NO_VALUE
    if alert.first_ever:
        return Group(name=name, count=int(bucket["doc_count"]), fires=bucket["before"]["doc_count"] == 0)
    count = int(bucket["now"]["doc_count"] if alert.factor is not None else bucket["doc_count"])
    return Group(name=name, count=count, fires=count >= (alert.threshold or 1))


def _absent(instances: Iterable[Mapping[str, Any]], rows_of_any_kind: int) -> Decision:
    counts = {str(bucket["key"]): int(bucket["alive"]["doc_count"]) for bucket in instances}
    groups = tuple(Group(name=name, count=count, fires=count == 0) for name, count in counts.items())
    missing = [name for name, count in counts.items() if count == 0]
    total = sum(counts.values())
    reason = f"no such row of {', '.join(missing)}" if missing else f"{total} such rows" if total else "no such row"
    return Decision(fires=bool(missing) or rows_of_any_kind == 0, groups=groups, total=total, reason=reason)


def _stalled(stalled: Mapping[str, Any], total: int) -> Decision:
    buckets = stalled["groups"]["buckets"]
    groups = tuple(Group(name=str(item["key"]), count=int(item["doc_count"]), fires=True) for item in buckets)
    if total == 0:
        return Decision(fires=True, groups=(), total=0, reason="no agent has ever written its state")
    silent = int(stalled["doc_count"])
    reason = f"{silent} of {total} agents silent or behind" if silent else f"{total} agents alive and current"
    return Decision(fires=silent > 0, groups=groups, total=total, reason=reason)
