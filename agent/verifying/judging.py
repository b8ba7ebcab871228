"""Suspects judged: read afresh from both sides, then named. Nothing is drift on the strength of a first look.

Documents are read before rows: retention deletes rows first and documents after them, so a row that is there after
its document was not is truly missing one, however many deletions run beside. What explains rows that are gone is read
last, for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from agent.row import Row
from agent.verifying.findings import Drift
from agent.verifying.knowledge import FACTS, Knowledge, Reason
from agent.verifying.sides import Documents, Rows
from agent.verifying.stored import Stored

IDS_AT_ONCE = 1000
_BYTES_AT_ONCE = 8 * 1024 * 1024


@dataclass(slots=True)
class Judged:
    """What became of suspects: drift by kind, with what repairing it needs, and what was explained."""

    missing: list[Row] = field(default_factory=list)
    different: list[Row] = field(default_factory=list)
    leftovers: list[Stored] = field(default_factory=list)
    """Documents of rows that are different, lying where they should not."""
    orphans: list[Stored] = field(default_factory=list)
    explained: dict[int, Reason] = field(default_factory=dict)

    def ids(self, kind: Drift) -> list[int]:
        """Return the ids of one kind, ascending and once each."""
        if kind is Drift.ORPHAN:
            return sorted({document.id for document in self.orphans})
        return [int(row[0] or 0) for row in (self.missing if kind is Drift.MISSING else self.different)]


class Judge:
    """Judge ids; `place` returns the partition of a row."""

    def __init__(self, *, rows: Rows, documents: Documents, knowledge: Knowledge, place: Callable[[Row], str]) -> None:
        self._rows = rows
        self._documents = documents
        self._knowledge = knowledge
        self._place = place

    def judge(self, ids: Sequence[int], altered: Sequence[int] = ()) -> Iterator[Judged]:
        """Judge suspects, some at a time; `altered` are known to differ although their checksums agree."""
        if not ids:
            return
        self._documents.refresh()
        known = frozenset(altered)
        ordered = sorted(set(ids))
        for start in range(0, len(ordered), IDS_AT_ONCE):
            yield from self._some(ordered[start : start + IDS_AT_ONCE], known)

    def _some(self, ids: Sequence[int], altered: frozenset[int]) -> Iterator[Judged]:
        lying: dict[int, list[Stored]] = {}
        for document in self._documents.by_ids(ids, list(FACTS)):
            lying.setdefault(document.id, []).append(document)
        left = list(ids)
        while left:
            batch = self._rows.by_ids(left, _BYTES_AT_ONCE)
            whole = batch.is_complete or not batch.rows
            last = left[-1] if whole else int(batch.rows[-1][0] or 0)
            part = [row_id for row_id in left if row_id <= last]
            yield self._compared(part, {int(row[0] or 0): row for row in batch.rows}, lying, altered)
            left = left[len(part) :]

    def _compared(
        self, ids: Sequence[int], rows: dict[int, Row], lying: dict[int, list[Stored]], altered: frozenset[int]
    ) -> Judged:
        judged = Judged()
        if any(row_id in lying and row_id not in rows for row_id in ids):
            # Read after the rows were seen to be gone: whatever took them had left its trace by then.
            self._knowledge.refresh()
        for row_id in ids:
            row, documents = rows.get(row_id), lying.get(row_id, [])
            if row is None:
                self._without_row(row_id, documents, judged)
            elif not documents:
                judged.missing.append(row)
            elif row_id in altered or not self._is_right(row, documents):
                judged.different.append(row)
        self._explain(judged)
        for row in judged.different:
            partition = self._place(row)
            documents = lying[int(row[0] or 0)]
            judged.leftovers += [each for each in documents if not self._documents.is_right(each, partition)]
        return judged

    def _without_row(self, row_id: int, documents: list[Stored], judged: Judged) -> None:
        for document in documents:
            reason = self._knowledge.of_document(row_id, document.source or {})
            if reason is None:
                judged.orphans.append(document)
            else:
                judged.explained[row_id] = reason

    def _is_right(self, row: Row, documents: list[Stored]) -> bool:
        if len(documents) != 1 or documents[0].crc != row[-1]:
            return False
        return self._documents.is_right(documents[0], self._place(row))

    def _explain(self, judged: Judged) -> None:
        """Take out what is explained: also a dead letter whose older document is still there."""
        suspects = [*judged.missing, *judged.different]
        reasons = self._knowledge.of_rows(suspects)
        if reasons:
            judged.explained |= reasons
            judged.missing = [row for row in judged.missing if row[0] not in reasons]
            judged.different = [row for row in judged.different if row[0] not in reasons]
