"""The time range of a search: what a person wrote becomes two instants (pure).

A written time names a span: a day, a minute, a second. A range begins where the first span begins and ends where the
last one ends, so `--from 2026-11-01 --to 2026-11-30` is the whole of November and `--to 21:04:05` holds that second.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from agent.errors import ConfigError
from agent.searching.reader import Query

T = TypeVar("T")

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d{1,9})\s*(s|min|m|h|d|w)", re.ASCII)
_DATE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:[T ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,6}))?)?"
    r"\s*(?P<zone>Z|z|[+-]\d\d:?\d\d)?)?)?)?",
    re.ASCII,
)
_LAST = "write 90m, 24h, 7d, 30d or 90d"
_TIMES = "write 2026-11-23, 2026-11-23T21:04:05, 2026-11, 7d (that long ago), today, yesterday or now"


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """From `since` to just before `until`; None is «without end»."""

    since: datetime | None = None
    until: datetime | None = None

    def query(self) -> list[Query]:
        """Return the clause for `created_at`, or none."""
        bounds: dict[str, Any] = {}
        if self.since:
            bounds["gte"] = iso(self.since)
        if self.until:
            bounds["lt"] = iso(self.until)
        return [{"range": {"created_at": bounds}}] if bounds else []

    def described(self) -> dict[str, str | None]:
        """Return the range as programs read it."""
        return {"from": iso(self.since) if self.since else None, "to": iso(self.until) if self.until else None}


def range_of(last: str | None, since: str | None, until: str | None, *, now: datetime, zone: ZoneInfo) -> Range:
    """Return the range that `--last`, or `--from` and `--to`, name. Raises ConfigError."""
    if last is not None:
        if since is not None or until is not None:
            raise ConfigError("a range is either --last or --from and --to", got=f"--last {last} with --from or --to")
        length = _within(lambda: now - _duration(last), "--last", last, _LAST)
        return Range(since=length)
    span = Range(
        since=_span(since, "--from", now, zone)[0] if since is not None else None,
        until=_span(until, "--to", now, zone)[1] if until is not None else None,
    )
    if span.since and span.until and span.since >= span.until:
        raise ConfigError("the range ends before it begins", got=f"--from {since} --to {until}")
    return span


def iso(instant: datetime) -> str:
    """Write an instant as documents do: UTC, milliseconds."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise ValueError
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])


def _span(text: str, option: str, now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the first instant of what a text names, and the first one after it."""
    return _within(lambda: _named(text.strip(), now, zone), option, text, _TIMES)


def _named(text: str, now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if text == "now":
        return now, now
    if text in ("today", "yesterday"):
        first = today - timedelta(days=text == "yesterday")
        return _at(first, zone), _at(first + timedelta(days=1), zone)
    if _DURATION.fullmatch(text):
        ago = now - _duration(text)
        return ago, ago
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError
    return _dated(match, zone)


def _dated(match: re.Match[str], zone: ZoneInfo) -> tuple[datetime, datetime]:
    year, month, day, hour, minute, second = (int(match[name] or least) for name, least in _LEAST.items())
    fraction = match["fraction"]
    # The index keeps milliseconds.
    microsecond = int((fraction or "0").ljust(6, "0")[:3]) * 1000
    first = datetime(year, month, day, hour, minute, second, microsecond)  # noqa: DTZ001  zoned below
    if match["month"] is None:
        after = first.replace(year=first.year + 1)
    elif match["day"] is None:
        after = (first + timedelta(days=31)).replace(day=1)
    elif match["hour"] is None:
        after = first + timedelta(days=1)
    elif match["second"] is None:
        after = first + timedelta(minutes=1)
    else:
        after = first + (timedelta(milliseconds=1) if fraction else timedelta(seconds=1))
    if match["zone"]:
        written = datetime.fromisoformat(f"2000-01-01T00:00:00{match['zone'].upper()}").tzinfo
        return first.replace(tzinfo=written), after.replace(tzinfo=written)
    return _at(first, zone), _at(after, zone)


_LEAST = {"year": 1, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0}


def _at(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)


def _within(make: Callable[[], T], option: str, got: str, remedy: str) -> T:
    """Return what `make` makes of a text; what is no time, or none a calendar holds, is a usage error."""
    try:
        return make()
    except (ValueError, OverflowError):
        raise ConfigError(f"{option} is no time range", got=repr(got), remedy=remedy) from None
