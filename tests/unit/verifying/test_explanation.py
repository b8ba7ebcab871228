"""One row, one place, one sentence: every combination of facts has the answer a person would give."""

from __future__ import annotations

from typing import Any

import pytest

from agent.verifying.explanation import Lying, Place, RowFacts, explained, traces
from agent.verifying.knowledge import Reason

RIGHT = Lying(index="i-1", is_right=True, crc=5, indexed_at=None, version=None)
STRAY = Lying(index="i-2", is_right=False, crc=5, indexed_at=None, version=None)
OTHER = Lying(index="i-1", is_right=True, crc=6, indexed_at=None, version=None)


def place(**facts: Any) -> Place:
    given = {"id": 50, "crc": None, "watermark": 100, "frontier": 120, "max_id": 130, "next_id": 131, **facts}
    return explained(RowFacts(**given))[0]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"crc": 5, "documents": (RIGHT,)}, Place.INDEXED),
        ({"crc": 5, "documents": (OTHER,)}, Place.DIFFERENT),
        ({"crc": 5, "documents": (RIGHT,), "altered": ("severity",)}, Place.DIFFERENT),
        ({"crc": 5, "documents": (STRAY,)}, Place.DIFFERENT),
        ({"crc": 5, "documents": (RIGHT, STRAY)}, Place.DIFFERENT),
        ({"crc": 5}, Place.MISSING),
        ({"crc": 5, "letter": "why"}, Place.DEAD_LETTER),
        ({"crc": 5, "letter": "why", "documents": (OTHER,)}, Place.DEAD_LETTER),
        ({"crc": 5, "letter": "why", "documents": (RIGHT, STRAY)}, Place.DEAD_LETTER),
        # Shipped since by backfill or repair: the letter is an old story.
        ({"crc": 5, "letter": "why", "documents": (RIGHT,)}, Place.INDEXED),
        ({"crc": 5, "absent_because": Reason.EXPIRED}, Place.EXPIRED),
        ({"crc": 5, "watched": (40, 60)}, Place.WATCHED),
        ({"id": 110, "crc": 5}, Place.IN_FLIGHT),
        ({"id": 110, "crc": 5, "gap": (105, 110)}, Place.OPEN_GAP),
        ({"id": 120, "crc": 5}, Place.IN_FLIGHT),
        ({"id": 121, "crc": 5}, Place.NOT_REACHED),
        ({"documents": (RIGHT,)}, Place.ORPHAN),
        ({"documents": (RIGHT,), "absent_because": Reason.EXPIRED}, Place.EXPIRED),
        ({"documents": (RIGHT,), "absent_because": Reason.PURGED}, Place.PURGED),
        ({"documents": (RIGHT,), "archives": ("f",)}, Place.ARCHIVED),
        ({"archives": ("f",)}, Place.ARCHIVED),
        ({}, Place.GONE),
        ({"id": 110, "gap": (105, 110)}, Place.OPEN_GAP),
        ({"id": 130}, Place.NOT_REACHED),
        ({"id": 131}, Place.NEVER_EXISTED),
        ({"id": 131, "next_id": None}, Place.NEVER_EXISTED),
        ({"id": 130, "next_id": None}, Place.NOT_REACHED),
        ({"id": 1, "watermark": 0, "frontier": 0, "max_id": None, "next_id": None}, Place.NEVER_EXISTED),
    ],
)
def test_each_set_of_facts_has_its_place(facts: dict[str, Any], expected: Place) -> None:
    assert place(**facts) is expected


def entry(number: int, kind: str, **what: Any) -> dict[str, Any]:
    return {"number": number, "kind": kind, "at": "2026-11-23T00:00:00Z", "what": what}


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry(1, "gap_skipped", ranges=[[50, 50]], ranges_total=1, first=50, last=50, evidence="e")], Place.SKIPPED),
        ([entry(1, "gap_skipped", ranges=[[1, 2]], ranges_total=9, first=1, last=90, evidence="e")], Place.SKIPPED),
        ([entry(1, "gap_skipped", ranges=[[51, 52]], ranges_total=1, first=51, last=52, evidence="e")], Place.GONE),
        ([entry(1, "retention", rows={"d": {"deleted": 3, "first_id": 1, "last_id": 50}})], Place.EXPIRED),
        ([entry(1, "retention", rows={"d": {"deleted": 0, "first_id": None, "last_id": None}})], Place.GONE),
        ([entry(1, "rows_lost", first=50, last=51)], Place.PURGED),
        ([entry(1, "dead_letter_dropped", id=50, reason="r")], Place.DROPPED),
        ([entry(1, "orphans_deleted", ids=[50])], Place.GONE),
        # What names the very id counts more than a range it lies in.
        (
            [
                entry(1, "dead_letter_dropped", id=50, reason="r"),
                entry(2, "retention", rows={"d": {"deleted": 3, "first_id": 1, "last_id": 90}}),
            ],
            Place.DROPPED,
        ),
        ([entry(1, "paused"), entry(2, "export")], Place.GONE),
    ],
)
def test_the_journal_tells_of_rows_that_are_gone(entries: list[dict[str, Any]], expected: Place) -> None:
    assert place(traces=traces(50, entries)) is expected
