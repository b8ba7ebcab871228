"""Where each field of a document goes: what `explain --document` shows beside the document itself (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.mapping.fields import Field
from agent.mapping.leaf import MARK

_NATIVE = "native type"


@dataclass(frozen=True, slots=True)
class Route:
    """One field: its path in the document, and what the index makes of it."""

    path: str
    goes_to: str


def routes(source: Mapping[str, Any], fields: list[Field], known: set[str]) -> list[Route]:
    """Return the routes of a document; `fields` is the catalogue it was built with, `known` the paths before it."""
    catalogue = {field.path: field for field in fields}
    found: list[Route] = []
    for name, value in source.items():
        if name == "context":
            found += [Route(f"context.{path}", _mapped(path, text, catalogue, known)) for path, text in _leaves(value)]
        elif name == "context_overflow":
            reasons = ", ".join(source["agent"].get("overflow_reason", ()))
            found += [
                Route(f"context_overflow.{path}", f"flat_object, not mapped: {reasons}") for path, _ in _leaves(value)
            ]
        elif name == "context_text":
            found.append(
                Route("context_text", f"full text ({source['agent'].get('context_error') or 'of the overflow'})")
            )
        elif isinstance(value, dict):
            found += [Route(f"{name}.{path}", "field of the template") for path, _ in _leaves(value)]
        else:
            found.append(Route(name, "field of the template" + (", redacted" if _is_redacted(value) else "")))
    return found


def _mapped(path: str, value: Any, catalogue: Mapping[str, Field], known: set[str]) -> str:
    field = catalogue.get(path)
    if field is None:
        return "kept in the source only (null or empty)"
    says = f"{_NATIVE} {field.native}" if field.native else "keyword"
    if "string" in field.kinds:
        says += ", .text"
    if "number" in field.kinds:
        says += ", .number"
    says += ", context_text"
    if path not in known:
        says += " (new: this document would map it)"
    return says + (", redacted" if _is_redacted(value) else "")


def _is_redacted(value: Any) -> bool:
    return isinstance(value, str) and MARK in value


def _leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """Return paths and values once each, arrays under the path of their elements."""
    seen: dict[str, Any] = {}
    stack = [("", value)]
    while stack:
        above, item = stack.pop()
        if isinstance(item, dict):
            stack.extend((f"{above}.{key}" if above else key, inner) for key, inner in reversed(item.items()))
        elif isinstance(item, list) and any(isinstance(each, dict | list) for each in item):
            stack.extend((above, inner) for inner in reversed(item))
        else:
            seen.setdefault(above, item)
    yield from seen.items()
