"""An answer says how fresh it is, and warns of every reason why rows may be missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.searching.freshness import Freshness, freshness

NOW = datetime(2026, 11, 23, 21, 4, 5, tzinfo=UTC)
REACHED = "2026-11-23T21:04:00.000Z"


def judged(*, beat_seconds_ago: float = 1, **members: Any) -> Freshness:
    heartbeat = (NOW - timedelta(seconds=beat_seconds_ago)).isoformat().replace("+00:00", "Z")
    stored = {"watermark": 900, "frontier": 900, "state": "idle", "lag_seconds": 0.4, "heartbeat": heartbeat, **members}
    return freshness(stored, instance="whmcs", now=NOW, poll_seconds=1, watermark_time=REACHED)


def test_a_shipping_agent_is_not_behind() -> None:
    fresh = judged(state="shipping")
    assert (fresh.behind, fresh.warning, fresh.state) == (False, None, "shipping")
    assert fresh.described().keys() >= {"watermark", "lag_seconds", "heartbeat", "state", "behind", "warning"}
    assert fresh.line() == f"watermark 900 ({REACHED}), lag 0.4 s"


@pytest.mark.parametrize(("lag", "behind"), [(60.0, False), (60.1, True)])
def test_an_agent_a_minute_late_is_behind(lag: float, behind: bool) -> None:
    fresh = judged(lag_seconds=lag, backlog_rows=12)
    assert fresh.behind is behind
    assert fresh.warning == ("the index is 60 s behind the table, 12 rows are not indexed yet" if behind else None)


@pytest.mark.parametrize(("silent", "state"), [(30, "idle"), (31, "stopped")])
def test_a_silent_agent_is_stopped(silent: float, state: str) -> None:
    fresh = judged(beat_seconds_ago=silent)
    assert fresh.state == state
    assert fresh.behind is (state == "stopped")


def test_a_stopped_agent_s_lag_is_unknown() -> None:
    fresh = judged(state="stopped", reason="sync has ended")
    assert fresh.lag_seconds is None
    assert "stopped (sync has ended): rows written after" in str(fresh.warning)


@pytest.mark.parametrize(("seconds_ago", "lag"), [(60, 0.4), (61, None)])
def test_a_lag_that_nobody_can_measure_any_more_is_unknown(seconds_ago: float, lag: float | None) -> None:
    measured = (NOW - timedelta(seconds=seconds_ago)).isoformat()
    fresh = judged(state="degraded", reason="the database is unreachable", lag_measured_at=measured)
    assert (fresh.lag_seconds, fresh.behind) == (lag, True)


def test_a_hindered_and_a_paused_agent_are_behind() -> None:
    assert "hindered (OpenSearch blocks writing)" in str(
        judged(state="degraded", reason="OpenSearch blocks writing").warning
    )
    paused = judged(paused={"tail": {"who": "ada", "since": "noon", "why": "\x1b[2Jupgrade"}}).warning
    assert "the tail is paused" in str(paused)
    assert "\x1b" not in str(paused)


def test_an_instance_without_a_state_was_never_shipped() -> None:
    fresh = freshness({}, instance="whmcs", now=NOW, poll_seconds=1, watermark_time=None)
    assert (fresh.behind, fresh.watermark, fresh.warning) == (True, 0, "no agent has ever shipped for this instance")
