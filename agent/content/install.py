"""Install the dashboards: check the file, import it, read every object back, and say by name what is not there.

An import answers HTTP 200 also when objects failed, and a proxy may answer for a server: so only what was read back
and equals the file counts as installed. Installing again changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from agent.content.cluster import Cluster
from agent.content.fields import FieldDrift, field_drift, merged, pattern_entries
from agent.content.report import Failure, Report
from agent.content.saved_objects import JSON_TEXTS, SavedObject, for_prefixes, parse, with_text
from agent.content.validate import validate
from agent.errors import AgentError, PermanentError, cut

INDEX_PATTERN = "index-pattern"


class Dashboards(Protocol):
    """Keep saved objects. Every method raises an AgentError when the server cannot be asked or refuses."""

    def import_objects(self, text: str) -> dict[str, Any]:
        """Import a file over what is there; idempotent; the answer names objects that failed."""
        ...

    def read_object(self, kind: str, identity: str) -> dict[str, Any] | None:
        """Return one object, or None when there is none."""
        ...

    def update_object(self, kind: str, identity: str, attributes: Mapping[str, Any], *, version: str = "") -> None:
        """Replace some attributes of one object, if `version` is still the stored one."""
        ...


def prepared(
    text: str, *, index_prefix: str, agent_prefix: str, cluster: Cluster | None = None
) -> tuple[SavedObject, ...]:
    """Return the objects to install: checked, pointed at the configured indices, with the live field list.

    Raises PermanentError that names each problem of the file. Without a cluster the shipped field list is kept.
    """
    problems = validate(text)
    if problems:
        raise PermanentError(
            "the dashboards file is not sound",
            got="; ".join(str(problem) for problem in problems),
            remedy="take the file of this version, or correct what is named",
        )
    objects = for_prefixes(parse(text)[0], index_prefix=index_prefix, agent_prefix=agent_prefix)
    if cluster is None:
        return objects
    return tuple(_with_live_fields(item, cluster) if item.type == INDEX_PATTERN else item for item in objects)


def install_dashboards(api: Dashboards, objects: Iterable[SavedObject]) -> Report:
    """Import the objects and read each back. Raises an AgentError when the import itself cannot be made."""
    wanted = tuple(objects)
    answer = api.import_objects("".join(item.as_line() + "\n" for item in wanted))
    refused = _refused(answer)
    installed: list[str] = []
    failed: list[Failure] = []
    for item in wanted:
        reason = refused.pop(item.key, "") or _read_back(api, item)
        if reason:
            failed.append(Failure(name=item.name, reason=reason))
        else:
            installed.append(item.name)
    failed += [Failure(name=":".join(key), reason=reason) for key, reason in refused.items()]
    claimed = answer.get("successCount")
    if not failed and (answer.get("success") is not True or claimed != len(wanted)):
        told = f"it reports success={answer.get('success')} and {claimed} of {len(wanted)} objects"
        failed.append(Failure(name="the import", reason=told))
    return Report(installed=tuple(installed), failed=tuple(failed))


def refresh_fields(api: Dashboards, objects: Iterable[SavedObject]) -> Report:
    """Write only the field lists of index patterns that are installed, keeping whatever a person changed otherwise."""
    installed: list[str] = []
    failed: list[Failure] = []
    for item in objects:
        if item.type != INDEX_PATTERN:
            continue
        reason = _refresh(api, item)
        if reason:
            failed.append(Failure(name=item.name, reason=reason))
        else:
            installed.append(item.name)
    return Report(installed=tuple(installed), failed=tuple(failed))


def dashboards_drift(api: Dashboards, objects: Iterable[SavedObject]) -> Report:
    """Say which objects are installed as shipped, and which are missing, changed, or lack new fields."""
    same: list[str] = []
    drifted: list[Failure] = []
    for item in objects:
        reason = _read_back(api, item)
        if reason:
            drifted.append(Failure(name=item.name, reason=reason))
        else:
            same.append(item.name)
    return Report(installed=tuple(same), failed=tuple(drifted))


def pattern_drift(api: Dashboards, objects: Iterable[SavedObject], cluster: Cluster) -> dict[str, FieldDrift]:
    """Return, per index pattern, the live fields that its installed list does not know or knows differently."""
    found: dict[str, FieldDrift] = {}
    for item in objects:
        stored = api.read_object(item.type, item.id) if item.type == INDEX_PATTERN else None
        if stored is not None:
            listed = _decoded(stored.get("attributes", {}).get("fields"))
            found[item.id] = field_drift(listed if isinstance(listed, list) else [], capabilities(cluster, item))
    return found


def capabilities(cluster: Cluster, pattern: SavedObject) -> Mapping[str, Any]:
    """Return the live `_field_caps` of an index pattern's indices; empty when there are none yet."""
    params = {"fields": "*", "ignore_unavailable": "true", "allow_no_indices": "true"}
    answer: Mapping[str, Any] = cluster.call("GET", f"/{pattern.attributes['title']}/_field_caps", params=params)
    return answer


