"""Asking: what `benchmarks.search` measures, as one part of the whole run."""

from __future__ import annotations

from typing import Any

from benchmarks import search
from benchmarks.place import Place

TABLE = ("what", "figure")


def measure(place: Place) -> list[dict[str, Any]]:
    """Return one entry for each figure; units stand in the names."""
    rows = 10_000 if place.quick else 1_000_000
    with place.table(0) as database, place.world(database) as world:
        database.execute("DROP TABLE `mod_impulsecore_audit_log`")  # it makes its own
        figures = search.measure(world, rows)
    return [{"what": name, "figure": round(figure, 1)} for name, figure in figures.items()]
