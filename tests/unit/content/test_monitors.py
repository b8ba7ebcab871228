"""Monitors: their shape, installing them twice, and a plugin that lies or is not there."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from agent.config.alerts import AlertSettings
from agent.config.loading import load_alerts
from agent.content.monitors import MONITORS, install_monitors, monitor, monitor_drift
from agent.errors import PermanentError, TemporaryError

ALERTS = load_alerts(Path(__file__).parents[3] / "config" / "alerts.yml", {}).alerts


def built(**changes: Any) -> list[dict[str, Any]]:
    names = {"audit_index": "impulse-audit", "state_index": "impulse-agent-state", "shift_seconds": 120}
    return [monitor(alert, **(names | changes)) for alert in ALERTS]


class Plugin:
    """Keep monitors as the Alerting plugin does, adding ids of its own."""

    def __init__(self, fault: str = "") -> None:
        self.stored: dict[str, dict[str, Any]] = {}
        self.fault = fault
        self.writes = 0

    def call(self, method: str, path: str, *, params: Any = None, body: Any = None) -> Any:
        if self.fault == "no plugin":
            got = "no handler found for uri [/_plugins/_alerting/monitors/_search] and method [POST]"
            raise PermanentError("OpenSearch refused the request", where=path, got=got)
        if self.fault == "unreachable":
            raise TemporaryError("OpenSearch is unreachable", where=path)
        if path.endswith("/_search"):
            if not self.stored:
                raise PermanentError("refused", where=path, got="404 index_not_found_exception")
            hits = [{"_id": key, "_source": {"monitor": value}} for key, value in self.stored.items()]
            return {"hits": {"total": {"value": len(hits)}, "hits": hits}}
        if method == "GET":
            found = copy.deepcopy(self.stored[path.rpartition("/")[2]])
            if self.fault == "altered":
                found["triggers"][0]["query_level_trigger"]["condition"]["script"]["source"] = "return false;"
            return {"monitor": found} if self.fault != "empty" else {"acknowledged": True}
        if self.fault == "one refused" and body["name"].endswith("provisioning-held"):
            raise PermanentError("refused", where=path, got="alerting_exception: bad")
        identity = path.removeprefix(MONITORS).strip("/") or f"id-{len(self.stored)}"
        stored = copy.deepcopy(body)
        for trigger in stored["triggers"]:
            trigger["query_level_trigger"]["id"] = "made-by-the-server"
        self.stored[identity] = stored
        self.writes += 1
        return {"_id": identity, "_version": 1}


def test_every_monitor_has_the_shape_of_the_plugin() -> None:
    for made in built():
        assert made["type"] == "monitor"
        assert made["monitor_type"] == "query_level_monitor"
        assert made["schedule"] == {"period": {"interval": 1, "unit": "MINUTES"}}
        search = made["inputs"][0]["search"]
        assert search["indices"] in (["impulse-audit"], ["impulse-agent-state"])
        assert search["query"]["size"] == 0
        trigger = made["triggers"][0]["query_level_trigger"]
        assert trigger["condition"]["script"]["lang"] == "painless"
        assert trigger["severity"] in {"1", "3", "5"}
        assert "{{period_end}}||-" in json.dumps(search)


def test_answers_stay_below_fifty_buckets() -> None:
    for made in built():
        assert all(terms["size"] < 50 for terms in _terms(made["inputs"]))


def test_the_window_is_shifted_by_the_lag() -> None:
    [spike] = [made for made in built(shift_seconds=120) if made["name"].endswith("cron-error-spike")]
    window = spike["inputs"][0]["search"]["query"]["query"]["bool"]["filter"][-1]["range"]["created_at"]
    assert window["gte"] == "{{period_end}}||-3720s"
    assert window["lt"] == "{{period_end}}||-120s"


def test_each_channel_is_told_at_most_once_in_half_an_hour() -> None:
    loaded = AlertSettings.model_validate(
        {"alerts": [{"name": "a", "description": "d.", "threshold": 1, "notify": ["ops", "oncall"]}]}
    )
    [trigger] = monitor(loaded.alerts[0], audit_index="a", state_index="s", shift_seconds=60)["triggers"]
    actions = trigger["query_level_trigger"]["actions"]
    assert [action["destination_id"] for action in actions] == ["ops", "oncall"]
    assert all(action["throttle_enabled"] for action in actions)
    assert actions[0]["throttle"] == {"value": 30, "unit": "MINUTES"}


def test_installing_twice_updates_and_doubles_nothing() -> None:
    plugin = Plugin()
    first = install_monitors(plugin, built())
    again = install_monitors(plugin, built())
    assert first.ok
    assert again.ok
    assert len(first.installed) == len(plugin.stored) == len(ALERTS)
    assert plugin.writes == 2 * len(ALERTS)
    assert monitor_drift(plugin, built()).ok


@pytest.mark.parametrize(
    ("fault", "failed", "said"),
    [
        ("one refused", 1, "impulse-audit: provisioning-held"),
        ("altered", len(ALERTS), "differs from its declaration in triggers"),
        ("empty", len(ALERTS), "cannot be read back"),
    ],
)
def test_what_was_not_read_back_is_named_and_no_success(fault: str, failed: int, said: str) -> None:
    report = install_monitors(Plugin(fault), built())
    assert not report.ok
    assert len(report.failed) == failed
    assert said in str(report.failed[0])


def test_a_cluster_without_the_plugin_is_recognised_and_the_alternative_said() -> None:
    report = install_monitors(Plugin("no plugin"), built())
    assert not report.ok
    assert "Prometheus" in report.missing_plugin
    assert monitor_drift(Plugin("no plugin"), built()).missing_plugin


def test_an_unreachable_cluster_is_not_taken_for_one_without_the_plugin() -> None:
    with pytest.raises(TemporaryError):
        install_monitors(Plugin("unreachable"), built())


def test_drift_names_missing_changed_and_doubled_monitors() -> None:
    plugin = Plugin()
    install_monitors(plugin, built())
    del plugin.stored["id-0"]
    plugin.stored["id-1"]["enabled"] = False
    plugin.stored["twice"] = copy.deepcopy(plugin.stored["id-2"])
    reasons = [failure.reason for failure in monitor_drift(plugin, built()).failed]
    assert reasons == [
        "is not installed",
        "differs from its declaration in enabled when read back",
        "2 monitors have this name",
    ]
    assert any("delete all but one" in failure.reason for failure in install_monitors(plugin, built()).failed)


def _terms(tree: Any) -> list[dict[str, Any]]:
    if isinstance(tree, list):
        return [found for item in tree for found in _terms(item)]
    if not isinstance(tree, dict):
        return []
    own = [tree["terms"]] if isinstance(tree.get("terms"), dict) and "size" in tree["terms"] else []
    return own + [found for item in tree.values() for found in _terms(item)]
