"""What `status` shows: the state document judged at a given time, for a machine and for a person. Pure.

The state document is what the agent said last; a heartbeat too old says that nobody is saying anything any more.
Only known members are copied, so nothing else that is kept there can leak through this door.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.observing.health import State
from agent.observing.line import neutralise

# Three missed heartbeats are no accident; below ten seconds the clocks' own differences would speak.
_MISSED_HEARTBEATS = 3
_SHORTEST_HEARTBEAT_SECONDS = 10.0

_COUNTS = ("watermark", "frontier", "open_gaps", "gap_ids")
_TOTALS = ("indexed_total", "dead_letters", "skipped_total")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFacts:
    """Hold what the asking process measured itself just now; None is «could not be measured»."""

    lag_seconds: float | None = None
    backlog_rows: int | None = None
    dead_letters: int | None = None
    unheard: str = ""
    """Why nothing is heard of an agent that holds the lease; empty when nobody holds it."""


def report(
    document: Mapping[str, Any] | None,
    *,
    instance: str,
    now: datetime,
    poll_seconds: float,
    live: LiveFacts | None = None,
) -> dict[str, Any]:
    """Return the object `status --json` prints. `document` None says that this instance has no state yet.

    `now` is the time of the server that dated the heartbeat. A measurement of the stopped agent is not repeated as
    if it were true now: without live facts its lag and backlog are None.
    """
    known = document or {}
    measured = live or LiveFacts()
    state, reason = _judged(known, now, poll_seconds, measured.unheard)
    stale = state == State.STOPPED
    answer: dict[str, Any] = {"instance": instance}
    answer |= {key: known.get(key, 0) for key in _COUNTS}
    answer |= {
        "lag_seconds": _first(measured.lag_seconds, None if stale else known.get("lag_seconds")),
        "backlog_rows": _first(measured.backlog_rows, None if stale else known.get("backlog_rows")),
    }
    answer |= {key: known.get(key, 0) for key in _TOTALS}
    if measured.dead_letters is not None:
        answer["dead_letters"] = measured.dead_letters
    answer |= {key: known.get(key) for key in ("evidence", "evidence_reason", "lease", "lease_since")}
    answer |= {"state": str(state), "reason": reason, "heartbeat": known.get("heartbeat")}
    return answer


def line(answer: Mapping[str, Any]) -> str:
    """Return the report as the one line a person reads."""
    parts = [f"{answer['instance']} {answer['state']}" + (f": {answer['reason']}" if answer["reason"] else "")]
    parts.append(f"lag {_duration(answer['lag_seconds'])}")
    parts.append(f"backlog {_rows(answer['backlog_rows'])}")
    parts.append(f"watermark {answer['watermark']}")
    if answer["open_gaps"]:
        parts.append(f"{_plural(answer['open_gaps'], 'open gap')} ({_plural(answer['gap_ids'], 'id')})")
    else:
        parts.append("no open gaps")
    parts.append(_plural(answer["dead_letters"], "dead letter"))
    if answer["evidence"]:
        parts.append(f"evidence {answer['evidence']}")
    return neutralise(" · ".join(parts))


def is_silent(document: Mapping[str, Any], now: datetime, poll_seconds: float) -> bool:
    """Say whether an agent that has not said it would stop has missed its heartbeats."""
    heartbeat = _instant(document.get("heartbeat"))
    limit_seconds = _MISSED_HEARTBEATS * max(poll_seconds, _SHORTEST_HEARTBEAT_SECONDS)
    is_old = heartbeat is None or (now - heartbeat).total_seconds() > limit_seconds
    return document.get("state") != State.STOPPED and is_old


def _judged(known: Mapping[str, Any], now: datetime, poll_seconds: float, unheard: str) -> tuple[str, str]:
    if not known:
        return State.STOPPED, "no state yet: this instance has never run"
    state, reason = str(known.get("state") or State.IDLE), str(known.get("reason") or "")
    if is_silent(known, now, poll_seconds):
        since = known.get("heartbeat") or "an unknown time"
        state, reason = State.STOPPED, f"agent not running since {since}"
        if unheard:
            state, reason = State.DEGRADED, f"the agent runs, but could not write its state since {since}: {unheard}"
    return state, "; ".join(part for part in (reason, *_pauses(known.get("paused"))) if part)


def _pauses(paused: Any) -> list[str]:
    if not isinstance(paused, Mapping):
        return []
    told = []
    for what in ("tail", "retention"):
        pause = paused.get(what)
        if isinstance(pause, Mapping):
            told.append(f"{what} paused by {pause.get('who')} since {pause.get('since')}: {pause.get('why')}")
    return told


def _instant(text: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _first(live: float | None, told: Any) -> Any:
    return told if live is None else live


def _duration(seconds: Any) -> str:
    if seconds is None:
        return "unknown"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _rows(count: Any) -> str:
    return "unknown" if count is None else _plural(count, "row")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
