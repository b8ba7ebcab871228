"""The row of an answer: a document with the table's columns first, and what a person wants to see of it (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.row import KNOWN_FIELDS
from agent.searching.filters import Filters, only_in_context

Row = dict[str, Any]

MATCHED_IN_CONTEXT = "matched_in_context"


def row_of(source: Mapping[str, Any], filters: Filters | None = None) -> Row:
    """Return a document as a row: every known column, then whatever else the document holds.

    `matched_in_context` is added, and true, where an id that was asked for stands in the context only.
    """
    row: Row = {name: source.get(name) for name in KNOWN_FIELDS}
    row |= {name: value for name, value in source.items() if name not in row}
    if filters is not None and only_in_context(filters, source):
        row[MATCHED_IN_CONTEXT] = True
    return row


def whole_context(row: Mapping[str, Any]) -> Any:
    """Return the context as one value: what is mapped, with what the overflow holds put back; or the raw text."""
    mapped, spilt = row.get("context"), row.get("context_overflow")
    if mapped is None and spilt is None:
        texts = row.get("context_text")
        return "\n".join(texts) if isinstance(texts, list) else texts
    return _merged(mapped, spilt)


def _merged(mapped: Any, spilt: Any) -> Any:
    if spilt is None:
        return mapped
    if isinstance(mapped, dict) and isinstance(spilt, dict):
        return {key: _merged(mapped.get(key), spilt.get(key)) for key in (*mapped, *(set(spilt) - set(mapped)))}
    if mapped is None:
        return spilt
    # Elements of one array went two ways: both are shown.
    both = [*(mapped if isinstance(mapped, list) else [mapped]), *(spilt if isinstance(spilt, list) else [spilt])]
    return [item for item in both if item not in (None, {})]
