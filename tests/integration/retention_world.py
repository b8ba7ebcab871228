"""Rows of chosen ages for retention's integration tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from demo.table import TABLE
from tests.world import Database


def insert_raw(database: Database, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows with whatever dates they have, impossible ones included."""
    database.execute("SET SESSION sql_mode = 'ALLOW_INVALID_DATES'")
    names = list(rows[0])
    marks = ", ".join(["%s"] * len(names))
    with database.connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO `{TABLE}` ({', '.join(names)}) VALUES ({marks})",
            [tuple(row[name] for name in names) for row in rows],
        )
    database.connection.commit()


def aged(days: float, **fields: Any) -> dict[str, Any]:
    """Return a row so many days old."""
    created_at = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S")
    row = {
        "created_at": created_at,
        "module_slug": "impulsecore",
        "source": "cron",
        "action": "a.b",
        "severity": "info",
    }
    return {**row, "client_id": None, "detail": "d", "context": "{}", **fields}


def ids(database: Database) -> set[int]:
    """Return the ids in the table."""
    return {int(row[0]) for row in database.execute(f"SELECT id FROM `{TABLE}`")}
