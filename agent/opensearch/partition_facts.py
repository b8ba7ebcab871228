"""What each partition is made of, for `check`: one request for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.opensearch.client import Cluster, url_path
from agent.opensearch.names import Names

_SERVER_DEFAULT_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionFacts:
    """One concrete index; `fields` counts as the server does against `fields_limit`: objects and sub-fields too."""

    partition: str
    index: str
    is_current: bool
    dynamic: str
    fields: int
    fields_limit: int
    aliases: frozenset[str]


def partition_facts(cluster: Cluster, names: Names) -> list[PartitionFacts]:
    """Return the facts of every open concrete index of this instance, by name."""
    answer = cluster.call("GET", url_path(names.pattern()), params={"flat_settings": "true"})
    return [_facts(index, entry, names) for index, entry in sorted(answer.items()) if names.parse(index) is not None]


def taken_names(cluster: Cluster, names: Names) -> list[str]:
    """Return those of the read aliases' names that are the names of indices."""
    params = {"ignore_unavailable": "true", "allow_no_indices": "true", "filter_path": "*.aliases"}
    taken = []
    for alias in (names.read_all, names.read):
        answer = cluster.answer("GET", url_path(alias, "_alias"), params=params, accept=(404,))
        if answer.status == 200 and alias in answer.body:
            taken.append(alias)
    return taken


def _facts(index: str, entry: Mapping[str, Any], names: Names) -> PartitionFacts:
    shape = names.parse(index)
    partition = shape.partition if shape else ""
    mappings, settings = entry.get("mappings", {}), entry.get("settings", {})
    aliases = frozenset(entry.get("aliases", {}))
    return PartitionFacts(
        partition=partition,
        index=index,
        is_current=names.alias(partition) in aliases,
        dynamic=str(mappings.get("dynamic", "true")),
        fields=_count(mappings.get("properties", {})),
        fields_limit=int(settings.get("index.mapping.total_fields.limit", _SERVER_DEFAULT_LIMIT)),
        aliases=aliases,
    )


def _count(properties: Mapping[str, Any]) -> int:
    total = 0
    for field in properties.values():
        total += 1 + _count(field.get("properties", {})) + _count(field.get("fields", {}))
    return total
