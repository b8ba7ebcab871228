"""Look the audit table up: no `CREATE TABLE` is published, so its columns are read from the server at start.

`id` and `created_at` must exist (under names that configuration may change), every other known field may, and columns
nobody knows become `extra`. Every identifier that reaches a statement comes from here: it exists, and it is quoted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from agent.errors import ConfigError
from agent.mysql.engine import Connection, Database
from agent.mysql.source import SourceSettings
from agent.row import KNOWN_FIELDS, RowShape

REQUIRED_FIELDS = ("id", "created_at")
INTEGER_TYPES = frozenset(("tinyint", "smallint", "mediumint", "int", "integer", "bigint", "year"))
_DATE_TYPES = frozenset(("datetime", "timestamp", "date"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column as the server describes it. `field` is its name in the document."""

    field: str
    name: str
    data_type: str
    column_type: str
    charset: str | None = None
    is_nullable: bool = True
    is_auto_increment: bool = False

    @property
    def quoted(self) -> str:
        """Return the name as a statement writes it."""
        return quoted(self.name)

    @property
    def is_integer(self) -> bool:
        """Say whether its values arrive as int."""
        return self.data_type in INTEGER_TYPES or self.data_type == "bit"


@dataclass(frozen=True, kw_only=True)
class Table:
    """The audit table. `columns` are in the order of `shape`: known fields, then extra columns."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    known: int
    id_index: str
    created_at_index: str | None
    engine: str
    is_case_sensitive: bool

    @cached_property
    def shape(self) -> RowShape:
        """Name the values of this table's rows."""
        fields = tuple(column.field for column in self.columns)
        return RowShape(fields=fields[: self.known], extra=fields[self.known :])

    @cached_property
    def quoted_name(self) -> str:
        """Return schema and table as a statement writes them."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def id(self) -> Column:
        """Return the column the tail follows."""
        return self.columns[0]

    @property
    def created_at(self) -> Column:
        """Return the column that dates a row."""
        return self.columns[1]

    def column(self, field: str) -> Column | None:
        """Return the column of a known field, None when the table has none."""
        return next((column for column in self.columns[: self.known] if column.field == field), None)


def quoted(identifier: str) -> str:
    """Return an identifier in backticks, safe in a statement with bound values (`%` is doubled for the driver)."""
    return "`" + identifier.replace("`", "``").replace("%", "%%") + "`"


def look_up(database: Database, source: SourceSettings) -> Table:
    """Return the table as the server has it now. ConfigError says what is missing and which name is near."""
    with database.connection() as connection:
        schema, name, engine = _find_table(connection, database, source.table)
    _require_select(database, schema, name)
    with database.connection() as connection:
        described = _describe(connection, schema, name)
        indexes = _leading_indexes(connection, schema, name)
        case_row = connection.row("SELECT @@lower_case_table_names")
    columns, known = _assign(described, source.columns, f"{schema}.{name}")
    where = f"table {schema}.{name}"
    id_index = _checked_id(columns[0], indexes, where)
    if columns[1].data_type not in _DATE_TYPES:
        got = f"{columns[1].name} is {columns[1].column_type}"
        raise ConfigError("created_at must be DATETIME or TIMESTAMP", where=where, got=got, remedy="set source.columns")
    return Table(
        schema=schema,
        name=name,
        columns=columns,
        known=known,
        id_index=id_index,
        created_at_index=indexes.get(columns[1].name),
        engine=engine,
        is_case_sensitive=case_row is None or int(case_row[0]) == 0,
    )


def account_name(connection: Connection) -> str:
    """Return the account that the server took us for, as GRANT writes it: not the host we come from."""
    row = connection.row("SELECT CURRENT_USER()")
    return "@".join(f"'{part}'" for part in str(row[0]).rsplit("@", 1)) if row else "the agent's user"


def _require_select(database: Database, schema: str, name: str) -> None:
    """Raise ConfigError without SELECT: another grant on the table shows its name, but not what is in it."""
    try:
        with database.connection() as connection:
            connection.rows(f"SELECT 1 FROM {quoted(schema)}.{quoted(name)} LIMIT 0")  # noqa: S608 - exists, and quoted
    except ConfigError as error:
        with database.connection() as connection:
            remedy = f"GRANT SELECT ON {quoted(schema)}.{quoted(name)} TO {account_name(connection)}".replace("%%", "%")
        raise ConfigError("no grant to read the table", where=error.where, got=error.got, remedy=remedy) from error


def _find_table(connection: Connection, database: Database, configured: str) -> tuple[str, str, str]:
    schema, name = database.name, configured
    if schema is None:
        schema, _, name = configured.partition(".")
        if not name:
            raise ConfigError(
                "no database is named", where="source.url", remedy="write it after the host: …:3306/whmcs"
            )
    rows = connection.rows(
        "SELECT table_schema, table_name, table_type, engine FROM information_schema.tables WHERE table_schema = %s",
        (schema,),
    )
    tables = {str(row[1]): row for row in rows}
    found = tables.get(name) or _only_differs_in_case(tables, name, connection)
    if found is None:
        near = _near(name, tables)
        remedy = f"did you mean {near}?" if near else "correct source.table, or grant SELECT on it to the agent's user"
        raise ConfigError("no such table, or no grant on it", where=f"database {schema}", got=name, remedy=remedy)
    if found[2] != "BASE TABLE":
        raise ConfigError("source.table must be a table", where=f"{schema}.{name}", got=str(found[2]).lower())
    return str(found[0]), str(found[1]), str(found[3])


def _only_differs_in_case(
    tables: Mapping[str, Sequence[object]], name: str, connection: Connection
) -> Sequence[object] | None:
    row = connection.row("SELECT @@lower_case_table_names")
    if row is None or int(row[0]) == 0:
        return None
    return next((found for known, found in tables.items() if known.lower() == name.lower()), None)


def _describe(connection: Connection, schema: str, name: str) -> list[Column]:
    rows = connection.rows(
        "SELECT column_name, data_type, column_type, character_set_name, is_nullable, extra"
        " FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        (schema, name),
    )
    return [
        Column(
            field=str(column),
            name=str(column),
            data_type=_text(data_type).lower(),
            column_type=_text(column_type),
            charset=None if charset is None else str(charset),
            is_nullable=nullable == "YES",
            is_auto_increment="auto_increment" in str(extra),
        )
        for column, data_type, column_type, charset, nullable, extra in rows
    ]


def _leading_indexes(connection: Connection, schema: str, name: str) -> dict[str, str]:
    rows = connection.rows(
        "SELECT column_name, index_name FROM information_schema.statistics"
        " WHERE table_schema = %s AND table_name = %s AND seq_in_index = 1"
        " ORDER BY index_name <> 'PRIMARY', index_name",
        (schema, name),
    )
    indexes: dict[str, str] = {}
    for column, index in rows:
        indexes.setdefault(str(column), str(index))
    return indexes


def _assign(described: Sequence[Column], configured: Mapping[str, str], table: str) -> tuple[tuple[Column, ...], int]:
    by_name = {column.name.lower(): column for column in described}
    known: list[Column] = []
    for field in KNOWN_FIELDS:
        wanted = configured.get(field, field)
        column = by_name.pop(wanted.lower(), None)
        if column is not None:
            known.append(_renamed(column, field))
        elif field in configured or field in REQUIRED_FIELDS:
            near = _near(wanted, [column.name for column in by_name.values()])
            remedy = f"did you mean {near}? set source.columns.{field}" if near else f"set source.columns.{field}"
            raise ConfigError(f"no column for {field}", where=f"table {table}", got=wanted, remedy=remedy)
    return (*known, *by_name.values()), len(known)


def _renamed(column: Column, field: str) -> Column:
    return Column(
        field=field,
        name=column.name,
        data_type=column.data_type,
        column_type=column.column_type,
        charset=column.charset,
        is_nullable=column.is_nullable,
        is_auto_increment=column.is_auto_increment,
    )


def _checked_id(column: Column, indexes: Mapping[str, str], where: str) -> str:
    if column.data_type not in INTEGER_TYPES:
        got = f"{column.name} is {column.column_type}"
        raise ConfigError("id must be an integer column", where=where, got=got, remedy="set source.columns.id")
    index = indexes.get(column.name)
    if index is None:
        remedy = f"ADD PRIMARY KEY ({column.name}) to it, or set source.columns.id to its auto-increment primary key"
        raise ConfigError("id must be indexed: every poll reads by it", where=where, got=column.name, remedy=remedy)
    return index


def _near(name: str, names: Iterable[str]) -> str | None:
    by_lower = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def _text(value: object) -> str:
    # MySQL 8 hands some information_schema columns out as LONGTEXT or BLOB
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
