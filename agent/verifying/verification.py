"""Verification: windows of ids compared by count and checksum, those that differ taken apart down to ids.

    windows ──▶ all parts equal? ──yes──▶ (deep: documents derived again) ──▶ next
                  │no
                  ▼
    ids and checksums of both sides ──▶ suspects ──▶ judged afresh ──▶ drift ──▶ repaired

It is an iterator of short slices, so a daemon tails between two of them; a slice reads one window from MySQL by its
primary key, or judges and repairs some suspects. Sums do not tell in which index a document lies: that is asked of each
index first. What a slice finds is repaired before the next one begins, so memory does not grow with the table.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.verifying.deep import Deep
from agent.verifying.findings import Drift, Findings
from agent.verifying.judging import Judge
from agent.verifying.knowledge import Knowledge, Reason
from agent.verifying.repair import Repair
from agent.verifying.sides import Documents, DocumentWindow, Rows, RowWindows

Slices = Iterator[float]
"""Each item is the least number of seconds to wait before the next slice; here always 0.0."""

IDS_LISTED_AT_ONCE = 10_000  # however wide a window is: memory does not grow with it
WINDOWS_A_BLOCK = 10  # one question to OpenSearch for so many to MySQL: asking is most of its cost
# Two differences that cancel each other out in a sum are seen if they lie in different parts of a window; more parts
# than this, times the windows of a block, are no answer of one request any more.
MOST_PARTS = 100


def part_width(window_rows: int) -> int:
    """Return the width of a window's parts in ids: a window is a whole number of them."""
    return window_rows // max(parts for parts in range(1, MOST_PARTS + 1) if window_rows % parts == 0)


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
        self.documents.refresh()
        self.knowledge.refresh()
        settled: set[int] = set()
        for ids in self.documents.misplaced(scope.low, scope.high):
            settled |= yield from self._settle(ids, findings)
        at = self._next(scope.low)
        while at is not None and at <= scope.high:
            last = min(scope.high, (at // self.window_rows + WINDOWS_A_BLOCK) * self.window_rows - 1)
            was_empty = yield from self._block(at, last, findings, settled)
            # Ids may jump by any distance: an empty block asks both sides where the next one is.
            at = self._next(last + 1) if was_empty else last + 1
        yield from self._above(findings)

    def _block(self, low: int, high: int, findings: Findings, settled: set[int]) -> Generator[None, None, bool]:
        """Compare some windows; return whether there was nothing in any of them."""
        width = self.window_rows
        theirs = self.documents.windows(low, high, part_width(width))
        counted = 0
        for number in range(low // width, high // width + 1):
            first, last = max(low, number * width), min(high, (number + 1) * width - 1)
            counted += yield from self._window(first, last, theirs, findings, settled)
            findings.at = last
            yield
            if findings.scope.deep:
                for altered in self.deep.altered(first, last):
                    new = [row_id for row_id in altered if row_id not in settled]
                    yield from self._settle(new, findings, altered)
                    yield
        return not counted

    def _window(
        self, low: int, high: int, theirs: Mapping[int, DocumentWindow], findings: Findings, settled: set[int]
    ) -> Generator[None, None, int]:
        """Compare one window, part by part; return how many rows and documents are in it."""
        width = part_width(self.window_rows)
        numbers = range(low // width, high // width + 1)
        ours = {part.start // width: (part.rows, part.crc_sum) for part in self.windows.windows(low, high, width)}
        stored = {number: (theirs[number].count, theirs[number].crc_sum) for number in numbers if number in theirs}
        rows, documents = (sum(count for count, _ in side.values()) for side in (ours, stored))
        findings.rows += rows
        findings.documents += documents
        # Documents that changed places leave the sums alone: a deep look goes by ids whatever the sums say.
        unequal = [
            number for number in numbers if ours.get(number) != stored.get(number) or (findings.scope.deep and rows)
        ]
        if unequal:
            reason = self._reason_for_all(low, high, documents) if rows == 0 else None
            if reason is not None:
                findings.explained[str(reason)] += documents
            else:
                first, last = max(low, unequal[0] * width), min(high, (unequal[-1] + 1) * width - 1)
                for suspects in self._suspects(first, last):
                    yield from self._settle([row_id for row_id in suspects if row_id not in settled], findings)
        return rows + documents

    def _above(self, findings: Findings) -> Iterator[None]:
        """Find documents without a row above what is settled, where rows may still be on their way to a document.

        A document is made of a committed row: one that was there before its row was not has lost it.
        """
        scope = findings.scope
        at = self._next_document(max(scope.low, scope.high + 1), scope.last)
        while at is not None:
            last = min(scope.last, at + IDS_LISTED_AT_ONCE - 1)
            stored = {document.id for document in self.documents.in_range(at, last)}
            lost = sorted(stored - {row_id for row_id, _ in self.windows.ids_and_crcs(at, last)})
            findings.documents += len(lost)
            yield from self._settle(lost, findings)
            yield
            at = self._next_document(last + 1, scope.last)

    def _reason_for_all(self, low: int, high: int, documents: int) -> Reason | None:
        """Explain at little cost a window that lies wholly before the front of the table, as most of an old index."""
        for instant, reason in self.knowledge.of_all_before():
            if self.documents.created_before(low, high, instant) == documents:
                return reason
        return None

    def _suspects(self, low: int, high: int) -> Iterator[list[int]]:
        """Return, in batches, the ids of a window that do not have exactly one document with the row's checksum."""
        for first in range(low, high + 1, IDS_LISTED_AT_ONCE):
            last = min(high, first + IDS_LISTED_AT_ONCE - 1)
            theirs: dict[int, list[int | None]] = {}
            for document in self.documents.in_range(first, last):
                theirs.setdefault(document.id, []).append(document.crc)
            rows = self.windows.ids_and_crcs(first, last)
            yield [row_id for row_id, crc in rows if theirs.pop(row_id, None) != [crc]] + list(theirs)

    def _settle(
        self, ids: Sequence[int], findings: Findings, altered: dict[int, list[str]] | None = None
    ) -> Generator[None, None, set[int]]:
        """Judge suspects afresh, note what they are, repair what is asked for; return those that have a name now."""
        altered, named = altered or {}, set[int]()
        for judged in self.judge.judge(ids, list(altered)):
            for kind in Drift:
                findings.add(kind, judged.ids(kind))
                named.update(judged.ids(kind))
            named.update(judged.explained)
            findings.explained.update(str(reason) for reason in judged.explained.values())
            for row_id in judged.ids(Drift.DIFFERENT):
                if row_id in altered:
                    findings.note_fields(row_id, altered[row_id])
            self.repair.repair(judged, findings)
            yield
        return named

    def _next(self, low: int) -> int | None:
        """Return the lowest id from `low` on that has a row or a document."""
        rows = self.rows.after(low - 1, 1).rows
        found = [int(rows[0][0] or 0)] if rows else []
        document = self.documents.next_id(low)
        return min([*found, document] if document is not None else found, default=None)

    def _next_document(self, low: int, last: int) -> int | None:
        """Return the lowest id in a range that has a document."""
        found = self.documents.next_id(low) if low <= last else None
        return found if found is not None and found <= last else None
