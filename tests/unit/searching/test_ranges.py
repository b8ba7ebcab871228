"""A written time names a span; a range begins where the first begins and ends where the last one ends."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from agent.errors import ConfigError
from agent.searching.ranges import range_of

NOW = datetime(2026, 11, 23, 21, 4, 5, tzinfo=UTC)
VIENNA = ZoneInfo("Europe/Vienna")


def spanned(
    last: str | None = None, since: str | None = None, until: str | None = None, zone: str = "UTC"
) -> tuple[str | None, str | None]:
    described = range_of(last, since, until, now=NOW, zone=ZoneInfo(zone)).described()
    return described["from"], described["to"]


@pytest.mark.parametrize(
    ("last", "since"),
    [
        ("24h", "2026-11-22T21:04:05.000Z"),
        ("7d", "2026-11-16T21:04:05.000Z"),
        ("30d", "2026-10-24T21:04:05.000Z"),
        ("90d", "2026-08-25T21:04:05.000Z"),
        ("90m", "2026-11-23T19:34:05.000Z"),
        ("2w", "2026-11-09T21:04:05.000Z"),
        ("10s", "2026-11-23T21:03:55.000Z"),
    ],
)
def test_last_reaches_back_from_now_and_has_no_end(last: str, since: str) -> None:
    assert spanned(last) == (since, None)


@pytest.mark.parametrize(
    ("text", "zone", "since", "until"),
    [
        ("2026-11-23", "UTC", "2026-11-23T00:00:00.000Z", "2026-11-24T00:00:00.000Z"),
        ("2026-11-23", "Europe/Vienna", "2026-11-22T23:00:00.000Z", "2026-11-23T23:00:00.000Z"),
        ("2026-10-25", "Europe/Vienna", "2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"),  # 25 hours long
        ("2026-12", "UTC", "2026-12-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"),
        ("2026", "UTC", "2026-01-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"),
        ("2026-11-23 21:04", "UTC", "2026-11-23T21:04:00.000Z", "2026-11-23T21:05:00.000Z"),
        ("2026-11-23T21:04:05", "UTC", "2026-11-23T21:04:05.000Z", "2026-11-23T21:04:06.000Z"),
        ("2026-11-23T21:04:05.1239Z", "UTC", "2026-11-23T21:04:05.123Z", "2026-11-23T21:04:05.124Z"),
        ("2026-11-23T21:04:05+01:00", "UTC", "2026-11-23T20:04:05.000Z", "2026-11-23T20:04:06.000Z"),
        ("2026-11-23T21:04:05Z", "Europe/Vienna", "2026-11-23T21:04:05.000Z", "2026-11-23T21:04:06.000Z"),
        ("today", "UTC", "2026-11-23T00:00:00.000Z", "2026-11-24T00:00:00.000Z"),
        ("yesterday", "Europe/Vienna", "2026-11-21T23:00:00.000Z", "2026-11-22T23:00:00.000Z"),
        ("now", "UTC", "2026-11-23T21:04:05.000Z", "2026-11-23T21:04:05.000Z"),
        ("7d", "UTC", "2026-11-16T21:04:05.000Z", "2026-11-16T21:04:05.000Z"),
    ],
)
def test_a_time_is_the_span_it_names(text: str, zone: str, since: str, until: str) -> None:
    assert spanned(since=text, zone=zone) == (since, None)
    assert spanned(until=text, zone=zone) == (None, until)


def test_one_day_is_a_range() -> None:
    assert spanned(since="2026-11-23", until="2026-11-23") == ("2026-11-23T00:00:00.000Z", "2026-11-24T00:00:00.000Z")


@pytest.mark.parametrize(
    ("last", "since", "until", "told"),
    [
        ("5x", None, None, "--last is no time range: '5x'"),
        ("0d", None, None, "--last is no time range"),
        ("-7d", None, None, "--last is no time range"),
        ("", None, None, "--last is no time range"),
        ("999999999w", None, None, "--last is no time range"),
        ("7d", "2026-11-01", None, "either --last or --from and --to"),
        (None, "2026-02-30", None, "--from is no time range"),
        (None, None, "23.11.2026", "--to is no time range"),
        (None, "9999-12-31", "9999-12-31", "is no time range"),
        (None, "2026-11-02", "2026-11-01", "ends before it begins"),
        (None, "now", "7d", "ends before it begins"),
        (None, "2026-11-23T21:04:06", "2026-11-23T21:04:05", "ends before it begins"),
    ],
)
def test_what_is_no_range_is_said_in_one_line(
    last: str | None, since: str | None, until: str | None, told: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        range_of(last, since, until, now=NOW, zone=VIENNA)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
