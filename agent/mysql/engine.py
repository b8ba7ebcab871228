"""The engine: pooled connections to the source, every one of them set up the same harmless way.

A connection is autocommit and READ COMMITTED, so that each statement sees a fresh snapshot and no transaction of ours
is ever left open; its time zone is UTC, waits for locks are short, and the server itself stops a statement that
outlives our patience. Values come back as `int` (integer columns), `str` or None, dates included.

The password file is read at each connect: a rotated password needs no restart. A connection that failed inside a
`with` block is thrown away, never returned to the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import PoolProxiedConnection

from agent.config.secrets import read_secret_file
from agent.errors import ConfigError, TemporaryError
from agent.mysql.session import connect_arguments, first_statements
from agent.mysql.source import SourceSettings
from agent.mysql.tls import Unconfigured
from agent.mysql.translation import translated

_POOL_SIZE = 2  # the tail and one slow job; more connections would only burden the billing database
_POOL_OVERFLOW = 3
_RECYCLE_SECONDS = 1800  # below the wait_timeout most hosts set
Params = Sequence[int | str | bytes | None]
ResultRow = tuple[Any, ...]


class Connection:
    """One connection in use. Statements write `%s` for a bound value and `%%` for a percent sign."""

    def __init__(self, driver_connection: Any) -> None:
        self.driver_connection = driver_connection
        self.is_discarded = False

    @property
    def server_version(self) -> str:
        """Return the version as the server announced it when the connection was made."""
        return str(self.driver_connection.get_server_info())

    def bound(self, sql: str, params: Params = ()) -> str:
        """Return a statement with its values, escaped by the driver as it does before it sends one."""
        with self.driver_connection.cursor() as cursor:
            return str(cursor.mogrify(sql, tuple(params)))

    def rows(self, sql: str, params: Params = ()) -> list[ResultRow]:
        """Run a statement and return all its rows."""
        with self.driver_connection.cursor() as cursor:
            cursor.execute(sql, tuple(params))
            return list(cursor.fetchall())

    def row(self, sql: str, params: Params = ()) -> ResultRow | None:
        """Run a statement and return its first row, None if there is none."""
        rows = self.rows(sql, params)
        return rows[0] if rows else None

    def records(self, sql: str, params: Params = ()) -> list[dict[str, Any]]:
        """Run a statement whose columns differ between servers and return its rows by lower-case column name."""
        with self.driver_connection.cursor() as cursor:
            cursor.execute(sql, tuple(params))
            names = [column[0].lower() for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def execute(self, sql: str, params: Params = ()) -> int:
        """Run a statement and return how many rows it changed."""
        with self.driver_connection.cursor() as cursor:
            return int(cursor.execute(sql, tuple(params)))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run one short transaction: commit at the end. After an error the connection is closed, which rolls back."""
        self.driver_connection.begin()
        yield
        self.driver_connection.commit()

    def discard(self) -> None:
        """Have this connection closed instead of returned to the pool, because its result was not read to the end."""
        self.is_discarded = True


class DedicatedConnection:
    """A connection kept for what lives as long as the session does. Driver errors leave its methods translated."""

    def __init__(self, connection: Connection, detached: PoolProxiedConnection, where: str) -> None:
        self._connection = connection
        self._detached = detached
        self._where = where

    def row(self, sql: str, params: Params = ()) -> ResultRow | None:
        """Run a statement and return its first row, None if there is none."""
        return next(iter(self.rows(sql, params)), None)

    def rows(self, sql: str, params: Params = ()) -> list[ResultRow]:
        """Run a statement and return all its rows."""
        with translated(self._where):
            return self._connection.rows(sql, params)

    def close(self) -> None:
        """Close it, dead or alive."""
        with suppress(TemporaryError), translated(self._where):
            self._detached.close()


