"""The retention that Core itself uses, read from its settings table if that can be done without guessing.

Neither the table's columns nor the setting's key is published, so unless they are configured both are looked for
among the likely ones, and anything odd is «unreadable» with a reason: the caller then keeps rows rather than delete
by a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.errors import ConfigError, PermanentError, TemporaryError
from agent.mysql.engine import Connection, Database
from agent.mysql.schema import quoted

SETTINGS_TABLE = "mod_impulsecore_settings"
RETENTION_KEYS = ("audit_retention_days", "audit.retention_days", "retention_days")
_KEY_COLUMNS = ("setting_key", "setting_name", "setting", "key", "name")
_VALUE_COLUMNS = ("setting_value", "value")
_DAYS = re.compile(r'"?([0-9]{1,9})"?')  # PHP may have stored the number as JSON text


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreRetention:
    """Days after which Core deletes rows, 0 for never; None when that could not be read, for the reason given."""

    days: int | None
    reason: str


def core_retention(
    database: Database,
    schema: str,
    *,
    table: str = SETTINGS_TABLE,
    keys: Sequence[str] = RETENTION_KEYS,
    key_column: str = _KEY_COLUMNS[0],
    value_column: str = _VALUE_COLUMNS[0],
) -> CoreRetention:
    """Read the setting. Never raises for what the server says: unreadable is an answer.

    A column that is configured otherwise than by default is the only one looked at.
    """
    try:
        with database.connection() as connection:
            return _read(connection, schema, table, keys, (key_column, value_column))
    except (ConfigError, PermanentError, TemporaryError) as error:
        return CoreRetention(days=None, reason=str(error))


def _read(
    connection: Connection, schema: str, table: str, keys: Sequence[str], columns: tuple[str, str]
) -> CoreRetention:
    found = connection.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
        (schema, table),
    )
    names = {str(row[0]).lower(): str(row[0]) for row in found}
    if not names:
        return CoreRetention(days=None, reason=f"no table {schema}.{table}, or SELECT on it is not granted")
    key_column, value_column = _column(names, columns[0], _KEY_COLUMNS), _column(names, columns[1], _VALUE_COLUMNS)
    if key_column is None or value_column is None:
        wanted = f"columns for key and value ({' and '.join(columns)})"
        return CoreRetention(days=None, reason=f"{table} has no {wanted} among {', '.join(names)}")
    rows = connection.rows(
        f"SELECT {quoted(key_column)}, {quoted(value_column)} FROM {quoted(schema)}.{quoted(table)}"  # noqa: S608 - checked
        f" WHERE {quoted(key_column)} IN ({', '.join(['%s'] * len(keys))})",
        tuple(keys),
    )
    values: dict[str, set[str]] = {}
    for name, value in rows:
        values.setdefault(str(name).lower(), set()).add(str(value).strip())
    key = next((key for key in keys if key.lower() in values), None)
    if key is None:
        return CoreRetention(days=None, reason=f"{table} has none of the keys {', '.join(keys)}")
    found_values = values[key.lower()]
    if len(found_values) > 1:
        return CoreRetention(days=None, reason=f"{key} is in {table} more than once, with different values")
    days = _DAYS.fullmatch(found_values.pop())
    if days is None:
        return CoreRetention(days=None, reason=f"{key} in {table} is no number of days")
    return CoreRetention(days=int(days.group(1)), reason=f"{key} in {table}")


def _column(names: Mapping[str, str], configured: str, likely: Sequence[str]) -> str | None:
    """Return the column as the table spells it; the default stands for any likely one."""
    candidates = likely if configured == likely[0] else (configured.lower(),)
    return next((names[name] for name in candidates if name in names), None)
