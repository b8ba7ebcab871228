"""Rules for time: spans, days, times of day and of the week, zones. Everything is UTC but `source.time_zone`."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from agent.config.problems import did_you_mean
from agent.config.values import Checked, Rule, refuse

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HOURS_MINUTES = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"


@dataclass(frozen=True)
class Duration(Rule):
    """Take a span of time as a whole number and a unit: 90s, 15m, 26h, 7d, 2w."""

    lowest: str = "1s"
    highest: str = "366d"

    @property
    def allowed(self) -> str:
        return f"a duration from {self.lowest} to {self.highest}, as 90s, 15m, 26h, 7d or 2w"

    def read(self, value: object) -> dt.timedelta:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}[smhdw]", value):
            value = _span(value)
        if not isinstance(value, dt.timedelta) or not _span(self.lowest) <= value <= _span(self.highest):
            refuse(self.allowed, hint="; a number needs its unit" if isinstance(value, int | float) else "")
        return value

    def show(self, value: Any) -> object:
        return duration_text(value)


_SECONDS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}


def _span(text: str) -> dt.timedelta:
    return dt.timedelta(seconds=int(text[:-1]) * _SECONDS[text[-1]])


def duration_text(duration: dt.timedelta | None) -> str | None:
    """Write a duration with the largest unit that loses nothing, but days rather than weeks."""
    if duration is None:
        return None
    seconds = int(duration.total_seconds())
    unit = next(letter for letter in "dhms" if seconds % _SECONDS[letter] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


@dataclass(frozen=True)
class Date(Rule):
    """Take a calendar day as YYYY-MM-DD."""

    @property
    def allowed(self) -> str:
        return "a date as 2027-03-01"

    def read(self, value: object) -> dt.date:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            try:
                value = dt.date.fromisoformat(value)
            except ValueError:
                refuse(self.allowed, hint="; there is no such day")
        if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
            refuse(self.allowed)
        return value

    def show(self, value: Any) -> object:
        return value.isoformat() if isinstance(value, dt.date) else value


@dataclass(frozen=True)
class TimeZone(Rule):
    """Take the name of a time zone that this machine knows."""

    @property
    def allowed(self) -> str:
        return "a time zone name as UTC or Europe/Berlin"

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            refuse(self.allowed)
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            refuse(self.allowed, hint=did_you_mean(value, sorted(available_timezones())))
        return value


def _daily_time(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(_HOURS_MINUTES, value):
        refuse(TIME_OF_DAY.allowed)
    return value


def _weekly_time(value: object) -> str:
    words = value.lower().split() if isinstance(value, str) else ["?"]
    if not words:
        return ""
    day = ["sunday"] if len(words) == 1 else words[:-1]
    if len(day) != 1 or day[0] not in WEEKDAYS or not re.fullmatch(_HOURS_MINUTES, words[-1]):
        refuse(WEEKLY_TIME.allowed)
    return f"{day[0]} {words[-1]}"


TIME_OF_DAY = Checked("HH:MM from 00:00 to 23:59 (UTC)", _daily_time)
WEEKLY_TIME = Checked(
    'a weekday and HH:MM in UTC, as "sunday 04:20" (HH:MM alone: Sunday), or "" for never', _weekly_time
)
