"""The rows fit every shape of table, and the live writer keeps its rate."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from demo.rows import rows
from demo.table import Kind
from demo.writer import Writer
from tests.world import Database

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind != Kind.MINIMAL])
def test_rows_fit_every_shape_of_table_unchanged(database: Database, kind: Kind) -> None:
    database.create_table(kind, table="shaped")
    content = list(rows(2100, now=datetime.now(UTC), json_only=kind == Kind.JSON))
    assert database.insert(content, table="shaped") == 2100
    stored = database.execute("SELECT action, detail, client_id FROM shaped ORDER BY id")
    assert stored == tuple((row.action, row.detail, row.client_id) for row in content)
    if kind != Kind.JSON:
        contexts = database.execute("SELECT context FROM shaped ORDER BY id")
        assert [context for (context,) in contexts] == [row.context for row in content]


def test_the_writer_writes_at_its_rate_with_its_bursts_and_counts_what_it_wrote(database: Database) -> None:
    pause = threading.Event()
    with Writer(database.connect, rate=200) as writer:
        writer.burst(25)
        pause.wait(2)
    assert writer.written == database.count()
    assert writer.written > 25
    failed = "SELECT COUNT(*) FROM mod_impulsecore_audit_log WHERE context LIKE '%timed out%'"
    assert database.execute(failed)[0][0] >= 25


def test_the_settings_table_holds_what_it_is_given(database: Database) -> None:
    database.create_settings({"audit_retention_days": "30"})
    assert database.execute("SELECT setting_key, setting_value FROM mod_impulsecore_settings") == (
        ("audit_retention_days", "30"),
    )
