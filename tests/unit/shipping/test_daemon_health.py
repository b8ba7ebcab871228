"""What `/metrics`, `/healthz` and `/readyz` say of a daemon in every state: the truth, or that nobody knows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.errors import TemporaryError
from agent.observing.systemd import Systemd
from tests.fakes.opensearch import no_fault
from tests.unit.shipping.daemon import Running
from tests.unit.shipping.test_daemon_log import unreachable


def away(effect: str) -> None:
    raise TemporaryError(f"{effect}: no answer", where="http://127.0.0.1:9200", kind="unreachable")


def metric(running: Running, name: str) -> float:
    families = text_string_to_metric_families(running.shipping.reporting.metrics.render().decode())
    (value,) = [sample.value for family in families for sample in family.samples if sample.name == name]
    return float(value)


def lag(running: Running) -> tuple[float, float]:
    return metric(running, "audit_agent_lag_seconds"), metric(running, "audit_agent_backlog_rows")


def probes(running: Running) -> tuple[bool, bool, str]:
    """Return whether it is healthy, whether it is ready, and why not."""
    health, now = running.shipping.reporting.health, running.clock.now
    return health.healthy(now).ok, health.ready(now).ok, health.ready(now).reason


@pytest.fixture
def settled(running: Running) -> Running:
    running.source.add(500)
    running.run_for(30)
    return running


def test_before_the_first_step_it_lives_is_not_ready_and_claims_nothing(running: Running) -> None:
    assert probes(running) == (True, False, "no step has finished yet")
    assert all(map(math.isnan, lag(running)))


def test_caught_up_it_is_ready_and_nothing_is_behind(settled: Running) -> None:
    assert probes(settled) == (True, True, "idle")
    assert lag(settled) == (0, 0)
    assert metric(settled, "audit_agent_lease_held") == 1


@pytest.mark.parametrize("seconds", [60, 3600])
def test_without_the_database_nobody_knows_the_lag(settled: Running, seconds: float) -> None:
    settled.source.go(unreachable)
    settled.run_for(seconds)
    healthy, ready, why = probes(settled)
    assert (healthy, ready) == (True, False)
    assert why.startswith("degraded: the database does not answer")
    assert all(map(math.isnan, lag(settled)))
    assert settled.app.state.members["lag_seconds"] is None
    assert settled.app.state.members["state"] == "degraded"

    settled.source.away = None
    settled.run_for(120)
    assert probes(settled) == (True, True, "idle")
    assert lag(settled) == (0, 0)


def test_without_the_cluster_the_backlog_is_measured_all_the_same(settled: Running) -> None:
    settled.cluster.fault = away
    settled.source.add(40)
    settled.run_for(60)
    settled.source.add(2)
    settled.run_for(600)
    assert probes(settled)[:2] == (True, False)
    assert metric(settled, "audit_agent_backlog_rows") == 42

    settled.cluster.fault = no_fault
    settled.run_for(120)
    assert lag(settled) == (0, 0)


@pytest.mark.parametrize("led_before", [False, True])
def test_a_standby_lives_is_not_ready_and_does_not_repeat_what_it_measured_before(
    running: Running, led_before: bool
) -> None:
    running.source.add(500)
    if led_before:
        running.run_for(30)
        running.source.restarts += 1  # the session that held the lease is gone, and somebody else was faster
    running.source.free = False
    running.run_for(60)
    assert probes(running) == (True, False, "standby: another agent ships for this instance")
    assert metric(running, "audit_agent_lease_held") == 0
    assert all(map(math.isnan, lag(running)))


def test_a_paused_tail_lives_is_not_ready_and_says_who_and_why(settled: Running) -> None:
    settled.app.state.update(lambda _: {"paused": {"tail": {"who": "anna", "why": "maintenance", "since": "now"}}})
    settled.run_for(30)
    settled.source.add(7)
    settled.run_for(30)
    assert probes(settled) == (True, False, "tail paused by anna: maintenance")
    assert metric(settled, "audit_agent_backlog_rows") == 7


def test_a_step_that_never_ends_is_seen_from_outside(settled: Running) -> None:
    settled.clock.now += 301  # the loop is stuck in a step: nobody beats
    healthy, ready, why = probes(settled)
    assert (healthy, ready) == (False, False)
    assert "stalled: no step has ended for 30" in why


@pytest.fixture
def told(running: Running, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str]]:
    """Record what the service manager is told, and when."""
    heard: list[tuple[float, str]] = []
    send: Callable[[Systemd, str], bool] = lambda _, message: not heard.append((running.clock.now, message))  # noqa: E731
    monkeypatch.setattr(Systemd, "_send", send)
    return heard


@pytest.mark.parametrize("state", ["idle", "standing by", "without the database", "without the cluster"])
def test_the_watchdog_hears_of_a_daemon_in_every_state(
    settled: Running, told: list[tuple[float, str]], state: str
) -> None:
    if state == "standing by":
        settled.source.restarts += 1
        settled.source.free = False
    elif state == "without the database":
        settled.source.go(unreachable)
    elif state == "without the cluster":
        settled.cluster.fault = away
    began = settled.clock.now
    settled.run_for(600)
    signs = [began, *(at for at, message in told if message == "WATCHDOG=1"), settled.clock.now]
    assert max(later - earlier for earlier, later in itertools.pairwise(signs)) <= 15


def test_the_service_managers_status_line_follows_the_state_and_is_said_once(
    settled: Running, told: list[tuple[float, str]]
) -> None:
    settled.run_for(60)
    settled.source.go(unreachable)
    settled.run_for(600)
    settled.source.away = None
    settled.run_for(120)
    said = [message for _, message in told if message.startswith("STATUS=")]
    assert [message.partition(" at ")[0] for message in said] == [
        "STATUS=degraded: the database does not answer",
        "STATUS=idle",
    ]
