"""How a session begins: what the driver is told before it connects, and the statements each session is set up with."""

from __future__ import annotations

from typing import Any

import pymysql.converters
from pymysql.constants import FIELD_TYPE

from agent.mysql.source import SourceSettings
from agent.mysql.tls import tls_arguments

_TABLE_LOCK_WAIT_SECONDS = 5  # behind an ALTER TABLE; the step is simply repeated
_ROW_LOCK_WAIT_SECONDS = 1  # only deletes wait for row locks, and whoever writes the audit log goes first
_INTEGER_TYPES = (
    FIELD_TYPE.TINY,
    FIELD_TYPE.SHORT,
    FIELD_TYPE.LONG,
    FIELD_TYPE.LONGLONG,
    FIELD_TYPE.INT24,
    FIELD_TYPE.YEAR,
)


def connect_arguments(source: SourceSettings, driver: str, read_timeout_seconds: float) -> dict[str, Any]:
    """Return what the driver is given beside the URL.

    PyMySQL's greeting has as long as a new connection may take: a port that takes everything and answers nothing is
    found out as soon as one that is shut. Who set the session up gives answers their own time.
    """
    arguments: dict[str, Any] = {
        "charset": "utf8mb4",
        "autocommit": True,
        "connect_timeout": max(1, round(source.connect_timeout_seconds)),
        "read_timeout": max(1, round(read_timeout_seconds)),
        "write_timeout": max(1, round(read_timeout_seconds)),
        **tls_arguments(source.tls, driver),
    }
    if driver == "pymysql":
        arguments["read_timeout"] = max(1, round(min(source.connect_timeout_seconds, read_timeout_seconds)))
        arguments["conv"] = {**pymysql.converters.encoders, **dict.fromkeys(_INTEGER_TYPES, int)}
    return arguments


def first_statements(server_version: str, read_timeout_seconds: float) -> tuple[str, str]:
    """Return the statements that set a session up."""
    # the server gives up a little before the client does, so that no statement runs on for nobody
    limit_seconds = max(1.0, read_timeout_seconds - 1)
    is_mariadb = "mariadb" in server_version.lower()
    limit = (
        f"max_statement_time = {limit_seconds:.0f}"
        if is_mariadb
        else f"max_execution_time = {limit_seconds * 1000:.0f}"
    )
    # init_connect may have switched autocommit off behind the driver's back; limits for careless people would cut lists
    # of locks short or refuse a comparison; ANSI_QUOTES, padded CHARs and strict dates would change our statements
    settings = (
        "SET SESSION autocommit = 1, time_zone = '+00:00', sql_mode = '', "
        "sql_select_limit = 18446744073709551615, sql_big_selects = 1, completion_type = 0, "
        f"lock_wait_timeout = {_TABLE_LOCK_WAIT_SECONDS}, innodb_lock_wait_timeout = {_ROW_LOCK_WAIT_SECONDS}, {limit}"
    )
    return "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", settings
