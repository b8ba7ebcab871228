"""The filters of a search, and the query they are (pure). Every filter narrows; of a filter's values one suffices.

Names compare without regard to case, as the table's usual collation does, and take `*` and `?`. A service or client is
found by its column or, because modules don't always fill it, by the id in the context: `only_in_context` tells which.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.errors import ConfigError
from agent.searching.conditions import Condition
from agent.searching.fields import OVERFLOW, Field
from agent.searching.matching import any_of, matching
from agent.searching.ranges import Range
from agent.searching.reader import Query
from agent.searching.words import text_query

_V4_MAPPED = ipaddress.ip_network("::ffff:0:0/96")
_ALL_V4 = {"range": {"ip_address": {"gte": "0.0.0.0", "lte": "255.255.255.255"}}}  # noqa: S104  a range, no listener


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a search asks for."""

    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Column (module_slug, action, severity, source) → names or patterns."""
    ids: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Column (service_id, admin_id, client_id) → ids."""
    ips: Sequence[str] = ()
    conditions: Sequence[Condition] = ()
    texts: Sequence[str] = ()
    range: Range = field(default_factory=Range)
    column_only: bool = False


IN_CONTEXT = ("service_id", "client_id")


def query_of(filters: Filters, field_of: Callable[[str], Field]) -> Query:
    """Return the query; `field_of` is asked for context fields only. Raises ConfigError."""
    clauses = filters.range.query()
    clauses += [any_of([_named(column, name) for name in names]) for column, names in filters.names.items() if names]
    clauses += [_numbered(column, ids, filters) for column, ids in filters.ids.items() if ids]
    if filters.ips:
        clauses.append(any_of([_addressed(text) for text in filters.ips]))
    clauses += [matching(condition, field_of(condition.path)) for condition in filters.conditions]
    clauses += [clause for text in filters.texts for clause in text_query(text)]
    return {"bool": {"filter": clauses}} if clauses else {"match_all": {}}


def only_in_context(filters: Filters, source: Mapping[str, Any]) -> bool:
    """Return whether a document was found by an id that its column does not hold."""
    return any(ids and source.get(column) not in ids for column, ids in filters.ids.items())


def _named(column: str, name: str) -> Query:
    if "*" in name or "?" in name:
        return {"wildcard": {column: {"value": name.replace("\\", "\\\\"), "case_insensitive": True}}}
    return {"term": {column: {"value": name, "case_insensitive": True}}}


def _numbered(column: str, ids: Sequence[int], filters: Filters) -> Query:
    own: Query = {"terms": {column: list(ids)}}
    if filters.column_only or column not in IN_CONTEXT:
        return own
    texts = [str(number) for number in ids]
    # `match` and lenient, for a field that context_fields.yml makes a date or an address takes no number.
    within = [{"match": {f"context.{column}": {"query": text, "lenient": True}}} for text in texts]
    return any_of([own, *within, {"terms": {f"{OVERFLOW}.{column}": texts}}])


def _addressed(text: str) -> Query:
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        remedy = "write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32"
        raise ConfigError("--ip is no address and no network", got=repr(text), remedy=remedy) from None
    if network.prefixlen == network.max_prefixlen:
        return {"term": {"ip_address": str(network.network_address)}}
    if isinstance(network, ipaddress.IPv6Network) and network.overlaps(_V4_MAPPED):
        # The index keeps an IPv4 address as an IPv6 one, and refuses networks within that block.
        if network.prefixlen >= _V4_MAPPED.prefixlen:
            inner = network.network_address.ipv4_mapped
            return {"term": {"ip_address": f"{inner}/{network.prefixlen - 96}"}}
        return {"bool": {"filter": [{"term": {"ip_address": str(network)}}], "must_not": [_ALL_V4]}}
    return {"term": {"ip_address": str(network)}}
