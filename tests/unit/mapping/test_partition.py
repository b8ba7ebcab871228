"""A row's partition and instant are functions of its created_at alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.mapping.partition import UNDATED, Calendar, bounds, partition_of


@pytest.mark.parametrize(
    ("created_at", "period", "partition"),
    [
        ("2026-11-23 21:04:05", "month", "2026.11"),
        ("2026-11-23 21:04:05", "day", "2026.11.23"),
        ("2026-11-23 21:04:05", "year", "2026"),
        ("2026-12-31 23:59:59.999999", "month", "2026.12"),
        ("2027-01-01 00:00:00", "month", "2027.01"),
        ("1970-01-01 00:00:00", "month", "1970.01"),
        ("1969-12-31 23:59:59", "month", UNDATED),
        ("2105-12-31 23:59:59", "year", "2105"),
        ("2106-01-01 00:00:00", "year", UNDATED),
        ("2026-02-28 00:00:00", "day", "2026.02.28"),
        ("2026-02-29 00:00:00", "day", UNDATED),
        ("2024-02-29 00:00:00", "day", "2024.02.29"),
        ("2026-11-23 24:00:00", "day", UNDATED),
        ("2026-11-23 23:60:00", "day", UNDATED),
        ("2026-11-23 23:59:60", "day", UNDATED),
        ("0000-00-00 00:00:00", "month", UNDATED),
        ("2026-00-10 00:00:00", "month", UNDATED),
        ("2026-11-23", "day", "2026.11.23"),
        ("yesterday", "month", UNDATED),
        ("", "month", UNDATED),
        (None, "month", UNDATED),
        ("٢٠٢٦-11-23 21:04:05", "month", UNDATED),
    ],
)
def test_the_partition_is_the_period_of_the_date(created_at: str | None, period, partition: str) -> None:
    assert partition == partition_of(created_at, period)


@pytest.mark.parametrize(
    "text", ["2026-11-23 21:04:61", "2026-11-23 21:04:0x", "2026-11-23 21:04 05", "2026-11-23 21:04:05x"]
)
def test_a_minute_seen_before_does_not_make_nonsense_a_date(text: str) -> None:
    calendar = Calendar()
    calendar.place("2026-11-23 21:04:05")

    assert calendar.place(text) == (UNDATED, None)


def test_microseconds_are_cut_not_rounded() -> None:
    assert Calendar().place("2026-12-31 23:59:59.999999") == ("2026.12", "2026-12-31T23:59:59.999Z")
    assert Calendar().place("2026-12-31 23:59:59.1") == ("2026.12", "2026-12-31T23:59:59.100Z")


def test_a_source_in_another_zone_is_converted_also_from_the_cache() -> None:
    calendar = Calendar("month", "America/New_York")

    assert calendar.place("2026-11-30 23:59:05") == ("2026.12", "2026-12-01T04:59:05.000Z")
    assert calendar.place("2026-11-30 23:59:06") == ("2026.12", "2026-12-01T04:59:06.000Z")
    assert calendar.place("2026-06-30 23:59:06") == ("2026.07", "2026-07-01T03:59:06.000Z")


def test_an_offset_with_seconds_is_converted_exactly() -> None:
    calendar = Calendar("month", timezone(-timedelta(minutes=44, seconds=30)))

    for _ in range(2):
        assert calendar.place("1971-01-01 00:00:01") == ("1971.01", "1971-01-01T00:44:31.000Z")


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2105, 12, 31)),  # noqa: DTZ001 - as the table writes them
    st.sampled_from(["day", "month", "year"]),
)
def test_every_instant_lies_within_the_bounds_of_its_partition(instant: datetime, period) -> None:
    calendar = Calendar(period)
    text = instant.strftime("%Y-%m-%d %H:%M:%S.%f")
    partition, written = calendar.place(text)
    found = bounds(partition)

    assert found is not None
    assert found[0] <= instant.replace(tzinfo=UTC) < found[1]
    assert written == calendar.place(text)[1] == instant.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def test_december_ends_with_january() -> None:
    assert (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)) == bounds("2026.12")
    assert (datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)) == bounds("2026.12.31")
    assert (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)) == bounds("2026")
    assert bounds(UNDATED) is None
