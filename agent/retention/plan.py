"""The plan: what a policy would delete now, counted by rule and side, without touching anything.

Counting walks the table in ranges of ids, so no statement is long; the index answers in one request. Rows above the
watermark are left out, as they are left out of the run: plan and run count the same rows with the same condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.retention.brakes import Limits, Load, tripped
from agent.retention.condition import Condition, Every, Not, Some
from agent.retention.policy import Policy, Side
from agent.retention.sides import Documents, Group, Groups, Rows
from agent.retention.slices import Slice, Slices

# Ids a statement looks at: a tenth of a second on a small server.
PLAN_IDS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RulePlan:
    """What one rule would delete on one side; days of 0 keep for ever."""

    rule: str
    days: int
    cutoff: str | None
    expired: Group


@dataclass(frozen=True, slots=True, kw_only=True)
class SidePlan:
    """One side: how much there is, what is held, what would go."""

    side: Side
    total: int
    held: tuple[tuple[str, int], ...]
    rules: tuple[RulePlan, ...]

    @property
    def expired(self) -> int:
        """Return how much would go."""
        return sum(each.expired.count for each in self.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Both sides at one instant. `newly` is what a shortened policy adds, while it waits: not part of the sides."""

    policy: Policy
    watermark: int
    rows: SidePlan
    documents: SidePlan
    orphans: int = 0
    newly_rows: int = 0
    newly_documents: int = 0
    brakes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "now": self.policy.now,
            "watermark": self.watermark,
            "policy_digest": self.policy.rules.digest,
            "rows": _side_json(self.rows),
            "documents": _side_json(self.documents),
            "holds": [
                {"name": hold.name, "until": str(hold.until) if hold.until else None, "reason": hold.reason}
                for hold, _ in self.policy.holds_in_force
            ],
            "orphans": self.orphans,
            "newly_expired": {"rows": self.newly_rows, "documents": self.newly_documents},
            "waiting": self.policy.bound is not None,
            "brakes": list(self.brakes),
            "notes": list(self.notes),
        }


def plan(
    policy: Policy, rows: Rows, documents: Documents, *, watermark: int, limits: Limits, orphans: int = 0
) -> Slices[Plan]:
    """Count, and say which brakes the plan trips; `orphans` are documents that go because Core removed their rows."""
    of_rows, newly_rows = yield from _plan_rows(policy, rows, watermark)
    of_documents, newly_documents = _plan_documents(policy, documents)
    yield Slice(phase="plan")
    loads = [
        Load(side=Side.ROWS, expired=of_rows.expired, total=of_rows.total),
        Load(side=Side.DOCUMENTS, expired=of_documents.expired + orphans, total=of_documents.total),
    ]
    return Plan(
        policy=policy,
        watermark=watermark,
        rows=of_rows,
        documents=of_documents,
        orphans=orphans,
        newly_rows=newly_rows,
        newly_documents=newly_documents,
        brakes=tripped(loads, limits),
        notes=policy.rules.notes,
    )


def _plan_rows(policy: Policy, rows: Rows, watermark: int) -> Slices[tuple[SidePlan, int]]:
    conditions = _conditions(policy, Side.ROWS)
    found = Groups(total=0, groups=tuple(Group() for _ in conditions))
    newly = 0
    bounds = rows.bounds()
    if bounds is not None:
        first, last = bounds[0], min(bounds[1], watermark)
        for start in range(first, last + 1, PLAN_IDS):
            end = min(start + PLAN_IDS - 1, last)
            found = found.plus(rows.group(conditions, start, end))
            newly += _newly(policy, Side.ROWS, lambda wanted, low=start, high=end: rows.group(wanted, low, high))
            yield Slice(phase="plan", done=end - first + 1, total=last - first + 1)
    return _side(policy, Side.ROWS, found), newly


def _plan_documents(policy: Policy, documents: Documents) -> tuple[SidePlan, int]:
    documents.refresh()
    found = documents.group(_conditions(policy, Side.DOCUMENTS))
    return _side(policy, Side.DOCUMENTS, found), _newly(policy, Side.DOCUMENTS, documents.group)


def _newly(policy: Policy, side: Side, group: Any) -> int:
    """Count what goes by the new rules alone and is kept so far by those before them."""
    if policy.bound is None:
        return 0
    alone = replace(policy, bound=None).expired(side)
    counted: Groups = group([Every((alone, Not(policy.expired(side))))])
    return counted.groups[0].count


def _conditions(policy: Policy, side: Side) -> list[Condition]:
    matches = [matches for _, matches in policy.holds_in_force]
    # What two holds match counts for the first, in the index as in the table.
    held = [Every((each, Not(Some(tuple(matches[:position]))))) for position, each in enumerate(matches)]
    return [*held, *(policy.expired(side, rule) for rule in policy.rules.rules)]


def _side(policy: Policy, side: Side, found: Groups) -> SidePlan:
    holds = policy.holds_in_force
    held: Sequence[Group] = found.groups[: len(holds)]
    return SidePlan(
        side=side,
        total=found.total,
        held=tuple((hold.name, group.count) for (hold, _), group in zip(holds, held, strict=True)),
        rules=tuple(
            RulePlan(
                rule=rule.name,
                days=rule.rows_days if side is Side.ROWS else rule.documents_days,
                cutoff=policy.cutoffs[rule.name].of(side),
                expired=group,
            )
            for rule, group in zip(policy.rules.rules, found.groups[len(holds) :], strict=True)
        ),
    )


def _side_json(side: SidePlan) -> dict[str, Any]:
    return {
        "total": side.total,
        "expired": side.expired,
        "held": dict(side.held),
        "rules": [
            {
                "rule": each.rule,
                "days": each.days,
                "cutoff": each.cutoff,
                "expired": each.expired.count,
                "oldest": each.expired.oldest,
                "newest": each.expired.newest,
                "bytes": each.expired.bytes,
            }
            for each in side.rules
        ],
    }
