"""The leaf: what one mapped path accepts so far, and the mapping that makes OpenSearch accept it.

A leaf is an int of flags, because the walk compares one per scalar. Its mapping is always `keyword` first, so that
no scalar can ever be refused; sub-fields only add to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.mapping.rules import NativeType

MAPPED = 4
"""The path is a leaf; only booleans were seen there so far."""
STRING = 1
"""A string was seen: `.text` exists."""
NUMBER = 2
"""A number, or a string that is one, was seen: `.number` exists."""
SENSITIVE = 8
"""The key names a secret, or the path is dropped: the walk must look at each value."""

MARK = "[redacted:"
"""How the text begins that stands for a secret."""

IGNORE_ABOVE = 1024
COPY_TO = "context_text"
DATE_FORMAT = "strict_date_optional_time||yyyy-MM-dd HH:mm:ss||yyyy-MM-dd HH:mm:ss.SSSSSS||epoch_millis"

_TAKING_SCALARS = frozenset(
    ("keyword", "wildcard", "version", "constant_keyword", "text", "match_only_text", "boolean", "ip", "date")
)
_TAKING_NUMBERS = frozenset(
    ("long", "integer", "short", "byte", "unsigned_long", "double", "float", "half_float", "scaled_float")
)
_CHANGEABLE = frozenset(("copy_to", "meta", "ignore_above", "ignore_malformed", "fields"))
_TEXT = {"type": "text", "norms": False}
_NUMBER = {"type": "double", "ignore_malformed": True}


def leaf_mapping(flags: int, native: NativeType | None, first_seen: str | None, *, copy_to: bool) -> dict[str, Any]:
    """Return the whole mapping of a leaf; a PUT that left a parameter out would reset it."""
    body: dict[str, Any] = {"type": "keyword", "ignore_above": IGNORE_ABOVE}
    if native is not None and native != "keyword":
        body = _native_mapping(native)
    elif native is None:
        fields: dict[str, Any] = {}
        if flags & STRING:
            fields["text"] = dict(_TEXT)
        if flags & NUMBER:
            fields["number"] = dict(_NUMBER)
        if fields:
            body["fields"] = fields
    if copy_to:
        body["copy_to"] = COPY_TO
    if first_seen:
        body["meta"] = {"first_seen": first_seen}
    return body


def flags_of(mapping: Mapping[str, Any]) -> int:
    """Return the flags of a leaf as a server's mapping shows it."""
    fields = mapping.get("fields", {})
    flags = MAPPED
    if "text" in fields:
        flags |= STRING
    if "number" in fields:
        flags |= NUMBER
    return flags


def takes(mapping: Mapping[str, Any]) -> Literal["objects", "scalars", "neither"]:
    """Return what a mapping takes, whoever made it; an alias, a nested object or a shape are none of ours."""
    kind = mapping.get("type", "object")
    if kind == "object" and mapping.get("enabled", True) is not False:
        return "objects"
    return "scalars" if kind in _TAKING_SCALARS or kind in _TAKING_NUMBERS else "neither"


def may_be_sent_again(mapping: Mapping[str, Any], native: NativeType | None) -> bool:
    """Return whether the server would take our mapping of a leaf it has already: what can't be changed is as ours."""
    ours = leaf_mapping(flags_of(mapping), native, None, copy_to=False)
    fields = mapping.get("fields", {})
    return _fixed(mapping) == _fixed(ours) and all(
        fields[name] == each for name, each in ours.get("fields", {}).items()
    )


def _fixed(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in mapping.items() if name not in _CHANGEABLE}


def _native_mapping(native: NativeType) -> dict[str, Any]:
    if native == "text":
        return {"type": "text", "norms": False}
    body: dict[str, Any] = {"type": native, "ignore_malformed": True}
    if native == "date":
        body["format"] = DATE_FORMAT
    return body
