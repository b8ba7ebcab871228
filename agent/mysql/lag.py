"""Ages by one clock, the database's: the row's time and the server's UTC time come from the same statement."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def as_instant(text: str | None, zone: ZoneInfo) -> datetime | None:
    """Return the instant a `created_at` means in the zone its writer used; None for NULL and for impossible dates."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None  # 0000-00-00, 2026-02-00 and the like have no age


def lag_seconds(created_at: str | None, now: str, zone: ZoneInfo) -> float | None:
    """Return how long before `now` (the server's UTC_TIMESTAMP) a row was created, never below 0."""
    created, instant = as_instant(created_at, zone), as_instant(now, ZoneInfo("UTC"))
    if created is None or instant is None:
        return None
    return max(0.0, (instant - created).total_seconds())
