"""One row explained: where it is, and why (pure). The facts are gathered elsewhere; here they become one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agent.verifying.knowledge import Reason

Range = tuple[int, int]


class Place(StrEnum):
    """Name where a row is."""

    INDEXED = "indexed"
    DIFFERENT = "different"
    MISSING = "missing"
    NOT_REACHED = "not_reached"
    IN_FLIGHT = "in_flight"
    OPEN_GAP = "open_gap"
    WATCHED = "watched"
    SKIPPED = "skipped"
    DEAD_LETTER = "dead_letter"
    DROPPED = "dropped"
    EXPIRED = "expired"
    ARCHIVED = "archived"
    PURGED = "purged"
    ORPHAN = "orphan"
    NEVER_EXISTED = "never_existed"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lying:
    """One document of the row: the index, whether it belongs there, checksum, and what the document says of itself."""

    index: str
    is_right: bool
    crc: int | None
    indexed_at: str | None
    version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What the journal says about an id. `sure` is False when its entry names a range in which others lie too."""

    place: Place
    sentence: str
    sure: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFacts:
    """Everything known of one id. `low` and `next_id` are the table's; None when the table is empty or cannot say."""

    id: int
    crc: int | None
    created_at: str | None = None
    documents: tuple[Lying, ...] = ()
    altered: tuple[str, ...] = ()
    """Fields in which the document, for all its checksum, is not what the row makes."""
    watermark: int = 0
    frontier: int = 0
    gap: Range | None = None
    watched: Range | None = None
    letter: str | None = None
    absent_because: Reason | None = None
    """Why the row's document, or the document's row, rightly is not there."""
    archives: tuple[str, ...] = ()
    traces: tuple[Trace, ...] = field(default=())
    max_id: int | None = None
    next_id: int | None = None

    @property
    def is_row(self) -> bool:
        """Say whether the table has the row."""
        return self.crc is not None

    @property
    def is_whole(self) -> bool:
        """Say whether the row has its one document: a dead letter kept of it is an old story then."""
        return self.is_row and [(each.is_right, each.crc) for each in self.documents] == [(True, self.crc)]


def explained(facts: RowFacts) -> tuple[Place, str]:
    """Return where the row is, and one sentence that says why."""
    if facts.letter is not None and not facts.is_whole:
        return Place.DEAD_LETTER, f"the index refused it: {facts.letter}; `dead-letters replay {facts.id}` tries again"
    if facts.is_row:
        return _of_row(facts)
    if facts.documents:
        return _of_document(facts)
    return _of_nothing(facts)


def _of_row(facts: RowFacts) -> tuple[Place, str]:  # noqa: PLR0911  one case, one answer
    if facts.documents:
        return _of_both(facts)
    if facts.gap is not None:
        return Place.OPEN_GAP, f"its gap {_ids(facts.gap)} is open; the next re-read of the gap ships it"
    if facts.id > facts.frontier:
        return Place.NOT_REACHED, f"in the table, above the frontier {facts.frontier}; the tail has not come to it yet"
    if facts.absent_because is Reason.EXPIRED:
        return Place.EXPIRED, "a retention run has expired it; it is not indexed again"
    if facts.watched is not None:
        return Place.WATCHED, f"its gap {_ids(facts.watched)} was given up without proof and is still re-read"
    if facts.id > facts.watermark:
        return Place.IN_FLIGHT, f"read, above the watermark {facts.watermark}; not yet known to be indexed"
    return Place.MISSING, "settled, yet not in the index; `verify --repair` ships it again"


def _of_both(facts: RowFacts) -> tuple[Place, str]:
    right = [document for document in facts.documents if document.is_right]
    strays = [document.index for document in facts.documents if not document.is_right]
    if strays:
        return Place.DIFFERENT, f"also or only in {', '.join(strays)}, where it does not belong; `verify --repair`"
    if right[0].crc != facts.crc:
        return Place.DIFFERENT, "indexed, but with another checksum than the row has now; `verify --repair`"
    if facts.altered:
        return Place.DIFFERENT, f"altered in the index: {', '.join(facts.altered)}; `verify --deep --repair`"
    old = f"; `dead-letters drop {facts.id}` clears what was kept of an earlier refusal" if facts.letter else ""
    return Place.INDEXED, f"indexed in {right[0].index}, checksum equal{old}"


def _of_document(facts: RowFacts) -> tuple[Place, str]:
    if facts.archives:
        return Place.ARCHIVED, f"its row was archived in {', '.join(facts.archives)} and deleted; the document is kept"
    if facts.absent_because is Reason.EXPIRED:
        return Place.EXPIRED, "a retention run deleted its row; the document is kept until its own rule expires it"
    if facts.absent_because is Reason.PURGED:
        return Place.PURGED, "its row was purged by Core; the document is kept until its own rule expires it"
    return Place.ORPHAN, "its row was deleted, by no run of this agent, nor by age as Core purges"


