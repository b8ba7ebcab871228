"""Clocks that jump: what the daemon waits for and how old it finds a gap is a matter of seconds that really passed."""

from __future__ import annotations

import datetime as dt

import pytest

from agent.cli import line as line_module
from tests.unit.shipping.daemon import Running


@pytest.mark.parametrize("leap", [dt.timedelta(days=2), dt.timedelta(days=-2)])
def test_this_machines_clock_may_jump_and_no_gap_grows_older(
    running: Running, monkeypatch: pytest.MonkeyPatch, leap: dt.timedelta
) -> None:
    running.source.add(10)
    running.run_for(5)
    before, began = running.shipping.line.tail._clock(), running.clock.now

    class Jumped(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Jumped:
            return cls.fromtimestamp((dt.datetime.now(tz) + leap).timestamp(), tz)

    monkeypatch.setattr(line_module, "datetime", Jumped)
    running.run_for(5)
    assert running.shipping.line.tail._clock() - before == pytest.approx(running.clock.now - began)
