"""Templates in the cluster: installed, upgraded, or left alone because a person changed them.

The agent writes a digest of what it installed into `_meta`. A template whose content no longer matches its own digest
was edited by somebody, and is reported rather than overwritten; one that matches may be replaced by a newer version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.opensearch.client import Cluster, url_path
from agent.opensearch.names import Names
from agent.opensearch.shipped import Template, shipped_templates

_OWNER = "impulse-audit-agent"


class Action(StrEnum):
    """What became of one template."""

    CREATED = "created"
    UPGRADED = "upgraded"
    UNCHANGED = "unchanged"
    DRIFTED = "drifted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One line of the report: name, action, and why."""

    name: str
    action: Action
    detail: str = ""


class Templates:
    """Keep the cluster's templates at this agent's version; every call may be repeated."""

    def __init__(self, cluster: Cluster, names: Names, shipped: Sequence[Template] | None = None) -> None:
        self._cluster = cluster
        self._shipped = list(shipped) if shipped is not None else shipped_templates(names)

    def install(self, *, force: bool = False) -> list[Installed]:
        """Create what is missing, upgrade what is ours and older; overwrite what a person changed only by `force`."""
        return [self._install_one(template, force=force) for template in self._shipped]

    def inspect(self) -> list[Installed]:
        """Report what `install` would do, changing nothing."""
        return [_judged(template, self._present(template), force=False) for template in self._shipped]

    def ensure(self) -> list[str]:
        """Install what is missing and touch nothing else; return the names. One request a template."""
        missing = [template for template in self._shipped if self._present(template) is None]
        for template in missing:
            self._put(template)
        return [template.name for template in missing]

    def _install_one(self, template: Template, *, force: bool) -> Installed:
        report = _judged(template, self._present(template), force=force)
        if report.action in (Action.CREATED, Action.UPGRADED):
            self._put(template)
        return report

    def _present(self, template: Template) -> dict[str, Any] | None:
        answer = self._cluster.answer("GET", url_path(template.endpoint, template.name), accept=(404,))
        if answer.status == 404:
            return None
        kind = template.endpoint.removeprefix("_")
        for entry in answer.body.get(f"{kind}s", ()):
            if entry.get("name") == template.name:
                found: dict[str, Any] = entry[kind]
                return found
        return None

    def _put(self, template: Template) -> None:
        body = {**template.body, "_meta": {**template.body["_meta"], "digest": content_digest(template.body)}}
        self._cluster.call("PUT", url_path(template.endpoint, template.name), body=body)


def content_digest(body: dict[str, Any]) -> str:
    """Return a digest of what a template does, whatever spelling the server gives it back in."""
    content = {key: value for key, value in body.items() if key not in ("_meta", "version")}
    text = json.dumps(_plain(content, ""), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _judged(  # noqa: PLR0911  a decision table, one line a case
    template: Template, present: dict[str, Any] | None, *, force: bool
) -> Installed:
    if present is None:
        return Installed(name=template.name, action=Action.CREATED, detail=f"version {template.version}")
    meta = present.get("_meta") or {}
    if content_digest(present) == content_digest(template.body) and meta.get("owner") == _OWNER:
        return Installed(name=template.name, action=Action.UNCHANGED, detail=f"version {meta.get('version')}")
    if force:
        return Installed(
            name=template.name, action=Action.UPGRADED, detail=f"overwritten by version {template.version}"
        )
    if meta.get("owner") != _OWNER:
        return Installed(
            name=template.name, action=Action.DRIFTED, detail="not installed by the agent; --force replaces it"
        )
    if meta.get("digest") != content_digest(present):
        detail = "changed by hand; kept as it is, --force overwrites it"
        return Installed(name=template.name, action=Action.DRIFTED, detail=detail)
    version = meta.get("version")
    if isinstance(version, int) and version > template.version:
        detail = f"version {version} of a newer agent; this one ships {template.version}"
        return Installed(name=template.name, action=Action.UNCHANGED, detail=detail)
    return Installed(name=template.name, action=Action.UPGRADED, detail=f"version {version} to {template.version}")


def _plain(value: Any, key: str) -> Any:
    """Return a value as the server would spell it: settings as nested text under `index`, booleans as text."""
    if isinstance(value, dict):
        plain = {name: _plain(member, name) for name, member in value.items() if member not in ([], {}, None)}
        return _nested(plain) if key == "settings" else plain
    if isinstance(value, list):
        return [_plain(member, "") for member in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _nested(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with dotted names unfolded and the `index` root in place."""
    root: dict[str, Any] = {}
    for name, value in _leaves(settings):
        path = name.split(".")
        node = root
        for part in (path if path[0] == "index" else ["index", *path])[:-1]:
            node = node.setdefault(part, {})
        node[path[-1]] = value
    return root


def _leaves(settings: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in settings.items():
        path = f"{above}.{name}" if above else name
        found += _leaves(value, path) if isinstance(value, dict) else [(path, value)]
    return found
