"""Verification: windows of ids compared by count and checksum, those that differ taken apart down to ids.

    windows ──▶ equal? ──yes──▶ (deep: documents derived again) ──▶ next
                  │no
                  ▼
    ids and checksums of both sides ──▶ suspects ──▶ judged afresh ──▶ drift ──▶ repaired

It is an iterator of short slices, so a daemon tails between two of them; a slice reads one window from MySQL by its
primary key. Sums do not tell in which index a document lies: that is asked of each index first. What a slice finds is
repaired before the next one begins, so memory does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from agent.verifying.deep import Deep
from agent.verifying.findings import Drift, Findings
from agent.verifying.judging import Judge
from agent.verifying.knowledge import Knowledge, Reason
from agent.verifying.repair import Repair
from agent.verifying.sides import Documents, DocumentWindow, Rows, RowWindows

Slices = Iterator[float]
"""Each item is the least number of seconds to wait before the next slice; here always 0.0."""

WINDOWS_A_BLOCK = 10  # one question to OpenSearch for so many to MySQL: asking is most of its cost


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Everything a run works with; `window_rows` is the width of a window in ids."""

    rows: Rows
    windows: RowWindows
    documents: Documents
    knowledge: Knowledge
    judge: Judge
    deep: Deep
    repair: Repair
    window_rows: int
    clock: Callable[[], float]

    def slices(self, findings: Findings) -> Slices:
        """Compare what `findings.scope` names; `findings` is complete when the iterator ends.

        After a TemporaryError begin again with new findings; what was repaired stays repaired.
        """
        begun = self.clock()
        for _ in self._compare(findings):
            findings.seconds = self.clock() - begun
            yield 0.0
        findings.at = findings.scope.high
        findings.seconds = self.clock() - begun

    def _compare(self, findings: Findings) -> Iterator[None]:
        scope = findings.scope
        if scope.low > scope.high:
            return
        self.documents.refresh()
        self.knowledge.refresh()
        settled: set[int] = set()
        for ids in self.documents.misplaced(scope.low, scope.high):
            self._settle(ids, findings)
            settled.update(ids)
            yield
        at = self._next(scope.low)
        while at is not None and at <= scope.high:
            last = min(scope.high, (at // self.window_rows + WINDOWS_A_BLOCK) * self.window_rows - 1)
            was_empty = yield from self._block(at, last, findings, settled)
            # Ids may jump by any distance: an empty block asks both sides where the next one is.
            at = self._next(last + 1) if was_empty else last + 1

    def _block(self, low: int, high: int, findings: Findings, settled: set[int]) -> Generator[None, None, bool]:
        """Compare some windows; return whether there was nothing in any of them."""
        width = self.window_rows
        theirs = self.documents.windows(low, high, width)
        counted = 0
        for number in range(low // width, high // width + 1):
            first, last = max(low, number * width), min(high, (number + 1) * width - 1)
            counted += self._window(first, last, theirs.get(number), findings, settled)
            findings.at = last
            yield
            if findings.scope.deep:
                for altered in self.deep.altered(first, last):
                    self._settle([row_id for row_id in altered if row_id not in settled], findings, altered)
                    yield
        return not counted

    def _window(self, low: int, high: int, theirs: DocumentWindow | None, findings: Findings, settled: set[int]) -> int:
        """Compare one window; return how many rows and documents are in it."""
        ours = next(iter(self.windows.windows(low, high, self.window_rows)), None)
        rows, row_sum = (ours.rows, ours.crc_sum) if ours else (0, 0)
        documents, document_sum = (theirs.count, theirs.crc_sum) if theirs else (0, 0)
        findings.rows += rows
        findings.documents += documents
        if (rows, row_sum) != (documents, document_sum):
            reason = self._reason_for_all(low, high, documents) if rows == 0 else None
            if reason is not None:
                findings.explained[str(reason)] += documents
            else:
                self._settle([row_id for row_id in self._suspects(low, high) if row_id not in settled], findings)
        return rows + documents

    def _reason_for_all(self, low: int, high: int, documents: int) -> Reason | None:
        """Explain at little cost a window that lies wholly before the front of the table, as most of an old index."""
        for instant, reason in self.knowledge.of_all_before():
            if self.documents.created_before(low, high, instant) == documents:
                return reason
        return None

    def _suspects(self, low: int, high: int) -> list[int]:
        """Return the ids of a window that do not have exactly one document with the row's checksum."""
        theirs: dict[int, list[int | None]] = {}
        for document in self.documents.in_range(low, high):
            theirs.setdefault(document.id, []).append(document.crc)
        suspects = [row_id for row_id, crc in self.windows.ids_and_crcs(low, high) if theirs.pop(row_id, None) != [crc]]
        return suspects + list(theirs)

    def _settle(self, ids: Sequence[int], findings: Findings, altered: dict[int, list[str]] | None = None) -> None:
        """Judge suspects afresh, note what they are, and repair what is asked for."""
        altered = altered or {}
        for judged in self.judge.judge(ids, list(altered)):
            for kind in Drift:
                findings.add(kind, judged.ids(kind))
            findings.explained.update(str(reason) for reason in judged.explained.values())
            for row_id in judged.ids(Drift.DIFFERENT):
                if row_id in altered:
                    findings.note_fields(row_id, altered[row_id])
            self.repair.repair(judged, findings)

    def _next(self, low: int) -> int | None:
        """Return the lowest id from `low` on that has a row or a document."""
        rows = self.rows.after(low - 1, 1).rows
        found = [int(rows[0][0] or 0)] if rows else []
        document = self.documents.next_id(low)
        return min([*found, document] if document is not None else found, default=None)