def _of_nothing(facts: RowFacts) -> tuple[Place, str]:  # noqa: PLR0911  one case, one answer
    if facts.archives:
        return Place.ARCHIVED, f"archived in {', '.join(facts.archives)} and deleted from both sides"
    if facts.gap is not None:
        return Place.OPEN_GAP, f"no such row yet; its gap {_ids(facts.gap)} is open, a transaction may still commit it"
    if facts.id > facts.frontier:
        return _of_future(facts)
    for sure in (True, False):
        for trace in facts.traces:
            if trace.sure is sure:
                return trace.place, trace.sentence
    if facts.watched is not None:
        return Place.WATCHED, f"no such row; its gap {_ids(facts.watched)} was given up without proof and is re-read"
    if facts.id > facts.watermark:
        return Place.IN_FLIGHT, f"no such row now; it lies above the watermark {facts.watermark}"
    return Place.GONE, (
        "neither in the table nor in the index, and nothing is recorded about it: gone since, or before the first start"
    )


def _of_future(facts: RowFacts) -> tuple[Place, str]:
    handed_out = facts.next_id - 1 if facts.next_id is not None else facts.max_id or 0
    if facts.id > handed_out:
        return Place.NEVER_EXISTED, f"the table has not handed out this id; its last is {handed_out}"
    return Place.NOT_REACHED, f"no such row (yet), and above the frontier {facts.frontier}: the tail has not come to it"


def traces(row_id: int, entries: Iterable[Mapping[str, Any]]) -> tuple[Trace, ...]:
    """Return what journal entries say about an id, the latest first."""
    found = [trace for entry in entries if (trace := _trace(row_id, entry)) is not None]
    return tuple(reversed(found))


def _trace(row_id: int, entry: Mapping[str, Any]) -> Trace | None:
    read = _READERS.get(str(entry["kind"]))
    return read(row_id, entry["what"], f"journal entry {entry['number']} of {entry['at']}") if read else None


def _skip(row_id: int, what: Mapping[str, Any], where: str) -> Trace | None:
    ranges = [(int(first), int(last)) for first, last in what.get("ranges", ())]
    for each in ranges:
        if each[0] <= row_id <= each[1]:
            sentence = f"its gap {_ids(each)} was skipped by evidence {what.get('evidence')}, {where}"
            return Trace(place=Place.SKIPPED, sentence=sentence)
    if int(what.get("ranges_total", 0)) > len(ranges) and ranges and ranges[-1][1] < row_id <= int(what["last"]):
        sentence = f"one of {what['ranges_total']} gaps skipped by evidence {what.get('evidence')}, {where}"
        return Trace(place=Place.SKIPPED, sentence=sentence, sure=False)
    return None


def _retention(row_id: int, what: Mapping[str, Any], where: str) -> Trace | None:
    for side in ("rows", "documents"):
        for rule, tally in (what.get(side) or {}).items():
            first, last = tally.get("first_id"), tally.get("last_id")
            if tally.get("deleted") and first is not None and last is not None and first <= row_id <= last:
                sentence = f"deleted by rule {rule}, which took {side} {first} to {last}, {where}"
                return Trace(place=Place.EXPIRED, sentence=sentence, sure=False)
    return None


def _lost(row_id: int, what: Mapping[str, Any], where: str) -> Trace | None:
    if int(what.get("first", 0)) <= row_id <= int(what.get("last", -1)):
        return Trace(place=Place.PURGED, sentence=f"purged before it could be read, {where}")
    return None


def _dropped(row_id: int, what: Mapping[str, Any], where: str) -> Trace | None:
    if what.get("id") != row_id:
        return None
    return Trace(place=Place.DROPPED, sentence=f"its dead letter was dropped: {what.get('reason')}, {where}")


def _orphans(row_id: int, what: Mapping[str, Any], where: str) -> Trace | None:
    if row_id in what.get("ids", ()):
        return Trace(place=Place.GONE, sentence=f"its document had no row and was deleted by `verify`, {where}")
    return None


_READERS = {
    "gap_skipped": _skip,
    "retention": _retention,
    "rows_lost": _lost,
    "dead_letter_dropped": _dropped,
    "orphans_deleted": _orphans,
}


def _ids(span: Range) -> str:
    return str(span[0]) if span[0] == span[1] else f"{span[0]}-{span[1]}"
