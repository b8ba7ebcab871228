"""The policy: rules at one instant. Says of every row, per side, whether it is expired, by which rule, and why (pure).

Cutoffs are fixed once, from the database's clock, and cut to whole seconds: a row is expired when its `created_at`
lies before its rule's cutoff, so a row exactly as old as its rule is kept. A row without a usable date (NULL, zero
date, impossible date) or with one in the future never expires, and a held row never does.

What the policy says as a decision about one row, it also says as a condition over all rows; `condition.py` has that
condition read by SQL and OpenSearch, and tests hold the three together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any

from agent.mapping.partition import Calendar
from agent.retention.condition import ANYTHING, NOTHING, Before, Condition, Every, Facts, Not, Some, Within, holds
from agent.retention.rules import KEEP_FOR_EVER, LONGEST_DAYS, Hold, Rule, RuleSet, matching, rule_set_from_json

# Around a change of the source's clock the same wall time means two instants (or none); no zone shifts by more.
_SHIFT_HOURS = 3


class Side(StrEnum):
    """Name the two places a row lives in."""

    ROWS = "rows"
    DOCUMENTS = "documents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutoffs:
    """The instants of one rule; None never expires anything."""

    rows: str | None
    documents: str | None

    def of(self, side: Side) -> str | None:
        """Return the cutoff of one side."""
        return self.rows if side is Side.ROWS else self.documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the policy says about one row on one side; `rule` is the rule or the hold that decided."""

    side: Side
    rule: str
    expired: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Rules with their cutoffs, at one instant.

    `bound` is an older policy that must agree before anything expires, if there is one. `unsettled` are ids (first and
    last) whose rows may not be indexed yet: none of them expires, so that no document goes before its row may.
    """

    rules: RuleSet
    now: str
    cutoffs: Mapping[str, Cutoffs]
    zone: tzinfo = UTC
    bound: Policy | None = None
    unsettled: tuple[int, int] | None = None
    _calendar: Calendar = field(init=False, repr=False, compare=False)
    _holds: tuple[tuple[Hold, Condition], ...] = field(init=False, repr=False, compare=False)
    _rules: tuple[tuple[Rule, Condition], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_calendar", Calendar("day", self.zone))
        object.__setattr__(self, "_holds", tuple((hold, matching(hold.match)) for hold in self._holds_in_force()))
        object.__setattr__(self, "_rules", tuple((rule, matching(rule.match)) for rule in self.rules.rules))

    def facts(self, fields: Facts) -> Facts:
        """Return a row's fields with `created_at` as the document has it: an instant, or None."""
        created_at = fields.get("created_at")
        return {**fields, "created_at": self._calendar.place(created_at if isinstance(created_at, str) else None)[1]}

    def decide(self, side: Side, fields: Facts) -> Decision:
        """Decide about one row, given its fields as the table has them."""
        return self.decide_on_facts(side, self.facts(fields))

    def decide_on_facts(self, side: Side, facts: Facts) -> Decision:
        """Decide about one row whose `created_at` is an instant already, as a document's is."""
        held = self.hold_of(facts)
        if held is not None:
            until = f" until {held.until}" if held.until else ""
            return Decision(side=side, rule=held.name, expired=False, reason=f"held{until}: {held.reason}")
        rule = self.rule_of(facts)
        if self.unsettled is not None and holds(Within(*self.unsettled), facts):
            return Decision(side=side, rule=rule.name, expired=False, reason="above the watermark, not settled yet")
        expired, reason = self._age(side, rule, facts)
        if expired and self.bound is not None and not self.bound.decide_on_facts(side, facts).expired:
            return Decision(side=side, rule=rule.name, expired=False, reason="kept by the policy before this one")
        return Decision(side=side, rule=rule.name, expired=expired, reason=reason)

    def hold_of(self, facts: Facts) -> Hold | None:
        """Return the first hold in force that matches."""
        return next((hold for hold, matches in self._holds if holds(matches, facts)), None)

    def rule_of(self, facts: Facts) -> Rule:
        """Return the first rule that matches; the default does always."""
        return next(rule for rule, matches in self._rules if holds(matches, facts))

    @property
    def holds_in_force(self) -> tuple[tuple[Hold, Condition], ...]:
        """Return the holds whose last day has not passed, each with what it matches."""
        return self._holds

    def under(self, rule: Rule) -> Condition:
        """Return the claim that this rule (and no hold, no earlier rule) decides about a row."""
        position = self.rules.rules.index(rule)
        earlier = (matches for _, matches in self._rules[:position])
        return Every((self._rules[position][1], Not(Some((*self._held(), *earlier)))))

    def held(self) -> Condition:
        """Return the claim that a row is held."""
        return Some(self._held())

    def expired(self, side: Side, rule: Rule | None = None) -> Condition:
        """Return the claim that a row is expired on one side, by one rule or by any."""
        chosen = self.rules.rules if rule is None else (rule,)
        parts = [
            Every((Before(cutoff), self.under(each)))
            for each in chosen
            if (cutoff := self.cutoffs[each.name].of(side)) is not None
        ]
        if not parts:
            return NOTHING
        agreed = ANYTHING if self.bound is None else self.bound.expired(side)
        settled = ANYTHING if self.unsettled is None else Not(Within(*self.unsettled))
        return Every((Some(tuple(parts)), agreed, settled))

    def latest_cutoff(self, side: Side) -> str | None:
        """Return the latest cutoff of any rule: whatever was created at or after it is kept."""
        known = [cutoff for each in self.rules.rules if (cutoff := self.cutoffs[each.name].of(side)) is not None]
        return max(known, default=None)

    def as_json(self) -> dict[str, Any]:
        """Return rules and cutoffs, the bound's too, as a JSON object."""
        return {
            "now": self.now,
            "zone": str(self.zone),
            **self.rules.as_json(),
            "cutoffs": {name: {"rows": each.rows, "documents": each.documents} for name, each in self.cutoffs.items()},
            "bound": self.bound.as_json() if self.bound else None,
            "unsettled": list(self.unsettled) if self.unsettled else None,
        }

    def _held(self) -> tuple[Condition, ...]:
        return tuple(matches for _, matches in self._holds)

    def _holds_in_force(self) -> tuple[Hold, ...]:
        today = self.now[:10]
        return tuple(hold for hold in self.rules.holds if hold.until is None or today < hold.until.isoformat())

    def _age(self, side: Side, rule: Rule, facts: Facts) -> tuple[bool, str]:
        cutoff = self.cutoffs[rule.name].of(side)
        created_at = facts.get("created_at")
        if cutoff is None:
            return False, "kept for ever"
        if not isinstance(created_at, str):
            return False, "no usable created_at"
        if created_at < cutoff:
            return True, f"created {created_at}, before {cutoff}"
        return False, f"created {created_at}, not before {cutoff}"


