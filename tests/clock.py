"""A clock of the test's own for the daemon of `run`: waiting takes no time, but lets it pass."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import schedule

from agent.cli import line as line_module
from agent.cli import reporting as reporting_module
from agent.cli import run as run_module

BEGAN = dt.datetime(2026, 11, 23, 22, 0, tzinfo=dt.UTC)


@dataclass
class Clock:
    """Seconds that pass only when somebody waits."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class Stop(threading.Event):
    """A stop signal on which waiting takes no time; it is set when the time of a run is over."""

    def __init__(self, clock: Clock, passed: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self._clock = clock
        self._passed = passed
        self._end = 0.0
        self._until: Callable[[], bool] = lambda: False

    def after(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Be set after so many seconds from now, or when something is so."""
        self.clear()
        self._end, self._until = self._clock.now + seconds, until

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.now += timeout or 0.0
        self._passed()
        if self._clock.now >= self._end or self._until():
            self.set()
        return self.is_set()


def live_by(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the daemon, its line, what it tells and its calendar go by a clock."""

    class Calendar(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Calendar:
            now = BEGAN + dt.timedelta(seconds=clock.now)
            return cls.fromtimestamp(now.timestamp(), tz)

    times = SimpleNamespace(monotonic=clock, time=clock, sleep=lambda _seconds: None)
    for module in (run_module, line_module, reporting_module):
        monkeypatch.setattr(module, "time", times)
    monkeypatch.setattr(line_module, "spare_rows", lambda: None)
    monkeypatch.setattr(
        schedule, "datetime", SimpleNamespace(datetime=Calendar, timedelta=dt.timedelta, time=dt.time, date=dt.date)
    )
