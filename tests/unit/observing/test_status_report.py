"""What `status` says about a state document."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from agent.observing.status import LiveFacts, line, report
from tests.fakes.node import Reply, stub_node

NOW = datetime(2026, 11, 23, 21, 4, 5, tzinfo=UTC)
KEYS = [
    "instance",
    "watermark",
    "frontier",
    "open_gaps",
    "gap_ids",
    "lag_seconds",
    "backlog_rows",
    "indexed_total",
    "dead_letters",
    "skipped_total",
    "evidence",
    "evidence_reason",
    "lease",
    "lease_since",
    "state",
    "reason",
    "heartbeat",
]


def document(*, age_seconds=1.0, **changes):
    return {
        "format_version": 1,
        "instance": "whmcs",
        "watermark": 184467,
        "frontier": 184480,
        "gaps": [{"seen_at": 1.0, "alive": None, "ranges": "…"}],
        "watch": [],
        "open_gaps": 2,
        "gap_ids": 13,
        "skipped_total": 4,
        "lag_seconds": 0.4,
        "backlog_rows": 13,
        "indexed_total": 184000,
        "dead_letters": 1,
        "evidence": "metadata_locks",
        "evidence_reason": "the instrument is on",
        "lease": "node-1:77",
        "lease_since": "2026-11-23T20:00:00Z",
        "state": "shipping",
        "reason": "",
        "heartbeat": (NOW - timedelta(seconds=age_seconds)).isoformat(),
        "paused": {"tail": None, "retention": None},
        "source": {"server_uuid": "u-u-i-d", "url": "mysql://agent:hunter2@db"},
        "agent": {"version": "1.0.0"},
    } | changes


def told(found, *, live=None, poll_seconds=1.0):
    return report(found, instance="whmcs", now=NOW, poll_seconds=poll_seconds, live=live)


def test_the_keys_are_exactly_the_promised_ones():
    assert list(told(document())) == KEYS
    assert list(told(None)) == KEYS
    assert list(told(document(age_seconds=9999))) == KEYS


def test_a_running_agent_is_told_as_it_told_itself():
    answer = told(document())
    assert (answer["state"], answer["reason"], answer["lag_seconds"], answer["backlog_rows"]) == (
        "shipping",
        "",
        0.4,
        13,
    )
    assert (answer["watermark"], answer["frontier"], answer["open_gaps"], answer["gap_ids"]) == (184467, 184480, 2, 13)
    assert (answer["indexed_total"], answer["dead_letters"], answer["skipped_total"]) == (184000, 1, 4)
    assert (answer["evidence"], answer["evidence_reason"]) == ("metadata_locks", "the instrument is on")
    assert (answer["lease"], answer["lease_since"]) == ("node-1:77", "2026-11-23T20:00:00Z")


def test_nothing_but_the_known_members_comes_out():
    everything = json.dumps(told(document())) + line(told(document()))
    assert "hunter2" not in everything
    assert "u-u-i-d" not in everything


def test_live_measurements_replace_what_was_told():
    answer = told(document(), live=LiveFacts(lag_seconds=9.0, backlog_rows=0, dead_letters=0))
    assert (answer["lag_seconds"], answer["backlog_rows"], answer["dead_letters"]) == (9.0, 0, 0)


@pytest.mark.parametrize(
    ("poll_seconds", "age_seconds", "state"),
    [
        (1.0, 29.0, "shipping"),
        (1.0, 30.0, "shipping"),
        (1.0, 31.0, "stopped"),
        (60.0, 180.0, "shipping"),
        (60.0, 181.0, "stopped"),
    ],
)
def test_a_heartbeat_too_old_means_stopped(poll_seconds, age_seconds, state):
    answer = told(document(age_seconds=age_seconds), poll_seconds=poll_seconds)
    assert answer["state"] == state
    if state == "stopped":
        assert answer["reason"] == f"agent not running since {answer['heartbeat']}"


def test_a_stopped_agents_old_lag_is_not_repeated_as_if_it_were_true():
    answer = told(document(age_seconds=3600))
    assert (answer["lag_seconds"], answer["backlog_rows"]) == (None, None)
    measured = told(document(age_seconds=3600), live=LiveFacts(lag_seconds=3600.0, backlog_rows=500))
    assert (measured["lag_seconds"], measured["backlog_rows"]) == (3600.0, 500)


def test_an_agent_that_stopped_on_purpose_keeps_its_own_reason():
    answer = told(document(age_seconds=3600, state="stopped", reason="signal 15"))
    assert (answer["state"], answer["reason"]) == ("stopped", "signal 15")


def test_a_heartbeat_from_a_clock_ahead_is_alive():
    assert told(document(age_seconds=-5))["state"] == "shipping"


@pytest.mark.parametrize("heartbeat", [None, "", "nonsense", 17])
def test_a_missing_or_unreadable_heartbeat_is_no_sign_of_life(heartbeat):
    assert told(document(heartbeat=heartbeat))["state"] == "stopped"


def test_an_instance_that_never_ran_says_so():
    answer = told(None)
    assert (answer["state"], answer["reason"]) == ("stopped", "no state yet: this instance has never run")
    assert (answer["watermark"], answer["lag_seconds"]) == (0, None)


def test_pauses_are_told_with_who_and_why():
    pause = {"who": "ana", "why": "upgrade", "since": "2026-11-23T20:00:00Z"}
    answer = told(document(paused={"tail": pause, "retention": pause}, state="idle"))
    assert answer["reason"] == (
        "tail paused by ana since 2026-11-23T20:00:00Z: upgrade; "
        "retention paused by ana since 2026-11-23T20:00:00Z: upgrade"
    )


def test_the_line_for_a_person_is_one_line():
    assert line(told(document())) == (
        "whmcs shipping · lag 0.4 s · backlog 13 rows · watermark 184467 · 2 open gaps (13 ids) · 1 dead letter"
        " · evidence metadata_locks"
    )
    assert line(told(document(age_seconds=3600, open_gaps=0, gap_ids=0, dead_letters=0))).startswith(
        "whmcs stopped: agent not running since 2026-11-23T20:04:05+00:00 · lag unknown · backlog unknown"
    )
    assert "\n" not in line(told(document(reason="a\nb", state="degraded")))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(119.0, "119.0 s"), (120.0, "2.0 min"), (7199.0, "120.0 min"), (7200.0, "2.0 h"), (172800.0, "2.0 d")],
)
def test_lag_is_shown_in_a_unit_a_person_can_weigh(seconds, shown):
    assert f"lag {shown}" in line(told(document(lag_seconds=seconds)))


def test_an_agent_that_holds_the_lease_and_cannot_write_is_not_called_stopped():
    told = LiveFacts(unheard="impulse-agent-state is blocked (index.blocks.read_only_allow_delete)")
    answer = report(document(age_seconds=300), instance="whmcs", now=NOW, poll_seconds=1, live=told)
    assert answer["state"] == "degraded"
    assert "impulse-agent-state is blocked" in answer["reason"]
    assert "not running" not in answer["reason"]


@pytest.mark.parametrize("changes", [{"age_seconds": 5}, {"age_seconds": 300, "state": "stopped", "reason": "told to"}])
def test_an_agent_that_is_heard_or_has_ended_is_not_called_unheard(changes):
    answer = report(document(**changes), instance="whmcs", now=NOW, poll_seconds=1, live=LiveFacts(unheard="blocked"))
    assert "blocked" not in answer["reason"]
    assert answer["state"] == changes.get("state", "shipping")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_database_that_does_not_answer_is_named_and_the_rest_is_told_all_the_same(tmp_path, options):
    config = tmp_path / "agent.yml"
    nothing = Reply(status=404, body=b'{"_index":"impulse-agent-state","_id":"whmcs","found":false}')
    with stub_node(lambda request: Reply(body=b'{"count":0}') if "_count" in request.path else nothing) as node:
        config.write_text(
            'source: {url: "mysql+pymysql://u:a-Password-1@127.0.0.1:1/whmcs"}\n'
            f"opensearch: {{hosts: ['{node.url}']}}\n"
        )
        command = [sys.executable, "-m", "agent", "-c", str(config), "status", *options]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0
    assert "never run" in told.stdout
    (warning,) = told.stderr.splitlines()
    assert warning.startswith("warning: lag and backlog are not measured: MySQL is unreachable at ")
    assert "remedy: " in warning
    assert "a-Password-1" not in warning
    if options:
        answer = json.loads(told.stdout)
        assert (answer["lag_seconds"], answer["backlog_rows"]) == (None, None)
