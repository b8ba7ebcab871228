"""The daily purge of a daemon that ships meanwhile: its rate, what writers notice of it, how far the tail falls behind.

Five hundred rows a second are inserted the whole time, each in a transaction of its own. In turns nothing is deleted
(the purge is paused), rows are deleted by nobody's agent (`bare_deletes`: what any purge costs), and the purge goes on.
Once with commits that reach the disk, as servers do unless told otherwise, and once with commits written every second.
"""

from __future__ import annotations

import math
import re
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import urlopen

from benchmarks.cost import load, run
from benchmarks.place import Place
from benchmarks.retention import insert_figures, inserting
from demo.table import TABLE as AUDIT
from tests.world import Database, World

TABLE = (
    "commits", "what", "rows", "rows/s", "inserts/s", "insert p50 ms", "insert p99 ms", "p99 of alone", "slowest lag s",
    "load",
)  # fmt: skip
WRITERS = 5
PACE = 2_100
ALONE, BARE, PURGE = "inserts and tail alone", "bare deletes beside both", "purge beside both"
_COMMITS = {"durable": 1, "every second": 2}
_BEFORE = timedelta(days=200)
_LOOK_SECONDS = 0.5
_SETTLE_SECONDS = 2.0
_LAG = re.compile(r"^audit_agent_lag_seconds\{?[^ ]* (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Turns:
    """How many there are of each kind, and how long one takes."""

    count: int
    other_seconds: float
    purge_seconds: float

    def seconds(self, what: str) -> float:
        return self.purge_seconds if what == PURGE else self.other_seconds

    def rows(self) -> int:
        """Return how many rows are enough for all of them."""
        settling = (self.count + 1) * 3 * _SETTLE_SECONDS
        return int(PACE * (self.count * (self.other_seconds + self.purge_seconds) + 2 * settling))


@dataclass(kw_only=True)
class Seen:
    """What was seen in all turns of one kind."""

    seconds: float = 0.0
    rows: int = 0
    times: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)


def measure(place: Place) -> list[dict[str, Any]]:
    """Return one entry for each kind of turn, for each kind of commit."""
    few = Turns(1, 3.0, 3.0) if place.quick else Turns(6, 12.0, 12.0)
    many = Turns(9, 20.0, 60.0) if place.full else few
    if place.servers.mariadb is None:  # how a server that is not ours commits is not for us to change
        return _measured(place, many)
    return [*_measured(place, many, "durable"), *_measured(place, few, "every second")]


def _measured(place: Place, turns: Turns, commits: str = "as they are") -> list[dict[str, Any]]:
    count, port = turns.rows(), _free_port()
    with (
        place.table(count, days=100, now=datetime.now(UTC) - _BEFORE) as database,
        place.world(database, {"http.listen": f"127.0.0.1:{port}"}, _rules("preview", "00:00")) as world,
    ):
        run("agent", "-c", str(world.config), "sync", "--json")
        if commits in _COMMITS:
            database.execute(f"SET GLOBAL innodb_flush_log_at_trx_commit = {_COMMITS[commits]}")
        place.calm()
        with _daemon(world), inserting(database, WRITERS) as times, _lags(port) as lags:
            _begin_purge(place, world, database, count)
            seen = _taken(Stage(world, database, times, lags), count, turns)
    return [{"commits": commits, **_figures(what, seen[what], seen[ALONE])} for what in (ALONE, BARE, PURGE)]


def _begin_purge(place: Place, world: World, database: Database, count: int) -> None:
    """Have the daemon begin its daily run within the next two minutes, and pause it there."""
    at = datetime.now(UTC) + timedelta(seconds=75)
    world.retention = _rules("enforce", f"{at:%H:%M}")
    world.write()
    place.say(f"purge: begins at {at:%H:%M}, load {load()}")
    give_up = time.monotonic() + 600
    while _expired(database, count)[0] == 1:
        if time.monotonic() > give_up:
            raise SystemExit("the purge did not begin within ten minutes")
        time.sleep(_LOOK_SECONDS)
    _say(world, "pause")


@dataclass(frozen=True)
class Stage:
    """Where the turns are taken, and what is written down meanwhile."""

    world: World
    database: Database
    times: list[float]
    lags: list[float]


def _taken(stage: Stage, count: int, turns: Turns) -> dict[str, Seen]:
    seen: dict[str, Seen] = defaultdict(Seen)
    for turn in range(turns.count):
        order = (ALONE, BARE, PURGE) if turn % 2 else (PURGE, BARE, ALONE)
        for what in order:
            seconds = turns.seconds(what)
            time.sleep(_SETTLE_SECONDS)
            with _doing(what, stage, _expired(stage.database, count)[1], seconds):
                time.sleep(_SETTLE_SECONDS)
                _watch(stage, seen[what], count, seconds)
    return seen


def _watch(stage: Stage, seen: Seen, count: int, seconds: float) -> None:
    first, last = _expired(stage.database, count)
    inserts, looks, start = len(stage.times), len(stage.lags), time.monotonic()
    time.sleep(seconds)
    seen.times += stage.times[inserts:]
    seen.lags += stage.lags[looks:]
    seen.seconds += time.monotonic() - start
    lowest, highest = _expired(stage.database, count)
    seen.rows += lowest - first + last - highest


@contextmanager
def _doing(what: str, stage: Stage, highest_id: int, seconds: float) -> Iterator[None]:
    """Let the purge go on, or rows be deleted without an agent, or nothing happen."""
    if what == BARE:
        longer = str(seconds + 2 * _SETTLE_SECONDS)
        command = [sys.executable, "-m", "benchmarks.bare_deletes", stage.database.url, str(highest_id), longer]
        with subprocess.Popen([*command, str(PACE)]):
            yield
    elif what == PURGE:
        _say(stage.world, "resume")
        yield
        _say(stage.world, "pause")
    else:
        yield


def _say(world: World, verb: str) -> None:
    run("agent", "-c", str(world.config), verb, "retention")


def _figures(what: str, seen: Seen, alone: Seen) -> dict[str, Any]:
    figures = insert_figures(seen.times)
    return {
        "what": what,
        **({"rows": seen.rows, "rows/s": round(seen.rows / seen.seconds)} if seen.rows else {}),
        "inserts/s": round(len(seen.times) / seen.seconds),
        **figures,
        "p99 of alone": round(figures["insert p99 ms"] / insert_figures(alone.times)["insert p99 ms"], 2),
        "slowest lag s": round(max(seen.lags, default=0.0), 2),
        "load": load(),
    }


def _rules(mode: str, at: str) -> dict[str, Any]:
    return {
        "mode": mode,
        "at": at,
        "rows": {"days": 90},
        "documents": {"days": 90},
        "brakes": {"max_share": 1.0, "max_rows": 100_000_000, "shorten_wait": "none"},
        "pace": {"rows_per_second": PACE, "chunk_rows": 1000},
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


def _expired(database: Database, count: int) -> tuple[int, int]:
    """Return the ends of what is left of the expired rows: a purge takes the first, the bare deletes the last."""
    first, last = database.execute(f"SELECT MIN(id), MAX(id) FROM `{AUDIT}` WHERE id <= %s", (count,))[0]
    if first is None:
        raise SystemExit("there were too few rows: the purge was over before the measuring")
    return int(first), int(last)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
