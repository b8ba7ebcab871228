"""Keys that are data: contexts whose every key is new, against the same values under keys that come back, in turns."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from benchmarks.cost import cpu_seconds, load, run
from benchmarks.place import Place
from demo.rows import AuditRow
from demo.rows import rows as demo_rows
from tests.world import Database

TABLE = ("keys", "rows", "µs/row", "times known", "cpu µs/row", "cluster µs/row")
KNOWN = ("server_id", "node", "path", "done", "duration", "note")


def measure(place: Place) -> list[dict[str, Any]]:
    """Return one entry for each kind of keys."""
    rows, rounds = (5_000, 1) if place.quick else (40_000, 5)
    loads = []
    figures: dict[str, list[tuple[float, float, float]]] = {"known": [], "random": []}
    with place.table(0) as known, place.table(0) as unknown:
        known.insert(_rows(rows, is_random=False))
        unknown.insert(_rows(rows, is_random=True))
        for _ in range(rounds):
            loads.append(load())
            figures["known"].append(_caught_up(place, known, rows))
            figures["random"].append(_caught_up(place, unknown, rows))
    # Turn by turn: what the machine did to one of a pair it did to the other.
    times = [slow[0] / fast[0] for slow, fast in zip(figures["random"], figures["known"], strict=True)]
    found = []
    for keys, some in figures.items():
        wall, cpu, cluster = (round(statistics.median(each), 1) for each in zip(*some, strict=True))
        entry = {"keys": keys, "rows": rows, "µs/row": wall, "cpu µs/row": cpu, "cluster µs/row": cluster}
        found.append({**entry, "times known": round(statistics.median(times), 2) if keys == "random" else 1})
    return [{**entry, "load": loads} for entry in found]


def _rows(count: int, *, is_random: bool) -> Iterator[AuditRow]:
    """Yield the demo's rows with other contexts."""
    rng = random.Random(13)
    for row in demo_rows(count, now=datetime.now(UTC), days=20):
        number = rng.randint(1, 10**6)
        values = (number, f"node-{number % 9}", f"/srv/data/{number}", number % 2 == 0, f"{number / 1000:.3f}", "done")
        keys = [f"{rng.getrandbits(40):010x}" for _ in KNOWN] if is_random else KNOWN
        yield row._replace(context=json.dumps(dict(zip(keys, values, strict=True))))


def _caught_up(place: Place, database: Database, rows: int) -> tuple[float, float, float]:
    """Return the microseconds a row takes in all, of the agent's CPU (its start included), of the cluster's."""
    with place.world(database) as world:
        run("agent", "-c", str(world.config), "setup", "--json")
        place.calm()
        used = cpu_seconds(place.opensearch_pid)
        cost = run("agent", "-c", str(world.config), "sync", "--json")
        cluster = cpu_seconds(place.opensearch_pid) - used
        if (cost.json["indexed"], cost.json["dead_letters"]) != (rows, 0):
            raise SystemExit(f"not all of {rows} rows were indexed: {cost.stdout}")
    return tuple(each / rows * 1e6 for each in (float(cost.json["seconds"]), cost.cpu_seconds, cluster))  # type: ignore[return-value]
