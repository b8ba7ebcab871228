"""Verification: rows a second by sums and by every value, memory at two sizes, and what one window asks of MySQL."""

from __future__ import annotations

import time
from typing import Any

from agent.cli.app import Application
from agent.mysql.windows import WindowReader
from benchmarks.cost import load, run
from benchmarks.place import Place
from demo.table import TABLE as AUDIT_TABLE
from tests.world import World

TABLE = ("what", "rows", "seconds", "rows/s", "cpu µs/row", "peak MB", "slowest window ms", "rows touched", "load")
ROWS = 1_000_000
WINDOW = 10_000


def measure(place: Place) -> list[dict[str, Any]]:
    """Return one entry for each way to look."""
    rows = ROWS // 20 if place.quick else ROWS
    with place.table(rows) as database, place.world(database) as world:
        run("agent", "-c", str(world.config), "sync", "--json")
        world.refresh()
        place.calm()
        place.say(f"verify: {rows} rows are shipped, load {load()}")
        found = [
            _verify("a quarter, by sums", world, "--to-id", str(rows // 4)),
            _verify("all, by sums", world),
            _verify("a tenth, every value", world, "--deep", "--to-id", str(rows // 10)),
            _windows(world, rows),
        ]
        lost = world.request("POST", f"/{world.index}/_delete_by_query?refresh=true", _every_hundredth(rows))["deleted"]
        found.append(_verify(f"all, {lost} documents missing and shipped again", world, "--repair"))
        # A wide hole: ids may jump, and a window still touches its own rows only.
        database.execute(f"ALTER TABLE `{AUDIT_TABLE}` AUTO_INCREMENT = 2000000000")
        database.fill(1000)
        run("agent", "-c", str(world.config), "sync", "--json")
        found.append(_verify("all, and a hole of 2·10⁹ ids", world))
    return found


def _verify(what: str, world: World, *arguments: str) -> dict[str, Any]:
    cost = run("agent", "-c", str(world.config), "verify", "--json", *arguments)
    rows, seconds = cost.json["rows"], cost.json["seconds"]
    return {
        "what": what,
        "rows": rows,
        "seconds": round(seconds, 2),
        "rows/s": round(rows / seconds),
        "cpu µs/row": round(cost.cpu_seconds / rows * 1e6, 2),
        "peak MB": round(cost.peak_mb, 1),
        "load": load(),
    }


def _windows(world: World, rows: int) -> dict[str, Any]:
    """Sum every window as a verification does; say how long the slowest took and how many rows it touched at most."""
    app = Application(world.config)
    reader = WindowReader(app.database, app.table)
    times, touched = [], []
    for first in range(1, rows + 1, WINDOW):
        before = _rows_read(app)
        begun = time.perf_counter()
        reader.windows(first, first + WINDOW - 1, WINDOW)
        times.append(time.perf_counter() - begun)
        touched.append(_rows_read(app) - before)
    app.database.close()
    return {
        "what": f"MySQL alone, windows of {WINDOW} ids",
        "rows": rows,
        "seconds": round(sum(times), 2),
        "rows/s": round(rows / sum(times)),
        "slowest window ms": round(max(times) * 1000, 1),
        "rows touched": max(touched),
        "load": load(),
    }


def _rows_read(app: Application) -> int:
    """Return how many rows this session has walked in index order; its statements share one connection."""
    with app.database.connection() as connection:
        row = connection.row("SHOW SESSION STATUS LIKE 'Handler_read_next'")
    return int(row[1]) if row else 0


def _every_hundredth(rows: int) -> dict[str, Any]:
    ids = list(range(100, rows + 1, 100))
    return {"query": {"terms": {"id": ids[:60_000]}}}
