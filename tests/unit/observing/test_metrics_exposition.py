"""The metrics: names to the letter, bounded labels, and clean by Prometheus' own check."""

from __future__ import annotations

import math
import re
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.observing.metrics import CONTENT_TYPE, Metrics

DESIGNED = {
    "lag_seconds": ("gauge", set()),
    "backlog_rows": ("gauge", set()),
    "watermark": ("gauge", set()),
    "frontier": ("gauge", set()),
    "rows_read_total": ("counter", set()),
    "documents_indexed_total": ("counter", set()),
    "documents_overflowed_total": ("counter", {"reason"}),
    "dead_letters_total": ("counter", {"reason"}),
    "gaps_open": ("gauge", set()),
    "gap_ids_skipped_total": ("counter", set()),
    "bulk_seconds": ("histogram", set()),
    "bulk_retries_total": ("counter", {"reason"}),
    "retention_deleted_total": ("counter", {"side", "rule"}),
    "verify_drift": ("gauge", {"kind"}),
    "evidence": ("gauge", {"evidence", "reason"}),
    "lease_held": ("gauge", set()),
    "last_success_timestamp_seconds": ("gauge", set()),
    "events_total": ("counter", {"module_slug", "severity", "source"}),
    "build_info": ("gauge", {"version", "audit_instance"}),
}


