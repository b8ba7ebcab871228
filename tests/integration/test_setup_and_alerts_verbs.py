"""`setup` and `alerts` as a person calls them: what was done is reported by name, and what failed ends with 1."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from demo.rows import AuditRow, burst
from tests.unit.content.stub_dashboards import serving
from tests.world import World

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
OBJECTS = len((ROOT / "dashboards" / "impulse-audit.ndjson").read_text().splitlines())
SPIKE = {
    "name": "cron-spike",
    "description": "d.",
    "match": {"source": "cron", "severity": "error"},
    "group_by": ["module_slug", "action"],
    "over": "1h",
    "threshold": 4,
    "severity": "critical",
}


def test_setup_twice_changes_nothing_and_puts_removed_aliases_back(world: World) -> None:
    world.database.fill(10, days=20)
    first = world.run("setup", "--json")
    assert world.run("sync").code == 0
    index = min(world.request("GET", f"/{world.index}-*/_alias"))
    world.request("POST", "/_aliases", {"actions": [{"remove": {"index": index, "alias": world.index}}]})
    second = world.run("setup", "--json")
    third = world.run("setup", "--json")

    assert {template["action"] for template in first.json["templates"]} == {"created"}
    assert len(first.json["indices_created"]) == 3
    assert {template["action"] for template in second.json["templates"]} == {"unchanged"}
    assert second.json["indices_created"] == []
    assert second.json["aliases_restored"] == [index]
    assert third.json["aliases_restored"] == []
    assert first.json["ok"] is second.json["ok"] is True
    assert world.index in world.request("GET", f"/{index}/_alias")[index]["aliases"]


def test_a_template_changed_by_hand_is_kept_unless_forced(world: World) -> None:
    assert world.run("setup").code == 0
    path = f"/_index_template/{world.index_prefix}"
    body = world.request("GET", path)["index_templates"][0]["index_template"]
    world.request("PUT", path, body | {"priority": 499})

    kept = world.run("setup", "--json").json["templates"]
    assert world.request("GET", path)["index_templates"][0]["index_template"]["priority"] == 499
    forced = world.run("setup", "--force", "--json").json["templates"]

    assert {t["name"]: t["action"] for t in kept}[world.index_prefix] == "drifted"
    assert {t["name"]: t["action"] for t in forced}[world.index_prefix] == "upgraded"
    assert world.request("GET", path)["index_templates"][0]["index_template"]["priority"] == 500


def test_dashboards_are_installed_with_their_own_account_and_tenant(world: World) -> None:
    secret = world.folder / "dashboards-password"
    secret.write_text("d-Password-1\n")
    with serving() as dashboards:
        options = ("--dashboards", dashboards.url, "--dashboards-username", "ops", "--dashboards-tenant", "global")
        by_file = world.run("setup", *options, "--dashboards-password-file", str(secret), "--json")
        by_variable = world.run("setup", *options, env={"AUDIT_DASHBOARDS_PASSWORD": "d-Password-1"})
        refreshed = world.run("setup", "--dashboards", dashboards.url, "--refresh-fields", "--json")

    assert by_file.code == 0
    assert len(by_file.json["dashboards"]["installed"]) == OBJECTS
    assert by_variable.code == 0
    assert by_variable.stdout.count("installed and read back") == OBJECTS
    assert 0 < len(refreshed.json["dashboards"]["installed"]) < OBJECTS
    headers = dashboards.requests[0][2]
    assert headers["authorization"] == "Basic " + b64encode(b"ops:d-Password-1").decode()
    assert headers["securitytenant"] == "global"
    for outcome in (by_file, by_variable):
        assert "d-Password-1" not in outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("one is gone", "overview"),
        ("reference lost", "lost its reference"),
        ("login page", "no JSON of Dashboards"),
        ("unauthorized", "check username, password and tenant"),
    ],
)
def test_a_dashboards_server_that_answers_wrongly_ends_with_1_and_the_object_named(
    world: World, fault: str, named: str
) -> None:
    with serving() as dashboards:
        dashboards.fault = fault
        outcome = world.run("setup", "--dashboards", dashboards.url, "--json")

    assert outcome.code == 1
    assert outcome.json["ok"] is False
    assert named in json.dumps(outcome.json["dashboards"]["failed"])
    assert outcome.json["templates"]  # the rest was done all the same


def test_half_of_an_account_or_a_bad_url_is_a_usage_error(world: World) -> None:
    no_password = world.run("setup", "--dashboards", "http://127.0.0.1:1", "--dashboards-username", "ops")
    no_url = world.run("setup", "--refresh-fields")
    with_password = world.run("setup", "--dashboards", "http://ops:pw-in-url@127.0.0.1:1")

    assert (no_password.code, no_url.code, with_password.code) == (2, 2, 2)
    assert "AUDIT_DASHBOARDS_PASSWORD" in no_password.stderr
    assert "pw-in-url" not in with_password.stderr


def failures(count: int) -> list[AuditRow]:
    at = datetime.now(UTC) - timedelta(minutes=10)
    return list(burst(count, at=at))


def test_alerts_test_says_groups_counts_threshold_and_what_would_fire(world: World) -> None:
    stalled = {"name": "agent-stalled", "description": "d.", "stalled_for": "10m", "severity": "critical"}
    never = SPIKE | {"name": "never", "threshold": 10_000}
    world.alerts = {"alerts": [SPIKE, never, stalled]}
    world.write()
    before = world.run("alerts", "test", "--json").json
    world.database.insert(failures(6))
    assert world.run("sync").code == 0
    world.refresh()

    answer = world.run("alerts", "test", "--json")
    text = world.run("alerts", "test")

    assert [alert["would_fire"] for alert in before["alerts"]] == [False, False, True]  # nothing ever shipped
    assert answer.code == text.code == 0
    found = {alert["name"]: alert for alert in answer.json["alerts"]}
    spike = found["cron-spike"]
    assert set(spike) == {"name", "severity", "condition", "threshold", "would_fire", "reason", "total", "groups"}
    assert (spike["would_fire"], spike["threshold"]) == (True, 4)
    assert sum(group["count"] for group in spike["groups"]) == spike["total"] == 6
    assert (found["never"]["would_fire"], found["agent-stalled"]["would_fire"]) == (False, False)
    assert answer.json["would_fire"] == 1
    assert "WOULD FIRE  cron-spike (critical): ≥ 4 in 1h" in text.stdout
    assert "silent      never" in text.stdout


def test_without_the_alerting_plugin_the_alternative_is_said(world: World) -> None:
    world.alerts = {"alerts": [SPIKE]}
    world.write()
    if world.request("GET", "/_cat/plugins?format=json&h=component"):
        pytest.skip("this node has plugins")

    installed = world.run("alerts", "install", "--json")
    by_setup = world.run("setup", "--alerts")

    assert installed.code == by_setup.code == 1
    assert "impulse-audit.rules.yml" in installed.json["missing_plugin"]
    assert "no Alerting plugin" in by_setup.stdout


def test_alerts_show_needs_no_server_and_prints_the_rules_for_prometheus(world: World) -> None:
    world.alerts = yaml.safe_load((ROOT / "config" / "alerts.yml").read_text())
    world.write({"source.url": "mysql+pymysql://u@127.0.0.1:1/w", "opensearch.hosts": ["http://127.0.0.1:1"]})

    listed = world.run("alerts", "show", "--json")
    text = world.run("alerts", "show")
    rules = world.run("alerts", "show", "--prometheus")

    names = [alert["name"] for alert in world.alerts["alerts"]]
    assert [alert["name"] for alert in listed.json["alerts"]] == names
    assert all(name in text.stdout for name in names)
    assert rules.stdout == (ROOT / "alerts" / "impulse-audit.rules.yml").read_text()
    assert world.run("alerts", "show", "--prometheus", "--json").code == 2


def test_a_bad_alerts_file_names_line_key_and_what_was_meant(world: World) -> None:
    world.alerts = {"alerts": [SPIKE | {"treshold": 5}]}
    world.write()

    outcome = world.run("alerts", "show")

    assert outcome.code == 2
    assert "alerts.yml:" in outcome.stderr
    assert "did you mean «threshold»" in outcome.stderr
