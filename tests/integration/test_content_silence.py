"""What silence may not hide: a dead source, a stalled agent, part of an answer, a search that is refused."""

from __future__ import annotations

import datetime as dt

import pytest

from agent.content.evaluate import evaluate, measured_shift
from agent.content.monitors import monitor
from tests.integration.alerting import ALERTS, NOW, SHIFT, Documents, ago, declared, errors, evaluated, fires, triggered
from tests.integration.content_seed import LEDGER, Corner, document, state
from tests.least_privilege import administrators_cluster

pytestmark = pytest.mark.integration


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
        ([LEDGER, state(beat(1))], False),
        ([LEDGER], True),
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


@pytest.mark.parametrize("name", ALERTS)
def test_part_of_an_answer_is_an_error_and_neither_silence_nor_absence(corner: Corner, name: str) -> None:
    made = monitor(ALERTS[name], audit_index=corner.audit, state_index=corner.state, shift_seconds=SHIFT)
    whole = {"timed_out": False, "_shards": {"failed": 0}, "hits": {"total": {"value": 1}}}
    whole["aggregations"] = {"groups": {"buckets": []}, "stalled": {"doc_count": 0}}
    assert triggered(corner, made, whole) == "false"
    for lack in ({"timed_out": True}, {"_shards": {"failed": 1}}):
        with pytest.raises(AssertionError, match="the index answered in part: nobody can tell"):
            triggered(corner, made, whole | lack)


@pytest.mark.parametrize("routings", [("a",), tuple("abcdefghij")], ids=["by one shard", "by all"])
def test_a_search_that_the_node_refuses_is_told_and_keeps_no_other_alert_from_being_told(
    corner: Corner, opensearch: str, routings: tuple[str, ...]
) -> None:
    essay = {"properties": {"context": {"properties": {"essay": {"type": "text"}}}}}
    corner.node.call("PUT", f"/{corner.audit}/_mapping", body=essay)
    for routing in routings:
        documents = [document(ago(n), context={"exception": "E", "essay": "long"}) for n in range(1, 5)]
        corner.write(documents, routing=routing)
    by_text = declared(match={"severity": "error"}, group_by="context.essay", threshold=1)
    cluster = administrators_cluster(opensearch)
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
