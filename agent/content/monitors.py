"""Monitors of the Alerting plugin: made from the declarations, installed, and read back.

Installing twice changes nothing: a monitor is found again by its name. Nothing is claimed that was not read back. A
server without the plugin is recognised by its answer, and the report says what to use instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.config.alerts import AlertRule
from agent.content.cluster import Cluster
from agent.content.queries import search_body
from agent.content.report import Failure, Report
from agent.content.triggers import painless
from agent.content.words import plain
from agent.errors import AgentError, PermanentError, cut

NAME_PREFIX = "impulse-audit: "
MONITORS = "/_plugins/_alerting/monitors"
NO_PLUGIN = (
    "this cluster has no Alerting plugin; load alerts/impulse-audit.rules.yml into Prometheus instead, "
    "and run `audit-agent alerts test` to see what would fire now"
)

# The plugin knows 1 (highest) to 5.
_SEVERITY = {"critical": "1", "warning": "3", "info": "5"}
_EVERY_MINUTES = 1
# One message per alert and half hour: a condition that stays true is known after the first.
_THROTTLE_MINUTES = 30
# What the server answers for a path that no plugin serves: 400 on POST, 404 or 405 elsewhere.
_NOT_SERVED = ("no handler found", "not found for uri", "incorrect http method")

_MESSAGE = """{{ctx.trigger.name}}
%s
Period {{ctx.periodStart}} to {{ctx.periodEnd}}. Groups and counts:
{{#ctx.results.0.aggregations.groups.buckets}}
  {{doc_count}}  {{key}}
{{/ctx.results.0.aggregations.groups.buckets}}"""


def monitor(
    alert: AlertRule, *, audit_index: str, state_index: str, shift_seconds: int, enabled: bool = True
) -> dict[str, Any]:
    """Return the monitor of one alert, as `POST /_plugins/_alerting/monitors` takes it."""
    index = state_index if alert.stalled_for is not None else audit_index
    trigger = {
        "name": alert.name,
        "severity": _SEVERITY[alert.severity],
        "condition": {"script": {"lang": "painless", "source": painless(alert)}},
        "actions": [_action(alert, channel) for channel in alert.notify],
    }
    search = {"indices": [index], "query": search_body(alert, shift_seconds=shift_seconds)}
    return {
        "type": "monitor",
        "monitor_type": "query_level_monitor",
        "name": NAME_PREFIX + alert.name,
        "enabled": enabled,
        "schedule": {"period": {"interval": _EVERY_MINUTES, "unit": "MINUTES"}},
        "inputs": [{"search": search}],
        "triggers": [{"query_level_trigger": trigger}],
    }


def install_monitors(cluster: Cluster, monitors: Iterable[Mapping[str, Any]]) -> Report:
    """Create or update each monitor and read it back; what failed is named, and one failure does not stop the rest.

    Idempotent. Raises the AgentError of the first request if the server cannot be asked at all.
    """
    known = _known_monitors(cluster)
    if known is None:
        return Report(installed=(), failed=(), missing_plugin=NO_PLUGIN)
    installed: list[str] = []
    failed: list[Failure] = []
    for wanted in monitors:
        name = str(wanted["name"])
        try:
            reason = _put(cluster, wanted, known.get(name, ()))
        except AgentError as error:
            reason = str(error)
        if reason:
            failed.append(Failure(name=name, reason=reason))
        else:
            installed.append(name)
    return Report(installed=tuple(installed), failed=tuple(failed))


def monitor_drift(cluster: Cluster, monitors: Iterable[Mapping[str, Any]]) -> Report:
    """Say which monitors are as declared, and which are missing or differ; changes nothing."""
    known = _known_monitors(cluster)
    if known is None:
        return Report(installed=(), failed=(), missing_plugin=NO_PLUGIN)
    same: list[str] = []
    drifted: list[Failure] = []
    for wanted in monitors:
        name = str(wanted["name"])
        identities = known.get(name, ())
        reason = _difference(cluster, wanted, identities[0]) if len(identities) == 1 else _number(identities)
        if reason:
            drifted.append(Failure(name=name, reason=reason))
        else:
            same.append(name)
    return Report(installed=tuple(same), failed=tuple(drifted))


def _put(cluster: Cluster, wanted: Mapping[str, Any], identities: tuple[str, ...]) -> str:
    """Return why the monitor is not installed, or an empty string."""
    if len(identities) > 1:
        return f"{len(identities)} monitors have this name; delete all but one"
    if identities:
        answer = cluster.call("PUT", f"{MONITORS}/{identities[0]}", body=dict(wanted))
    else:
        answer = cluster.call("POST", MONITORS, body=dict(wanted))
    identity = answer.get("_id") if isinstance(answer, Mapping) else None
    if not isinstance(identity, str):
        return "the server answered without an id"
    return _difference(cluster, wanted, identity)


def _difference(cluster: Cluster, wanted: Mapping[str, Any], identity: str) -> str:
    """Return how the stored monitor differs from the wanted one, ignoring what the server adds of its own."""
    answer = cluster.call("GET", f"{MONITORS}/{identity}")
    stored = answer.get("monitor") if isinstance(answer, Mapping) else None
    if not isinstance(stored, Mapping):
        return "cannot be read back"
    for key in ("name", "enabled", "schedule", "inputs", "triggers"):
        if not _holds(stored.get(key), wanted[key]):
            return f"differs from its declaration in {key} when read back"
    return ""


def _holds(stored: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(stored, Mapping) and all(_holds(stored.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        same_length = isinstance(stored, list) and len(stored) == len(wanted)
        return same_length and all(_holds(one, other) for one, other in zip(stored, wanted, strict=True))
    return bool(stored == wanted)


def _known_monitors(cluster: Cluster) -> dict[str, tuple[str, ...]] | None:
    """Return the ids of our monitors by name, or None when the cluster has no Alerting plugin."""
    query = {"size": 1000, "query": {"match_phrase_prefix": {"monitor.name": NAME_PREFIX.strip(": ")}}}
    try:
        answer = cluster.call("POST", f"{MONITORS}/_search", body=query)
    except AgentError as error:
        if any(words in str(error).lower() for words in _NOT_SERVED):
            return None
        if _no_monitor_yet(str(error)):
            return {}
        raise
    hits = answer.get("hits") if isinstance(answer, Mapping) else None
    if not isinstance(hits, Mapping) or not isinstance(hits.get("hits"), list):
        raise PermanentError("the answer is not one of the Alerting plugin", where=MONITORS, got=cut(str(answer), 200))
    found: dict[str, tuple[str, ...]] = {}
    for hit in hits["hits"]:
        source = hit.get("_source", {})
        name = str(source.get("monitor", source).get("name", ""))
        if name.startswith(NAME_PREFIX):
            found[name] = (*found.get(name, ()), str(hit.get("_id")))
    return found


def _no_monitor_yet(reason: str) -> bool:
    # Older plugins answer 404 until the first monitor makes their index.
    return "index_not_found" in reason or "configured indices are not found" in reason.lower()


def _number(identities: tuple[str, ...]) -> str:
    return f"{len(identities)} monitors have this name" if identities else "is not installed"


def _action(alert: AlertRule, channel: str) -> dict[str, Any]:
    subject = f"[{alert.severity}] impulse-audit: {alert.name}"
    return {
        "name": f"notify {channel}",
        "destination_id": channel,
        "subject_template": {"lang": "mustache", "source": subject},
        "message_template": {"lang": "mustache", "source": _MESSAGE % plain(alert.description.strip())},
        "throttle_enabled": True,
        "throttle": {"value": _THROTTLE_MINUTES, "unit": "MINUTES"},
    }
