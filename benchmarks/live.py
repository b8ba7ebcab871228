"""Live: from a row's commit until a search finds it, at several rates; and what the agent costs when idle."""

from __future__ import annotations

import statistics
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from benchmarks.cost import cpu_seconds, load, memory_mb
from benchmarks.place import Place
from demo.rows import AuditRow, insert, rows
from tests.world import Database, World

RATES = (100, 1000, 5000)
TABLE = ("what", "rows/s", "p50 s", "p99 s", "slowest s", "cpu µs/row", "cpu % of a core", "RSS MB", "load")
ROWS_THERE = 10_000
_TICK_SECONDS = 0.05
_LOOK_SECONDS = 0.02
_SETTLE_SECONDS = 5.0


def measure(place: Place) -> list[dict[str, Any]]:
    """Return one entry for each rate, and one for idleness."""
    seconds, idle_seconds = (5.0, 5.0) if place.quick else (30.0, 60.0)
    found = []
    with (
        place.table(ROWS_THERE) as database,
        place.world(database, {"http.listen": "127.0.0.1:0"}) as world,
        _daemon(world) as pid,
    ):
        for rate in RATES:
            place.say(f"live at {rate} rows/s, load {load()}")
            found.append(_at(rate, seconds, world, database, pid))
            time.sleep(_SETTLE_SECONDS)
        place.say(f"idle for {idle_seconds:.0f} s, load {load()}")
        time.sleep(_SETTLE_SECONDS)
        found.append(_idle(idle_seconds, pid))
    return found


@contextmanager
def _daemon(world: World) -> Iterator[int]:
    process = world.start("run")
    give_up = time.monotonic() + 120
    while world.count() < ROWS_THERE:
        if time.monotonic() > give_up or process.poll() is not None:
            raise SystemExit("the daemon did not catch up")
        time.sleep(0.5)
    time.sleep(_SETTLE_SECONDS)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _at(rate: int, seconds: float, world: World, database: Database, pid: int) -> dict[str, Any]:
    content = list(rows(int(rate * seconds), now=datetime.now(UTC), seed=rate, days=0.01))
    there = world.count()
    commits: list[tuple[int, float]] = []
    writer = threading.Thread(target=_write, args=(database, content, rate, commits))
    used = cpu_seconds(pid)
    writer.start()
    seen = _looks(world, there, len(content))
    writer.join()
    cpu = cpu_seconds(pid) - used
    waits = _waits(commits, seen)
    return {
        "what": "live",
        "rows/s": rate,
        "p50 s": round(statistics.median(waits), 2),
        "p99 s": round(waits[int(len(waits) * 0.99)], 2),
        "slowest s": round(waits[-1], 2),
        "cpu µs/row": round(cpu / len(content) * 1e6, 1),
        "cpu % of a core": round(cpu / seconds * 100, 1),
        "RSS MB": round(memory_mb(pid), 1),
        "load": load(),
    }


def _write(database: Database, content: list[AuditRow], rate: int, commits: list[tuple[int, float]]) -> None:
    """Insert at a steady rate, twenty transactions a second; note how many were committed when."""
    done = 0
    with database.connect() as connection:
        begun = time.monotonic()
        while done < len(content):
            due = min(len(content), int((time.monotonic() - begun) * rate))
            if due > done:
                insert(connection, content[done:due])
                commits.append((due, time.monotonic()))
                done = due
            time.sleep(_TICK_SECONDS)


def _looks(world: World, there: int, rows_due: int) -> list[tuple[int, float]]:
    """Count again and again; note since when so many could be found."""
    seen: list[tuple[int, float]] = []
    give_up = time.monotonic() + 300
    while time.monotonic() < give_up:
        found = world.request("GET", f"/{world.index}/_count")["count"] - there
        if not seen or found > seen[-1][0]:
            seen.append((found, time.monotonic()))
        if found >= rows_due:
            return seen
        time.sleep(_LOOK_SECONDS)
    raise SystemExit("rows are missing after five minutes")


def _waits(commits: list[tuple[int, float]], seen: list[tuple[int, float]]) -> list[float]:
    """Return, ascending, how long each row was not to be found: the n-th committed until n were found."""
    counts = [count for count, _ in seen]
    waits: list[float] = []
    done = 0
    for count, at in commits:
        waits += (seen[bisect_left(counts, number)][1] - at for number in range(done + 1, count + 1))
        done = count
    return sorted(waits)


def _idle(seconds: float, pid: int) -> dict[str, Any]:
    used = cpu_seconds(pid)
    time.sleep(seconds)
    share = (cpu_seconds(pid) - used) / seconds
    return {
        "what": f"idle, {seconds:.0f} s",
        "cpu % of a core": round(share * 100, 2),
        "RSS MB": round(memory_mb(pid, "VmRSS"), 1),
        "load": load(),
    }
