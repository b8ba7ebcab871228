"""Every shipped alert on a real node: its query rendered by the server's mustache, its trigger run by its painless.

The plugin itself cannot be had here; these are the two halves of what it does with a monitor.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.config.alerts import AlertRule, AlertSettings
from agent.config.connections import OpenSearchSettings
from agent.config.loading import load_alerts
from agent.content.evaluate import LEAST_SHIFT_SECONDS, evaluate, measured_shift
from agent.content.monitors import install_monitors, monitor
from agent.opensearch.client import open_cluster
from tests.integration.content_seed import Corner, document, state

pytestmark = pytest.mark.integration

NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
SHIFT = 60
ALERTS = {alert.name: alert for alert in load_alerts(Path(__file__).parents[2] / "config" / "alerts.yml", {}).alerts}
Documents = list[dict[str, Any]]


@pytest.fixture(scope="module")
def shared(opensearch: str) -> Iterator[Corner]:
    made = Corner(opensearch)
    yield made
    made.remove()


@pytest.fixture
def corner(shared: Corner) -> Corner:
    shared.clear()
    return shared


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


def setting(before: Any, after: Any, key: str = "audit_retention_days") -> Documents:
    context = {"key": key, "before": before, "after": after}
    return acts(1, "settings.updated", context=context, source="admin", admin_id=5)


CASES: list[tuple[str, Documents, Documents]] = [
    ("cron-error-spike", errors(4), errors(3)),
    ("cron-error-spike", errors(4), errors(3, "E") + errors(3, "F") + errors(3, "E", module_slug="impulsecore")),
    ("cron-error-spike", errors(4), errors(9, source="admin") + errors(9, severity="warn")),
    ("exception-first-ever", errors(1), [*errors(1), document(ago(hours=9), context={"exception": "E"})]),
    (
        "exception-first-ever",
        [*errors(1, "F"), document(ago(hours=9), context={"exception": "E"})],
        [*errors(5), document(ago(hours=24 * 80), context={"exception": "E"})],
    ),
    ("provisioning-held", acts(1, "provisioning_held", severity="warn"), acts(9, "server.provisioned")),
    ("patch-failed", acts(1, "patch.failed", context={"server_id": 42}), acts(9, "patch.succeeded")),
    ("patch-failed", acts(1, "rollback.triggered"), acts(9, "patch.scheduled")),
    ("licence-failing", acts(1, "license.verify_failed", source="system"), acts(9, "license.verified")),
    ("licence-failing", acts(1, "license.expired"), acts(9, "license.reactivated")),
    (
        "mass-termination",
        acts(10, "service.terminated", source="admin", admin_id=5),
        acts(9, "service.terminated", source="admin", admin_id=5)
        + acts(9, "service.destroyed", source="admin", admin_id=6),
    ),
    (
        "key-rotations",
        acts(5, "access_key.rotated", client_id=1),
        acts(4, "access_key.rotated", client_id=1) + acts(4, "access_key.rotated", client_id=2),
    ),
    ("retention-lowered", setting("90", 89), setting("90", 90)),
    ("retention-lowered", setting(90, 0), setting(90, 365)),
    ("retention-lowered", setting(90, "for ever"), setting(90, 30, key="alert_email")),
]


@pytest.mark.parametrize(("name", "firing", "silent"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_a_shipped_alert_fires_at_its_condition_and_is_silent_beside_it(
    corner: Corner, name: str, firing: Documents, silent: Documents
) -> None:
    assert not fires(corner, ALERTS[name])
    corner.write(silent)
    assert not fires(corner, ALERTS[name])
    corner.clear()
    corner.write(firing)
    assert fires(corner, ALERTS[name])


def test_every_shipped_alert_is_tried_here() -> None:
    assert set(ALERTS) == {name for name, _, _ in CASES} | {"security-collect-absent", "agent-stalled"}


def test_a_window_ends_a_lag_before_now_and_holds_its_first_instant(corner: Corner) -> None:
    held = ALERTS["provisioning-held"]
    for at, expected in [
        (ago(0), False),
        (ago(0.001), True),
        (ago(minutes=15), True),
        (ago(0.001, minutes=15), False),
    ]:
        corner.clear()
        corner.write([document(at, "provisioning_held")])
        assert fires(corner, held) is expected, at


@pytest.mark.parametrize(("hours", "expected"), [(0, False), (25.99, False), (26.01, True)])
def test_the_dead_mans_switch_fires_after_26_hours(corner: Corner, hours: float, expected: bool) -> None:
    corner.write([document(ago(hours=hours), "security_collect.run", severity="info"), *errors(2)])
    assert fires(corner, ALERTS["security-collect-absent"]) is expected


def test_the_dead_mans_switch_fires_on_an_empty_index(corner: Corner) -> None:
    assert fires(corner, ALERTS["security-collect-absent"])


def test_rows_of_one_instance_do_not_hide_that_another_s_have_stopped(corner: Corner) -> None:
    switch = ALERTS["security-collect-absent"]
    corner.write([document(ago(hours=1), "security_collect.run", instance=name) for name in ("whmcs", "second")])
    assert not fires(corner, switch)
    corner.clear()
    corner.write([document(ago(hours=1), "security_collect.run"), document(ago(hours=2), "x", instance="second")])
    assert fires(corner, switch)
    [told] = evaluated(corner, [switch])
    assert told.reason == "no such row of second"
    corner.clear()
    corner.write([document(ago(hours=1), "security_collect.run"), document(ago(hours=24 * 8), "x", instance="second")])
    assert not fires(corner, switch), "who has written nothing at all for a week is no longer missed"


def beat(seconds: float) -> dt.datetime:
    return NOW - dt.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([state(beat(1))], False),
        ([state(beat(599))], False),
        ([state(beat(600))], True),
        ([state(beat(1), 599.9)], False),
        ([state(beat(1), 600)], True),
        ([state(beat(1), measured=beat(599))], False),
        ([state(beat(1), measured=beat(600))], True),
        ([state(None)], True),
        ([], True),
        ([state(beat(1)), state(beat(3600), instance="second")], True),
        ([state(beat(1), instance=f"i{n}") for n in range(60)], False),
        ([state(beat(3600 if n == 59 else 1), instance=f"i{n}") for n in range(60)], True),
    ],
)
def test_a_stalled_agent_is_noticed(corner: Corner, states: Documents, expected: bool) -> None:
    if states:
        corner.write(states, index=corner.state)
    assert fires(corner, ALERTS["agent-stalled"]) is expected


def test_the_stalled_agent_fires_while_every_other_alert_is_silent(corner: Corner) -> None:
    corner.write([document(ago(hours=1), "security_collect.run", severity="info")])
    corner.write([state(beat(700))], index=corner.state)
    assert [name for name, alert in ALERTS.items() if fires(corner, alert)] == ["agent-stalled"]


@pytest.mark.parametrize("groups", [60, 600])
def test_one_group_among_many_is_found_and_many_below_stay_silent(corner: Corner, groups: int) -> None:
    spike = ALERTS["cron-error-spike"]
    below = [found for n in range(groups) for found in errors(3, f"E{n}")]
    corner.write(below)
    assert not fires(corner, spike)
    corner.write(errors(1, f"E{groups - 1}"))
    assert fires(corner, spike)


@pytest.mark.parametrize("groups", [60, 600])
def test_a_new_exception_among_many_known_ones_is_found(corner: Corner, groups: int) -> None:
    first = ALERTS["exception-first-ever"]
    known = [document(ago(hours=2), context={"exception": f"E{n}"}) for n in range(groups)]
    corner.write(known + [found for n in range(groups) for found in errors(1, f"E{n}")])
    assert not fires(corner, first)
    corner.write(errors(1, "NEW"))
    assert fires(corner, first)


@pytest.mark.parametrize("groups", [1, 60, 600])
def test_a_factor_compares_each_group_with_its_own_baseline(corner: Corner, groups: int) -> None:
    alert = declared(
        match={"severity": "error"}, group_by="context.exception", over="1h", factor=3, baseline="1d", threshold=6
    )
    usual = [document(ago(hours=2 + n % 20), context={"exception": f"E{i}"}) for i in range(groups) for n in range(48)]
    corner.write(usual)
    for i in range(groups):
        corner.write(errors(5, f"E{i}")) if i < 3 else None
    assert not fires(corner, alert)
    corner.write(errors(1, "E0"))
    assert fires(corner, alert), "6 is 3 times the usual 2 an hour"


@pytest.mark.parametrize("name", ALERTS)
def test_part_of_an_answer_is_an_error_and_neither_silence_nor_absence(corner: Corner, name: str) -> None:
    made = monitor(ALERTS[name], audit_index=corner.audit, state_index=corner.state, shift_seconds=SHIFT)
    whole = {"timed_out": False, "_shards": {"failed": 0}, "hits": {"total": {"value": 1}}}
    whole["aggregations"] = {"groups": {"buckets": []}, "stalled": {"doc_count": 0}}
    assert triggered(corner, made, whole) == "false"
    for lack in ({"timed_out": True}, {"_shards": {"failed": 1}}):
        with pytest.raises(AssertionError, match="the index answered in part: nobody can tell"):
            triggered(corner, made, whole | lack)


def test_a_search_that_the_node_refuses_is_told_and_keeps_no_other_alert_from_being_told(
    corner: Corner, opensearch: str
) -> None:
    essay = {"properties": {"context": {"properties": {"essay": {"type": "text"}}}}}
    corner.node.call("PUT", f"/{corner.audit}/_mapping", body=essay)
    corner.write([document(ago(n), context={"exception": "E", "essay": "long"}) for n in range(1, 5)])
    by_text = declared(match={"severity": "error"}, group_by="context.essay", threshold=1)
    cluster = open_cluster(OpenSearchSettings.model_validate({"hosts": [opensearch]}))
    names = {"audit_index": corner.audit, "state_index": corner.state}
    try:
        now = int(NOW.timestamp() * 1000)
        told = evaluate(cluster, [by_text, ALERTS["cron-error-spike"]], **names, now_ms=now, shift_seconds=SHIFT)
    finally:
        cluster.close()
    refused, spike = told
    assert "essay" in refused.error
    assert refused.would_fire, "so does its monitor, as an error"
    assert (spike.would_fire, spike.error) == (True, "")


def test_a_group_without_a_value_and_an_unmapped_field_count_too(corner: Corner) -> None:
    alert = declared(match={"severity": "error"}, group_by="context.exception, context.never_mapped", threshold=2)
    corner.write([document(ago(1)), document(ago(2))])
    assert fires(corner, alert)
    [told] = evaluated(corner, [alert])
    assert [(group.name, group.count, group.fires) for group in told.groups] == [("- · -", 2, True)]


def test_alerts_test_shows_groups_below_the_threshold_too(corner: Corner) -> None:
    corner.write(errors(3, "E") + errors(1, "F"))
    [told] = evaluated(corner, [ALERTS["cron-error-spike"]])
    assert told.condition == "≥ 4 in 1h"
    assert not told.would_fire
    assert told.total == 4
    assert [(group.name, group.count) for group in told.groups] == [
        ("impulseminio · cron.task_failed · E", 3),
        ("impulseminio · cron.task_failed · F", 1),
    ]


def test_before_the_first_index_exists_only_absence_and_a_missing_agent_fire(corner: Corner) -> None:
    found = evaluate(
        corner.node,
        ALERTS.values(),
        audit_index="content-test-none",
        state_index="content-test-none",
        now_ms=int(NOW.timestamp() * 1000),
        shift_seconds=measured_shift(corner.node, audit_index="content-test-none"),
    )
    assert [told.name for told in found if told.would_fire] == ["security-collect-absent", "agent-stalled"]


@pytest.mark.parametrize(("delay", "shift"), [(2, LEAST_SHIFT_SECONDS), (61, 120), (130, 180), (90_000, 3600)])
def test_the_shift_is_what_rows_needed_to_arrive(corner: Corner, delay: int, shift: int) -> None:
    assert measured_shift(corner.node, audit_index=corner.audit) == LEAST_SHIFT_SECONDS
    at = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    indexed = {"indexed_at": (at + dt.timedelta(seconds=delay)).isoformat()}
    row = document(at)
    row["agent"] |= indexed
    corner.write([row])
    assert measured_shift(corner.node, audit_index=corner.audit) == shift


def test_a_real_node_without_the_plugin_is_recognised(opensearch: str) -> None:
    cluster = open_cluster(OpenSearchSettings.model_validate({"hosts": [opensearch]}))
    try:
        made = [monitor(alert, audit_index="a", state_index="s", shift_seconds=60) for alert in ALERTS.values()]
        report = install_monitors(cluster, made)
    finally:
        cluster.close()
    assert "no Alerting plugin" in report.missing_plugin
    assert not report.ok


def _buckets(tree: Any) -> list[list[Any]]:
    if not isinstance(tree, dict):
        return []
    own = [tree["buckets"]] if isinstance(tree.get("buckets"), list) else []
    return own + [found for value in tree.values() for found in _buckets(value)]