def used(**options) -> Metrics:
    """Return metrics in which every family has been used once."""
    metrics = Metrics(instance="whmcs", version="1.0.0", **options)
    metrics.observe_step(
        rows_read=7,
        indexed=5,
        finished_at=1_800_000_000.5,
        overflowed={"conflict": 2},
        dead_letters={"size": 1},
        ids_skipped=3,
    )
    metrics.observe_position(watermark=10, frontier=12, gaps_open=1)
    metrics.observe_lag(lag_seconds=0.5, backlog_rows=4)
    metrics.observe_bulk(0.3)
    metrics.bulk_retried("throttled")
    metrics.event("impulseminio", "error", "cron", 3)
    metrics.retention_deleted(side="rows", rule="default", n=100)
    metrics.observe_drift(missing=1, orphan=2, different=3)
    metrics.observe_lease(held=True)
    metrics.observe_evidence("metadata_locks", "exact")
    return metrics


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name.removeprefix("audit_agent_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[(name, frozenset(labels.items()))]


def test_the_metrics_are_the_designed_ones_with_their_labels_and_no_other():
    types = dict(re.findall(r"# TYPE audit_agent_(\S+) (\S+)", used().render().decode()))
    labels: dict[str, set[str]] = {}
    for name, pairs in samples(used()):
        family = re.sub(r"_(bucket|count|sum)$", "", name) if name.startswith("bulk_seconds") else name
        labels.setdefault(family, set()).update({key for key, _ in pairs} - {"le"})
    assert {name: (types[name], labels[name]) for name in types} == DESIGNED


def test_every_line_carries_the_prefix_and_no_created_series_exists():
    text = used().render().decode()
    assert "_created" not in text
    assert all(line.startswith(("#", "audit_agent_")) for line in text.splitlines())


def test_steps_add_up_and_positions_replace():
    metrics = used()
    metrics.observe_step(rows_read=3, indexed=3, finished_at=1_800_000_001.0, dead_letters={"size": 1, "depth": 2})
    metrics.observe_position(watermark=15, frontier=15, gaps_open=0)
    assert value(metrics, "rows_read_total") == 10
    assert value(metrics, "documents_indexed_total") == 8
    assert value(metrics, "documents_overflowed_total", reason="conflict") == 2
    assert value(metrics, "dead_letters_total", reason="size") == 2
    assert value(metrics, "dead_letters_total", reason="depth") == 2
    assert value(metrics, "gap_ids_skipped_total") == 3
    assert (value(metrics, "watermark"), value(metrics, "frontier"), value(metrics, "gaps_open")) == (15, 15, 0)
    assert value(metrics, "last_success_timestamp_seconds") == 1_800_000_001.0


def test_the_other_numbers_are_what_was_reported():
    metrics = used()
    assert value(metrics, "lag_seconds") == 0.5
    assert value(metrics, "backlog_rows") == 4
    assert value(metrics, "bulk_seconds_count") == 1
    assert value(metrics, "bulk_seconds_sum") == 0.3
    assert value(metrics, "bulk_seconds_bucket", le="0.25") == 0
    assert value(metrics, "bulk_seconds_bucket", le="0.5") == 1
    assert value(metrics, "bulk_retries_total", reason="throttled") == 1
    assert value(metrics, "events_total", module_slug="impulseminio", severity="error", source="cron") == 3
    assert value(metrics, "retention_deleted_total", side="rows", rule="default") == 100
    assert [value(metrics, "verify_drift", kind=kind) for kind in ("missing", "orphan", "different")] == [1, 2, 3]
    assert value(metrics, "lease_held") == 1
    metrics.observe_lease(held=False)
    assert value(metrics, "lease_held") == 0
    metrics.observe_evidence("grace", "metadata_locks was lost")
    assert value(metrics, "evidence", evidence="grace", reason="metadata_locks was lost") == 1
    assert b"exact" not in metrics.render()
    assert value(metrics, "build_info", version="1.0.0", audit_instance="whmcs") == 1


def test_lag_that_was_never_or_can_no_longer_be_measured_is_not_zero():
    metrics = Metrics(instance="whmcs", version="1.0.0")
    assert math.isnan(value(metrics, "lag_seconds"))
    assert math.isnan(value(metrics, "backlog_rows"))
    metrics.observe_lag(lag_seconds=0.0, backlog_rows=0)
    assert value(metrics, "lag_seconds") == 0.0
    metrics.observe_lag(lag_seconds=None, backlog_rows=None)
    assert math.isnan(value(metrics, "lag_seconds"))


@pytest.mark.parametrize("sets", [9, 10, 11, 500])
def test_event_labels_are_bounded_and_nothing_is_left_uncounted(sets):
    metrics = Metrics(instance="whmcs", version="1.0.0", most_event_series=10)
    for number in range(sets):
        metrics.event(f"module-{number}", "error", "cron")
        metrics.event("module-0", "error", "cron")
    counted = {labels: n for (name, labels), n in samples(metrics).items() if name == "events_total"}
    assert len(counted) == min(sets, 11)
    assert sum(counted.values()) == 2 * sets
    assert value(metrics, "events_total", module_slug="module-0", severity="error", source="cron") == sets + 1


def test_beyond_the_bound_severity_and_source_are_bounded_too():
    metrics = Metrics(instance="whmcs", version="1.0.0", most_event_series=1)
    metrics.event("a", "info", "admin")
    for number in range(300):
        metrics.event(f"m{number}", f"severity{number}", f"source{number}")
        metrics.event(f"m{number}", "error", "cron")
    assert value(metrics, "events_total", module_slug="other", severity="other", source="other") == 300
    assert value(metrics, "events_total", module_slug="other", severity="error", source="cron") == 300


def test_reasons_and_rules_are_bounded():
    metrics = Metrics(instance="whmcs", version="1.0.0")
    for number in range(500):
        metrics.bulk_retried(f"reason {number}")
        metrics.retention_deleted(side="rows", rule=f"rule {number}", n=1)
    assert len([key for key in samples(metrics) if key[0] == "bulk_retries_total"]) == 51
    assert len([key for key in samples(metrics) if key[0] == "retention_deleted_total"]) == 51


def test_a_missing_module_is_an_empty_label():
    metrics = Metrics(instance="whmcs", version="1.0.0")
    metrics.event(None, None, None)
    assert value(metrics, "events_total", module_slug="", severity="", source="") == 1


def test_hostile_labels_forge_no_sample_and_break_no_scrape():
    metrics = Metrics(instance='w"h\n', version="1.0.0")
    metrics.event('x"} 1\naudit_agent_forged 1\n', "er\ud800ror", "c" * 10_000)
    text = metrics.render().decode()
    assert not [line for line in text.splitlines() if line.startswith("audit_agent_forged")]
    assert len(text) < 10_000
    list(text_string_to_metric_families(text))


def test_two_agents_in_one_process_do_not_share_numbers():
    first, second = used(), Metrics(instance="other", version="1.0.0")
    assert value(first, "rows_read_total") == 7
    assert value(second, "rows_read_total") == 0


def test_the_content_type_is_prometheus_text():
    assert CONTENT_TYPE.startswith("text/plain; version=")


def test_promtool_finds_nothing_to_complain_about():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian package prometheus) is not installed")
    for metrics in (Metrics(instance="whmcs", version="1.0.0"), used()):
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=metrics.render(), capture_output=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