class Database:
    """The source server: hands out connections and names itself in messages without credentials."""

    def __init__(self, engine: sqlalchemy.Engine, reopen: Callable[[float], Database]) -> None:
        self._engine = engine
        self._reopen = reopen
        url = engine.url
        self.where = f"mysql://{url.host or 'localhost'}:{url.port or 3306}/{url.database or ''}"
        self.name: str | None = url.database or None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a pooled connection. Driver errors leave this block as the project's own."""
        with translated(self.where):
            pooled = self._engine.raw_connection()
            try:
                connection = Connection(pooled.driver_connection)
                yield connection
            except BaseException:
                # whatever state an interrupted statement left behind must not reach the next user
                pooled.invalidate()
                raise
            if connection.is_discarded:
                pooled.invalidate()
            else:
                pooled.close()

    def dedicated_connection(self) -> DedicatedConnection:
        """Open a connection that belongs to the caller alone until it is closed, outside the pool."""
        with translated(self.where):
            pooled = self._engine.raw_connection()
            connection = Connection(pooled.driver_connection)
            pooled.detach()
            return DedicatedConnection(connection, pooled, self.where)

    def with_read_timeout(self, seconds: float) -> Database:
        """Return the same source with other patience: a pool of its own whose answers must come within `seconds`."""
        return self._reopen(seconds)

    def close(self) -> None:
        """Close all connections that are not in use. The database can be used again afterwards."""
        self._engine.dispose()


def open_database(source: SourceSettings) -> Database:
    """Prepare connections to the source; nothing is contacted before the first use."""
    return database_at(source.url.get_secret_value(), source)


def database_at(text: str, source: SourceSettings, *, read_timeout_seconds: float | None = None) -> Database:
    """Prepare connections to another URL, such as a replica's, with the source's password file, time-outs and TLS."""
    url = _url(text)
    driver = url.get_driver_name()
    seconds = read_timeout_seconds or source.read_timeout_seconds
    engine = sqlalchemy.create_engine(
        url,
        connect_args=connect_arguments(source, driver, seconds),
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_OVERFLOW,
        pool_timeout=seconds,
        pool_recycle=_RECYCLE_SECONDS,
        pool_pre_ping=True,
        pool_reset_on_return=None,  # autocommit: there is nothing to roll back
        skip_autocommit_rollback=True,
    )
    _read_password_at_connect(engine, source, url.password if text != source.url.get_secret_value() else None)
    if driver == "pymysql" and source.tls is None:
        sqlalchemy.event.listen(engine, "do_connect", lambda _d, _r, args, named: Unconfigured(*args, **named))
    sqlalchemy.event.listen(engine, "connect", lambda raw, _record: _greet(raw, seconds))
    return Database(engine, lambda other: database_at(text, source, read_timeout_seconds=other))


def _url(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        url = None
    if url is None or url.get_backend_name() not in ("mysql", "mariadb"):
        # the text itself may hold a password, so it isn't shown
        raise ConfigError(
            "source.url is not a MySQL URL", remedy="write mysql+pymysql://USER@HOST:PORT/DATABASE, password in a file"
        )
    driver = url.drivername.partition("+")[2] or "pymysql"
    if driver not in ("pymysql", "mysqldb"):
        raise ConfigError("source.url names an unknown driver", got=driver, remedy="use mysql+pymysql://")
    return url.set(drivername=f"mysql+{driver}")


def _read_password_at_connect(engine: sqlalchemy.Engine, source: SourceSettings, own: str | None) -> None:
    """Connect with the URL's `own` password if it is not the source's URL and has one, else with the source's."""

    def put_password(dialect: sqlalchemy.Dialect, _record: object, _args: object, arguments: dict[str, Any]) -> None:
        password = own
        if own is None and source.password_file is not None:
            password = read_secret_file(source.password_file, "source.password_file")
        elif own is None:
            password = make_url(source.url.get_secret_value()).password
        if password:
            # Servers hash the bytes of UTF-8; left to itself, this driver would send those of latin-1.
            arguments["password"] = password.encode() if dialect.driver == "pymysql" else password

    sqlalchemy.event.listen(engine, "do_connect", put_password)


def _greet(raw: Any, read_timeout_seconds: float) -> None:
    connection = Connection(raw)
    for statement in first_statements(connection.server_version, read_timeout_seconds):
        connection.execute(statement)
    if hasattr(raw, "_read_timeout"):  # PyMySQL
        raw._read_timeout = max(1, round(read_timeout_seconds))  # noqa: SLF001  it has no door for this
