"""Dropped paths: what `context_fields.yml` keeps out of the index, with all below it, however its keys are written.

They are taken out of a context before anything else is done with it: neither the overflow nor the ladder may bring
back what a person wanted left out.
"""

from __future__ import annotations

from typing import Any

from agent.mapping.exceptions import Path


def without_dropped(value: dict[str, Any], dropped: frozenset[Path], above: Path) -> dict[str, Any]:
    """Return a context without the dropped paths; one without any is returned as it is."""
    return _object(value, dropped, above) if dropped else value


def _object(value: dict[str, Any], dropped: frozenset[Path], above: Path) -> dict[str, Any]:
    kept = {}
    for key, item in value.items():
        path = (*above, *key.split("."))
        if not any(path[:depth] in dropped for depth in range(len(above) + 1, len(path) + 1)):
            kept[key] = _item(item, dropped, path)
    return kept


def _item(item: Any, dropped: frozenset[Path], path: Path) -> Any:
    if item.__class__ is dict:
        return _object(item, dropped, path)
    return [_item(each, dropped, path) for each in item] if item.__class__ is list else item
