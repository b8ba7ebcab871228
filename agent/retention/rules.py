"""Rules and holds without a date: what retention.yml (and Core's own setting) says, before a clock is applied (pure).

The first rule that matches a row wins; a side the rule does not mention is kept as the default says; the default is
the last rule and matches everything. Days of 0 keep for ever. Documents are never kept shorter than their rows.
Written as JSON, rules travel in the retention record, so that a later run knows what an earlier one did.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from agent.retention.condition import Condition, Every, Is, Like, Some

DEFAULT = "default"
KEEP_FOR_EVER = 0
LONGEST_DAYS = 36_500

Match = Mapping[str, Sequence[str | int]]


class Keep(Protocol):
    """How long one side is kept."""

    @property
    def days(self) -> int: ...


class ConfiguredRule(Protocol):
    """A rule as the configuration has it; a side left out is None."""

    @property
    def name(self) -> str: ...
    @property
    def match(self) -> Match: ...
    @property
    def rows(self) -> Keep | None: ...
    @property
    def documents(self) -> Keep | None: ...


class ConfiguredHold(Protocol):
    """A hold as the configuration has it; `until` is the first day it no longer holds."""

    @property
    def name(self) -> str: ...
    @property
    def match(self) -> Match: ...
    @property
    def until(self) -> date | None: ...
    @property
    def reason(self) -> str: ...


class Configured(Protocol):
    """The part of the retention settings that decides what expires."""

    @property
    def rows(self) -> Keep: ...
    @property
    def documents(self) -> Keep: ...
    @property
    def rules(self) -> Sequence[ConfiguredRule]: ...
    @property
    def holds(self) -> Sequence[ConfiguredHold]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreDays:
    """What Core's own setting says: its days (0 for ever), or None when it could not be read, and why or where."""

    days: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How long the rows that match are kept, by side."""

    name: str
    match: Match
    rows_days: int
    documents_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Rows that must not go before `until` (for ever when None)."""

    name: str
    match: Match
    until: date | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """All rules in order, the default last, and all holds; `notes` say what was understood otherwise than written."""

    rules: tuple[Rule, ...]
    holds: tuple[Hold, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the rules as a JSON object; notes are not part of it."""
        return {
            "rules": [
                {
                    "name": rule.name,
                    "match": _plain(rule.match),
                    "rows_days": rule.rows_days,
                    "documents_days": rule.documents_days,
                }
                for rule in self.rules
            ],
            "holds": [
                {
                    "name": hold.name,
                    "match": _plain(hold.match),
                    "until": hold.until.isoformat() if hold.until else None,
                    "reason": hold.reason,
                }
                for hold in self.holds
            ],
        }

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the rules' JSON: equal digests expire the same rows at the same instant."""
        text = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def rule_set(settings: Configured, core: CoreDays | None = None) -> RuleSet:
    """Return the rules of a retention file; `core` is given when the file follows Core's setting."""
    notes: list[str] = []
    rows_days, documents_days = settings.rows.days, settings.documents.days
    if core is not None and core.days is None:
        rows_days = KEEP_FOR_EVER
        notes.append(f"rows without a rule are kept: Core's own setting is not readable ({core.reason})")
    elif core is not None and core.days is not None:
        rows_days = core.days
        notes.append(f"rows.days is {core.days}, as Core's own setting says ({core.reason})")
    rules = [
        Rule(
            name=rule.name,
            match=rule.match,
            rows_days=rule.rows.days if rule.rows else rows_days,
            documents_days=rule.documents.days if rule.documents else documents_days,
        )
        for rule in settings.rules
    ]
    rules.append(Rule(name=DEFAULT, match={}, rows_days=rows_days, documents_days=documents_days))
    holds = tuple(
        Hold(name=hold.name, match=hold.match, until=hold.until, reason=hold.reason) for hold in settings.holds
    )
    return RuleSet(rules=tuple(_sound(rule, notes) for rule in rules), holds=holds, notes=tuple(notes))


def rule_set_from_json(document: Mapping[str, Any]) -> RuleSet:
    """Return the rules that `as_json` wrote. Raises KeyError, TypeError or ValueError when it did not."""
    return RuleSet(
        rules=tuple(
            Rule(
                name=rule["name"],
                match=rule["match"],
                rows_days=int(rule["rows_days"]),
                documents_days=int(rule["documents_days"]),
            )
            for rule in document["rules"]
        ),
        holds=tuple(
            Hold(
                name=hold["name"],
                match=hold["match"],
                until=date.fromisoformat(hold["until"]) if hold["until"] else None,
                reason=hold["reason"],
            )
            for hold in document["holds"]
        ),
    )


def matching(match: Match) -> Condition:
    """Return the claim that a row matches: every column, any of its values."""
    return Every(tuple(Some(tuple(_value(field, value) for value in values)) for field, values in match.items()))


def _value(field: str, value: str | int) -> Condition:
    return Like(field, value) if isinstance(value, str) else Is(field, value)


def _sound(rule: Rule, notes: list[str]) -> Rule:
    """Let whatever makes no sense keep, and documents outlive their rows."""
    rows_days, documents_days = (
        days if 0 <= days <= LONGEST_DAYS else KEEP_FOR_EVER for days in (rule.rows_days, rule.documents_days)
    )
    if rows_days == KEEP_FOR_EVER != documents_days:
        notes.append(f"rule {rule.name}: documents are kept for ever, as their rows are")
        documents_days = KEEP_FOR_EVER
    elif KEEP_FOR_EVER != documents_days < rows_days:
        notes.append(f"rule {rule.name}: documents are kept {rows_days} days, as long as their rows")
        documents_days = rows_days
    return Rule(name=rule.name, match=rule.match, rows_days=rows_days, documents_days=documents_days)


def _plain(match: Match) -> dict[str, list[str | int]]:
    return {field: list(_values(values)) for field, values in sorted(match.items())}


def _values(values: Iterable[str | int]) -> Iterable[str | int]:
    return values
