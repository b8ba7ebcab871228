"""The field list of an index pattern: a cache of the mapping, and so out of date whenever a context grows.

Pure: turns an answer of `_field_caps` into the list Dashboards keeps, and says how two lists differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# How Dashboards calls the server's types; what is not listed is shown but not offered for anything.
DASHBOARDS_TYPES = {
    **dict.fromkeys(("keyword", "text", "constant_keyword", "wildcard", "match_only_text", "_id", "_index"), "string"),
    **dict.fromkeys(("long", "integer", "short", "byte", "double", "float", "half_float", "scaled_float"), "number"),
    **dict.fromkeys(("unsigned_long", "token_count"), "number"),
    **dict.fromkeys(("date", "date_nanos"), "date"),
    "ip": "ip",
    "boolean": "boolean",
    "_source": "_source",
}
META_FIELDS = ("_id", "_index", "_source")

_NO_DOC_VALUES = ("text", "_id", "_index", "_source", "flat_object")
_CONTAINERS = ("object", "nested")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Say what Dashboards may do with a field."""

    name: str
    type: str
    searchable: bool
    aggregatable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDrift:
    """Say how an index pattern's list differs from the mapping: unknown to it, or known with another type."""

    missing: tuple[str, ...]
    changed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.changed)


def fields_of_pattern(listed: Iterable[Any]) -> dict[str, Field]:
    """Return the usable entries of an index pattern's `fields`, by name."""
    found: dict[str, Field] = {}
    for entry in listed:
        if not isinstance(entry, dict) or not {"name", "type", "searchable", "aggregatable"} <= set(entry):
            continue
        found[str(entry["name"])] = Field(
            name=str(entry["name"]),
            type=str(entry["type"]),
            searchable=bool(entry["searchable"]),
            aggregatable=bool(entry["aggregatable"]),
        )
    return found


def live_fields(capabilities: Mapping[str, Any]) -> dict[str, Field]:
    """Return the fields of a `_field_caps` answer, by name."""
    return fields_of_pattern(pattern_entries(capabilities))


def pattern_entries(capabilities: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return an index pattern's `fields` for a `_field_caps` answer, sorted by name.

    A field whose types disagree between indices is of type `conflict`: Dashboards shows it and offers it for nothing.
    """
    answered: Mapping[str, Mapping[str, Mapping[str, Any]]] = capabilities.get("fields", {})
    entries = []
    for name in sorted(answered):
        by_type = {kind: caps for kind, caps in answered[name].items() if kind not in (*_CONTAINERS, "unmapped")}
        if by_type and (name in META_FIELDS or not name.startswith("_")):
            entries.append(_entry(name, by_type, answered))
    return entries


def merged(live: Iterable[Mapping[str, Any]], shipped: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the live entries, and shipped ones for fields that no row has brought yet.

    Without the latter a panel over `context.cve_id` would be an error instead of an empty panel until the first patch.
    """
    by_name = {str(entry["name"]): dict(entry) for entry in shipped}
    by_name.update({str(entry["name"]): dict(entry) for entry in live})
    return [by_name[name] for name in sorted(by_name)]


def field_drift(listed: Iterable[Any], capabilities: Mapping[str, Any]) -> FieldDrift:
    """Say which live fields an index pattern's list does not know, or knows differently."""
    known = fields_of_pattern(listed)
    live = live_fields(capabilities)
    return FieldDrift(
        missing=tuple(sorted(set(live) - set(known))),
        changed=tuple(sorted(name for name, field in live.items() if name in known and known[name] != field)),
    )


def _entry(name: str, by_type: Mapping[str, Mapping[str, Any]], answered: Mapping[str, Any]) -> dict[str, Any]:
    types = sorted(by_type)
    kinds = {DASHBOARDS_TYPES.get(kind, "unknown") for kind in types}
    aggregatable = all(bool(caps.get("aggregatable")) for caps in by_type.values()) and "flat_object" not in types
    entry: dict[str, Any] = {
        "name": name,
        "type": kinds.pop() if len(kinds) == 1 else "conflict",
        "esTypes": types,
        "count": 0,
        "scripted": False,
        "searchable": all(bool(caps.get("searchable")) for caps in by_type.values()),
        "aggregatable": aggregatable,
        "readFromDocValues": aggregatable and not set(types) & set(_NO_DOC_VALUES),
    }
    parent = name.rpartition(".")[0]
    if parent and any(kind not in _CONTAINERS for kind in answered.get(parent, {})):
        entry["subType"] = {"multi": {"parent": parent}}
    return entry
