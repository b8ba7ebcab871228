"""Who the source is: enough to notice another server or a replaced table behind the same URL."""

from __future__ import annotations

from dataclasses import dataclass

from agent.errors import ConfigError
from agent.mysql.engine import Connection, Database
from agent.mysql.replica_lag import replica_status
from agent.mysql.schema import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceIdentity:
    """Name server and table. `is_replica` is None when the account may not know.

    `server` survives restarts; `table_created` changes when the table is created anew, and also when an ALTER rebuilds
    it, so a change there is a reason to look, not a verdict.
    """

    server: str
    version: str
    vendor: str
    is_read_only: bool
    is_replica: bool | None
    is_galera: bool
    table_created: str | None


def identity(database: Database, table: Table) -> SourceIdentity:
    """Ask the server who it is."""
    with database.connection() as connection:
        version = connection.row("SELECT VERSION(), @@read_only")
        created = connection.row(
            "SELECT create_time FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
            (table.schema, table.name),
        )
        is_mariadb = "mariadb" in str(version[0]).lower() if version else False
        return SourceIdentity(
            server=_server(connection, is_mariadb=is_mariadb),
            version=str(version[0]) if version else "",
            vendor="mariadb" if is_mariadb else "mysql",
            is_read_only=is_on(version[1]) if version else False,
            is_replica=_is_replica(database),
            is_galera=_is_galera(connection),
            table_created=str(created[0]) if created and created[0] is not None else None,
        )


def is_read_only(database: Database) -> bool:
    """Ask whether the server takes no writes now, as a writer that was demoted to a replica does not."""
    with database.connection() as connection:
        row = connection.row("SELECT @@read_only")
    return row is not None and is_on(row[0])


def is_on(value: object) -> bool:
    """Read a server variable's switch: MariaDB's read_only has had words for values since 12."""
    return str(value).upper() not in ("0", "OFF", "NO", "NONE", "")


def _server(connection: Connection, *, is_mariadb: bool) -> str:
    variable = "server_uid" if is_mariadb else "server_uuid"
    row = connection.row("SHOW GLOBAL VARIABLES LIKE %s", (variable,))
    if row and row[1]:
        return str(row[1])
    # MariaDB before 10.6 has no identifier of its own: number and host name are the best there is
    row = connection.row("SELECT @@server_id, @@hostname, @@port")
    return "/".join(str(value) for value in row) if row else ""


def _is_galera(connection: Connection) -> bool:
    row = connection.row("SHOW GLOBAL VARIABLES LIKE 'wsrep_on'")
    return row is not None and is_on(row[1])


def _is_replica(database: Database) -> bool | None:
    try:
        with database.connection() as connection:
            return bool(replica_status(connection))
    except ConfigError:
        pass  # the privilege to ask is not granted, and need not be
    with database.connection() as connection:
        row = connection.row("SHOW GLOBAL STATUS LIKE 'Slaves_running'")
    return None if row is None else str(row[1]) != "0"
