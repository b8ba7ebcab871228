"""Check a saved objects file by the rules an import applies, and by those that only show when a panel is opened.

Pure: returns every problem, each naming its object. With `capabilities` (the answer of `_field_caps`) it also checks
that the fields in use exist on the server with a fitting type. Visualizations and grids have files of their own.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from agent.content.fields import Field, fields_of_pattern, live_fields
from agent.content.grid import grid_problems
from agent.content.saved_objects import (
    JSON_TEXTS,
    OPTIONAL_TEXTS,
    SEARCH_SOURCE,
    Problem,
    SavedObject,
    parse,
    value_at,
)
from agent.content.visuals import Use, control_patterns, fields_used, visual_problems

# The newest migration a 2.x or 3.x server knows: an object that claims a newer one is refused.
NEWEST_MIGRATION = {
    "index-pattern": (7, 6, 0),
    "search": (7, 9, 3),
    "visualization": (7, 10, 0),
    "dashboard": (7, 9, 3),
}

_QUERY_FIELD = re.compile(r"(?:^|[\s(])([A-Za-z_@][\w.@-]*)\s*:")
_REFERENCE_NAMES = re.compile(r'"(?:indexRefName|panelRefName|savedSearchRefName|indexPatternRefName)":"([^"]*)"')

ObjectKey = tuple[str, str]


def validate(
    text: str,
    *,
    capabilities: Mapping[str, Mapping[str, Any]] | None = None,
    on_server: Collection[ObjectKey] = (),
) -> tuple[Problem, ...]:
    """Return everything that is wrong with the file, in its order; an empty tuple means an import must succeed.

    `capabilities` maps the id of an index pattern to the `_field_caps` answer of its indices; `on_server` names
    objects that need not be in the file.
    """
    objects, problems = parse(text)
    found = list(problems)
    for key, times in Counter(item.key for item in objects).items():
        if times > 1:
            found.append(Problem(where=":".join(key), what=f"stands {times} times in the file"))
    known = {item.key: item for item in objects}
    patterns = _pattern_fields(objects, capabilities or {})
    for item in objects:
        found += _object_problems(item)
        found += _reference_problems(item, known, on_server)
        found += _type_problems(item)
        found += _field_problems(item, known, patterns)
    return tuple(dict.fromkeys(found))


def _object_problems(item: SavedObject) -> Iterator[Problem]:
    texts = JSON_TEXTS.get(item.type)
    if texts is None:
        yield Problem(where=item.name, what=f"unknown type {item.type}; known are {', '.join(JSON_TEXTS)}")
        return
    if not isinstance(item.attributes.get("title"), str) or not item.attributes["title"]:
        yield Problem(where=item.name, what="has no title")
    yield from _migration_problems(item)
    for path, shape in texts.items():
        where = ".".join(path)
        raw = value_at(item.attributes, path)
        if raw is None:
            if path not in OPTIONAL_TEXTS:
                yield Problem(where=item.name, what=f"{where} is missing")
        elif not isinstance(raw, str):
            yield Problem(where=item.name, what=f"{where} must be JSON held as text")
        else:
            yield from _json_text_problems(item, where, raw, shape)


def _json_text_problems(item: SavedObject, where: str, raw: str, shape: type) -> Iterator[Problem]:
    try:
        decoded = json.loads(raw)
    except ValueError as error:
        yield Problem(where=item.name, what=f"{where} does not parse: {error}")
        return
    if not isinstance(decoded, shape):
        yield Problem(where=item.name, what=f"{where} must hold a JSON {shape.__name__}")


def _migration_problems(item: SavedObject) -> Iterator[Problem]:
    stated = item.migration_version.get(item.type)
    parts = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", stated) if isinstance(stated, str) else None
    if parts is None:
        yield Problem(where=item.name, what=f"migrationVersion must state a version for {item.type}")
        return
    newest = NEWEST_MIGRATION[item.type]
    if tuple(int(part) for part in parts.groups()) > newest:
        wanted = ".".join(str(part) for part in newest)
        yield Problem(where=item.name, what=f"migrationVersion {stated} is newer than {wanted}: servers refuse it")


def _reference_problems(
    item: SavedObject, known: Mapping[ObjectKey, SavedObject], on_server: Collection[ObjectKey]
) -> Iterator[Problem]:
    named: dict[str, str] = {}
    for reference in item.references:
        entry = [reference.get(key) for key in ("name", "type", "id")] if isinstance(reference, Mapping) else []
        if len(entry) != len([part for part in entry if isinstance(part, str) and part]) or not entry:
            yield Problem(where=item.name, what="a reference needs name, type and id")
            continue
        name, kind, identity = (str(part) for part in entry)
        if name in named:
            yield Problem(where=item.name, what=f"two references are named {name}")
        named[name] = kind
        if (kind, identity) not in known and (kind, identity) not in on_server:
            yield Problem(where=item.name, what=f"refers to {kind}:{identity}, which is neither in the file nor known")
    used = list(_reference_names(item))
    for name in used:
        if name not in named:
            yield Problem(where=item.name, what=f"names the reference {name}, which it does not have")
    for name in named:
        if name not in used:
            yield Problem(where=item.name, what=f"has the reference {name}, which nothing in it uses")


def _reference_names(item: SavedObject) -> Iterator[str]:
    stated = item.attributes.get("savedSearchRefName")
    if isinstance(stated, str):
        yield stated
    for path in JSON_TEXTS.get(item.type, {}):
        decoded = item.text(*path)
        if decoded is not None:
            yield from _REFERENCE_NAMES.findall(json.dumps(decoded, separators=(",", ":"), ensure_ascii=False))


def _type_problems(item: SavedObject) -> Iterator[Problem]:
    source = item.text(*SEARCH_SOURCE)
    if isinstance(source, dict):
        if "index" in source:
            yield Problem(where=item.name, what="searchSourceJSON holds an id; it must name a reference (indexRefName)")
        yield from _query_problems(item, source.get("query"))
    if item.type == "index-pattern":
        yield from _pattern_problems(item)
    if item.type == "search":
        if not isinstance(item.attributes.get("columns"), list) or not isinstance(item.attributes.get("sort"), list):
            yield Problem(where=item.name, what="needs columns and sort as lists")
        if not isinstance(source, dict) or "indexRefName" not in source:
            yield Problem(where=item.name, what="names no index pattern (indexRefName)")
    if item.type == "visualization":
        yield from (Problem(where=item.name, what=what) for what in visual_problems(item))
    if item.type == "dashboard":
        yield from (Problem(where=item.name, what=what) for what in grid_problems(item.text("panelsJSON")))


def _query_problems(item: SavedObject, query: Any) -> Iterator[Problem]:
    if not isinstance(query, dict) or not isinstance(query.get("query"), str):
        yield Problem(where=item.name, what="searchSourceJSON has no query")
        return
    if query.get("language") not in ("kuery", "lucene"):
        yield Problem(where=item.name, what=f"query language {query.get('language')!r} is neither kuery nor lucene")
    words = re.sub(r'\\.|"(?:[^"\\]|\\.)*"', "", query["query"])
    if '"' in words or words.count("(") != words.count(")"):
        yield Problem(where=item.name, what=f"query does not parse: {query['query']}")


def _pattern_problems(item: SavedObject) -> Iterator[Problem]:
    listed = item.text("fields")
    if not isinstance(listed, list):
        return
    fields = fields_of_pattern(listed)
    if len(fields) != len(listed):
        yield Problem(where=item.name, what="fields: each needs a name of its own, type, searchable and aggregatable")
    time_field = item.attributes.get("timeFieldName")
    if not isinstance(time_field, str) or time_field not in fields or fields[time_field].type != "date":
        yield Problem(where=item.name, what=f"timeFieldName {time_field!r} is no date field of its fields")


def _pattern_fields(
    objects: Iterable[SavedObject], capabilities: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, dict[str, Field]]]:
    """Return, per index pattern, the fields each source knows: its own list, and the live server if asked."""
    found: dict[str, dict[str, dict[str, Field]]] = {}
    for item in objects:
        if item.type != "index-pattern":
            continue
        found[item.id] = {"index pattern": fields_of_pattern(item.text("fields") or [])}
        if item.id in capabilities:
            found[item.id]["live index"] = live_fields(capabilities[item.id])
    return found


def _field_problems(
    item: SavedObject,
    known: Mapping[ObjectKey, SavedObject],
    patterns: Mapping[str, Mapping[str, Mapping[str, Field]]],
) -> Iterator[Problem]:
    targets = {reference.get("name"): reference for reference in item.references if isinstance(reference, Mapping)}
    for reference_name, use in _uses(item):
        target = targets.get(reference_name, {})
        if target.get("type") == "index-pattern":
            for source, fields in patterns.get(str(target.get("id")), {}).items():
                problem = use.problem(fields.get(use.field), source)
                if problem:
                    yield Problem(where=item.name, what=problem)
        elif target and ("index-pattern", target.get("id")) not in known:
            yield Problem(where=item.name, what=f"{reference_name} must refer to an index pattern")


def _uses(item: SavedObject) -> Iterator[tuple[str, Use]]:
    source = item.text(*SEARCH_SOURCE)
    reference = source.get("indexRefName") if isinstance(source, dict) else None
    if isinstance(source, dict) and isinstance(reference, str):
        query = value_at(source, ("query", "query"))
        for name in _QUERY_FIELD.findall(query) if isinstance(query, str) else ():
            yield reference, Use(field=name, purpose="query", types=(), aggregated=False)
        for name in item.attributes.get("columns") or () if item.type == "search" else ():
            yield reference, Use(field=str(name), purpose="column", types=(), aggregated=False)
        for name in _sort_fields(item.attributes.get("sort")) if item.type == "search" else ():
            yield reference, Use(field=name, purpose="sort", types=(), aggregated=True)
        for use in fields_used(item):
            yield reference, use
    yield from control_patterns(item)


def _sort_fields(sort: Any) -> list[str]:
    pairs = sort if isinstance(sort, list) else []
    return [str(pair[0]) for pair in pairs if isinstance(pair, list) and pair]
