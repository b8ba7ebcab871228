"""Growth: the same figures over tables of different sizes. What grows with the table is a fault."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.cost import load, run
from benchmarks.place import Place
from benchmarks.polling import poll, shipping

TABLE = (
    "rows", "catch-up rows/s", "cpu µs/row", "RSS MB", "poll ms", "poll cpu ms", "verify rows/s",
    "verify RSS MB", "load",
)  # fmt: skip
VERIFICATIONS = 3


def measure(place: Place) -> list[dict[str, Any]]:
    """Return one entry for each size."""
    sizes = [5000, 20_000] if place.quick else [100_000, 1_000_000]
    return [_of_size(place, rows) for rows in sizes + ([5_000_000] if place.full else [])]


def _of_size(place: Place, rows: int) -> dict[str, Any]:
    with place.table(0) as nothing, place.world(nothing) as world:
        start_up = statistics.median(
            run("agent", "-c", str(world.config), "sync", "--json").cpu_seconds for _ in range(3)
        )
    with place.table(rows) as database, place.world(database) as world:
        place.say(f"growth: {rows} rows, load {load()}")
        place.calm()
        shipped = run("agent", "-c", str(world.config), "sync", "--json")
        world.refresh()
        place.calm()
        compared = [run("agent", "-c", str(world.config), "verify", "--json") for _ in range(VERIFICATIONS)]
        for each in compared:
            if each.json["rows"] != rows or each.json["missing"] or each.json["different"]:
                raise SystemExit(f"drift after a catch-up: {each.stdout}")
        with shipping(world) as line:
            polled = poll(line)
    return {
        "rows": rows,
        "catch-up rows/s": round(rows / float(shipped.json["seconds"])),
        "cpu µs/row": round((shipped.cpu_seconds - start_up) / rows * 1e6, 1),
        "RSS MB": round(shipped.peak_mb, 1),
        "poll ms": polled["poll ms"],
        "poll cpu ms": polled["cpu ms"],
        "verify rows/s": round(rows / statistics.median(each.seconds for each in compared)),
        "verify RSS MB": round(max(each.peak_mb for each in compared), 1),
        "load": load(),
    }
