"""What a daemon's log is like: silent when idle, a dozen lines for an hour of outage, its end said once."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

import pytest

from agent.errors import TemporaryError
from agent.tailing.gaps import Progress
from agent.tailing.step import Step, Taken
from tests.fakes.opensearch import no_fault
from tests.unit.shipping.daemon import Running

HOUR = 3600.0


def unreachable() -> TemporaryError:
    return TemporaryError("the database does not answer", where="mysql://127.0.0.1:3306", kind="unreachable")


@pytest.fixture
def settled(running: Running) -> Running:
    """Give a daemon that has shipped what there is."""

    running.source.add(500)
    said = running.run_for(30)
    assert running.watermark == 500
    assert [line.split()[2] for line in said] == ["lease.acquired", "tail.batch"], said
    return running


@pytest.mark.parametrize("seconds", [60, HOUR])
def test_an_idle_daemon_is_silent(settled: Running, seconds: float) -> None:
    assert settled.run_for(seconds) == []


def test_a_standby_says_so_once(running: Running) -> None:
    running.source.free = False
    assert [line.split()[2] for line in running.run_for(HOUR)] == ["lease.standby"]


def test_a_paused_daemon_says_so_once(settled: Running) -> None:
    pause = {"who": "anna", "why": "maintenance", "since": "now"}
    settled.app.state.update(lambda _: {"paused": {"tail": pause}})
    assert [line.split()[2] for line in settled.run_for(HOUR)] == ["paused"]


CLUSTER: dict[str, tuple[str, ...]] = {
    "cluster up": (),
    "cluster unavailable": ("unavailable",),
    "cluster unreachable": ("unreachable",),
    "cluster failing in four ways": ("timeout", "unavailable", "unreachable", "throttled"),
}
OUTAGES = [(cluster, source) for cluster in CLUSTER for source in ("up", "away", "later")][1:]


def failing(kinds: tuple[str, ...]) -> Callable[[str], None]:
    """Return a cluster's fault: each request fails, in one way after the other."""
    following = itertools.cycle(kinds)

    def fault(effect: str) -> None:
        raise TemporaryError(f"{effect}: no answer", where="http://127.0.0.1:9200", kind=next(following))

    return fault


def strike(running: Running, cluster: str, source: str) -> list[str]:
    """Take stores away, both at once or one after the other; return what was said between."""
    if CLUSTER[cluster]:
        running.cluster.fault = failing(CLUSTER[cluster])
    elif source == "later":  # in the midst of a step
        running.source.breaks_on_read = unreachable
        return []
    said = running.run_for(60) if source == "later" else []
    if source != "up":
        running.source.go(unreachable)
    return said


def events(lines: list[str], name: str) -> list[str]:
    return [line for line in lines if line.split()[2] == name]


@pytest.mark.parametrize(("cluster", "source"), OUTAGES)
def test_an_hour_of_outage_is_few_lines_and_one_recovery(settled: Running, cluster: str, source: str) -> None:
    settled.source.add(500)
    said = strike(settled, cluster, source) + settled.run_for(HOUR)
    assert settled.watermark == 500
    assert settled.shipping.reporting.health.condition.state == "degraded"

    settled.source.away = None
    settled.cluster.fault = no_fault
    after = settled.run_for(120)

    assert settled.watermark == 1000
    assert 1 <= len(said) <= 30, "\n".join(said)
    assert events(said, "tail.recovered") == []
    (recovered,) = events(after, "tail.recovered")
    assert float(recovered.partition("outage_seconds=")[2].split()[0]) > HOUR - 60
    assert len(after) <= 3, "\n".join(after)
    assert settled.run_for(60) == []


def test_an_outage_is_over_when_rows_are_shipped_again_and_not_before(settled: Running) -> None:
    settled.source.add(500)
    strike(settled, "cluster unavailable", "away")
    said = settled.run_for(HOUR / 2)
    settled.source.away = None
    said += settled.run_for(HOUR / 2)
    assert events(said, "tail.recovered") == []
    assert len(said) <= 30, "\n".join(said)

    settled.cluster.fault = no_fault
    assert len(events(settled.run_for(120), "tail.recovered")) == 1


def test_an_outage_that_ends_in_standing_by_is_over(settled: Running) -> None:
    settled.source.go(unreachable)
    settled.run_for(HOUR)
    settled.source.away, settled.source.free = None, False
    assert [line.split()[2] for line in settled.run_for(120)] == ["lease.lost", "lease.standby", "tail.recovered"]


def test_another_jobs_failure_is_told_while_rows_are_shipped(settled: Running) -> None:
    def fault(effect: str) -> None:
        if effect == "templates":
            raise TemporaryError("no answer", where="http://127.0.0.1:9200", kind="unavailable")

    settled.cluster.fault = fault
    said = settled.run_for(HOUR)
    assert said
    assert all("job=templates" in line for line in said)
    settled.cluster.fault = no_fault
    assert len(events(settled.run_for(600), "tail.recovered")) == 1


def test_in_a_catch_up_each_dead_letter_is_told_once(settled: Running) -> None:
    before = len(settled.lines)
    for dead in (2, 0, 0, 1):
        taken = Taken(counts=Counter(indexed=100, dead_letters=dead))
        step = Step(rows_read=100, caught_up=False, taken=taken)
        settled.shipping.reporting.stepped(step, Progress(frontier=500))
    said = events(settled.lines[before:], "dead_letter.kept")
    assert [line.partition("rows=")[2] for line in said] == ["2", "1"]


def test_a_cluster_in_trouble_is_asked_by_the_tail_only_and_once_a_try(settled: Running) -> None:
    asked: Counter[str] = Counter()

    def fault(effect: str) -> None:
        asked[effect] += 1
        raise TemporaryError("no answer", where="http://127.0.0.1:9200", kind="unavailable")

    settled.cluster.fault = fault
    settled.source.add(500)
    settled.run_for(60)
    asked.clear()
    settled.run_for(HOUR)
    assert asked.keys() == {"state read", "state write"}
    assert asked["state write"] <= asked["state read"] <= HOUR / 20


def test_a_cluster_that_is_back_hears_of_a_database_that_is_still_away(settled: Running) -> None:
    strike(settled, "cluster unavailable", "away")
    settled.run_for(600)
    settled.cluster.fault = no_fault
    settled.run_for(120)
    document, _ = settled.cluster.states["shop"]
    assert document["state"] == "degraded"
    assert "database" in document["reason"]
