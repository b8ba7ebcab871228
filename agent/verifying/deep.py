"""The deep look: each document derived from its row again and compared, field by field, with what is stored.

A document altered in the index keeps its checksum, so only this finds it. Three things may differ and are no drift:
when it was indexed and by which version, and which values lie in `context` and which in `context_overflow`, because
that depended on what was mapped at the time. What both hold together is compared, value by value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from agent.mapping.document import Document
from agent.mapping.ladder import Rung
from agent.mapping.overflow import VALUE_BYTES, cut, text_of
from agent.row import Row
from agent.verifying import leaves
from agent.verifying.sides import Documents, Rows

ROWS_AT_ONCE = 500
_BYTES_AT_ONCE = 4 * 1024 * 1024
_ROUTED = frozenset({"context", "context_overflow", "context_text", "extra", "agent"})
_NOTES = ("crc", "crc_version", "truncated", "context_error", "created_at_text")
_SOME_TIME = "1970-01-01T00:00:00.000Z"


class Builder(Protocol):
    """Build documents."""

    def build(self, row: Row, indexed_at: str, rung: Rung = ...) -> Document:
        """Return the document of one row."""
        ...


class Deep:
    """Compare documents with their rows; `builder` makes a builder with an empty catalogue of its own."""

    def __init__(self, *, rows: Rows, documents: Documents, builder: Callable[[], Builder]) -> None:
        self._rows = rows
        self._documents = documents
        self._builder = builder

    def altered(self, low: int, high: int) -> Iterator[dict[int, list[str]]]:
        """Return, batch by batch, ids whose document says something else than its row, and in which fields.

        Documents are compared that have the row's checksum; whatever else is wrong, sums have found.
        """
        while low <= high:
            batch = self._rows.in_range(low, high, ROWS_AT_ONCE, _BYTES_AT_ONCE)
            rows = {int(row[0] or 0): row for row in batch.rows}
            if rows:
                yield self._compared(rows)
            if batch.is_complete or not rows:
                return
            low = max(rows) + 1

    def _compared(self, rows: dict[int, Row]) -> dict[int, list[str]]:
        # A catalogue that lives for one batch: nothing a context holds can make memory grow.
        builder = self._builder()
        found: dict[int, list[str]] = {}
        for document in self._documents.by_ids(list(rows), source=True):
            row = rows[document.id]
            if document.crc == row[-1] and document.source is not None:
                names = differing(builder, row, document.source)
                if names:
                    found[document.id] = names
        return found


def differing(builder: Builder, row: Row, stored: dict[str, Any]) -> list[str]:
    """Return the names of the fields in which a stored document differs from the one its row makes."""
    derived = builder.build(row, _SOME_TIME).source
    if _is_raw(stored) and not _is_raw(derived):
        # The server refused every other form of it: its context is text only.
        derived = builder.build(row, _SOME_TIME, Rung.RAW_TEXT).source
    names = [
        name
        for name in sorted((derived.keys() | stored.keys()) - _ROUTED)
        if not _is_same(derived.get(name), stored.get(name))
    ]
    notes, kept_notes = derived["agent"], stored.get("agent") or {}
    names += [f"agent.{name}" for name in _NOTES if notes.get(name) != kept_notes.get(name)]
    return names + _routed(derived, stored)


def _routed(derived: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    names = []
    if not leaves.same(
        derived.get("context"), derived.get("context_overflow"), stored.get("context"), stored.get("context_overflow")
    ):
        names.append("context")
    if not _extra_agrees(derived, stored):
        names.append("extra")
    if not _texts_agree(derived, stored):
        names.append("context_text")
    return names


def _extra_agrees(derived: dict[str, Any], stored: dict[str, Any]) -> bool:
    """Say whether extra columns hold the same; what no mapping took of them is text beside the context."""
    ours, theirs = leaves.typed(derived.get("extra")), leaves.typed(stored.get("extra"))
    return _are_told(ours - theirs, _texts(stored)) and _are_told(theirs - ours, _texts(derived))


def _are_told(lost: Counter[leaves.Leaf], told: Counter[str]) -> bool:
    return all(text in told for _, text in leaves.as_texts(lost))


def _texts_agree(derived: dict[str, Any], stored: dict[str, Any]) -> bool:
    """Say whether the text beside the context is what its routing makes it.

    Without overflow on either side it is the same text. With it, the text holds what overflowed, and nothing that is
    not a key or value of this row.
    """
    ours, theirs = _texts(derived), _texts(stored)
    if ours == theirs:
        return True
    overflowed = {text for _, text in leaves.overflowed(stored.get("context_overflow"))}
    return overflowed <= theirs.keys() and theirs.keys() - overflowed <= _words(derived)


def _words(source: dict[str, Any]) -> set[str]:
    """Return every key and scalar of a document's context and extra columns, as text."""
    found: set[str] = set()
    stack: list[Any] = [source.get(name) for name in ("context", "context_overflow", "extra", "context_text")]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            found.update(item)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
        elif item is not None:
            found.add(cut(text_of(item), VALUE_BYTES))
    return found


def _texts(source: dict[str, Any]) -> Counter[str]:
    value = source.get("context_text") or []
    return Counter(cut(str(item), VALUE_BYTES) for item in (value if isinstance(value, list) else [value]))


def _is_raw(source: dict[str, Any]) -> bool:
    return bool(source.get("context_text")) and not source.get("context") and not source.get("context_overflow")


def _is_same(ours: Any, theirs: Any) -> bool:
    return type(ours) is type(theirs) and bool(ours == theirs)
