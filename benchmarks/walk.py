"""What a document costs, in one core's microseconds a row, step by step on the demo's rows; no server needed.

    python -m benchmarks.walk [ROWS] [--json]

Each figure is the median of several rounds over the same rows, after one round that fills the catalogue.
«walk» is what the context of a plain row costs: decoding, looking for secrets, and the walk against the catalogue: the
document less the same row without its context, less writing the context as JSON. «walk, whole mix» is the same over
all rows, those included that hold a secret to be replaced, are no JSON, or are new to the catalogue.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from agent.mapping.catalogue import Catalogue
from agent.mapping.document import DocumentBuilder
from agent.mapping.partition import Calendar
from agent.mapping.redaction import Redaction
from agent.mapping.walk import fits
from agent.row import Row, RowShape
from demo.rows import COLUMNS, rows

NOW = datetime(2026, 11, 23, tzinfo=UTC)
INDEXED_AT = "2026-11-23T00:00:00.000Z"
ROUNDS = 7


def sample(count: int) -> list[Row]:
    """Return demo rows as the database gives them: with an id in front and a checksum behind."""
    return [(number, *row, 3735928559) for number, row in enumerate(rows(count, now=NOW), 1)]


def measure(step: Callable[[Any], object], items: list[Any]) -> float:
    """Return the median microseconds of CPU one call takes."""
    figures = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for item in items:
            step(item)
        figures.append((time.process_time() - start) / len(items) * 1e6)
    return statistics.median(figures)


def figures(count: int) -> dict[str, float]:
    """Measure every step on the same rows."""
    batch = sample(count)
    redaction = Redaction()
    catalogue = Catalogue(sensitive=redaction.key_rule)
    builder = DocumentBuilder(
        instance="whmcs", shape=RowShape(("id", *COLUMNS)), period="month", zone="UTC", catalogue=catalogue,
        redaction=redaction, version="1.0.0",
    )  # fmt: skip
    documents = [builder.build(row, INDEXED_AT) for row in batch]
    contexts = [row[11] for row in batch if document_is_plain(builder, row) and str(row[11]).startswith("{")]
    decoded = [orjson.loads(str(context)) for context in contexts]
    calendar = Calendar("month")
    tree, clean = catalogue.tree["context"], redaction.clean
    plain = [row for row in batch if document_is_plain(builder, row)]
    result = {
        "empty loop": measure(lambda _: None, batch),
        "partition and instant": measure(calendar.place, [row[1] for row in batch]),
        "decode": measure(orjson.loads, contexts),
        "fits": measure(lambda value: fits(tree, value), decoded),
        "fits, and no text a secret": measure(lambda value: fits(tree, value, clean), decoded),
        "whole document": measure(lambda row: builder.build(row, INDEXED_AT), batch),
        "whole document, plain rows": measure(lambda row: builder.build(row, INDEXED_AT), plain),
        "walk": context_cost(builder, plain),
        "walk, whole mix": context_cost(builder, batch),
    }
    result["share of plain rows"] = len(contexts) / len(batch)
    result["bytes a document"] = sum(len(document.body) for document in documents) / len(documents)
    return result


def context_cost(builder: DocumentBuilder, batch: list[Row]) -> float:
    """Return what the contexts of rows cost more than none, writing them as JSON left out."""
    written = [builder.build(row, INDEXED_AT).source.get("context") for row in batch]
    whole, bare = (
        measure(lambda row: builder.build(row, INDEXED_AT), rows)
        for rows in (batch, [(*row[:11], None, *row[12:]) for row in batch])
    )
    return whole - bare - measure(orjson.dumps, written)


def document_is_plain(builder: DocumentBuilder, row: Row) -> bool:
    """Return whether a row takes the short way."""
    context = row[11]
    return isinstance(context, str) and builder.is_plain(row)


def main() -> None:
    """Print the figures as a table, or as JSON."""
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    found = figures(numbers[0] if numbers else 20_000)
    if "--json" in sys.argv:
        print(json.dumps(found))
        return
    for name, figure in found.items():
        print(f"{name:28} {figure:8.2f}")


if __name__ == "__main__":
    main()
