"""Conditions on rows as SQL: checked columns, bound values, no text of configuration ever in the statement.

The comparison is exact, whatever the column's collation: text matches by its characters (no folding of case, no padding
of spaces), numbers by value. A condition on a field the table does not have, or on NULL, is false, and `negated` turns
unknown into true, so that a hold and its absence can never both apply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from agent.mysql.schema import Column, Table

_ESCAPE = "|"  # not the backslash: whether that escapes depends on the server's mode


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition and the values it binds, in order."""

    sql: str
    params: tuple[int | str, ...] = ()


def older_than(table: Table, cutoff: datetime, zone: ZoneInfo) -> Predicate:
    """Match rows created before the instant `cutoff`. Rows without a real date (NULL, zeros, 31 February) never match.

    `zone` is the one the writer meant its times in.
    """
    column = table.created_at.quoted
    # the impossible dates sort before any cutoff, and a row without an age has no expiry
    is_real = f"{column} >= '0001-01-01' AND DAYOFMONTH({column}) BETWEEN 1 AND DAYOFMONTH(LAST_DAY({column}))"
    local = cutoff.astimezone(zone).replace(tzinfo=None)
    return Predicate(f"({column} < %s AND {is_real})", (local.isoformat(sep=" ", timespec="microseconds"),))


def one_of(table: Table, field: str, values: Sequence[int | str | None]) -> Predicate:
    """Match rows whose field is exactly one of the values; None among them matches NULL."""
    return any_of(*(_equals(table.column(field), value) for value in values))


def like(table: Table, field: str, pattern: str) -> Predicate:
    """Match rows whose field matches a pattern where `*` stands for any text and `?` for one character."""
    column = table.column(field)
    if column is None:
        return NOTHING
    wildcards = {"*": "%", "?": "_"}
    escaped = "".join(wildcards.get(sign) or _literal(sign) for sign in pattern)
    return Predicate(f"{_text(column)} LIKE %s ESCAPE '{_ESCAPE}'", (escaped,))


def all_of(*parts: Predicate) -> Predicate:
    """Match rows that match every part; without parts, every row."""
    return _joined(" AND ", parts) if parts else EVERYTHING


def any_of(*parts: Predicate) -> Predicate:
    """Match rows that match some part; without parts, none."""
    return _joined(" OR ", parts) if parts else NOTHING


def negated(part: Predicate) -> Predicate:
    """Match exactly the rows that `part` does not, those it cannot tell about included."""
    return Predicate(f"({part.sql}) IS NOT TRUE", part.params)


EVERYTHING = Predicate("TRUE")
NOTHING = Predicate("FALSE")


def _equals(column: Column | None, value: int | str | None) -> Predicate:
    if column is None:
        return EVERYTHING if value is None else NOTHING
    if value is None:
        return Predicate(f"{column.quoted} IS NULL")
    if column.is_integer:
        number = _number(value)
        return NOTHING if number is None else Predicate(f"{column.quoted} = %s", (number,))
    if isinstance(value, int):
        return _number_as_text(column, value)
    # LIKE, because = pads the shorter side with spaces
    text = "".join(_literal(sign) for sign in str(value))
    return Predicate(f"{_text(column)} LIKE %s ESCAPE '{_ESCAPE}'", (text,))


def _number_as_text(column: Column, number: int) -> Predicate:
    """Match texts that are this number in digits, however many zeros lead it: what the document holds as a number."""
    text = _text(column)
    digits = f"TRIM(LEADING '0' FROM {text}) LIKE %s"
    return Predicate(f"({digits} AND {text} <> '')", (str(number) if number else "",))


def _text(column: Column) -> str:
    return f"CONVERT({column.quoted} USING utf8mb4) COLLATE utf8mb4_bin"


def _literal(sign: str) -> str:
    return _ESCAPE + sign if sign in ("%", "_", _ESCAPE) else sign


def _number(value: int | str) -> int | None:
    try:
        return int(value)
    except ValueError:
        return None


def _joined(word: str, parts: Sequence[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    return Predicate(
        f"({word.join(part.sql for part in parts)})", tuple(value for part in parts for value in part.params)
    )
