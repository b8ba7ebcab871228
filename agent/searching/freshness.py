"""How fresh an answer is: how far the agent had come, by its own state document, and whether to mistrust that (pure).

«Behind» says that rows may be in the table that this answer does not know: the agent is stopped, hindered, paused, or
later than LATE_SECONDS. It is never guessed from the documents themselves: a quiet table looks just like a dead agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from agent.observing.line import neutralise
from agent.observing.status import report

# A healthy agent is seconds behind; minutes mean that something holds it up.
LATE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """State of the index at the time of an answer."""

    watermark: int
    watermark_time: str | None
    lag_seconds: float | None
    heartbeat: str | None
    state: str
    behind: bool
    warning: str | None

    def described(self) -> dict[str, Any]:
        """Return the object for programs."""
        return asdict(self)

    def line(self) -> str:
        """Return the words for a person."""
        reached = f" ({self.watermark_time})" if self.watermark_time else ""
        lag = "unknown" if self.lag_seconds is None else f"{self.lag_seconds:.1f} s"
        return f"watermark {self.watermark}{reached}, lag {lag}"


def freshness(
    members: Mapping[str, Any], *, instance: str, now: datetime, poll_seconds: float, watermark_time: str | None
) -> Freshness:
    """Judge the state document's members; `watermark_time` is the created_at of the row the watermark has reached."""
    told = report(members or None, instance=instance, now=now, poll_seconds=poll_seconds)
    if told["state"] == "degraded" and _is_old(members.get("lag_measured_at"), now):
        told["lag_seconds"] = None
    warning = _warning(members, told, watermark_time)
    return Freshness(
        watermark=int(told["watermark"] or 0),
        watermark_time=watermark_time,
        lag_seconds=told["lag_seconds"],
        heartbeat=told["heartbeat"],
        state=str(told["state"]),
        behind=warning is not None,
        warning=neutralise(warning) if warning else None,
    )


def _is_old(measured_at: str | None, now: datetime) -> bool:
    """Say whether a figure is history: while its database is away the agent cannot tell how far behind it is."""
    return measured_at is not None and (now - datetime.fromisoformat(measured_at)).total_seconds() > LATE_SECONDS


def _warning(members: Mapping[str, Any], told: Mapping[str, Any], watermark_time: str | None) -> str | None:
    reason, lag = str(told["reason"]), told["lag_seconds"]
    if not members:
        return "no agent has ever shipped for this instance"
    missing = f"rows written after {told['heartbeat'] or watermark_time or 'that'} may be missing"
    if told["state"] == "stopped":
        return f"the agent is stopped{_why(reason)}: {missing}"
    if (members.get("paused") or {}).get("tail"):
        return f"the tail is paused{_why(reason)}: newer rows are missing"
    if told["state"] == "degraded":
        return f"the agent is hindered{_why(reason)}: newer rows may be missing"
    if lag is not None and lag > LATE_SECONDS:
        backlog = told["backlog_rows"]
        rows = f", {backlog} rows are not indexed yet" if backlog else ""
        return f"the index is {lag:.0f} s behind the table{rows}"
    return None


def _why(reason: str) -> str:
    return f" ({reason})" if reason else ""
