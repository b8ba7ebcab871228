"""Fields: the paths of a mapping, as a person or a comparison wants them listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.mapping.exceptions import Path
from agent.mapping.leaf import NUMBER, STRING
from agent.mapping.rules import NativeType


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Describe one leaf of the catalogue (`audit-agent fields`); a native type has no kinds."""

    path: str
    kinds: tuple[str, ...]
    native: NativeType | None
    first_seen: str | None


def field_of(path: Path, flags: int, native: NativeType | None, first_seen: str | None) -> Field:
    """Return the description of one leaf."""
    kinds = tuple(kind for kind, flag in (("string", STRING), ("number", NUMBER)) if flags & flag)
    return Field(
        path=".".join(path[1:]),
        kinds=() if native else kinds or ("boolean",),
        native=native,
        first_seen=first_seen,
    )


def paths_of(mapping: Mapping[str, Any], above: Path) -> Iterator[Path]:
    """Yield every path of a server's mapping, objects and leaves."""
    for key, child in mapping.get("properties", {}).items():
        path = (*above, key)
        yield path
        yield from paths_of(child, path)
