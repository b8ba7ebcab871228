"""The condition: a claim about one row, made of a few plain pieces that Python, SQL and OpenSearch read alike (pure).

Every piece is true or false, never unknown: a missing value makes its piece false, so that `Not` means the same in
all three. Text is compared exactly, case and trailing blanks included; `*` and `?` are the only wildcards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from agent.row import Value

Facts = Mapping[str, Value]

# What rules and holds may ask about: short columns that mean the same in the table and in the index.
MATCH_FIELDS = (
    "module_slug",
    "source",
    "action",
    "severity",
    "service_id",
    "admin_id",
    "client_id",
    "ip_address",
)


@dataclass(frozen=True, slots=True)
class Is:
    """The number column holds this number."""

    field: str
    number: int


@dataclass(frozen=True, slots=True)
class Like:
    """The text column holds this text, in which `*` stands for any run of characters and `?` for one."""

    field: str
    glob: str


@dataclass(frozen=True, slots=True)
class Before:
    """The row has a usable `created_at`, and it lies before this instant (`YYYY-MM-DDTHH:MM:SS.000Z`)."""

    instant: str


@dataclass(frozen=True, slots=True)
class Within:
    """The row's id lies in this range, both ends included."""

    first_id: int
    last_id: int


@dataclass(frozen=True, slots=True)
class Every:
    """All parts are true; true when there are none."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part is true; false when there are none."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part is false."""

    part: Condition


Condition = Is | Like | Before | Within | Every | Some | Not

NOTHING: Condition = Some(())
ANYTHING: Condition = Every(())


def holds(condition: Condition, facts: Facts) -> bool:  # noqa: PLR0911  one case, one answer
    """Say whether the condition is true of a row; `created_at` is the document's instant, or None."""
    match condition:
        case Is(field, number):
            return _as_number(facts.get(field)) == number
        case Like(field, glob):
            value = facts.get(field)
            return value is not None and _pattern(glob).fullmatch(str(value)) is not None
        case Before(instant):
            created_at = facts.get("created_at")
            return isinstance(created_at, str) and created_at < instant
        case Within(first_id, last_id):
            return first_id <= int(facts.get("id") or 0) <= last_id
        case Every(parts):
            return all(holds(part, facts) for part in parts)
        case Some(parts):
            return any(holds(part, facts) for part in parts)
        case Not(part):
            return not holds(part, facts)


def as_query(condition: Condition) -> dict[str, Any]:  # noqa: PLR0911  one case, one answer
    """Return the OpenSearch query that is true of exactly the same documents."""
    match condition:
        case Is(field, number):
            return {"term": {field: number}}
        case Like(field, glob) if is_glob(glob):
            # The server knows a backslash as escape; to us it is a character like any other.
            return {"wildcard": {field: {"value": glob.replace("\\", "\\\\")}}}
        case Like(field, glob):
            return {"term": {field: glob}}
        case Before(instant):
            return {"range": {"created_at": {"lt": instant}}}
        case Within(first_id, last_id):
            return {"range": {"id": {"gte": first_id, "lte": last_id}}}
        case Every(parts):
            return {"bool": {"filter": [as_query(part) for part in parts]}} if parts else {"match_all": {}}
        case Some(parts):
            if not parts:
                return {"match_none": {}}
            return {"bool": {"should": [as_query(part) for part in parts], "minimum_should_match": 1}}
        case Not(part):
            return {"bool": {"must_not": [as_query(part)]}}


def is_glob(text: str) -> bool:
    """Say whether a text holds a wildcard."""
    return "*" in text or "?" in text


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(char) or re.escape(char) for char in glob), re.DOTALL)


def _as_number(value: Value) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() else None
    return value
