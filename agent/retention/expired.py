"""Expired rows are not indexed again: what sync, backfill, replay and repair ask before they send a row (pure).

A row is refused when its document is expired under the policy in force **and** was already expired at the cutoffs of
the last run that really deleted. Before any such run nothing is refused; a policy that was lengthened since refuses
less; a row that run had to keep, because the index did not hold it, is not refused either, so that it can be repaired.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.retention.condition import Facts
from agent.retention.policy import Policy, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """The policy in force and the one last executed; None when no run has deleted anything yet."""

    current: Policy
    executed: Policy | None

    @property
    def may_refuse(self) -> bool:
        """Say whether any row can be refused: a hot path asks this once and skips the rest."""
        return self.executed is not None and self.refused_before() is not None

    def refused_before(self) -> str | None:
        """Return the instant before which rows may be refused; whatever was created at or after it never is."""
        cutoffs = [
            policy.latest_cutoff(Side.DOCUMENTS) for policy in (self.current, self.executed) if policy is not None
        ]
        return None if None in cutoffs else min((cutoff for cutoff in cutoffs if cutoff is not None), default=None)

    def refuses(self, fields: Facts) -> str | None:
        """Return why a row is not to be indexed again, or None."""
        if self.executed is None:
            return None
        facts = self.current.facts(fields)
        current = self.current.decide_on_facts(Side.DOCUMENTS, facts)
        if current.expired and self.executed.decide_on_facts(Side.DOCUMENTS, facts).expired:
            return f"expired by rule {current.rule}: {current.reason}"
        return None