def _with_live_fields(item: SavedObject, cluster: Cluster) -> SavedObject:
    live = pattern_entries(capabilities(cluster, item))
    return with_text(item, "fields", merged(live, item.text("fields") or []))


def _refresh(api: Dashboards, item: SavedObject) -> str:
    try:
        stored = api.read_object(item.type, item.id)
        if stored is None:
            return "is not installed; run setup --dashboards without --refresh-fields first"
        fields = {"fields": item.attributes["fields"]}
        api.update_object(item.type, item.id, fields, version=str(stored.get("version") or ""))
        again = api.read_object(item.type, item.id)
    except AgentError as error:
        return str(error)
    listed = _decoded(_attributes(again).get("fields"))
    return "" if listed == item.text("fields") else "its field list is not the written one when read back"


def _refused(answer: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    listed = answer.get("errors") or []
    if not isinstance(listed, list):
        raise PermanentError("the answer is none of an import", got=cut(str(answer), 200))
    refused: dict[tuple[str, str], str] = {}
    for entry in listed:
        key = (str(entry.get("type")), str(entry.get("id"))) if isinstance(entry, Mapping) else ("?", "?")
        refused[key] = _reason(entry.get("error") if isinstance(entry, Mapping) else entry)
    return refused


def _reason(error: Any) -> str:
    if not isinstance(error, Mapping):
        return f"was refused: {error}"
    missing = [f"{item.get('type')}:{item.get('id')}" for item in error.get("references") or ()]
    if missing:
        return f"was refused, missing reference {', '.join(missing)}"
    return f"was refused: {error.get('type', 'unknown')} {error.get('message', '')}".rstrip()


def _read_back(api: Dashboards, item: SavedObject) -> str:
    """Return how the stored object differs from ours, or an empty string; what the server adds is its own."""
    try:
        stored = api.read_object(item.type, item.id)
    except AgentError as error:
        return f"cannot be read back: {error}"
    if stored is None:
        return "is missing when read back"
    if (stored.get("type"), stored.get("id")) != item.key:
        return f"another object came back: {stored.get('type')}:{stored.get('id')}"
    attributes = _attributes(stored)
    texts = {path[-1] for path in JSON_TEXTS[item.type]}
    for name, value in item.attributes.items():
        if not _same(attributes.get(name), value, is_json=name in texts):
            return f"{name} differs when read back"
    wanted = {(entry["name"], entry["type"], entry["id"]) for entry in item.references}
    found = {(entry.get("name"), entry.get("type"), entry.get("id")) for entry in stored.get("references") or ()}
    lost = sorted(f"{kind}:{identity}" for _, kind, identity in wanted - found)
    return f"lost its reference to {', '.join(lost)}" if lost else ""


def _same(stored: Any, wanted: Any, *, is_json: bool) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(stored, Mapping) and all(
            _same(stored.get(key), value, is_json=key == "searchSourceJSON") for key, value in wanted.items()
        )
    if is_json:
        return bool(_decoded(stored) == _decoded(wanted) is not None)
    return bool(stored == wanted)


def _attributes(stored: Mapping[str, Any] | None) -> Mapping[str, Any]:
    attributes = (stored or {}).get("attributes")
    return attributes if isinstance(attributes, Mapping) else {}


def _decoded(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return None
