"""Secrets that slipped through: indexed documents judged by today's redaction rules.

Redacting what is redacted changes nothing, so whatever today's rules would still replace in a stored document was
indexed before the rule, or past it. Only ids and rules are told, never what was found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from agent.mapping.redaction import Redaction
from agent.opensearch.search import Search, ids_between

IDS_KEPT = 1000
_PAGE = 500
_FIELDS = ["id", "detail", "ip_address", "action", "context", "context_overflow", "context_text", "extra"]


@dataclass(slots=True)
class Scanned:
    """Documents looked at, and by rule the documents in which it found something."""

    documents: int = 0
    found: Counter[str] = field(default_factory=Counter)
    ids: dict[str, list[int]] = field(default_factory=dict)
    partitions: dict[str, set[str]] = field(default_factory=dict)

    def add(self, row_id: int, rules: Counter[str], index: str) -> None:
        """Note one document."""
        self.documents += 1
        for rule in rules:
            self.found[rule] += 1
            kept = self.ids.setdefault(rule, [])
            if len(kept) < IDS_KEPT:
                kept.append(row_id)
            self.partitions.setdefault(rule, set()).add(index)


def scan(search: Search, redaction: Redaction, instance: str, span: tuple[int, int], scanned: Scanned) -> Iterator[int]:
    """Look at every document in a range of ids; return after each page the id it has come to."""
    body = {"query": ids_between(instance, *span)}
    for page in search.pages(body, sort=({"id": "asc"}, {"_index": "asc"}), size=_PAGE):
        for hit in page:
            scanned.add(int(hit["sort"][0]), leaking(redaction, hit["_source"]), hit["_index"])
        yield int(page[-1]["sort"][0])


def leaking(redaction: Redaction, source: dict[str, Any]) -> Counter[str]:
    """Return what the rules would still replace in a document's source, by rule."""
    counts: dict[str, int] = {}
    for name in _FIELDS:
        value = source.get(name)
        if value is not None:
            redaction.value(_with_numbers(value) if name == "context_overflow" else value, counts, texts=True)
    return Counter(counts)


def _with_numbers(value: Any) -> Any:
    """Give the overflow's texts of numbers back their kind: a number under `token_count` is about a secret, not one."""
    if isinstance(value, dict):
        return {key: _with_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_numbers(item) for item in value]
    if value in ("true", "false"):
        return value == "true"
    if isinstance(value, str) and value.lstrip("-").isdigit() and len(value) < 300:
        return int(value)
    return value
