"""The same alerts for Prometheus, as far as the agent's counters can say them.

Pure: text of a rules file. `audit_agent_events_total` has the labels module_slug, severity and source, because more
would let rows decide how many series there are. An alert on actions or context therefore has no exact rule: the file
says so beside each, and holds the nearest rule the declaration names, or none.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping

from agent.config.alerts import COUNTED_COLUMNS, AlertRule
from agent.config.match import MatchValue, is_glob
from agent.config.times import duration_text
from agent.content.queries import seconds
from agent.content.words import plain

EVENTS = "audit_agent_events_total"
# Prometheus keeps 15 days by default, and a longer look back is slow at every evaluation.
LONGEST_BASELINE = dt.timedelta(days=7)

_HEADER = """\
# Made from config/alerts.yml by agent.content.prometheus; a test keeps both in step, so edit the declarations.
#
# exact: the rule says what the alert says. nearest: the counters carry module, severity and source only, so the rule
# is coarser than the alert: it may fire for other events of the same kind, and counts all groups of an alert together.
# The exact alert is the OpenSearch monitor of that name; a nearest rule that may fire for others is only an info.
#
# Counters count rows as they are shipped: after an outage the backlog's errors fire late rather than never.
"""

# An agent process that stood by never succeeded, and one that died leaves no series: so the best of each
# audit instance counts, over a day.
_IDENTITY = "max by (job, instance, audit_instance) (last_over_time(audit_agent_build_info[1d]))"

Labels = tuple[str, ...]
_PROCESS: Labels = ("job", "instance")


def rules_text(alerts: Iterable[AlertRule]) -> str:
    """Return the rules file of all alerts, in their order."""
    parts = [_HEADER, "groups:\n  - name: impulse-audit\n    interval: 1m\n    rules:\n"]
    return "".join([*parts, *(_rule_text(alert) for alert in alerts)])


def is_exact(alert: AlertRule) -> bool:
    """Say whether the agent's counters can express the alert as it is."""
    if alert.stalled_for is not None:
        return True
    return alert.lowered is None and set(alert.match) | set(alert.group_by) <= set(COUNTED_COLUMNS)


def rule_name(alert: AlertRule) -> str:
    """Return the alert's name as Prometheus writes names."""
    return "ImpulseAudit" + "".join(part.capitalize() for part in re.split(r"[-_]+", alert.name))


def expression(alert: AlertRule) -> str | None:
    """Return the PromQL of an alert, or None when nothing near it can be expressed."""
    if alert.stalled_for is not None:
        return _stalled(seconds(alert.stalled_for))
    match, threshold = _counted_match(alert)
    if match is None:
        return None
    selector = EVENTS + _selector(match)
    labels = (*_PROCESS, *(column for column in alert.group_by if column in COUNTED_COLUMNS))
    if alert.absent_for is not None:
        return _absent(selector, _span(alert.absent_for))
    count = _count(selector, _span(alert.over), labels)
    if alert.first_ever:
        return _first_ever(count, selector, alert, labels)
    if alert.factor is not None:
        return _compared(count, selector, alert, labels)
    return f"{count} >= {threshold}"


def _counted_match(alert: AlertRule) -> tuple[Mapping[str, tuple[MatchValue, ...]] | None, int]:
    if alert.prometheus is not None and not is_exact(alert):
        return alert.prometheus.match, alert.prometheus.threshold
    if set(alert.match) <= set(COUNTED_COLUMNS) and alert.lowered is None:
        return alert.match, alert.threshold or 1
    return None, 0


