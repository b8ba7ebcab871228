"""The daily purge of a daemon that ships meanwhile: its rate, what writers notice of it, how far the tail falls behind.

Five hundred rows a second are inserted the whole time, each in a transaction of its own; how long that takes is
compared with the minute before the purge, on the same daemon.
"""

from __future__ import annotations

import math
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import urlopen

from benchmarks.cost import load, run
from benchmarks.place import Place
from benchmarks.retention import insert_figures, inserting
from demo.table import TABLE as AUDIT
from tests.world import Database, World

TABLE = ("what", "rows", "seconds", "rows/s", "inserts/s", "insert p50 ms", "insert p99 ms", "slowest lag s", "load")
WRITERS = 5
PACE = 2_500
_BEFORE = timedelta(days=200)
_LOOK_SECONDS = 0.5
_LAG = re.compile(r"^audit_agent_lag_seconds\{?[^ ]* (\S+)$", re.MULTILINE)


def measure(place: Place) -> list[dict[str, Any]]:
    """Return one entry before the purge, and one for the time of it."""
    count, calm = (4_000, 10.0) if place.quick else (1_000_000 if place.full else 150_000, 60.0)
    port = _free_port()
    with (
        place.table(count, days=100, now=datetime.now(UTC) - _BEFORE) as database,
        place.world(database, {"http.listen": f"127.0.0.1:{port}"}, _rules("preview", "00:00")) as world,
    ):
        run("agent", "-c", str(world.config), "sync", "--json")
        place.calm()
        with _daemon(world), inserting(database, WRITERS) as times, _lags(port) as lags:
            place.say(f"purge: inserts beside the tail, load {load()}")
            time.sleep(calm)
            before = _figures("inserts and tail alone", calm, times, lags)
            at = datetime.now(UTC) + timedelta(seconds=75)
            world.retention = _rules("enforce", f"{at:%H:%M}")
            world.write()
            place.say(f"purge: {count} rows at {at:%H:%M}")
            _until(database, lambda first: first > 1)
            start, begun_with = time.monotonic(), (len(times), len(lags))
            _until(database, lambda first: first > count)
            seconds = time.monotonic() - start
            during = _figures("purge beside both", seconds, times[begun_with[0] :], lags[begun_with[1] :])
        return [before, {**during, "rows": count, "rows/s": round(count / seconds)}]


def _rules(mode: str, at: str) -> dict[str, Any]:
    return {
        "mode": mode,
        "at": at,
        "rows": {"days": 90},
        "documents": {"days": 90},
        "brakes": {"max_share": 1.0, "max_rows": 100_000_000, "shorten_wait": "none"},
        "pace": {"rows_per_second": PACE, "chunk_rows": 1000},
    }


def _figures(what: str, seconds: float, times: list[float], lags: list[float]) -> dict[str, Any]:
    return {
        "what": what,
        "seconds": round(seconds, 1),
        "inserts/s": round(len(times) / seconds),
        **insert_figures(times),
        "slowest lag s": round(max(lags, default=0.0), 2),
        "load": load(),
    }


@contextmanager
def _daemon(world: World) -> Iterator[None]:
    with (world.folder / "daemon.log").open("w") as log:
        process = world.start("run", log=log)
        try:
            yield
        finally:
            process.terminate()
            process.communicate(timeout=60)


@contextmanager
def _lags(port: int) -> Iterator[list[float]]:
    """Read the agent's own figure of its lag all the time."""
    found: list[float] = []
    halt = threading.Event()

    def look() -> None:
        while not halt.wait(_LOOK_SECONDS):
            try:
                with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    said = _LAG.search(answer.read().decode())
            except OSError:
                continue
            # Not a number: nothing was shipped yet since the daemon started.
            if said and not math.isnan(lag := float(said.group(1))):
                found.append(lag)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        halt.set()
        thread.join()


def _until(database: Database, holds: Any) -> None:
    """Wait for the table to begin where it should: rows go in the order of their ids."""
    give_up = time.monotonic() + 3600
    while not holds(int(database.execute(f"SELECT MIN(id) FROM `{AUDIT}`")[0][0])):
        if time.monotonic() > give_up:
            raise SystemExit("the purge did not get there in an hour")
        time.sleep(_LOOK_SECONDS)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
