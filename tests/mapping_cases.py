"""The mapping's cases as data: tests/cases/<name>/row.json becomes tests/cases/<name>/document.json.

row.json: `columns` (of one row; id, created_at and crc have defaults), and optionally `before` (contexts of rows that
came earlier), `rules` (as in context_fields.yml), `settings` (period, zone, max_fields, max_depth, max_bytes),
`extra` (further columns), `rung`, and `partition` (where the document belongs). A new case needs no code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.mapping.catalogue import Catalogue
from agent.mapping.document import Document, DocumentBuilder
from agent.mapping.ladder import Rung
from agent.mapping.redaction import Redaction
from agent.mapping.rules import FieldRules
from agent.row import KNOWN_FIELDS, Row, RowShape

FOLDER = Path(__file__).parent / "cases"
INDEXED_AT = "2026-11-23T22:00:00.000Z"


@dataclass(frozen=True)
class Case:
    name: str
    given: dict[str, Any]
    document: dict[str, Any]

    def rows(self) -> list[Row]:
        """Return the rows that came before, then the one the case is about."""
        earlier = [{"id": number, "context": text} for number, text in enumerate(self.given.get("before", []), 1)]
        return [self._row(columns) for columns in [*earlier, self.given["columns"]]]

    def build(self) -> tuple[list[Document], Catalogue]:
        """Return the documents of all rows, and the catalogue they leave behind."""
        settings = self.given.get("settings", {})
        rules = FieldRules(**self.given.get("rules", {}))
        redaction = Redaction(rules)
        catalogue = Catalogue(
            max_fields=settings.get("max_fields", 500),
            max_depth=settings.get("max_depth", 10),
            rules=rules,
            sensitive=redaction.key_rule,
        )
        builder = DocumentBuilder(
            instance="whmcs",
            shape=RowShape(KNOWN_FIELDS, tuple(self.given.get("extra", {}))),
            period=settings.get("period", "month"),
            zone=settings.get("zone", "UTC"),
            catalogue=catalogue,
            redaction=redaction,
            max_bytes=settings.get("max_bytes", 1024 * 1024),
            version="1.0.0",
        )
        rung = Rung[self.given.get("rung", "NORMAL")]
        *earlier, last = self.rows()
        documents = [builder.build(row, INDEXED_AT) for row in earlier]
        return [*documents, builder.build(last, INDEXED_AT, rung)], catalogue

    def _row(self, columns: dict[str, Any]) -> Row:
        defaults = {"id": 184467, "created_at": "2026-11-23 21:04:05"}
        values = {**defaults, **columns}
        return (*(values.get(field) for field in KNOWN_FIELDS), *self.given.get("extra", {}).values(), 3735928559)


def cases() -> list[Case]:
    return [
        Case(folder.name, _read(folder / "row.json"), _read(folder / "document.json"))
        for folder in sorted(FOLDER.iterdir())
        if folder.is_dir()
    ]


def _read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value
