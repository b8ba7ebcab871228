"""Rows and builders for the unit tests of verifying."""

from __future__ import annotations

import zlib

from agent.mapping.catalogue import Catalogue
from agent.mapping.document import DocumentBuilder
from agent.mapping.redaction import Redaction
from agent.row import KNOWN_FIELDS, Row, RowShape

SHAPE = RowShape(fields=KNOWN_FIELDS, extra=("note",))


def row(row_id: int, context: str | None = None, *, created_at: str = "2026-11-03 04:05:06", note: str = "n") -> Row:
    values = (row_id, created_at, "m", "cron", "a.b", "info", 1, None, None, None, "detail", context, note)
    return (*values, zlib.crc32(repr(values).encode()))


def builder(*, max_fields: int = 10**9, max_depth: int = 10, catalogue: Catalogue | None = None) -> DocumentBuilder:
    redaction = Redaction()
    return DocumentBuilder(
        instance="i",
        shape=SHAPE,
        period="month",
        zone="UTC",
        catalogue=catalogue or Catalogue(max_fields=max_fields, max_depth=max_depth, sensitive=redaction.key_rule),
        redaction=redaction,
        version="1",
    )
