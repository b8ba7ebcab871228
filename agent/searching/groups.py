"""Groups: rows counted by the values of some fields, with the first and last time each was seen.

Exact and complete: every group is visited (composite, page by page), none is estimated; only the first of them in the
order asked for are kept, so memory is bounded by the limit. A field without a value makes a group of its own, as NULL
does in SQL; a field with several values counts its row under each.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.errors import ConfigError
from agent.searching.fields import Field
from agent.searching.reader import Query, Reader

GROUPS_PER_PAGE = 2_000

_COLUMNS = ("module_slug", "action", "source", "severity", "service_id", "admin_id", "client_id", "ip_address")
_SHORT = {"module": "module_slug", "service": "service_id", "admin": "admin_id", "client": "client_id"}
_SHORT["ip"] = "ip_address"
_SPANS = {"hour": "yyyy-MM-dd'T'HH:00XXX", "day": "yyyy-MM-dd", "week": "yyyy-MM-dd", "month": "yyyy-MM"}

Group = dict[str, Any]


class GroupOrder(StrEnum):
    """Name the orders of groups: most rows first, or latest first or last sight first."""

    COUNT = "count"
    LAST_SEEN = "last_seen"
    FIRST_SEEN = "first_seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The first groups in their order, how many groups there are, and how many rows."""

    groups: list[Group]
    groups_total: int
    total: int


def by_of(text: str, field_of: Callable[[str], Field], zone: str) -> dict[str, dict[str, Any]]:
    """Return name → composite source of the fields in `--by`. Raises ConfigError."""
    sources: dict[str, dict[str, Any]] = {}
    for word in (part.strip() for part in text.split(",")):
        name = _SHORT.get(word, word)
        if name in _COLUMNS:
            source: dict[str, Any] = {"terms": {"field": name, "missing_bucket": True}}
        elif name in _SPANS:
            span = {"field": "created_at", "calendar_interval": name, "time_zone": zone, "format": _SPANS[name]}
            source = {"date_histogram": {**span, "missing_bucket": True}}
        elif name.startswith("context."):
            source = {"terms": {"field": _groupable(name, field_of), "missing_bucket": True}}
        else:
            allowed = ", ".join((*_COLUMNS, *_SPANS, "context.<field>"))
            raise ConfigError("--by names no field to group by", got=repr(word), remedy=f"write some of: {allowed}")
        sources[name] = source
    return sources


def count(
    reader: Reader,
    query: Query,
    by: Mapping[str, Mapping[str, Any]],
    *,
    limit: int | None,
    order: GroupOrder = GroupOrder.COUNT,
) -> Groups:
    """Return the groups of a search; `limit` None keeps them all. Raises TemporaryError."""
    total = int(reader.search({"size": 0, "query": query, "track_total_hits": True})["hits"]["total"]["value"])
    seen = 0

    def counted() -> Iterator[Group]:
        nonlocal seen
        for group in _all(reader, query, by):
            seen += 1
            yield group

    names = list(by)
    key = _KEYS[order]

    def ranked(group: Group) -> tuple[Any, ...]:
        return (*key(group), *(("" if group[name] is None else str(group[name])) for name in names))

    groups = sorted(counted(), key=ranked) if limit is None else heapq.nsmallest(limit, counted(), key=ranked)
    return Groups(groups=groups, groups_total=seen, total=total)


def _all(reader: Reader, query: Query, by: Mapping[str, Mapping[str, Any]]) -> Iterator[Group]:
    composite: dict[str, Any] = {"size": GROUPS_PER_PAGE, "sources": [{name: source} for name, source in by.items()]}
    seen = {"first_seen": {"min": {"field": "created_at"}}, "last_seen": {"max": {"field": "created_at"}}}
    body = {"size": 0, "query": query, "track_total_hits": False}
    while True:
        answer = reader.search({**body, "aggs": {"groups": {"composite": composite, "aggs": seen}}})
        page = answer["aggregations"]["groups"]
        for bucket in page["buckets"]:
            times = {name: bucket[name].get("value_as_string") for name in ("first_seen", "last_seen")}
            yield {**bucket["key"], "count": bucket["doc_count"], **times}
        if len(page["buckets"]) < GROUPS_PER_PAGE:
            return
        composite = {**composite, "after": page["after_key"]}


def _groupable(name: str, field_of: Callable[[str], Field]) -> str:
    field = field_of(name.removeprefix("context."))
    if not field.is_mapped:
        raise ConfigError("the field lies in the overflow, where nothing is grouped", got=name)
    if "text" in field.types:
        raise ConfigError("a field that is text only can't be grouped", got=name)
    return field.name


_KEYS: dict[GroupOrder, Callable[[Group], tuple[Any, ...]]] = {
    GroupOrder.COUNT: lambda group: (-group["count"], _latest(group["last_seen"])),
    GroupOrder.LAST_SEEN: lambda group: (_latest(group["last_seen"]), -group["count"]),
    GroupOrder.FIRST_SEEN: lambda group: (_latest(group["first_seen"]), -group["count"]),
}


def _latest(text: str | None) -> tuple[int, ...]:
    """Return a key that sorts later times first; times are written alike, so their characters do."""
    return tuple(-ord(character) for character in text or "") or (1,)
