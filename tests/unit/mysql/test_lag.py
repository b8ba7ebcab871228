"""Ages come from the database's clock alone and respect the zone rows were written in."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from agent.mysql.lag import as_instant, lag_seconds

BUDAPEST = ZoneInfo("Europe/Budapest")


def test_lag_is_the_distance_to_the_servers_utc_time() -> None:
    assert lag_seconds("2026-11-23 21:04:05", "2026-11-23 21:04:06.500000", ZoneInfo("UTC")) == 1.5


def test_lag_is_never_negative() -> None:
    assert lag_seconds("2026-11-23 21:04:05", "2026-11-23 21:04:04.900000", ZoneInfo("UTC")) == 0.0


def test_a_local_time_is_taken_in_its_zone() -> None:
    assert lag_seconds("2026-07-01 12:00:00", "2026-07-01 10:01:00.000000", BUDAPEST) == 60.0
    assert datetime(2026, 1, 1, 11, tzinfo=UTC) == as_instant("2026-01-01 12:00:00", BUDAPEST)


@pytest.mark.parametrize("text", [None, "", "0000-00-00 00:00:00", "2026-02-31 00:00:00", "2026-00-10 00:00:00"])
def test_what_is_no_date_has_no_age(text: str | None) -> None:
    assert lag_seconds(text, "2026-11-23 21:04:06.500000", ZoneInfo("UTC")) is None


def test_the_first_year_has_an_age_in_every_zone() -> None:
    assert as_instant("0001-01-01 00:00:00", BUDAPEST) is None
    assert as_instant("0001-01-02 00:00:00", BUDAPEST) is not None
