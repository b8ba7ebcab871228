"""Every shipped alert on a real node: its query rendered by the server's mustache, its trigger run by its painless.

The plugin itself cannot be had here; these are the two halves of what it does with a monitor.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from agent.content.evaluate import LEAST_SHIFT_SECONDS, measured_shift
from agent.content.monitors import install_monitors, monitor
from tests.integration.alerting import ALERTS, Documents, acts, ago, declared, errors, evaluated, fires
from tests.integration.content_seed import Corner, document
from tests.least_privilege import administrators_cluster

pytestmark = pytest.mark.integration


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
    cluster = administrators_cluster(opensearch)
    try:
        made = [monitor(alert, audit_index="a", state_index="s", shift_seconds=60) for alert in ALERTS.values()]
        report = install_monitors(cluster, made)
    finally:
        cluster.close()
    assert "no Alerting plugin" in report.missing_plugin
    assert not report.ok
