"""Retention: how fast a purge goes with and without its pace, what writers notice of it, and dropped partitions."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.cost import Cost, load, run
from benchmarks.place import Place
from demo.rows import insert, rows
from tests.world import Database, World

TABLE = ("what", "rows", "seconds", "rows/s", "insert p50 ms", "insert p99 ms", "load")
PACE = 2000
UNPACED = 1_000_000
_BEFORE = timedelta(days=200)
_INSERTS_A_SECOND = 100
_CALM_SECONDS = 20.0


def measure(place: Place) -> list[dict[str, Any]]:
    """Return one entry for each kind of purge."""
    count = 4000 if place.quick else 100_000
    found = []
    for what, pace, rows_of_it in (
        ("rows, unpaced", UNPACED, count),
        ("rows, paced", PACE, count // 2),
        ("rows, twice that pace", 2 * PACE, count),
    ):
        place.say(f"retention: {what}, load {load()}")
        with place.table(rows_of_it, days=100, now=datetime.now(UTC) - _BEFORE) as database:
            retention = _rules(pace)
            with place.world(database, retention=retention) as world:
                run("agent", "-c", str(world.config), "sync", "--json")
                if pace == UNPACED:
                    found.append(_undisturbed(database, 2.0 if place.quick else _CALM_SECONDS))
                found.append(_purge(what, world, database))
                if pace == UNPACED:
                    found.append(_drop(world))
    return found


def _rules(pace: int, document_days: int = 0) -> dict[str, Any]:
    return {
        "mode": "preview",
        "rows": {"days": 90},
        "documents": {"days": document_days},
        "follow_core_setting": False,
        "brakes": {"max_share": 1.0, "max_rows": 100_000_000, "shorten_wait": "none"},
        "pace": {"rows_per_second": pace, "chunk_rows": 1000},
    }


def _undisturbed(database: Database, seconds: float) -> dict[str, Any]:
    with inserting(database) as times:
        time.sleep(seconds)
    return {"what": "inserts alone", **insert_figures(times), "load": load()}


def _purge(what: str, world: World, database: Database) -> dict[str, Any]:
    with inserting(database) as times:
        cost = run("agent", "-c", str(world.config), "retain", "--execute", "--json")
    deleted = sum(each["deleted"] for each in _tallies(cost, "rows"))
    return {
        "what": what,
        "rows": deleted,
        "seconds": round(cost.seconds, 1),
        "rows/s": round(deleted / cost.seconds),
        **insert_figures(times),
        "load": load(),
    }


def _drop(world: World) -> dict[str, Any]:
    """Let the documents expire too: whole partitions of them."""
    world.retention = _rules(UNPACED, 90)
    world.write()
    before = world.count()
    cost = run("agent", "-c", str(world.config), "retain", "--execute", "--json")
    gone = before - world.count()
    return {
        "what": "documents, whole partitions dropped",
        "rows": gone,
        "seconds": round(cost.seconds, 1),
        "rows/s": round(gone / cost.seconds),
        "load": load(),
    }


def _tallies(cost: Cost, side: str) -> list[dict[str, Any]]:
    return list(cost.json["deleted"][side].values())


@contextmanager
def inserting(database: Database, writers: int = 1) -> Iterator[list[float]]:
    """Insert single rows beside what is measured, each in its own transaction; lend the list of their milliseconds.

    Each writer has a connection of its own and keeps to a hundred rows a second: a slow one is followed at once.
    """
    times: list[float] = []
    halt = threading.Event()
    content = list(rows(2000, now=datetime.now(UTC), seed=9, days=0.01))

    def write() -> None:
        with database.connect() as connection:
            due = time.perf_counter()
            while not halt.wait(max(0.0, due - time.perf_counter())):
                row = content[len(times) % len(content)]._replace(created_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}")
                begun = time.perf_counter()
                insert(connection, [row])
                times.append((time.perf_counter() - begun) * 1000)
                due += 1 / _INSERTS_A_SECOND

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield times
    finally:
        halt.set()
        for thread in threads:
            thread.join()


def insert_figures(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "insert p50 ms": round(statistics.median(ordered), 2),
        "insert p99 ms": round(ordered[int(len(ordered) * 0.99)], 2),
    }
