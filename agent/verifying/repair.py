"""Repair: what was judged to be drift is made to agree, in the order that loses nothing when it is cut off.

    rows shipped again ─▶ documents left in wrong places deleted          orphans journaled ─▶ deleted

A row's right document is written before a wrong one goes; an orphan may be the last trace of a row, so its deletion is
asked for apart and written down first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.row import Row
from agent.verifying.findings import Drift, Findings
from agent.verifying.judging import Judged
from agent.verifying.sides import Documents


@dataclass(frozen=True, kw_only=True)
class Repair:
    """Make sides agree.

    `ship` returns counts (`indexed`, `dead_letters`, `refused`); `record` is told of orphans to go.
    """

    documents: Documents
    ship: Callable[[Sequence[Row]], Mapping[str, int]]
    record: Callable[[Sequence[int]], None]

    def repair(self, judged: Judged, findings: Findings) -> None:
        """Repair what the scope asks for, and count it."""
        if findings.scope.repair:
            self._ship(judged, findings)
        if findings.scope.delete_orphans and judged.orphans:
            ids = judged.ids(Drift.ORPHAN)
            self.record(ids)
            self.documents.delete(judged.orphans)
            findings.orphans_deleted += len(ids)

    def _ship(self, judged: Judged, findings: Findings) -> None:
        rows = sorted([*judged.missing, *judged.different], key=lambda row: int(row[0] or 0))
        if not rows:
            return
        counts = self.ship(rows)
        findings.repaired += counts.get("indexed", 0)
        findings.dead_letters += counts.get("dead_letters", 0)
        findings.refused += counts.get("refused", 0)
        if judged.leftovers:
            self.documents.delete(judged.leftovers)
