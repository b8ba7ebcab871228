"""The context fields there are, as the live mappings say; a name nobody knows is answered with the near ones.

A path may be mapped in one partition and lie in the overflow of another, or have another type before a `rebuild`: what
is known here is the union, and a condition is asked of each form.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.errors import ConfigError
from agent.searching.reader import Reader

OVERFLOW = "context_overflow"
_SUGGESTED = 3
_CHILDREN_NAMED = 8
# Overflow paths come from data: a bounded number of them is worth a suggestion.
_OVERFLOW_PATHS = 1000
_ROOTS = ("context", "extra")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One path: its name in the index, the types it has there, its sub-fields, its name in the overflow."""

    name: str
    types: frozenset[str]
    text: bool
    number: bool
    overflow: str

    @property
    def is_mapped(self) -> bool:
        """Return whether any partition maps the path; otherwise it lies in the overflow only."""
        return bool(self.types)


class Fields:
    """The context fields of one instance."""

    def __init__(self, mappings: Iterable[Mapping[str, Any]], reader: Reader) -> None:
        """Take the root `properties` of every partition's mapping."""
        self._reader = reader
        self._leaves: dict[str, Field] = {}
        self._objects: set[str] = set()
        for properties in mappings:
            for root in _ROOTS:
                for name, mapping in _walk(properties.get(root, {}), (root,)):
                    self._learn(name, mapping)

    @property
    def extra_columns(self) -> tuple[str, ...]:
        """Return the names of the table's further columns."""
        return tuple(sorted(name.partition(".")[2] for name in self._leaves if name.startswith("extra.")))

    def field(self, path: str) -> Field:
        """Return what is known of a path, written without `context.`. Raises ConfigError for one nobody knows."""
        found = self._leaves.get(f"context.{path}") or (self._leaves.get(path) if path.startswith("extra.") else None)
        if found is not None:
            return found
        overflow = f"{OVERFLOW}.{path}"
        if self._is_in_overflow(path, overflow):
            return Field(name=f"context.{path}", types=frozenset(), text=False, number=False, overflow=overflow)
        raise self._unknown(path)

    def _learn(self, name: str, mapping: Mapping[str, Any]) -> None:
        kind = mapping.get("type", "object")
        if kind == "object":
            self._objects.add(name)
            return
        known = self._leaves.get(name)
        self._leaves[name] = Field(
            name=name,
            types=frozenset({kind}) | (known.types if known else frozenset()),
            text="text" in mapping.get("fields", {}) or bool(known and known.text),
            number="number" in mapping.get("fields", {}) or bool(known and known.number),
            overflow=f"{OVERFLOW}.{_path(name)}",
        )

    def _is_in_overflow(self, path: str, overflow: str) -> bool:
        listed = [{"term": {"agent.overflow": path}}, {"exists": {"field": overflow}}]
        body = {"size": 0, "track_total_hits": 1, "query": {"bool": {"should": listed}}}
        return bool(self._reader.search(body)["hits"]["total"]["value"])

    def _unknown(self, path: str) -> ConfigError:
        below = sorted(_path(name) for name in self._leaves if name.startswith(f"context.{path}."))
        if below:
            more = ", …" if len(below) > _CHILDREN_NAMED else ""
            remedy = f"name one of its fields: {', '.join(below[:_CHILDREN_NAMED])}{more}"
            return ConfigError("the context field is an object", got=path, remedy=remedy)
        near = self._near(path)
        meant = f"did you mean {' or '.join(f'«{name}»' for name in near)}? " if near else ""
        return ConfigError("no context field has this name", got=path, remedy=f"{meant}`audit-agent fields` lists all")

    def _near(self, path: str) -> list[str]:
        known = {_path(name) for name in self._leaves} | self._overflow_paths()
        lowered = {name.lower(): name for name in sorted(known)}
        wanted = path.lower()
        last = wanted.rpartition(".")[2]
        near = difflib.get_close_matches(wanted, lowered, n=_SUGGESTED, cutoff=0.65)
        # `id` may mean `server.id`, `server.region` may mean `region`.
        near += [name for name in lowered if name.rpartition(".")[2] == last and name not in near]
        return [lowered[name] for name in near[:_SUGGESTED]]

    def _overflow_paths(self) -> set[str]:
        paths = {"terms": {"field": "agent.overflow", "size": _OVERFLOW_PATHS}}
        answer = self._reader.search({"size": 0, "track_total_hits": False, "aggs": {"paths": paths}})
        return {bucket["key"] for bucket in answer["aggregations"]["paths"]["buckets"]}


def _walk(mapping: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, child in mapping.get("properties", {}).items():
        path = (*above, key)
        yield ".".join(path), child
        yield from _walk(child, path)


def _path(name: str) -> str:
    return name.removeprefix("context.")
