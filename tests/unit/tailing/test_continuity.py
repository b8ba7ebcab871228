"""Is it still the same table? Every way a table can be another one is named, and no ordinary change is mistaken for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.errors import PermanentError
from agent.tailing.continuity import Met, Remembered, lost_range

REMEMBERED = Remembered(
    server="s1",
    table_created="2026-01-01 00:00:00",
    frontier=100,
    watermark=90,
    last_id=100,
    last_created_at="2026-11-23 10:00:00",
)
SAME = Met(
    server="s1",
    table_created="2026-01-01 00:00:00",
    min_id=1,
    max_id=100,
    next_id=101,
    last_is_there=True,
    last_created_at="2026-11-23 10:00:00",
)


def lost(**changes: Any) -> tuple[int, int] | None:
    return lost_range(REMEMBERED, replace(SAME, **changes), "db")


GONE: dict[str, Any] = {"last_is_there": False, "last_created_at": None}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_id": 500, "next_id": 501},
        {"next_id": None},
        {"max_id": 100, "next_id": 100},
        {"last_created_at": "2026-11-23 10:00:00.000000"},
        {"min_id": 101, "max_id": 200, "next_id": 201, **GONE},
        {"min_id": None, "max_id": None, **GONE},
        {"max_id": 60, **GONE},
        {"table_created": "2026-11-01 00:00:00"},
        {"server": "s2", "table_created": "2026-11-01 00:00:00"},
    ],
    ids=[
        "same",
        "grown",
        "next id unknown",
        "ids are used up",
        "created_at became more exact",
        "all that was read was purged",
        "emptied by DELETE",
        "its end purged",
        "rebuilt by ALTER",
        "a replica of it, promoted",
    ],
)
def test_the_same_table_goes_on(changes: dict[str, Any]) -> None:
    assert lost(**changes) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"min_id": None, "max_id": None, "next_id": 1, **GONE}, "fewer ids"),
        ({"max_id": 60, "next_id": 61, **GONE}, "fewer ids"),
        ({"max_id": 99, "next_id": 100, **GONE}, "fewer ids"),
        ({"max_id": 99, "next_id": None, **GONE}, "fewer ids"),
        ({"min_id": None, "max_id": None, "next_id": None, **GONE}, "fewer ids"),
        ({"max_id": 500, "next_id": 501, "last_created_at": "2026-11-23 10:00:01"}, "another row under an id"),
        ({"server": "s2", "max_id": 500, "next_id": 501, **GONE}, "another server or a new table"),
        ({"table_created": "2026-11-23 00:00:00", "max_id": 500, "next_id": 501, **GONE}, "another server"),
    ],
    ids=[
        "truncated",
        "restored",
        "one id back",
        "one id back, next id unknown",
        "empty, next id unknown",
        "other row under the id",
        "other server",
        "replaced",
    ],
)
def test_another_table_stops_the_agent_and_names_the_remedy(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PermanentError, match=said) as refused:
        lost(**changes)
    assert "sync --restart" in refused.value.remedy


@pytest.mark.parametrize(("min_id", "range_"), [(100, None), (101, None), (102, (101, 101)), (151, (101, 150))])
def test_rows_purged_unread_are_reported_as_a_range(min_id: int, range_: tuple[int, int] | None) -> None:
    assert lost(min_id=min_id, max_id=300, next_id=301, **GONE) == range_


def test_before_anything_was_read_every_table_is_right() -> None:
    fresh = replace(REMEMBERED, frontier=0, watermark=0, last_id=0, last_created_at=None, server=None)
    assert lost_range(fresh, replace(SAME, min_id=5000, server="s9"), "db") is None
