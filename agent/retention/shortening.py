"""A policy that shortens retention waits: it is announced with what it newly expires, and deletes one cycle later.

Until then only that goes which the rules before it expire too. A scheduled run waits about a day from the first sight
of the change; a person who calls `retain --execute` again after the announcement has waited for the next run as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agent.retention.ledger import Ledger
from agent.retention.rules import RuleSet

# A daily run that announced at 03:20:05 may delete at 03:20:00 the next day: a cycle, less what runs are late by.
CYCLE = timedelta(hours=23)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Whether a policy waits: `before` are the rules that still bound it, None when it may act alone."""

    before: RuleSet | None
    is_new: bool


def wait_of(ledger: Ledger, rules: RuleSet, now: datetime, *, by_person: bool, is_released: bool) -> Wait:
    """Say what bounds these rules at `now`. A change is compared with the last rules that were in force."""
    if is_released or ledger.seen is None:
        return Wait(before=None, is_new=False)
    if ledger.seen.digest != rules.digest:
        before = ledger.waiting or ledger.seen
        return Wait(before=None if before.digest == rules.digest else before, is_new=True)
    if ledger.waiting is None or by_person or _has_waited(ledger, now):
        return Wait(before=None, is_new=False)
    return Wait(before=ledger.waiting, is_new=False)


def seen(ledger: Ledger, rules: RuleSet, wait: Wait, now: datetime) -> Ledger:
    """Return the ledger that knows these rules; they wait while `wait.before` bounds them."""
    is_same = ledger.seen is not None and ledger.seen.digest == rules.digest
    # A clock that was ahead when they were seen, and was set back since, must not make them wait for it.
    at = ledger.seen_at if is_same and ledger.seen_at and _instant(ledger) <= now else now.isoformat()
    return replace(ledger, seen=rules, seen_at=at, waiting=wait.before)


def _has_waited(ledger: Ledger, now: datetime) -> bool:
    return ledger.seen_at is None or now - _instant(ledger) >= CYCLE


def _instant(ledger: Ledger) -> datetime:
    return datetime.fromisoformat(str(ledger.seen_at))
