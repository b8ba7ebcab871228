"""The saved objects file: one JSON object a line, with more JSON held as text inside.

Promises that parsing never raises: what cannot be read becomes a `Problem` that names the line. Says nothing on
whether the objects make sense together; that is `validate`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

# Where each type keeps JSON as text; a path of keys inside `attributes`, and the JSON type it must decode to.
SEARCH_SOURCE = ("kibanaSavedObjectMeta", "searchSourceJSON")
JSON_TEXTS: dict[str, dict[tuple[str, ...], type]] = {
    "index-pattern": {("fields",): list, ("fieldFormatMap",): dict},
    "search": {SEARCH_SOURCE: dict},
    "visualization": {("visState",): dict, ("uiStateJSON",): dict, SEARCH_SOURCE: dict},
    "dashboard": {("panelsJSON",): list, ("optionsJSON",): dict, SEARCH_SOURCE: dict},
}
OPTIONAL_TEXTS = {("fieldFormatMap",), ("uiStateJSON",), ("optionsJSON",)}

AUDIT_PATTERN = "impulse-audit"
STATE_PATTERN = "impulse-agent-state"

_SERVER_KEYS = ("updated_at", "version", "namespaces", "originId", "workspaces")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Say what is wrong with one object, named as people know it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedObject:
    """Hold one line of the file as it stands there; `text` decodes what is JSON inside JSON."""

    type: str
    id: str
    attributes: Mapping[str, Any]
    references: tuple[Mapping[str, Any], ...]
    migration_version: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        return self.type, self.id

    @property
    def name(self) -> str:
        title = self.attributes.get("title")
        return f"{self.type}:{self.id}" + (f" «{title}»" if isinstance(title, str) else "")

    def text(self, *path: str) -> Any:
        """Return the decoded JSON text at a path of `attributes`, or None when it is absent or does not parse."""
        raw = value_at(self.attributes, path)
        if not isinstance(raw, str):
            return None
        try:
            return json.loads(raw)
        except ValueError:
            return None

    def as_line(self) -> str:
        """Return the object as one line of the file, keys sorted so that two versions can be compared."""
        body = {
            "type": self.type,
            "id": self.id,
            "attributes": self.attributes,
            "references": list(self.references),
            "migrationVersion": self.migration_version,
        }
        return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def parse(text: str) -> tuple[tuple[SavedObject, ...], tuple[Problem, ...]]:
    """Return the objects of a file and what could not be read; the export's own summary line is skipped."""
    objects: list[SavedObject] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        found = _read_line(line, f"line {number}")
        if isinstance(found, SavedObject):
            objects.append(found)
        elif found is not None:
            problems.append(found)
    return tuple(objects), tuple(problems)


def canonical(text: str) -> str:
    """Return a fresh export in the shape the file is kept in: sorted, without what a server adds of its own."""
    objects, problems = parse(text)
    if problems:
        raise ValueError("; ".join(str(problem) for problem in problems))
    order = list(JSON_TEXTS)
    kept = sorted(objects, key=lambda item: (order.index(item.type) if item.type in order else len(order), item.id))
    return "".join(item.as_line() + "\n" for item in kept)


def for_prefixes(objects: Iterable[SavedObject], *, index_prefix: str, agent_prefix: str) -> tuple[SavedObject, ...]:
    """Return the objects pointed at the configured indices; ids stay, so installing again still overwrites."""
    names = {AUDIT_PATTERN: index_prefix, STATE_PATTERN: f"{agent_prefix}-state"}
    return tuple(_pointed_at(item, names) for item in objects)


def with_text(item: SavedObject, name: str, value: Any) -> SavedObject:
    """Return the object with one JSON text of its attributes replaced."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return replace(item, attributes={**item.attributes, name: text})


def value_at(tree: Any, path: Iterable[str]) -> Any:
    """Return what stands at a path of nested mappings, or None."""
    for key in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return tree


def vega_sources(spec: Any) -> Iterator[dict[str, Any]]:
    """Yield each `data.url` of a Vega or Vega-Lite spec that asks OpenSearch: {index, body, …}."""
    if isinstance(spec, Mapping):
        url = spec.get("url")
        if isinstance(url, dict) and "index" in url:
            yield url
        for value in spec.values():
            yield from vega_sources(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from vega_sources(value)


def _read_line(line: str, where: str) -> SavedObject | Problem | None:
    try:
        raw = json.loads(line)
    except ValueError as error:
        return Problem(where=where, what=f"is no JSON: {error}")
    if not isinstance(raw, dict):
        return Problem(where=where, what="is no JSON object")
    if "exportedCount" in raw and "type" not in raw:
        return None
    shapes = {"type": str, "id": str, "attributes": dict, "references": list, "migrationVersion": dict}
    for key, shape in shapes.items():
        if not isinstance(raw.get(key), shape) or raw.get(key) == "":
            return Problem(where=where, what=f"{key} is missing or is no {shape.__name__}")
    unknown = sorted(set(raw) - set(shapes) - set(_SERVER_KEYS))
    if unknown:
        return Problem(where=where, what=f"unknown key {unknown[0]}")
    return SavedObject(
        type=raw["type"],
        id=raw["id"],
        attributes=raw["attributes"],
        references=tuple(raw["references"]),
        migration_version=raw["migrationVersion"],
    )


def _pointed_at(item: SavedObject, names: Mapping[str, str]) -> SavedObject:
    if item.type == "index-pattern":
        return replace(item, attributes={**item.attributes, "title": names.get(item.id, item.attributes["title"])})
    state = item.text("visState")
    if not isinstance(state, dict) or state.get("type") != "vega":
        return item
    spec = json.loads(state["params"]["spec"])
    for url in vega_sources(spec):
        url["index"] = names.get(url["index"], url["index"])
    state["params"]["spec"] = json.dumps(spec, ensure_ascii=False, indent=1)
    return with_text(item, "visState", state)
