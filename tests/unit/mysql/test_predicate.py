"""Predicates bind every value and never let configuration into the statement."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from agent.mysql import predicate
from tests.unit.mysql.tables import table

TABLE = table("severity", "client_id", "action")


def test_values_are_bound_not_written() -> None:
    evil = "x' OR 1=1 -- "
    for part in (
        predicate.one_of(TABLE, "severity", [evil]),
        predicate.like(TABLE, "action", evil + "*"),
        predicate.one_of(TABLE, "client_id", [evil]),
    ):
        assert "OR 1=1" not in part.sql
        assert part.sql.count("%s") == len(part.params)


def test_wildcards_are_the_globs_only() -> None:
    assert predicate.like(TABLE, "action", "a%_|*?").params == ("a|%|_||%_",)


def test_a_field_the_table_lacks_matches_nothing_but_null() -> None:
    assert predicate.one_of(TABLE, "source", ["cron"]) == predicate.NOTHING
    assert predicate.like(TABLE, "source", "*") == predicate.NOTHING
    assert predicate.one_of(TABLE, "source", [None]) == predicate.EVERYTHING


def test_parts_keep_their_values_in_order() -> None:
    cutoff = datetime(2026, 8, 25, 3, 20, tzinfo=UTC)
    whole = predicate.all_of(
        predicate.older_than(TABLE, cutoff, ZoneInfo("Europe/Budapest")),
        predicate.negated(predicate.one_of(TABLE, "client_id", [1, "2"])),
    )

    assert whole.params == ("2026-08-25 05:20:00.000000", 1, 2)
    assert "IS NOT TRUE" in whole.sql


def test_no_parts_are_everything_and_nothing() -> None:
    assert predicate.all_of() == predicate.EVERYTHING
    assert predicate.any_of() == predicate.NOTHING
    assert predicate.one_of(TABLE, "severity", []) == predicate.NOTHING