def _rule_text(alert: AlertRule) -> str:
    found = expression(alert)
    if found is None:
        return f"      # {alert.name}: nothing near it can be expressed by the counters; use the OpenSearch monitor.\n"
    precision = "exact" if is_exact(alert) else "nearest"
    # Nobody is woken by a rule that also fires for events the alert does not mean.
    coarser = alert.prometheus is not None and alert.absent_for is None and precision == "nearest"
    labels = {"severity": "info" if coarser else alert.severity, "precision": precision}
    if alert.notify:
        labels["notify"] = ",".join(alert.notify)
    summary = alert.name if precision == "exact" else f"{alert.name} (nearest rule: {_nearest_words(alert)})"
    lines = [
        f"- alert: {rule_name(alert)}",
        "  expr: |",
        *(f"    {line}" for line in found.splitlines()),
        "  labels:",
        *(f"    {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()),
        "  annotations:",
        f"    summary: {_annotation(summary)}",
        f"    description: {_annotation(' '.join(alert.description.split()))}",
    ]
    return "".join(f"      {line}\n" for line in lines)


def _annotation(text: str) -> str:
    return json.dumps(plain(text), ensure_ascii=False)


def _nearest_words(alert: AlertRule) -> str:
    match, _ = _counted_match(alert)
    said = ", ".join(f"{column} {'/'.join(str(value) for value in values)}" for column, values in (match or {}).items())
    return f"counts every event with {said}" if said else "counts every event"


def _selector(match: Mapping[str, tuple[MatchValue, ...]]) -> str:
    return "{" + ",".join(_matcher(column, values) for column, values in match.items()) + "}" if match else ""


def _matcher(column: str, values: tuple[MatchValue, ...]) -> str:
    if len(values) == 1 and not is_glob(values[0]):
        return f"{column}={json.dumps(str(values[0]), ensure_ascii=False)}"
    pattern = "|".join(_pattern(str(value)) for value in values)
    return f"{column}=~{json.dumps(pattern, ensure_ascii=False)}"


def _pattern(value: str) -> str:
    """Return a glob as a regular expression of Prometheus, which is anchored at both ends."""
    escaped = "".join(f"\\{sign}" if sign in "\\^$.|?*+()[]{}" else sign for sign in value)
    return escaped.replace("\\*", ".*").replace("\\?", ".")


def _count(selector: str, span: str, labels: Labels, offset: str = "") -> str:
    """Count events in a span. `increase` misses what a series starts with, so a young series counts whole."""
    shift = f" offset {offset}" if offset else ""
    earlier = f" offset {_sum(span, offset)}"
    young = f"({selector}{shift} unless {selector}{earlier})"
    return f"sum by ({', '.join(labels)}) (\n  {young}\n  or increase({selector}[{span}]{shift})\n)"


def _sum(one: str, other: str) -> str:
    return f"{_seconds(one) + _seconds(other)}s" if other else one


def _seconds(span: str) -> int:
    return int(span[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[span[-1]]


def _span(span: dt.timedelta) -> str:
    return str(duration_text(span))


def _watched_for(span: str) -> str:
    """Name the agents that were there so long ago: without a past nothing is new, and nothing is missing."""
    return f"and on (job, instance) audit_agent_build_info offset {span}"


def _first_ever(count: str, selector: str, alert: AlertRule, labels: Labels) -> str:
    baseline = _span(min(alert.baseline or LONGEST_BASELINE, LONGEST_BASELINE))
    over = _span(alert.over)
    on = ", ".join(labels)
    return f"({count} > 0\n{_watched_for(baseline)})\nunless on ({on})\n{_count(selector, baseline, labels, over)} > 0"


def _compared(count: str, selector: str, alert: AlertRule, labels: Labels) -> str:
    span = min(alert.baseline or LONGEST_BASELINE, LONGEST_BASELINE)
    share = (alert.factor or 1) * seconds(alert.over) / seconds(span)
    usual = _count(selector, _span(span), labels, _span(alert.over))
    on = ", ".join(labels)
    return f"({count} >= {alert.threshold or 1})\nunless on ({on})\n({count} < on ({on}) {share:.6g} * {usual})"


def _absent(selector: str, span: str) -> str:
    return (
        f"(audit_agent_lease_held == 1\n{_watched_for(span)})\n"
        f"unless on (job, instance)\n{_count(selector, span, _PROCESS)} > 0"
    )


def _stalled(stalled_seconds: int) -> str:
    join = f"* on (job, instance) group_left (audit_instance)\n  {_IDENTITY}"
    return (
        "time() - max by (audit_instance) (\n"
        f"  last_over_time(audit_agent_last_success_timestamp_seconds[1d])\n  {join}\n) >= {stalled_seconds}\n"
        "or\n"
        f"max by (audit_instance) (\n  audit_agent_lag_seconds\n  {join}\n) >= {stalled_seconds}\n"
        "or\n"
        "absent(audit_agent_last_success_timestamp_seconds)"
    )
