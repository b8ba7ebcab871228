"""The rows are realistic, complete and the same for the same seed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from demo.actions import ACTIONS, MODULES, SEVERITIES, SOURCES, TASK_FAILED
from demo.install import BUSY_CLIENT
from demo.rows import AuditRow, Deck, burst, rows

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def many() -> list[AuditRow]:
    return list(rows(4000, now=NOW, seed=7, days=120))


def contexts(content: list[AuditRow]) -> list[object]:
    found = []
    for row in content:
        try:
            found.append(json.loads(row.context or "null"))
        except ValueError:
            continue
    return found


def test_the_same_seed_gives_the_same_rows() -> None:
    assert list(rows(500, now=NOW, seed=3)) == list(rows(500, now=NOW, seed=3))


def test_another_seed_gives_other_rows() -> None:
    assert list(rows(500, now=NOW, seed=3)) != list(rows(500, now=NOW, seed=4))


@pytest.mark.parametrize("days", [0.01, 1, 120, 800])
def test_every_date_lies_within_the_span_and_in_order(days: float) -> None:
    dates = [datetime.fromisoformat(row.created_at + "+00:00") for row in rows(1000, now=NOW, days=days)]
    assert all(NOW - timedelta(days=days) <= date <= NOW for date in dates)
    assert all(earlier <= later for earlier, later in pairwise(dates))
    assert dates[-1] - dates[0] > timedelta(days=days * 0.98)


@pytest.mark.parametrize("count", [0, 1, 2, 1999, 2000, 2001])
def test_as_many_rows_as_asked_for(count: int) -> None:
    assert sum(1 for _ in rows(count, now=NOW)) == count


def test_all_modules_sources_severities_and_actions_are_there(many: list[AuditRow]) -> None:
    assert {row.module_slug for row in many} == set(MODULES)
    assert {row.source for row in many} == set(SOURCES)
    assert {row.severity for row in many} == set(SEVERITIES)
    assert {row.action for row in many} == {TASK_FAILED, *(action.name for action in ACTIONS)}
    assert any(row.client_id == BUSY_CLIENT for row in many)


def test_only_people_have_an_address(many: list[AuditRow]) -> None:
    assert {row.ip_address is not None for row in many if row.source in {"admin", "customer"}} == {True}
    assert {row.ip_address for row in many if row.source in {"cron", "system"}} == {None}
    assert any(":" in (row.ip_address or "") for row in many)


def test_php_habits_are_there(many: list[AuditRow]) -> None:
    raw = [row.context for row in many]
    parsed = contexts(many)
    objects = [context for context in parsed if isinstance(context, dict)]
    assert {type(context["server_id"]) for context in objects if "server_id" in context} == {int, str}
    assert {type(context["snapshot_id"]) for context in objects if "snapshot_id" in context} == {int, str}
    assert {type(context["cve_id"]) for context in objects if "cve_id" in context} == {str, list}
    assert {dict, str, bool} <= {type(context["before"]) for context in objects if "before" in context}
    assert {type(context["after"]["pool"]) for context in objects if "pool" in str(context.get("after"))} == {list}
    assert {None, "", "[]", "null"} <= set(raw)
    assert any("\\/" in (text or "") for text in raw)
    assert any("\\u" in (text or "") for text in raw)
    assert all((text or "").isascii() for text in raw)
    assert any(isinstance(context, list) and context for context in parsed)
    assert any(isinstance(context, str) and context.startswith("{") for context in parsed)
    assert len(parsed) < len(many)


def test_failed_tasks_carry_exception_and_message(many: list[AuditRow]) -> None:
    failed = [row for row in many if row.action == TASK_FAILED and row.context]
    details = [json.loads(row.context or "") for row in failed]
    assert {row.severity for row in failed} == {"error"}
    assert {row.source for row in failed} == {"cron"}
    assert all(detail["exception"] and detail["message"] for detail in details)
    assert any(detail.get("trace", "").count("\n") > 8 for detail in details)
    assert any("timed out" in detail["message"] for detail in details)


def test_a_json_column_gets_only_json() -> None:
    for row in rows(4000, now=NOW, json_only=True):
        assert row.context is None or json.loads(row.context) is not Ellipsis


def test_a_burst_is_one_failing_task_within_the_given_time() -> None:
    made = list(burst(40, at=NOW, seconds=60))
    dates = [datetime.fromisoformat(row.created_at + "+00:00") for row in made]
    assert len(made) == 40
    assert {(row.action, row.severity, row.source) for row in made} == {(TASK_FAILED, "error", "cron")}
    assert all("timed out" in (row.context or "") for row in made)
    assert NOW - timedelta(seconds=60) <= min(dates)
    assert max(dates) == NOW


def test_a_deck_never_ends() -> None:
    deck = Deck(seed=1)
    assert len([deck.row("2026-01-01 00:00:00") for _ in range(5000)]) == 5000
