"""The pace: no faster than told, never a burst, and replicas are waited for."""

from __future__ import annotations

import pytest

from agent.retention.brakes import Load, tripped
from agent.retention.pace import OVERSLEPT_SECONDS, Gait, ReplicaWatch
from agent.retention.policy import Side


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_the_rate_is_held_over_many_chunks_whatever_they_take() -> None:
    clock = Clock()
    gait = Gait(rows_per_second=1000, clock=clock)
    for took in (0.0, 0.1, 0.45, 0.0, 0.2):
        clock.seconds += gait.pause_seconds()
        started = gait.start()
        clock.seconds += took
        gait.went(500, started)
    clock.seconds += gait.pause_seconds()

    assert clock.seconds - 100.0 == pytest.approx(2.5)


def test_time_lost_in_a_wait_is_not_caught_up() -> None:
    clock = Clock()
    gait = Gait(rows_per_second=1000, clock=clock)
    gait.went(500, gait.start())
    clock.seconds += 60
    started = gait.start()
    gait.went(500, started)

    assert gait.pause_seconds() == pytest.approx(0.5 - OVERSLEPT_SECONDS)


def test_sleeps_that_last_a_little_too_long_do_not_lower_the_rate() -> None:
    clock = Clock()
    gait = Gait(rows_per_second=1000, clock=clock)
    for _ in range(100):
        clock.seconds += gait.pause_seconds() + 0.02
        gait.went(500, gait.start())

    assert 100 * 500 / (clock.seconds + gait.pause_seconds() - 100.0) == pytest.approx(1000, rel=0.001)


class Replica:
    """A replica that says what it is told to."""

    def __init__(self, lag: float | None) -> None:
        self.name = "replica:3306"
        self.lag = lag

    def lag_seconds(self) -> float | None:
        return self.lag


@pytest.mark.parametrize(
    ("lags", "waits"),
    [((), False), ((0.0,), False), ((10.0,), False), ((10.1,), True), ((None,), True), ((0.0, None), True)],
)
def test_a_replica_behind_or_silent_is_waited_for(lags: tuple[float | None, ...], waits: bool) -> None:
    watch = ReplicaWatch(replicas=[Replica(lag) for lag in lags], max_lag_seconds=10)

    assert watch.should_wait()[0] is waits


class Limits:
    """A quarter of the table, ten rows."""

    max_share = 0.25
    max_rows = 10


@pytest.mark.parametrize(
    ("expired", "total", "reasons"),
    [(0, 0, 0), (10, 40, 0), (10, 39, 1), (11, 44, 1), (11, 40, 2), (1, 0, 1), (0, 5, 0)],
)
def test_a_brake_trips_above_its_limit_and_not_at_it(expired: int, total: int, reasons: int) -> None:
    assert len(tripped([Load(side=Side.ROWS, expired=expired, total=total)], Limits())) == reasons
