"""The overflow: where the values go that no mapped path can take, so that they are still found and still shown.

A value goes to `context_overflow` (a flat_object: any keys, values as strings) below the same keys as in the
context, and whole into `context_text`. A flat_object takes any key and any shape; its one limit is kept here: no
term above 32 766 bytes, path included. Nulls are left out: there is nothing in them to find.
"""

from __future__ import annotations

from typing import Any

import orjson

from agent.mapping.paths import joined

VALUE_BYTES = 8_000
DEPTH = 16
"""Levels kept as objects; below, the keys are joined to one."""
LISTED_PATHS = 100
KEY_BYTES = 1_100
"""Bytes kept of one key: a term of flat_object holds all keys of the path and the value, 32 766 bytes at most."""


class Overflow:
    """Collect what one document could not map."""

    def __init__(self) -> None:
        self.value: dict[str, Any] = {}
        self.texts: list[str] = []
        self.reasons: dict[str, int] = {}
        self._paths: dict[str, None] = {}
        self.more = 0

    @property
    def paths(self) -> list[str]:
        """List the leaf paths that went here, at most LISTED_PATHS of them; `more` counts the others."""
        return list(self._paths)

    def place(self, target: dict[str, Any], key: str, spilt: Any) -> None:
        """Put a spilt value under its key; keys that differ only beyond the cut stay apart."""
        if spilt is None:
            return
        name = cut(key, KEY_BYTES)
        while name in target:
            name += "_"
        target[name] = spilt

    def spill(self, value: Any, path: tuple[str, ...], reason: str) -> Any:
        """Return the value with its scalars as strings, and note each of them; None if there is none."""
        kind = value.__class__
        if kind is not dict and kind is not list:
            return self._scalar(value, path, reason)
        if len(path) > DEPTH:
            return self._flatten(value, path, reason)
        if kind is list:
            items = [self.spill(item, path, reason) for item in value]
            return [item for item in items if item is not None]
        result: dict[str, Any] = {}
        for key, item in value.items():
            self.place(result, key, self.spill(item, (*path, key), reason))
        return result

    def _flatten(self, value: Any, path: tuple[str, ...], reason: str) -> dict[str, Any]:
        """Spread a deep value over joined keys, without recursion: it may be a thousand levels deep."""
        result: dict[str, Any] = {}
        stack: list[tuple[tuple[str, ...], Any]] = [((), value)]
        while stack:
            below, item = stack.pop()
            if item.__class__ is dict:
                stack.extend(((*below, key), inner) for key, inner in reversed(item.items()))
            elif item.__class__ is list:
                stack.extend((below, inner) for inner in reversed(item))
            elif item is not None:
                text = self._scalar(item, path + below, reason)
                result.setdefault(cut(".".join(below), KEY_BYTES), []).append(text)
        return result

    def _scalar(self, value: Any, path: tuple[str, ...], reason: str) -> str | None:
        if value is None:
            return None
        text = text_of(value)
        self.texts.append(text)
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        name = joined(path[1:] if path[0] == "context" else path)
        if name not in self._paths:
            if len(self._paths) < LISTED_PATHS:
                self._paths[name] = None
            else:
                self.more += 1
        return cut(text, VALUE_BYTES)


def text_of(value: Any) -> str:
    """Write a scalar as JSON writes it, strings without their quotes."""
    if value.__class__ is str:
        return str(value)
    if value.__class__ is int:
        return str(value)
    return orjson.dumps(value).decode()


def cut(text: str, size: int) -> str:
    """Cut a text to a number of UTF-8 bytes, never within a character."""
    if len(text) * 4 <= size:
        return text
    data = text.encode("utf-8", "surrogatepass")
    return text if len(data) <= size else data[:size].decode("utf-8", "ignore")
