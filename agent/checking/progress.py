"""Judge how far the agent is: its state document, old gaps, dead letters, pauses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.checking.finding import Finding, ok, warn

OLD_GAP_SECONDS = 3600.0
_SHOWN = 3


def state(status: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge what `status` says."""
    name = "state"
    if status.get("heartbeat") is None:
        yield ok(name, "this instance has never run")
        return
    told = f"{status['state']}, watermark {status['watermark']}, heartbeat {status['heartbeat']}"
    reason = str(status.get("reason") or "")
    if status["state"] == "degraded":
        yield warn(name, f"{told}: {reason}", "the reason says what is in the way; the agent goes on by itself")
    elif "not running since" in reason:
        yield warn(name, f"{told}: {reason}", "start the daemon; `sync` catches up once")
    else:
        yield ok(name, told + (f": {reason}" if reason else ""))


def paused(pauses: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Judge what a person paused."""
    for what, pause in (pauses or {}).items():
        if isinstance(pause, Mapping):
            told = f"paused by {pause.get('who')} since {pause.get('since')}: {pause.get('why')}"
            yield warn(f"pause of {what}", told, f"`audit-agent resume {what}`")


def gaps(found: Iterable[tuple[int, int, float]], *, limit_seconds: float) -> Iterator[Finding]:
    """Judge open gaps, given as first id, last id and age in seconds."""
    listed = list(found)
    old = [gap for gap in listed if gap[2] > limit_seconds]
    for first, last, age in old[:_SHOWN]:
        yield warn(
            "open gap",
            f"ids {first}-{last} open for {age / 3600:.1f} h: a transaction that may still write them is open",
            "find the session in information_schema.innodb_trx and end it; nothing is lost meanwhile",
        )
    if len(old) > _SHOWN:
        yield warn("open gap", f"{len(old) - _SHOWN} more as old", "`audit-agent checkpoint show` lists them")
    if not old:
        yield ok("open gap", f"{len(listed)} open, none old" if listed else "none")


def dead_letters(count: int) -> Finding:
    """Judge rows the index refused."""
    if count:
        remedy = "`audit-agent dead-letters list` says why; `replay` after the cause is mended"
        return warn("dead letters", f"{count} rows are not in the index", remedy)
    return ok("dead letters", "none")


def purged_unread(lost: tuple[int, int] | None) -> Iterator[Finding]:
    """Judge ids that were removed from the table before they were read."""
    if lost:
        remedy = "let the agent run more often than rows are purged; restore them from a backup if they matter"
        yield warn("lost rows", f"ids {lost[0]}-{lost[1]} were purged before they were read", remedy)
