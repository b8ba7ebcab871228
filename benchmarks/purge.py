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
    return [
        {"commits": commits, **entry}
        for commits, turns in (("durable", many), ("every second", few))
        if _can_choose(place) or commits == "durable"
        for entry in _measured(place, commits, turns)
    ]


def _can_choose(place: Place) -> bool:
    """Return whether the server is our own; how others commit is theirs to say."""
    return place.servers.mariadb is not None


def _measured(place: Place, commits: str, turns: Turns) -> list[dict[str, Any]]:
    count, port = turns.rows(), _free_port()
    with (
        place.table(count, days=100, now=datetime.now(UTC) - _BEFORE) as database,
        place.world(database, {"http.listen": f"127.0.0.1:{port}"}, _rules("preview", "00:00")) as world,
    ):
        run("agent", "-c", str(world.config), "sync", "--json")
        if _can_choose(place):
            database.execute(f"SET GLOBAL innodb_flush_log_at_trx_commit = {_COMMITS[commits]}")
        place.calm()
        with _daemon(world), inserting(database, WRITERS) as times, _lags(port) as lags:
            _begin_purge(place, world, database)
            seen = _taken(Stage(world, database, times, lags), count, turns)
    return [_figures(what, seen[what], seen[ALONE]) for what in (ALONE, BARE, PURGE)]


def _begin_purge(place: Place, world: World, database: Database) -> None:
    """Have the daemon begin its daily run within the next two minutes, and pause it there."""
    at = datetime.now(UTC) + timedelta(seconds=75)
    world.retention = _rules("enforce", f"{at:%H:%M}")
    world.write()
    place.say(f"purge: begins at {at:%H:%M}, load {load()}")
    _until(database, lambda first: first > 1)
    _say(world, "pause")


@dataclass(frozen=True)
class Stage:
    """Where the turns are taken, and what is written down meanwhile."""

    world: World
    database: Database
    times: list[float]
    lags: list[float]


def _taken(stage: Stage, highest_id: int, turns: Turns) -> dict[str, Seen]:
    seen: dict[str, Seen] = defaultdict(Seen)
    for turn in range(turns.count):
        order = (ALONE, BARE, PURGE) if turn % 2 else (PURGE, BARE, ALONE)
        for what in order:
            seconds = turns.seconds(what)
            time.sleep(_SETTLE_SECONDS)
            with _doing(what, stage, highest_id, seconds) as deleting:
                time.sleep(_SETTLE_SECONDS)
                _watch(stage, seen[what], seconds)
            if deleting is not None:
                lowest = int(deleting.communicate(timeout=60)[0])
                seen[what].rows += round((highest_id - lowest + 1) * seconds / (seconds + 2 * _SETTLE_SECONDS))
                highest_id = lowest - 1
    if _first(stage.database) >= highest_id:
        raise SystemExit("there were too few rows: the purge was over before the measuring")
    return seen


def _watch(stage: Stage, seen: Seen, seconds: float) -> None:
    first, inserts, looks, start = _first(stage.database), len(stage.times), len(stage.lags), time.monotonic()
    time.sleep(seconds)
    seen.times += stage.times[inserts:]
    seen.lags += stage.lags[looks:]
    seen.seconds += time.monotonic() - start
    seen.rows += _first(stage.database) - first


@contextmanager
def _doing(what: str, stage: Stage, highest_id: int, seconds: float) -> Iterator[subprocess.Popen[str] | None]:
    """Let the purge go on, or rows be deleted without an agent, or nothing happen."""
    if what == BARE:
        longer = str(seconds + 2 * _SETTLE_SECONDS)
        command = [sys.executable, "-m", "benchmarks.bare_deletes", stage.database.url, str(highest_id), longer]
        yield subprocess.Popen([*command, str(PACE)], stdout=subprocess.PIPE, text=True)
    elif what == PURGE:
        _say(stage.world, "resume")
        yield None
        _say(stage.world, "pause")
    else:
        yield None


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


def _first(database: Database) -> int:
    """Return the lowest id there is: a purge deletes in the order of ids."""
    return int(database.execute(f"SELECT MIN(id) FROM `{AUDIT}`")[0][0])


def _until(database: Database, holds: Any) -> None:
    """Wait for the table to begin where it should."""
    give_up = time.monotonic() + 3600
    while not holds(_first(database)):
        if time.monotonic() > give_up:
            raise SystemExit("the purge did not get there in an hour")
        time.sleep(_LOOK_SECONDS)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
