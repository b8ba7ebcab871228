"""The daemon: when things happen. It knows steps only as callables, and is the one place that retries.

    lead? ──no──▶ stand by
      │yes
      ▼
    tail step ──behind──▶ again at once
      │caught up, until the next poll
      ▼
    one slice of a slow job (retention, verify) ──▶ due periodic jobs ──▶ wait, interruptibly

Slow jobs are iterators: each `next` does one bounded piece of work, and between any two pieces the tail runs when its
time has come. Every job runs behind one guard: `schedule` would neither reschedule a job that raised nor let the loop
go on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import schedule

from agent.backoff import delay_seconds
from agent.errors import PermanentError, TemporaryError

T = TypeVar("T")
Slices = Iterator[float]
"""A slow job: each item is the least number of seconds to wait before the next slice."""

STANDBY_SECONDS = 1.0
BEAT_SECONDS = 10.0


class Reporter(Protocol):
    """Hears what the loop does and makes log lines, metrics and health of it; never raises."""

    def failed(self, job: str, error: BaseException, delay: float) -> None:
        """A job failed and will be tried again after a delay."""
        ...

    def recovered(self, job: str) -> None:
        """A job works again after failures; said once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What the loop drives.

    `lead` says whether this process may ship (acquiring the right if it can); `tail` does one step and says whether
    it caught up; `beat` shows life, at least every ten seconds also while waiting; `drain` takes in what is in
    flight at the end; `release` says that nobody ships any more and gives the lease back, if it was taken.
    """

    lead: Callable[[], bool]
    tail: Callable[[], bool]
    beat: Callable[[], None]
    drain: Callable[[], None]
    release: Callable[[], None]


class Daemon:
    """Run steps until told to stop."""

    def __init__(
        self,
        *,
        steps: Steps,
        reporter: Reporter,
        stop: threading.Event,
        poll_seconds: float,
        clock: Callable[[], float],
        draw: Callable[[], float],
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._steps = steps
        self._reporter = reporter
        self._stop = stop
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._draw = draw
        self._wait = wait or stop.wait
        self._failures: dict[str, int] = {}
        self._delays: dict[str, float] = {}
        self._slow: deque[_SlowJob] = deque()
        self._tail_due_at = float("-inf")
        self._next_slice_at = 0.0
        self._beaten_at = float("-inf")
        self.scheduler = schedule.Scheduler()

    def every(self, seconds: int, name: str, job: Callable[[], None]) -> None:
        """Run a quick job periodically, between tail steps."""
        self.scheduler.every(seconds).seconds.do(self._guarded, name, job)

    def daily(self, at: str, name: str, slices: Callable[[], Slices]) -> None:
        """Begin a slow job every day at HH:MM UTC; called again, the new time replaces the old one."""
        self.scheduler.clear(name)
        self.scheduler.every().day.at(at, "UTC").do(self.begin, name, slices).tag(name)

    def weekly(self, weekday: str, at: str, name: str, slices: Callable[[], Slices]) -> None:
        """Begin a slow job every week on a day, at HH:MM UTC."""
        getattr(self.scheduler.every(), weekday).at(at, "UTC").do(self.begin, name, slices)

    def begin(self, name: str, slices: Callable[[], Slices]) -> None:
        """Queue a slow job, unless the last run of it has not ended yet."""
        if all(job.name != name for job in self._slow):
            self._slow.append(_SlowJob(name, slices))

    def run(self) -> None:
        """Loop until the stop signal; then drain what is in flight and give the lease back.

        Raises PermanentError when a step met something only a person can decide.
        """
        leading = False
        while not self._stop.is_set():
            # Between two polls a slow job has the time to itself: a purge of many short slices must not make as many
            # polls, each with its questions to both servers.
            if self._clock() >= self._tail_due_at:
                leading = self._guarded("lease", self._steps.lead, fatal=PermanentError) is True
                if not leading:
                    self._pause(self._delay("lease") or STANDBY_SECONDS)
                    continue
                self._follow_tail()
            if self._stop.is_set():
                break
            slice_wait = self._advance_slow_job()
            self.scheduler.run_pending()
            poll_wait = self._tail_due_at - self._clock()
            self._pause(poll_wait if slice_wait is None else min(poll_wait, slice_wait))
            if self._clock() - self._beaten_at >= BEAT_SECONDS:
                # A catch-up of an hour pauses nowhere, and a service manager's watchdog bites after minutes.
                self._beat()
        if leading:
            self._guarded("drain", self._steps.drain)
        self._guarded("release", self._steps.release)

    def _follow_tail(self) -> None:
        """Do one step of the tail; the next is due at once when behind, else after a poll or a failure's delay."""
        caught_up = self._guarded("tail", self._steps.tail, fatal=PermanentError)
        wait = 0.0 if caught_up is False else self._delay("tail") or self._poll_seconds
        self._tail_due_at = self._clock() + wait

    def _pause(self, seconds: float) -> None:
        """Wait, interruptibly, showing life on the way, as often as the tail polls."""
        while seconds > 0 and not self._stop.is_set():
            if self._clock() - self._beaten_at >= min(self._poll_seconds, BEAT_SECONDS):
                self._beat()
            piece = min(seconds, BEAT_SECONDS)
            self._wait(piece)
            seconds -= piece

    def _beat(self) -> None:
        self._beaten_at = self._clock()
        self._guarded("beat", self._steps.beat)

    def _advance_slow_job(self) -> float | None:
        """Do one slice if its time has come; return the seconds until the next, None when there is no slow job."""
        if not self._slow:
            return None
        if self._clock() < self._next_slice_at:
            return self._next_slice_at - self._clock()
        job = self._slow[0]
        wait = self._guarded(job.name, job.advance)
        if wait is None and not job.is_over:
            # A temporary failure: the run begins again from its start, which it is made to survive.
            wait = self._delay(job.name)
        if wait is None:
            self._slow.popleft()
            return 0.0 if self._slow else None
        self._next_slice_at = self._clock() + wait
        return wait

    def _delay(self, job: str) -> float:
        return self._delays[job] if self._failures.get(job) else 0.0

    def _guarded(
        self, name: str, job: Callable[[], T], fatal: type[Exception] | tuple[type[Exception], ...] = ()
    ) -> T | None:
        """Run a job; an error is reported and counted, and the loop goes on, unless it is a fatal one."""
        try:
            result = job()
        except fatal:
            raise
        except Exception as error:  # noqa: BLE001  the daemon's one guard: no job may end the loop
            self._note_failure(name, error)
            return None
        if self._failures.pop(name, 0):
            self._reporter.recovered(name)
        return result

    def _note_failure(self, name: str, error: Exception) -> None:
        failures = self._failures.get(name, 0) + 1
        self._failures[name] = failures
        told = error.retry_after_seconds if isinstance(error, TemporaryError) else None
        # Each job waits for its own failures only: another's must not hurry the tail in an outage, nor hold it up.
        self._delays[name] = delay_seconds(failures, self._draw, told)
        self._reporter.failed(name, error, self._delays[name])


class _SlowJob:
    """A slow job and the run of it that is under way; a temporary failure leaves it ready to begin anew."""

    def __init__(self, name: str, slices: Callable[[], Slices]) -> None:
        self.name = name
        self.is_over = False
        self._slices = slices
        self._run: Slices | None = None

    def advance(self) -> float | None:
        run, self._run, self.is_over = self._run or self._slices(), None, True
        try:
            wait = next(run, None)
        except TemporaryError:
            self.is_over = False
            raise
        if wait is not None:
            self._run, self.is_over = run, False
        return wait
