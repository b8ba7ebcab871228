"""A table shipped whole, asked twice: by the agent's search in this process, and by SQL.

SQL looks at `seen`: the table, and beside its context the JSON that the agent finds in it (JSON inside a JSON string
taken out, what is no JSON as NULL).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from agent.cli import audit_agent
from agent.cli.app import Application
from agent.cli.asking import question
from agent.searching.view import Order, look
from demo.rows import AuditRow
from tests.world import Database, World

TABLE = "mod_impulsecore_audit_log"
NOTHING_ASKED: dict[str, Any] = {
    **dict.fromkeys(
        ("module", "action", "severity", "source", "service", "admin", "client", "ip", "context", "text"), ()
    ),
    **dict.fromkeys(("last", "since", "until")),
    "column_only": False,
    "tz": "UTC",
}

_UNWRAPPED = "IF(JSON_VALID(context) AND JSON_TYPE(context) = 'STRING', JSON_UNQUOTE(context), context)"
_SEEN = f"CREATE TABLE seen AS SELECT *, IF(JSON_VALID({_UNWRAPPED}), {_UNWRAPPED}, NULL) AS json FROM {TABLE}"


@dataclass(frozen=True, kw_only=True)
class Searched:
    """One shipped table."""

    world: World
    app: Application

    def ids(self, limit: int = 10_000, **asked: Any) -> list[int]:
        """Return the ids a search finds, in order."""
        asking = question(self.app, {**NOTHING_ASKED, **asked})
        found = look(self.app.search, asking.query, limit=limit, order=Order.ID_UP, row_of=lambda source: source)
        assert found.total == len(found.rows) or found.total > limit
        return [row["id"] for row in found.rows]

    def sql_ids(self, where: Iterable[str]) -> list[int]:
        """Return the ids SQL finds."""
        condition = " AND ".join(f"({each})" for each in where) or "TRUE"
        return [row[0] for row in self.world.database.execute(f"SELECT id FROM seen WHERE {condition} ORDER BY id")]


@contextmanager
def searched(
    mysql_url: str,
    opensearch_url: str,
    folder: Path,
    fill: Callable[[Database], object],
    *,
    context_fields: Mapping[str, Any] | None = None,
) -> Iterator[Searched]:
    """Give a table, filled and shipped; gone afterwards."""
    database = Database(mysql_url)
    database.create_table()
    world = World(folder=folder, database=database, opensearch_url=opensearch_url)
    if context_fields is not None:
        world.context_fields = dict(context_fields)
    world.write({"tail.batch_rows": 5000})
    try:
        fill(database)
        for verb in ("setup", "sync"):
            outcome = world.run(verb, timeout=900)
            assert outcome.code == 0, outcome.stderr
        world.refresh()
        database.execute(_SEEN)
        yield Searched(world=world, app=Application(world.config))
    finally:
        world.remove()
        database.drop()


def row(at: str = "2026-11-01 12:00:00", context: str | None = None, **columns: Any) -> AuditRow:
    """Return a row of our own making."""
    plain = AuditRow(at, "impulseminio", "system", "service.created", "info", None, None, None, None, "a row", context)
    return plain._replace(**columns)


def value(path: str) -> str:
    """Return SQL for the text of a context field."""
    return f"JSON_UNQUOTE(JSON_EXTRACT(json, '$.{path}')) COLLATE utf8mb4_bin"


def word(text: str) -> str:
    """Return SQL for a word in the detail or the context."""
    return f"CONCAT_WS(' ', detail, context) REGEXP '(^|[^A-Za-z0-9_]){text}([^A-Za-z0-9_]|$)'"


def run(found: Searched, *arguments: str) -> str:
    """Run a verb in this process and return what it prints; its error is raised."""
    result = CliRunner().invoke(audit_agent, ["-c", str(found.world.config), *arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout
