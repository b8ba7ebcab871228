"""The templates as shipped: JSON files beside the package in a checkout, inside it in a wheel.

Each top-level file is the body of one `PUT _index_template/<file name>`, each below `component/` of one
`PUT _component_template/<file name>`, in the form the server gives them back, so that both can be compared as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from agent.errors import PermanentError
from agent.opensearch.names import Names

_AUDIT = "impulse-audit"
_AGENT = "impulse-agent"


@dataclass(frozen=True, slots=True)
class Template:
    """One template: the endpoint it belongs to, its name, its body."""

    endpoint: str
    name: str
    body: dict[str, Any]

    @property
    def version(self) -> int:
        """Return the version this agent ships."""
        return int(self.body["_meta"]["version"])


def shipped_templates(names: Names, folder: Traversable | None = None) -> list[Template]:
    """Return all templates with the configured prefixes, components first: an index template needs them to exist."""
    root = folder or _folder()
    found = list(_read(root / "component", "_component_template", names))
    return found + list(_read(root, "_index_template", names))


def _folder() -> Traversable:
    packaged = files("agent") / "_data" / "index_templates"
    if packaged.is_dir():
        return packaged
    checkout = Path(__file__).resolve().parents[2] / "index_templates"
    if not checkout.is_dir():
        raise PermanentError(
            "the index templates are not installed", where=str(packaged), remedy="install the package again"
        )
    return checkout


def _read(folder: Traversable, endpoint: str, names: Names) -> Iterator[Template]:
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".json"):
            body = json.loads(file.read_text(encoding="utf-8"))
            for key in ("index_patterns", "composed_of"):
                if key in body:
                    body[key] = [_renamed(text, names) for text in body[key]]
            yield Template(endpoint, _renamed(file.name.removesuffix(".json"), names), body)


def _renamed(text: str, names: Names) -> str:
    """Return a shipped name under the configured prefixes."""
    for ours, theirs in ((_AUDIT, names.prefix), (_AGENT, names.agent_prefix)):
        if text == ours or text.startswith(f"{ours}-"):
            return theirs + text.removeprefix(ours)
    return text
