"""Healthy and ready, from what steps reported."""

from __future__ import annotations

import pytest

from agent.observing.health import Health, State


@pytest.fixture
def health():
    return Health(stall_limit_seconds=300.0, started_at=1000.0)


def test_a_fresh_agent_is_healthy_and_not_ready(health):
    assert health.healthy(1001.0).ok
    assert health.ready(1001.0) == (False, "no step has finished yet")


def test_a_step_with_rows_is_shipping_and_one_without_is_idle_both_ready(health):
    health.step_succeeded(1001.0, shipped_rows=1)
    assert (health.condition.state, health.ready(1001.0)) == (State.SHIPPING, (True, "shipping"))
    health.step_succeeded(1002.0, shipped_rows=0)
    assert (health.condition.state, health.ready(1002.0)) == (State.IDLE, (True, "idle"))
    assert health.condition.last_success == 1002.0


def test_a_failing_step_is_degraded_healthy_and_not_ready_until_one_succeeds(health):
    health.step_succeeded(1001.0, shipped_rows=1)
    health.step_failed(1002.0, "cluster throttles")
    assert health.condition.state is State.DEGRADED
    assert health.condition.last_success == 1001.0
    assert health.healthy(1002.0).ok
    assert health.ready(1002.0) == (False, "degraded: cluster throttles")
    health.step_succeeded(1003.0, shipped_rows=0)
    assert health.ready(1003.0).ok
    assert health.condition.reason == ""


@pytest.mark.parametrize(("silent_seconds", "ok"), [(299.0, True), (300.0, True), (301.0, False)])
def test_an_agent_without_a_finished_step_for_the_stall_limit_is_neither(health, silent_seconds, ok):
    health.step_succeeded(1001.0, shipped_rows=1)
    assert health.healthy(1001.0 + silent_seconds).ok is ok
    assert health.ready(1001.0 + silent_seconds).ok is ok
    if not ok:
        assert health.ready(1001.0 + silent_seconds).reason == "stalled: no step has ended for 301 s"


def test_a_first_step_that_never_ends_makes_the_agent_unhealthy(health):
    assert health.healthy(1300.0).ok
    assert not health.healthy(1301.0).ok


def test_life_inside_a_long_job_keeps_the_agent_healthy_without_changing_the_state(health):
    health.step_failed(1001.0, "cluster away")
    health.progressed(1299.0)
    assert health.healthy(1500.0).ok
    assert health.condition.state is State.DEGRADED


def test_a_standby_is_healthy_and_not_ready(health):
    health.stood_by(1001.0, "lease held by other-host")
    assert health.condition.state is State.STANDBY
    assert health.healthy(1001.0).ok
    assert health.ready(1001.0) == (False, "standby: lease held by other-host")


def test_a_paused_agent_is_idle_healthy_and_not_ready(health):
    health.step_succeeded(1001.0, shipped_rows=1)
    health.paused(1002.0, "tail paused by ana: upgrade")
    assert health.condition.state is State.IDLE
    assert health.healthy(1002.0).ok
    assert health.ready(1002.0) == (False, "tail paused by ana: upgrade")
    health.step_succeeded(1003.0, shipped_rows=0)
    assert health.ready(1003.0).ok


def test_a_stopped_agent_is_neither(health):
    health.step_succeeded(1001.0, shipped_rows=1)
    health.stopped(1002.0, "signal 15")
    assert health.healthy(1002.0) == (False, "stopped: signal 15")
    assert not health.ready(1002.0).ok
