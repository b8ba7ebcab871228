"""Which rows a rule, a hold or an alert is about: column → values, all columns must agree, any value is enough.

Values are exact, or globs with `*` and `?` where the column is text. Only columns are offered whose value is the
same on both sides, in SQL and in the index: free text (`detail`) and JSON (`context`) are not, so retention never
decides by them.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from pydantic_core import PydanticCustomError

from agent.config.problems import did_you_mean, shown
from agent.config.values import Rule, refuse, refuse_all

NUMBER_COLUMNS = ("service_id", "admin_id", "client_id")
TEXT_COLUMNS = ("module_slug", "source", "action", "severity")
ADDRESS_COLUMN = "ip_address"
MATCH_COLUMNS = (*TEXT_COLUMNS, *NUMBER_COLUMNS, ADDRESS_COLUMN)

SOURCES = ("admin", "cron", "customer", "system")
SEVERITIES = ("info", "warn", "error")
_CLOSED = {"source": SOURCES, "severity": SEVERITIES}
_HIGHEST_ID = (1 << 63) - 1
_LONGEST = 255

MatchValue = str | int


def is_glob(value: MatchValue) -> bool:
    """Say whether a value of a match is a pattern rather than a value."""
    return isinstance(value, str) and ("*" in value or "?" in value)


class Match(Rule):
    """Take `{column: value, column: [value, value], column: "glob*"}`; paths of the context only where allowed."""

    def __init__(self, *, context: bool = False, empty: bool = False) -> None:
        self._context = context
        self._empty = empty

    @property
    def allowed(self) -> str:
        context = " or context.PATH" if self._context else ""
        return f"column: value, a list of values, or a glob; columns {', '.join(MATCH_COLUMNS)}{context}"

    def read(self, value: object) -> dict[str, tuple[MatchValue, ...]]:
        if not isinstance(value, dict):
            refuse(self.allowed)
        if not value and not self._empty:
            refuse("at least one column")
        columns: dict[str, tuple[MatchValue, ...]] = {}
        refused: list[PydanticCustomError] = []
        for key, given in value.items():
            try:
                column = self._column(str(key))
                columns[column] = self._values(column, given)
            except PydanticCustomError as error:
                refused.append(error)
        if refused:
            refuse_all(refused)
        return columns

    def show(self, value: Any) -> object:
        return {column: list(values) for column, values in value.items()}

    def _column(self, key: str) -> str:
        if key not in MATCH_COLUMNS and not (self._context and is_context_path(key)):
            allowed = f"the columns {', '.join(MATCH_COLUMNS)}" + (" and context.PATH" if self._context else "")
            refuse(allowed, hint=did_you_mean(key, MATCH_COLUMNS), got=f"key «{key}»", at=(key,))
        return key

    def _values(self, column: str, given: object) -> tuple[MatchValue, ...]:
        values = list(given) if isinstance(given, list | tuple) else [given]
        if not values:
            refuse("at least one value", got="an empty list", at=(column,))
        return tuple(match_value(column, value) for value in values)


def is_context_path(key: str) -> bool:
    """Say whether a key is `context.` and a path whose every part has a name."""
    return key.startswith("context.") and all(key.split("."))


def match_value(column: str, value: object) -> MatchValue:
    """Return one value of a match as the type of its column."""
    if column in NUMBER_COLUMNS:
        return _number(column, value)
    if column == ADDRESS_COLUMN:
        return _address(column, value)
    if column.startswith("context.") and isinstance(value, int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
        refuse("text, or a glob with * and ?", got=shown(value), at=(column,))
    words = _CLOSED.get(column)
    if words and not is_glob(value) and value not in words:
        refuse(f"{' | '.join(words)}, or a glob", hint=did_you_mean(value, words), got=shown(value), at=(column,))
    return value


def _number(column: str, value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(_HIGHEST_ID)):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _HIGHEST_ID:
        refuse("a whole number, or a list of them", got=shown(value), at=(column,))
    return value


def _address(column: str, value: object) -> str:
    try:
        ipaddress.ip_address(value if isinstance(value, str) else "")
    except ValueError:
        refuse("an IPv4 or IPv6 address, exactly as the table holds it", got=shown(value), at=(column,))
    return str(value)
