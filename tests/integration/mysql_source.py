"""The source's settings as the configuration would give them, and what tests on a real server share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from agent.mysql import Database, RowReader, Table, look_up, open_database
from agent.mysql.source import TlsSettings
from tests.world import Database as TestDatabase

# Closed after each test (conftest.py): hundreds of pools left open are more connections than a server has.
OPENED: list[Database] = []


@dataclass(frozen=True, kw_only=True)
class Tls:
    enabled: bool = True
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    verify: bool = True


@dataclass(frozen=True, kw_only=True)
class Source:
    url: SecretStr
    table: str = "mod_impulsecore_audit_log"
    password_file: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    time_zone: str = "UTC"
    connect_timeout_seconds: float = 5
    read_timeout_seconds: float = 20
    tls: TlsSettings | None = None


def source(url: str, **changes: object) -> Source:
    return Source(url=SecretStr(url), **changes)  # type: ignore[arg-type]


def opened(url: str, **changes: object) -> tuple[Database, Table]:
    settings = source(url, **changes)
    database = open_database(settings)
    OPENED.append(database)
    return database, look_up(database, settings)


def reader(url: str, *, max_value_bytes: int = 1 << 20, **changes: object) -> RowReader:
    database, table = opened(url, **changes)
    return RowReader(database, table, max_value_bytes=max_value_bytes)


def dated(database: Database, table: Table, ids: Iterable[int]) -> dict[int, str]:
    """Return the dates of these rows as the agent reads them."""
    rows = RowReader(database, table, max_value_bytes=1000).by_ids(list(ids)).rows
    return {int(row[0] or 0): str(row[1]) for row in rows}


def examined(database: TestDatabase) -> int:
    """Return how many entries the server has looked at since it started."""
    return sum(int(row[1]) for row in database.execute("SHOW GLOBAL STATUS LIKE 'Handler_read%'"))
