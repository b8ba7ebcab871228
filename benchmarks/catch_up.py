"""Catch-up: the agent, the raw ceiling and a user's script over the same table, in turns."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.cost import Cost, cpu_seconds, load, run
from benchmarks.place import Place
from tests.world import Database, World

MEGABYTE = 1024 * 1024
TABLE = (
    "who",
    "rows",
    "connections",
    "body",
    "rows/s",
    "min",
    "max",
    "of ceiling",
    "cpu µs/row",
    "RSS MB",
    "cluster µs/row",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How the agent ships."""

    batch_rows: int = 2000
    bulk_bytes: int = 5 * MEGABYTE
    connections: int = 2

    @property
    def body(self) -> str:
        return f"≤ {self.batch_rows} rows"


SETTINGS = (
    Setting(connections=1),
    Setting(connections=2),
    Setting(connections=4),
    Setting(batch_rows=10_000, bulk_bytes=8 * MEGABYTE),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One run."""

    rows_per_second: float
    cpu_us: float
    peak_mb: float
    cluster_us: float


def measure(place: Place) -> list[dict[str, Any]]:
    """Return one entry for each way and setting."""
    if place.quick:
        return _of_size(place, 10_000, 1, SETTINGS[1:2])
    found = _of_size(place, 100_000, 5, SETTINGS)
    return found + (_of_size(place, 1_000_000, 3, SETTINGS[1:2]) if place.full else [])


def _of_size(place: Place, rows: int, rounds: int, settings: tuple[Setting, ...]) -> list[dict[str, Any]]:
    figures: dict[tuple[str, Setting | None], list[Figure]] = defaultdict(list)
    loads = []
    with place.table(rows) as database:
        start_up = _start_up(place, database)
        for turn in range(rounds):
            place.say(f"catch-up of {rows} rows, round {turn + 1} of {rounds}, load {load()}")
            loads.append(load())
            for setting in settings:
                for who, ship in (("agent", _agent), ("ceiling", _ceiling)):
                    figure = _in_a_world(place, database, rows, ship, setting=setting, start_up=start_up.get(who, 0.0))
                    figures[who, setting].append(figure)
            for way in ("bulk", "parallel"):
                figures[f"script, {way}", None].append(_script(place, database, rows, way, start_up["script"]))
    return [
        {**_entry(who, setting, some, figures), "rows": rows, "load": loads} for (who, setting), some in figures.items()
    ]


def _start_up(place: Place, database: Database) -> dict[str, float]:
    """Return the CPU that starting alone costs: the same verb with nothing to ship, the script with nothing to do."""
    empty: list[float] = []
    with place.table(0) as nothing, place.world(nothing) as world:
        empty += (run("agent", "-c", str(world.config), "sync", "--json").cpu_seconds for _ in range(4))
    script = ("benchmarks.script", database.url, place.servers.opensearch_url, "none", "nothing")
    return {
        "agent": statistics.median(empty[1:]),
        "script": statistics.median(run(*script).cpu_seconds for _ in range(3)),
    }


def _in_a_world(
    place: Place,
    database: Database,
    rows: int,
    ship: Callable[[World, Setting], tuple[float, float, Cost]],
    *,
    setting: Setting,
    start_up: float,
) -> Figure:
    tail = {
        "tail.batch_rows": setting.batch_rows,
        "tail.bulk_bytes": setting.bulk_bytes,
        "tail.bulk_concurrency": setting.connections,
    }
    with place.world(database, tail) as world:
        place.calm()
        used = cpu_seconds(place.opensearch_pid)
        seconds, cpu, cost = ship(world, setting)
        cluster = cpu_seconds(place.opensearch_pid) - used
        found = world.count()
        if found != rows:
            raise SystemExit(f"{found} documents of {rows} rows")
    return Figure(
        rows_per_second=rows / seconds,
        cpu_us=(cpu - start_up) / rows * 1e6,
        peak_mb=cost.peak_mb,
        cluster_us=cluster / rows * 1e6,
    )


def _agent(world: World, _setting: Setting) -> tuple[float, float, Cost]:
    run("agent", "-c", str(world.config), "setup", "--json")
    cost = run("agent", "-c", str(world.config), "sync", "--json")
    return float(cost.json["seconds"]), cost.cpu_seconds, cost


def _ceiling(world: World, setting: Setting) -> tuple[float, float, Cost]:
    sizes = map(str, (setting.batch_rows, setting.bulk_bytes, setting.connections))
    cost = run("benchmarks.ceiling", str(world.config), *sizes)
    return float(cost.json["seconds"]), float(cost.json["cpu_seconds"]), cost


def _script(place: Place, database: Database, rows: int, way: str, start_up: float) -> Figure:
    with place.world(database) as world:
        place.calm()
        used = cpu_seconds(place.opensearch_pid)
        index = f"{world.index_prefix}-script"
        settings = {"settings": {"number_of_replicas": 0, "index.mapping.total_fields.limit": 5000}}
        world.request("PUT", f"/{index}", settings)
        cost = run("benchmarks.script", database.url, place.servers.opensearch_url, index, way)
        cluster = cpu_seconds(place.opensearch_pid) - used
    return Figure(
        rows_per_second=rows / float(cost.json["seconds"]),
        cpu_us=(cost.cpu_seconds - start_up) / rows * 1e6,
        peak_mb=cost.peak_mb,
        cluster_us=cluster / rows * 1e6,
    )


def _entry(
    who: str,
    setting: Setting | None,
    some: list[Figure],
    figures: dict[tuple[str, Setting | None], list[Figure]],
) -> dict[str, Any]:
    speeds = [figure.rows_per_second for figure in some]
    best = setting or SETTINGS[1]
    # Turn by turn: what the machine did to one of a pair it did to the other.
    ratios = [
        mine.rows_per_second / ceiling.rows_per_second
        for mine, ceiling in zip(some, figures.get(("ceiling", best), []), strict=False)
    ]
    return {
        "who": who,
        "connections": setting.connections if setting else "",
        "body": setting.body if setting else "500 rows",
        "rows/s": round(statistics.median(speeds)),
        "min": round(min(speeds)),
        "max": round(max(speeds)),
        "of ceiling": round(statistics.median(ratios), 2) if ratios and who != "ceiling" else "",
        "cpu µs/row": round(statistics.median(figure.cpu_us for figure in some), 1),
        "RSS MB": round(statistics.median(figure.peak_mb for figure in some), 1) if who != "ceiling" else "",
        "cluster µs/row": round(statistics.median(figure.cluster_us for figure in some), 1),
    }
