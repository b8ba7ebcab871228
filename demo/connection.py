"""Connections of the demo's own, from the same URLs the agent takes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pymysql

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor


def connect(url: str, *, database: str | None = None) -> Connection[Cursor]:
    """Connect to `mysql+pymysql://user:password@host:port/database`: autocommit, utf8mb4, times in UTC."""
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
        database=database or parts.path.strip("/") or None,
        charset="utf8mb4",
        autocommit=True,
        init_command="SET time_zone = '+00:00'",
    )


def with_database(url: str, database: str) -> str:
    """Return the URL with another database, keeping user, host and options."""
    return urlsplit(url)._replace(path=f"/{database}").geturl()
