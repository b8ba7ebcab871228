"""The loop on a clock of its own: who runs when, what a failure delays, and how it ends."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import schedule

from agent.daemon import BEAT_SECONDS, STANDBY_SECONDS, Daemon, Steps
from agent.errors import ConfigError, PermanentError, TemporaryError

AWAY = TemporaryError("away", kind="unreachable")


@dataclass
class Stage:
    """A daemon over scripted steps; waiting moves the clock, and the stop comes after `seconds` or `steps`."""

    seconds: float = 30.0
    poll_seconds: float = 1.0
    tail: Callable[[], bool] = lambda: True
    lead: Callable[[], bool] = lambda: True
    now: float = 0.0
    log: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    beats: list[float] = field(default_factory=list)
    tails: list[float] = field(default_factory=list)
    beat_error: Exception | None = None
    failures: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        steps = Steps(lead=self._lead, tail=self._tail, beat=self._beat, drain=self._drain, release=self._release)
        self.daemon = Daemon(
            steps=steps,
            reporter=self,
            stop=self.stop,
            poll_seconds=self.poll_seconds,
            clock=lambda: self.now,
            draw=lambda: 1.0,
            wait=self._wait,
        )

    def run(self) -> Stage:
        self.daemon.run()
        return self

    def failed(self, job: str, error: BaseException, delay: float) -> None:
        self.failures[job] += 1
        self.log.append(f"{job} failed {self.failures[job]}: {error} ({delay:g} s)")

    def recovered(self, job: str) -> None:
        del self.failures[job]
        self.log.append(f"{job} recovered")

    def _lead(self) -> bool:
        return self.lead()

    def _tail(self) -> bool:
        self.tails.append(self.now)
        if len(self.tails) > 10_000:
            pytest.fail("the loop spins")
        return self.tail()

    def _beat(self) -> None:
        self.beats.append(self.now)
        if self.beat_error:
            raise self.beat_error

    def _drain(self) -> None:
        self.log.append("drain")

    def _release(self) -> None:
        self.log.append("release")

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        if self.now >= self.seconds:
            self.stop.set()
        return self.stop.is_set()


def scripted(*results: bool | Exception) -> Callable[[], bool]:
    """Return a step that gives these results, and then the last one for ever."""
    left = list(results)

    def step() -> bool:
        result = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(result, Exception):
            raise result
        return result

    return step


def test_it_polls_when_caught_up() -> None:
    assert Stage(seconds=5).run().tails == [0, 1, 2, 3, 4]


def test_it_does_not_pause_while_it_is_behind() -> None:
    assert Stage(seconds=2, tail=scripted(False, False, False, True)).run().tails == [0, 0, 0, 0, 1]


def test_a_long_catch_up_shows_life_though_it_pauses_nowhere() -> None:
    stage = Stage(seconds=600)
    left = iter(range(100))

    def behind() -> bool:
        stage.now += 3
        return next(left, None) is None

    stage.tail = behind
    beats = [at for at in stage.run().beats if at <= 300]
    assert len(beats) >= 20
    assert all(later - earlier <= BEAT_SECONDS + 3 for earlier, later in itertools.pairwise(beats))


def test_the_end_drains_what_is_in_flight_and_then_gives_the_lease_back() -> None:
    assert Stage(seconds=1).run().log == ["drain", "release"]


def test_a_stop_during_a_step_ends_after_that_step() -> None:
    stage = Stage()

    def tail() -> bool:
        stage.stop.set()
        return False

    stage.tail = tail
    assert len(stage.run().tails) == 1
    assert stage.waits == []


def test_failures_wait_longer_each_time_and_recovery_is_said_once() -> None:
    stage = Stage(seconds=20, tail=scripted(AWAY, AWAY, AWAY, True)).run()
    assert stage.tails[:4] == [0, 0.5, 1.5, 3.5]
    assert stage.log.count("tail recovered") == 1
    assert stage.log[:3] == [f"tail failed {n}: away ({delay:g} s)" for n, delay in ((1, 0.5), (2, 1), (3, 2))]


def test_the_servers_word_on_when_to_come_back_is_obeyed() -> None:
    told = TemporaryError("throttled", retry_after_seconds=7.0)
    assert Stage(seconds=20, tail=scripted(told, True)).run().tails[:2] == [0, 7]


@pytest.mark.parametrize("error", [ConfigError("revoked"), ValueError("a bug"), AWAY])
def test_no_error_of_a_step_ends_the_loop(error: Exception) -> None:
    assert len(Stage(seconds=10, tail=scripted(error, True)).run().tails) > 5


def test_what_only_a_person_can_decide_ends_it() -> None:
    for stage in (
        Stage(tail=scripted(PermanentError("another table"))),
        Stage(lead=scripted(PermanentError("damaged"))),
    ):
        with pytest.raises(PermanentError):
            stage.run()


def test_another_jobs_failure_neither_hurries_the_tail_nor_holds_it_up() -> None:
    stage = Stage(seconds=200, tail=scripted(AWAY))
    quick = schedule.Scheduler
    assert isinstance(stage.daemon.scheduler, quick)

    def job() -> None:
        raise AWAY

    stage.daemon.every(1, "dead letters", job)
    for each in stage.daemon.scheduler.jobs:
        each.last_run = None
    # `schedule` goes by the wall clock, so the job is called as it would be: between two steps.
    tail, guarded = stage.tail, stage.daemon.scheduler.jobs[0].job_func
    assert guarded is not None

    def tail_then_job() -> bool:
        try:
            return tail()
        finally:
            guarded()

    stage.tail = tail_then_job
    stage.run()
    pauses = [after - before for before, after in zip(stage.tails, stage.tails[1:], strict=False)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60][: len(pauses)]


def test_it_shows_life_at_least_every_ten_seconds_however_long_it_waits() -> None:
    stage = Stage(seconds=400, tail=scripted(AWAY)).run()
    assert max(after - before for before, after in zip(stage.beats, stage.beats[1:], strict=False)) <= BEAT_SECONDS
    assert max(stage.waits) <= BEAT_SECONDS


def test_a_beat_that_fails_is_reported_and_ends_nothing() -> None:
    stage = Stage(seconds=5, beat_error=ValueError("a bug")).run()
    assert len(stage.tails) == 5
    assert "beat failed 1: a bug (0.5 s)" in stage.log


def test_a_standby_looks_every_second_and_ships_nothing() -> None:
    stage = Stage(seconds=3, lead=scripted(False)).run()
    assert stage.tails == []
    assert stage.waits == [STANDBY_SECONDS] * 3
    assert stage.log == ["release"]


def test_a_standby_takes_over_at_its_next_look() -> None:
    assert Stage(seconds=5, lead=scripted(False, False, True)).run().tails[0] == 2 * STANDBY_SECONDS


def test_a_lease_that_cannot_be_asked_for_is_waited_for_like_any_failure() -> None:
    stage = Stage(seconds=20, lead=scripted(AWAY, AWAY, True)).run()
    assert stage.tails[0] == 1.5
    assert "lease recovered" in stage.log


def slow_job(log: list[str], *waits: float | Exception) -> Callable[[], Iterator[float]]:
    def slices() -> Iterator[float]:
        for number, wait in enumerate(waits):
            log.append(f"slice {number}")
            if isinstance(wait, Exception):
                raise wait
            yield wait

    return slices


@pytest.mark.parametrize("wait", [0, 0.5])
def test_the_tail_runs_between_any_two_slices_that_take_as_long_as_a_poll(wait: float) -> None:
    stage = Stage(seconds=20)
    order: list[str] = []
    stage.tail = lambda: bool(order.append("tail")) or True

    def slices() -> Iterator[float]:
        for number in range(3):
            order.append(f"slice {number}")
            stage.now += stage.poll_seconds
            yield wait

    stage.daemon.begin("retention", slices)
    stage.run()
    assert [each for each in order[:7] if each != "tail"] == ["slice 0", "slice 1", "slice 2"]
    assert all(order[place] == "tail" for place in (0, 2, 4, 6))


def test_a_slow_job_of_many_short_slices_makes_no_more_polls_and_beats() -> None:
    stage = Stage(seconds=20)
    begun: list[float] = []

    def slices() -> Iterator[float]:
        while True:
            begun.append(stage.now)
            stage.now += 0.01
            yield 0.03

    stage.daemon.begin("retention", slices)
    stage.run()
    assert len(begun) == pytest.approx(500, abs=15)
    for times in (stage.tails, stage.beats):
        assert len(times) == pytest.approx(20, abs=1)
        assert max(after - before for before, after in itertools.pairwise(times)) < stage.poll_seconds + 0.05


def test_a_failing_tail_does_not_hold_up_a_slow_job() -> None:
    stage, order = Stage(seconds=40, tail=scripted(AWAY)), list[str]()
    stage.daemon.begin("verify", slow_job(order, 1, 1, 1, 1))
    stage.run()
    assert order == ["slice 0", "slice 1", "slice 2", "slice 3"]
    pauses = [after - before for before, after in itertools.pairwise(stage.tails)]
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 16][: len(pauses)])


def test_a_slice_is_not_begun_before_its_time() -> None:
    stage = Stage(seconds=20)
    begun: list[float] = []

    def slices() -> Iterator[float]:
        for _ in range(3):
            begun.append(stage.now)
            yield 3.5

    stage.daemon.begin("verify", slices)
    stage.run()
    assert all(after - before >= 3.5 for before, after in itertools.pairwise(begun))
    assert len(begun) == 3


def test_a_slow_job_is_not_begun_twice_at_once() -> None:
    stage, order = Stage(seconds=5), list[str]()
    stage.daemon.begin("verify", slow_job(order, 0))
    stage.daemon.begin("verify", slow_job(order, 0))
    stage.run()
    assert order == ["slice 0"]


def test_a_temporary_failure_of_a_slow_job_begins_it_again_after_a_delay() -> None:
    stage, order = Stage(seconds=5), list[str]()
    runs = iter([slow_job(order, 0, AWAY), slow_job(order, 0, 0)])
    stage.daemon.begin("verify", lambda: iter(next(runs)()))
    stage.run()
    assert order == ["slice 0", "slice 1", "slice 0", "slice 1"]
    assert "verify recovered" in stage.log


def test_a_bug_in_a_slow_job_ends_that_run_only_and_the_next_job_gets_its_turn() -> None:
    stage, order = Stage(seconds=5), list[str]()
    stage.daemon.begin("verify", slow_job(order, 0, ValueError("a bug")))
    stage.daemon.begin("retention", slow_job(order, 0, 0, 0))
    stage.run()
    assert order == ["slice 0", "slice 1", "slice 0", "slice 1", "slice 2"]
    assert any(line.startswith("verify failed 1") for line in stage.log)


def test_a_job_that_raises_is_scheduled_again() -> None:
    stage = Stage()
    calls: list[int] = []

    def job() -> None:
        calls.append(1)
        raise ValueError

    stage.daemon.every(1, "templates", job)
    stage.daemon.scheduler.run_all()
    stage.daemon.scheduler.run_all()
    assert len(calls) == 2
    assert stage.daemon.scheduler.idle_seconds is not None


def test_daily_and_weekly_jobs_are_at_utc() -> None:
    stage = Stage()
    stage.daemon.daily("03:20", "retention", lambda: iter(()))
    stage.daemon.weekly("sunday", "04:10", "verify", lambda: iter(()))
    assert [str(job.at_time) for job in stage.daemon.scheduler.jobs] == ["03:20:00", "04:10:00"]
    assert [str(job.at_time_zone) for job in stage.daemon.scheduler.jobs] == ["UTC", "UTC"]
