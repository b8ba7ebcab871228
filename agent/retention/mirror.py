"""`on_source_delete: mirror`: documents whose rows Core deleted before any rule of ours did are deleted too.

Documents are listed before rows are looked up, and only up to the watermark, so a row that comes late is never taken
for one that went. A document whose row this agent may itself have deleted (rows kept shorter than documents) stays
until its own rule expires it: `reached` is the latest row cutoff any run has ever executed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.retention.condition import Facts
from agent.retention.policy import Policy, Side
from agent.retention.progress import Progress, mirror_in_flight
from agent.retention.sides import Documents, Rows
from agent.retention.slices import Slice, Slices

WINDOW_IDS = 10_000


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """Find documents without a row, window by window of ids, and delete them."""

    policy: Policy
    rows: Rows
    documents: Documents
    fields: tuple[str, ...]
    reached: str | None

    def orphans(self, watermark: int) -> Slices[int]:
        """Count them without deleting any: what the brakes look at."""
        return (yield from self._walk(watermark, len))

    def slices(self, watermark: int, progress: Progress) -> Slices[int]:
        """Delete them; return how many went."""

        def delete(ids: list[int]) -> int:
            progress.announce(mirror_in_flight(ids))
            deleted = self.documents.delete_ids(ids)
            progress.tally.mirrored += deleted
            return deleted

        return (yield from self._walk(watermark, delete))

    def _walk(self, watermark: int, act: Callable[[list[int]], int]) -> Slices[int]:
        total = 0
        ends = self._ends(watermark)
        for start in range(ends[0], ends[1] + 1, WINDOW_IDS):
            end = min(start + WINDOW_IDS - 1, ends[1])
            orphans = self._window(start, end)
            if orphans:
                total += act(orphans)
            yield Slice(phase="mirror", done=total)
        return total

    def _window(self, start: int, end: int) -> list[int]:
        found = self.documents.page(start, end, self.fields)
        there = self.rows.existing(sorted(found)) if found else frozenset()
        base = self.policy.bound or self.policy
        return sorted(
            row_id
            for row_id, facts in found.items()
            if row_id not in there and base.hold_of(facts) is None and not self._may_be_ours(facts)
        )

    def _may_be_ours(self, facts: Facts) -> bool:
        """Say whether a run of ours may have deleted the row: by this policy, or by one that was stricter once."""
        created_at = facts.get("created_at")
        if not isinstance(created_at, str):
            return False
        was_reached = self.reached is not None and created_at < self.reached
        return was_reached or self.policy.decide_on_facts(Side.ROWS, facts).expired

    def _ends(self, watermark: int) -> tuple[int, int]:
        ends = self.documents.ids()
        return (1, 0) if ends is None else (ends[0], min(ends[1], watermark))
