"""Repeated failures: said at once, then seldom, their end once."""

from __future__ import annotations

from itertools import pairwise

from agent.observing.rate_limiter import RateLimiter


def test_a_one_hour_outage_is_at_most_thirty_lines_and_one_recovery():
    limiter = RateLimiter()
    said = [second for second in range(3600) if limiter.failed("tail", float(second), "unreachable")]
    assert said[0] == 0
    assert 5 <= len(said) <= 30
    recoveries = [limiter.recovered("tail", 3600.0 + second) for second in range(100)]
    assert [recovery for recovery in recoveries if recovery] == [recoveries[0]]
    assert recoveries[0].outage_seconds == 3600.0
    assert recoveries[0].failures == 3600


def test_pauses_start_at_thirty_seconds_and_end_at_five_minutes():
    limiter = RateLimiter()
    said = [second for second in range(3600) if limiter.failed("tail", float(second), "unreachable")]
    pauses = [after - before for before, after in pairwise(said)]
    assert pauses[:5] == [30, 60, 120, 240, 300]
    assert set(pauses[5:]) == {300}


def test_the_pause_ends_exactly_on_its_second():
    limiter = RateLimiter()
    assert limiter.failed("tail", 0.0)
    assert limiter.failed("tail", 29.9) is None
    assert limiter.failed("tail", 30.0).failures == 3


def test_a_new_reason_is_said_at_once():
    limiter = RateLimiter()
    assert limiter.failed("tail", 0.0, "unreachable")
    assert limiter.failed("tail", 1.0, "forbidden")
    assert limiter.failed("tail", 2.0, "unreachable") is None


def test_reasons_that_alternate_or_never_repeat_do_not_defeat_the_limit():
    limiter = RateLimiter()
    said = [second for second in range(3600) if limiter.failed("tail", float(second), f"reason {second}")]
    assert len(said) <= 30


def test_a_service_that_fails_and_heals_every_second_stays_quiet():
    limiter = RateLimiter()
    lines = 0
    for second in range(3600):
        lines += limiter.failed("tail", float(second), "throttled") is not None
        lines += limiter.recovered("tail", second + 0.5) is not None
    assert 2 <= lines <= 40


def test_a_second_outage_soon_after_the_first_is_still_said_when_it_lasts():
    limiter = RateLimiter()
    for second in range(3600):
        limiter.failed("tail", float(second))
    assert limiter.recovered("tail", 3600.0)
    said = [second for second in range(3610, 3700) if limiter.failed("tail", float(second))]
    assert said
    assert said[0] <= 3640
    assert limiter.recovered("tail", 3700.0).outage_seconds == 90.0


def test_an_outage_long_after_the_last_one_is_said_at_once():
    limiter = RateLimiter()
    assert limiter.failed("tail", 0.0)
    assert limiter.recovered("tail", 1.0)
    assert limiter.failed("tail", 301.0).failures == 1


def test_nothing_is_said_about_a_recovery_without_a_failure_or_of_one_never_said():
    limiter = RateLimiter()
    assert limiter.recovered("tail", 0.0) is None
    assert limiter.failed("tail", 1.0)
    assert limiter.recovered("tail", 2.0)
    assert limiter.failed("tail", 3.0) is None
    assert limiter.recovered("tail", 4.0) is None


def test_each_job_has_an_outage_of_its_own():
    limiter = RateLimiter()
    assert limiter.failed("tail", 0.0)
    assert limiter.failed("retention", 1.0)
    assert limiter.recovered("tail", 2.0)
    assert limiter.failed("retention", 3.0) is None
