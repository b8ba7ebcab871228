"""The context condition: `path=value` and its relatives, as a person writes them (pure).

    server_id=42,43        equal to one of them            cve_id=*       has the field at all
    reason!="a, b"         has the field, but none of them message~timeout contains the text
    duration_ms>=500       > >= < <= compare numbers (dates and addresses where the field is one)

Commas part values; a value in double quotes, or a comma behind a backslash, is taken as it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from agent.errors import ConfigError

_CONDITION = re.compile(r"(?P<path>[^=<>!~]+)(?P<operator>>=|<=|!=|=|>|<|~)(?P<value>.*)", re.DOTALL)
_PROTECTED = (",", '"')
_REMEDY = "write path=value, path!=value, path~text, path>=n, path>n, path<=n, path<n or path=*"


class Operator(StrEnum):
    """Say how a field's value relates to what was written."""

    EQUAL = "="
    DIFFERENT = "!="
    CONTAINS = "~"
    AT_LEAST = ">="
    ABOVE = ">"
    AT_MOST = "<="
    BELOW = "<"
    PRESENT = "=*"


COMPARISONS = {Operator.AT_LEAST: "gte", Operator.ABOVE: "gt", Operator.AT_MOST: "lte", Operator.BELOW: "lt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition; `path` is without `context.` in front, and of several values one suffices."""

    path: str
    operator: Operator
    values: tuple[str, ...] = ()


def condition_of(text: str) -> Condition:
    """Read one condition. Raises ConfigError."""
    match = _CONDITION.fullmatch(text)
    path = match["path"].strip().removeprefix("context.") if match else ""
    if match is None or not path:
        raise ConfigError("--context is no condition", got=repr(text), remedy=_REMEDY)
    if match["operator"] == "=" and match["value"].strip() == "*":
        return Condition(path=path, operator=Operator.PRESENT)
    operator, values = Operator(match["operator"]), _values(match["value"])
    if operator in COMPARISONS and len(values) != 1:
        raise ConfigError("a comparison takes one value", got=repr(text))
    if operator is Operator.CONTAINS and "" in values:
        raise ConfigError("--context names no text to look for", got=repr(text))
    return Condition(path=path, operator=operator, values=values)


def _values(text: str) -> tuple[str, ...]:
    """Part a text at its commas; quotes and backslashes protect them."""
    values: list[str] = []
    item, inside, literal = "", False, False
    characters = iter(text)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            item += following if following in _PROTECTED else character + following
        elif character == '"' and not literal and not item.strip():
            item, inside, literal = "", True, True
        elif character == '"' and inside:
            inside = False
        elif character == "," and not inside:
            values.append(item if literal else item.strip())
            item, literal = "", False
        elif not (literal and not inside and character.isspace()):
            item += character
    if inside:
        raise ConfigError("a quote is not closed in --context", got=repr(text))
    return (*values, item if literal else item.strip())
