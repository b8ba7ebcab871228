"""Expired rows are not indexed again: what sync, backfill, replay and repair ask before they send a row (pure).

A row is refused when its document is expired under the policy in force **and** was already expired at the cutoffs of
the last run that really deleted. Before any such run nothing is refused; a policy that was lengthened since refuses
less; a row that run had to keep, because the index did not hold it, is not refused either, so that it can be repaired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from agent.retention.condition import Facts
from agent.retention.policy import Policy, Side
from agent.row import Row, RowShape


@dataclass(frozen=True, kw_only=True)
class Expiry:
    """The policy in force and the one last executed; None when no run has deleted anything yet."""

    current: Policy
    executed: Policy | None

    def refused_before(self) -> str | None:
        """Return the instant before which rows may be refused; whatever was created at or after it never is."""
        if self.executed is None:
            return None
        cutoffs = [policy.latest_cutoff(Side.DOCUMENTS) for policy in (self.current, self.executed)]
        known = [cutoff for cutoff in cutoffs if cutoff is not None]
        return min(known) if len(known) == len(cutoffs) else None

    def refused_rows(self, rows: Sequence[Row], shape: RowShape) -> dict[int, str]:
        """Return the ids of those rows that are not to be indexed again, each with the reason.

        Most rows are young: they cost one comparison of texts.
        """
        limit = self._surely_kept_from
        if limit is None:
            return {}
        refused = {}
        for row in rows:
            created_at = row[1]
            if isinstance(created_at, str) and created_at < limit:
                reason = self.refuses(dict(zip(shape.fields, row, strict=False)))
                if reason:
                    refused[int(row[0] or 0)] = reason
        return refused

    def refuses(self, fields: Facts) -> str | None:
        """Return why a row is not to be indexed again, or None."""
        if self.executed is None:
            return None
        facts = self.current.facts(fields)
        current = self.current.decide_on_facts(Side.DOCUMENTS, facts)
        if current.expired and self.executed.decide_on_facts(Side.DOCUMENTS, facts).expired:
            return f"expired by rule {current.rule}: {current.reason}"
        return None

    @cached_property
    def _surely_kept_from(self) -> str | None:
        """Return a wall time, a day late for whatever zone the table is written in; rows at or after it are kept."""
        before = self.refused_before()
        if before is None:
            return None
        return (datetime.fromisoformat(before) + timedelta(days=1)).strftime("%Y-%m-%d %H:%M:%S")
