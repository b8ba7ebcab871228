"""How the server is set, as far as the agent cares: raw facts for `check`, which judges them."""

from __future__ import annotations

from dataclasses import dataclass

from agent.mysql.engine import Database
from agent.mysql.schema import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """The facts at one moment; `tls_cipher` is empty on a plain connection, `now` is UTC by the server's clock."""

    max_allowed_packet: int
    now: str
    time_zone: str
    newest_created_at: str | None
    tls_cipher: str
    id_type: str
    is_id_auto_increment: bool
    created_at_type: str
    has_created_at_index: bool
    engine: str
    has_performance_schema: bool


def server_facts(database: Database, table: Table) -> ServerFacts:
    """Ask the server."""
    created, row_id, name = table.created_at.quoted, table.id.quoted, table.quoted_name
    newest = f"SELECT CONCAT({created}) FROM {name} ORDER BY {row_id} DESC LIMIT 1"  # noqa: S608 - checked and quoted
    with database.connection() as connection:
        row = connection.rows(
            "SELECT @@max_allowed_packet, CONCAT(UTC_TIMESTAMP(6)),"
            f" IF(@@GLOBAL.time_zone = 'SYSTEM', @@system_time_zone, @@GLOBAL.time_zone), ({newest}),"
            " @@performance_schema"
        )[0]
        cipher = connection.row("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    return ServerFacts(
        max_allowed_packet=int(row[0]),
        now=str(row[1]),
        time_zone=str(row[2]),
        newest_created_at=None if row[3] is None else str(row[3]),
        tls_cipher=str(cipher[1]) if cipher else "",
        id_type=table.id.column_type,
        is_id_auto_increment=table.id.is_auto_increment,
        created_at_type=table.created_at.column_type,
        has_created_at_index=table.created_at_index is not None,
        engine=table.engine,
        has_performance_schema=str(row[4]).upper() in ("1", "ON"),
    )
