"""Archived rows without secrets: the same redaction as documents, applied to a row's texts and its JSON (pure)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import orjson

from agent.mapping.redaction import Counts, Redaction
from agent.retention.record import Record
from agent.row import Value


def redacting(redaction: Redaction) -> Callable[[Record], Record]:
    """Return what makes a record fit for an archive; a record without secrets passes as it is."""

    def redact(record: Record) -> Record:
        fields = {name: _clean(redaction, value) for name, value in record.fields.items()}
        return record if fields == record.fields else replace(record, fields=fields)

    return redact


def _clean(redaction: Redaction, value: Value) -> Value:
    if not isinstance(value, str) or not redaction.suspects(value):
        return value
    counts: Counts = {}
    if value.lstrip()[:1] in ("{", "["):
        try:
            parsed = orjson.loads(value)
        except orjson.JSONDecodeError:
            return redaction.text(value, counts)
        # Written anew only if something was replaced: an archive keeps what the table had.
        cleaned = redaction.value(parsed, counts, texts=True)
        return orjson.dumps(cleaned).decode() if counts else value
    return redaction.text(value, counts)