def fixed(rules: RuleSet, now: datetime, zone: tzinfo = UTC, bound: RuleSet | None = None) -> Policy:
    """Return the policy these rules make at `now` (the database's clock, UTC); `bound` are the rules before them."""
    return Policy(
        rules=rules,
        now=_as_text(now),
        cutoffs={
            rule.name: Cutoffs(
                rows=_cutoff(now, rule.rows_days, zone), documents=_cutoff(now, rule.documents_days, zone)
            )
            for rule in rules.rules
        },
        zone=zone,
        bound=None if bound is None else fixed(bound, now, zone),
    )


def policy_from_json(document: Mapping[str, Any], zone: tzinfo = UTC) -> Policy:
    """Return the policy that `as_json` wrote. Raises KeyError, TypeError or ValueError when it did not."""
    return Policy(
        rules=rule_set_from_json(document),
        now=str(document["now"]),
        cutoffs={
            name: Cutoffs(rows=each["rows"], documents=each["documents"]) for name, each in document["cutoffs"].items()
        },
        zone=zone,
        bound=policy_from_json(document["bound"], zone) if document.get("bound") else None,
        unsettled=(int(unsettled[0]), int(unsettled[1])) if (unsettled := document.get("unsettled")) else None,
    )


def _cutoff(now: datetime, days: int, zone: tzinfo) -> str | None:
    # Whatever makes no sense keeps, also where it came past the configuration's checks.
    if not KEEP_FOR_EVER < days <= LONGEST_DAYS:
        return None
    return _as_text(_clear_of_shifts(now.astimezone(UTC).replace(microsecond=0) - timedelta(days=days), zone))


def _clear_of_shifts(instant: datetime, zone: tzinfo) -> datetime:
    """Move a cutoff back until wall time around it runs straight, so that table and index order rows alike.

    The table holds wall time of the source's zone; in UTC, which is the rule, nothing moves.
    """
    margin = timedelta(hours=_SHIFT_HOURS)
    while (instant - margin).astimezone(zone).utcoffset() != (instant + margin).astimezone(zone).utcoffset():
        instant -= timedelta(hours=1)
    return instant


def _as_text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
