"""Alerts on a real node: a monitor's search and trigger run by the server, as the plugin would run them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agent.config.alerts import AlertRule, AlertSettings
from agent.config.loading import load_alerts
from agent.content.evaluate import evaluate
from agent.content.monitors import monitor
from tests.integration.content_seed import Corner, document

NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
SHIFT = 60
ALERTS = {alert.name: alert for alert in load_alerts(Path(__file__).parents[2] / "config" / "alerts.yml", {}).alerts}
Documents = list[dict[str, Any]]


def ago(seconds: float = 0, *, minutes: float = 0, hours: float = 0) -> dt.datetime:
    """Return an instant before the end of the window, which is a shift before now."""
    return NOW - dt.timedelta(seconds=SHIFT + seconds, minutes=minutes, hours=hours)


def fires(corner: Corner, alert: AlertRule) -> bool:
    """Run the monitor as the plugin would, and require that `alerts test` says the same."""
    made = monitor(alert, audit_index=corner.audit, state_index=corner.state, shift_seconds=SHIFT)
    search = made["inputs"][0]["search"]
    params = {"period_end": int(NOW.timestamp() * 1000)}
    rendered = corner.node.call("POST", "/_render/template", body={"source": search["query"], "params": params})
    answer = corner.node.search(search["indices"][0], rendered["template_output"])
    result = triggered(corner, made, answer)
    groups = _buckets(answer.get("aggregations", {}))
    assert all(len(found) < 50 for found in groups)
    [told] = evaluated(corner, [alert])
    assert told.would_fire == (result == "true")
    return bool(result == "true")


def triggered(corner: Corner, made: dict[str, Any], answer: Any) -> str:
    """Run a monitor's trigger on an answer, in the node's painless."""
    script = made["triggers"][0]["query_level_trigger"]["condition"]["script"]
    given = {"ctx": {"results": [answer]}}
    body = {"script": {"lang": "painless", "source": "def ctx = params.ctx; " + script["source"], "params": given}}
    return str(corner.node.call("POST", "/_scripts/painless/_execute", body=body)["result"])


def evaluated(corner: Corner, alerts: Iterable[AlertRule]) -> Any:
    return evaluate(
        corner.node,
        alerts,
        audit_index=corner.audit,
        state_index=corner.state,
        now_ms=int(NOW.timestamp() * 1000),
        shift_seconds=SHIFT,
    )


def declared(**fields: Any) -> AlertRule:
    return AlertSettings.model_validate({"alerts": [{"name": "x", "description": "d."} | fields]}).alerts[0]


def errors(n: int, exception: str = "E", **fields: Any) -> Documents:
    return [document(ago(i + 1), context={"exception": exception}, **fields) for i in range(n)]


def acts(n: int, action: str, *, context: dict[str, Any] | None = None, **fields: Any) -> Documents:
    return [document(ago(i + 1), action, context=context, **({"severity": "info"} | fields)) for i in range(n)]


def _buckets(tree: Any) -> list[list[Any]]:
    if not isinstance(tree, dict):
        return []
    own = [tree["buckets"]] if isinstance(tree.get("buckets"), list) else []
    return own + [found for value in tree.values() for found in _buckets(value)]
