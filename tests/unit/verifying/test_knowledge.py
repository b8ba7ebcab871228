"""What is no drift, and why: purges go by age, and only what is older than every row left was purged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agent.row import Row
from agent.verifying.knowledge import Front, Knowledge, Reason, Removed

YESTERDAY = "2026-11-22T00:00:00.000Z"
FRONT = Front(100, "2026-08-01T00:00:00.000Z", YESTERDAY)


@pytest.mark.parametrize(
    ("row_id", "created_at", "purged"),
    [
        (5, "2026-07-31T23:59:59.000Z", True),
        (150, "2026-07-31T23:59:59.000Z", True),  # ids need not be in the order of dates
        (99, "2026-08-01T00:00:00.000Z", True),
        (101, "2026-08-01T00:00:00.000Z", False),
        (99, "2026-08-01T00:00:01.000Z", False),
        (5, None, False),  # without a date nothing is ever old enough
    ],
)
def test_only_what_is_older_than_every_row_left_was_purged(row_id: int, created_at: str | None, purged: bool) -> None:
    assert FRONT.purged(row_id, created_at) is purged


def test_an_emptied_table_has_purged_everything_dated() -> None:
    assert Front(None, None, YESTERDAY).purged(7, "2026-08-01T00:00:00.000Z")
    assert not Front(None, None, YESTERDAY).purged(7, None)
    assert not Front(3, None, YESTERDAY).purged(2, "2026-08-01T00:00:00.000Z")


@pytest.mark.parametrize(
    ("created_at", "purged"),
    [("2026-11-21T23:59:59.999Z", True), (YESTERDAY, False), ("2026-11-22T07:00:00.000Z", False)],
)
def test_core_keeps_every_row_for_a_day(created_at: str, purged: bool) -> None:
    assert Front(100, "2026-11-22T08:00:00.000Z", YESTERDAY).purged(5, created_at) is purged
    assert Front(None, None, YESTERDAY).purged(5, created_at) is purged


class Letters:
    def ids_between(self, lo: int, hi: int) -> set[int]:
        return {row_id for row_id in (3,) if lo <= row_id <= hi}


def knowledge(**changes: Any) -> Knowledge:
    def refused(rows: Sequence[Row]) -> set[int]:
        return {int(row[0] or 0) for row in rows if row[0] == 4}

    parts: dict[str, Any] = {
        "dead_letters": Letters(),
        "refused": refused,
        "removed": lambda: Removed(None, lambda facts: facts.get("action") == "ours"),
        "front": lambda: FRONT,
        "watched": [(5, 6)],
    }
    known = Knowledge(**(parts | changes))
    known.refresh()
    return known


def test_rows_without_a_document_are_explained_by_the_first_reason() -> None:
    rows: list[Row] = [(row_id, None, 0) for row_id in range(2, 9)]

    assert knowledge().of_rows(rows) == {
        3: Reason.DEAD_LETTER,
        4: Reason.EXPIRED,
        5: Reason.WATCHED,
        6: Reason.WATCHED,
    }
    assert knowledge().of_rows([]) == {}


def test_documents_without_a_row_are_explained_by_retention_or_by_age() -> None:
    known = knowledge()

    assert known.of_document(500, {"action": "ours", "created_at": "2026-11-01T00:00:00.000Z"}) is Reason.EXPIRED
    assert known.of_document(5, {"action": "x", "created_at": "2026-01-01T00:00:00.000Z"}) is Reason.PURGED
    assert known.of_document(500, {"action": "x", "created_at": "2026-11-01T00:00:00.000Z"}) is None


def test_retention_is_asked_again_at_each_refresh() -> None:
    runs: list[bool] = []
    known = knowledge(removed=lambda: Removed(None, lambda _facts: bool(runs)))
    facts = {"created_at": "2026-11-01T00:00:00.000Z"}
    assert known.of_document(500, facts) is None
    runs.append(True)
    known.refresh()

    assert known.of_document(500, facts) is Reason.EXPIRED


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (None, [("2026-08-01T00:00:00.000Z", Reason.PURGED)]),
        (
            "2026-07-01T00:00:00.000Z",
            [("2026-07-01T00:00:00.000Z", Reason.EXPIRED), ("2026-08-01T00:00:00.000Z", Reason.PURGED)],
        ),
        (
            "2026-09-01T00:00:00.000Z",
            [("2026-08-01T00:00:00.000Z", Reason.EXPIRED), ("2026-08-01T00:00:00.000Z", Reason.PURGED)],
        ),
    ],
)
def test_what_lies_before_the_front_went_by_our_runs_as_far_as_they_reached(before: str | None, expected: Any) -> None:
    assert knowledge(removed=lambda: Removed(before, lambda _facts: False)).of_all_before() == expected


def test_no_window_of_documents_younger_than_a_day_was_purged() -> None:
    young = Front(100, "2026-11-22T08:00:00.000Z", YESTERDAY)

    assert knowledge(front=lambda: young).of_all_before() == [(YESTERDAY, Reason.PURGED)]
