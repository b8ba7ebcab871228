"""The partition: which index a row belongs to, as a function of its `created_at` alone.

Promises: the same text, period and zone give the same partition for ever; a date that cannot be used (NULL, zero
date, 31 February, a year outside 1970–2105, no date at all) gives the partition `undated` and no instant, never
an error. Years outside that range are typing errors, and each would open an index of its own.

The document's instant is UTC with milliseconds (what an OpenSearch `date` keeps); microseconds are cut, not
rounded, so a row never moves into the next second, let alone the next partition.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from datetime import tzinfo

Period = Literal["day", "month", "year"]

UNDATED = "undated"
FIRST_YEAR = 1970
LAST_YEAR = 2105

_SHAPE = re.compile(r"(\d{4}-\d\d-\d\d)[ T]((?:[01]\d|2[0-3]):[0-5]\d):([0-5]\d)(?:\.(\d{1,6}))?", re.ASCII)
_WIDTH: dict[Period, int] = {"day": 10, "month": 7, "year": 4}
_SECONDS = {f"{second:02}": f"{second:02}.000Z" for second in range(60)}
_MINUTES = {f" {hour:02}:{minute:02}:": f"T{hour:02}:{minute:02}:" for hour in range(24) for minute in range(60)}
_DATE_LENGTH = 10
_MINUTE_END = 17
_PLAIN_LENGTH = 19
_CACHED = 4_000


class Calendar:
    """Place rows in partitions, for one period and one source time zone."""

    def __init__(self, period: Period = "month", zone: str | tzinfo = "UTC") -> None:
        self._width = _WIDTH[period]
        # UTC without the time zone database: a slim container has none.
        self._zone = UTC if zone == "UTC" else ZoneInfo(zone) if isinstance(zone, str) else zone
        self._days: dict[str, str] = {}
        self._minutes: dict[str, tuple[str, str]] = {}

    def place(self, created_at: str | None) -> tuple[str, str | None]:
        """Return the partition and the UTC instant of a row's `created_at`, or `("undated", None)`."""
        if created_at is None:
            return UNDATED, None
        if len(created_at) == _PLAIN_LENGTH:
            seconds = _SECONDS.get(created_at[_MINUTE_END:])
            if seconds is not None:
                # In UTC a day known to exist leaves nothing to compute; elsewhere rows of one minute share the offset.
                partition = self._days.get(created_at[:_DATE_LENGTH])
                minute = _MINUTES.get(created_at[_DATE_LENGTH:_MINUTE_END]) if partition is not None else None
                if partition is not None and minute is not None:
                    return partition, f"{created_at[:_DATE_LENGTH]}{minute}{seconds}"
                known = self._minutes.get(created_at[:_MINUTE_END])
                if known is not None:
                    return known[0], known[1] + seconds
        return self._place_new(created_at)

    def _place_new(self, created_at: str) -> tuple[str, str | None]:
        found = _SHAPE.fullmatch(created_at) or _SHAPE.fullmatch(f"{created_at} 00:00:00")
        if found is None:
            return UNDATED, None
        day, minute, second, fraction = found.groups()
        try:
            instant = self._to_utc(datetime.fromisoformat(f"{day}T{minute}:{second}"))
        except (ValueError, OverflowError):
            return UNDATED, None
        if not FIRST_YEAR <= instant.year <= LAST_YEAR:
            return UNDATED, None
        text = instant.isoformat()
        partition = text[: self._width].replace("-", ".")
        if text[17:19] == second:  # not so where an offset had seconds (Monrovia until 1972)
            self._remember(created_at, partition, text[:17])
        return partition, f"{text[:19]}.{(fraction or '').ljust(3, '0')[:3]}Z"

    def _to_utc(self, local: datetime) -> datetime:
        return local.replace(tzinfo=self._zone).astimezone(UTC).replace(tzinfo=None)

    def _remember(self, created_at: str, partition: str, prefix: str) -> None:
        if len(created_at) < _PLAIN_LENGTH:
            return
        if len(self._minutes) + len(self._days) >= _CACHED:
            self._minutes.clear()
            self._days.clear()
        if self._zone is UTC:
            self._days[created_at[:_DATE_LENGTH]] = partition
        else:
            self._minutes[created_at[:_MINUTE_END]] = (partition, prefix)


def partition_of(created_at: str | None, period: Period = "month", zone: str | tzinfo = "UTC") -> str:
    """Return the partition of one row; whoever places many keeps a `Calendar`."""
    return Calendar(period, zone).place(created_at)[0]


def bounds(partition: str) -> tuple[datetime, datetime] | None:
    """Return the first instant of a dated partition and the first one after it (both UTC); None for `undated`."""
    if partition == UNDATED:
        return None
    parts = [int(part) for part in partition.split(".")]
    if len(parts) == 1:
        first, after = date(parts[0], 1, 1), date(parts[0] + 1, 1, 1)
    elif len(parts) == 2:
        first = date(parts[0], parts[1], 1)
        after = (first + timedelta(days=31)).replace(day=1)
    else:
        first = date(parts[0], parts[1], parts[2])
        after = first + timedelta(days=1)
    return _midnight(first), _midnight(after)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
