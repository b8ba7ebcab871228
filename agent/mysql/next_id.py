"""The id the server will hand out next: what tells an emptied or restored table from one whose end was purged."""

from __future__ import annotations

from agent.mysql.engine import Database
from agent.mysql.schema import Table


def next_id(database: Database, table: Table) -> int | None:
    """Return the table's next auto-increment value, or None when it has none or the account may not see it."""
    if not table.id.is_auto_increment:
        return None
    with database.connection() as connection:
        if "mariadb" not in connection.server_version.lower():
            # MySQL 8 answers from statistics up to a day old unless it is told not to.
            connection.execute("SET SESSION information_schema_stats_expiry = 0")
        row = connection.row(
            "SELECT auto_increment FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
            (table.schema, table.name),
        )
    return int(row[0]) if row and row[0] is not None else None
