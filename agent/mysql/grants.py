"""What the account may do, found out by trying: roles, wildcards and column grants make reading SHOW GRANTS a guess.

Nothing is changed: the right to delete is tried with EXPLAIN. What SHOW GRANTS is good for is the opposite question,
which privileges the account has and the agent has no use for.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from agent.errors import ConfigError, PermanentError, TemporaryError
from agent.mysql.core_settings import SETTINGS_TABLE
from agent.mysql.engine import Database
from agent.mysql.schema import Table, account_name, quoted

_USEFUL = frozenset(("USAGE", "SELECT", "DELETE", "PROCESS", "REPLICATION CLIENT", "BINLOG MONITOR", "SLAVE MONITOR"))
_GRANT = re.compile(r"GRANT (?P<privileges>.+?) ON (?P<what>.+?) TO ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One privilege the agent may need: whether the account has it, and the statement that gives it."""

    privilege: str
    on: str
    is_held: bool
    statement: str
    got: str = ""


def probe_grants(database: Database, table: Table, *, settings_table: str = SETTINGS_TABLE) -> tuple[Grant, ...]:
    """Try each privilege the agent has a use for. Raises TemporaryError when the server is away."""
    name = table.quoted_name
    settings = f"{quoted(table.schema)}.{quoted(settings_table)}"
    probes = (
        ("SELECT", name, f"SELECT {', '.join(column.quoted for column in table.columns)} FROM {name} LIMIT 0"),  # noqa: S608 - quoted
        ("DELETE", name, f"EXPLAIN DELETE FROM {name} WHERE {table.id.quoted} < 0"),  # noqa: S608 - quoted
        ("SELECT", "performance_schema.metadata_locks", "SELECT 1 FROM performance_schema.metadata_locks LIMIT 0"),
        (
            "SELECT",
            "performance_schema.setup_instruments",
            "SELECT 1 FROM performance_schema.setup_instruments LIMIT 0",
        ),
        ("PROCESS", "*.*", "SELECT 1 FROM information_schema.innodb_trx LIMIT 1"),
        ("SELECT", settings, f"SELECT 1 FROM {settings} LIMIT 0"),  # noqa: S608 - quoted
    )
    with database.connection() as connection:
        account = account_name(connection)
    return tuple(_tried(database, privilege, on, sql, account) for privilege, on, sql in probes)


def needless_privileges(database: Database, readable: Collection[str] = ()) -> tuple[str, ...]:
    """Return the privileges the account has beyond what the agent could use, as `PRIVILEGE ON what`.

    `readable` names the tables (`schema.table`) that it may read; with it, reading any other is needless too.
    """
    with database.connection() as connection:
        lines = [str(row[0]) for row in connection.rows("SHOW GRANTS")]
    needless: list[str] = []
    for line in lines:
        found = _GRANT.match(line)
        if found is None or "PROXY" in found["privileges"]:
            continue
        privileges = [word.strip() for word in re.sub(r"\([^)]*\)", "", found["privileges"]).split(",")]
        extra = [word for word in privileges if word.upper() not in _USEFUL]
        what = found["what"].replace("`", "")
        if what.endswith(".*") or not _is_expected(what, readable):
            extra += [word for word in privileges if word.upper() in ("SELECT", "DELETE")]
        needless += [f"{word} ON {what}" for word in extra]
    return tuple(needless)


def _is_expected(what: str, readable: Collection[str]) -> bool:
    if not readable or what.startswith("performance_schema."):
        return True
    return what.lower() in {name.lower() for name in readable}


def _tried(database: Database, privilege: str, on: str, sql: str, account: str) -> Grant:
    statement = f"GRANT {privilege} ON {on.replace('%%', '%')} TO {account}"
    try:
        with database.connection() as connection:
            connection.rows(sql)
    except TemporaryError as error:
        if error.kind != "read_only":
            raise
        return Grant(privilege=privilege, on=on, is_held=False, statement=statement, got=error.got)
    except (ConfigError, PermanentError) as error:
        return Grant(privilege=privilege, on=on, is_held=False, statement=statement, got=error.got)
    return Grant(privilege=privilege, on=on, is_held=True, statement=statement)
