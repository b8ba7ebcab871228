"""What a question costs over many documents: the default view and others in milliseconds, an export in rows a second.

    python -m benchmarks.search [ROWS] [--json FILE]

Uses the servers that DEMO_MYSQL_URL and DEMO_OPENSEARCH_URL name, or starts a pair; fills a table, ships it, asks.
«view» is one process that is there already; «command» is `audit-agent search` from its start to its end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.cli.app import Application
from agent.cli.asking import asked_freshness, question
from agent.searching.groups import count
from agent.searching.view import Order, look
from demo import servers
from tests.world import Database, World

ROUNDS = 25
COMMAND_ROUNDS = 5
LIMIT = 100
NOTHING_ASKED: dict[str, Any] = {
    **dict.fromkeys(("module", "action", "severity", "source", "service", "admin", "client", "ip"), ()),
    **dict.fromkeys(("context", "text"), ()),
    **dict.fromkeys(("last", "since", "until")),
    "column_only": False,
    "tz": "UTC",
}
VIEWS: dict[str, dict[str, Any]] = {
    "default view": {},
    "warn and error, 7 days": {"severity": ("warn,error",), "last": "7d"},
    "one client": {"client": ("1010",)},
    "context number": {"context": ("server_id=7",)},
    "context text": {"context": ("message~timed",)},
    "two words": {"text": ("connection refused",)},
}


def main() -> None:
    """Measure, print a table, write the same as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with servers.start(heap="1g") as pair, tempfile.TemporaryDirectory() as folder:
        database = Database(pair.mysql_url)
        world = World(folder=Path(folder), database=database, opensearch_url=pair.opensearch_url)
        try:
            figures = measure(world, asked.rows)
        finally:
            world.remove()
            database.drop()
    for name, figure in figures.items():
        print(f"{name:<34} {figure:>12,.1f}")
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(world: World, rows: int) -> dict[str, float]:
    """Return name → figure, units in the names."""
    world.database.create_table()
    world.database.fill(rows, seed=4)
    for verb in ("setup", "sync"):
        outcome = world.run(verb, timeout=3600)
        if outcome.code:
            sys.exit(outcome.stderr)
    world.refresh()
    app = Application(world.config)
    figures: dict[str, float] = {"documents": app.search.count({"match_all": {}})}
    for name, options in VIEWS.items():
        median, slowest = timed(lambda options=options: viewed(app, options))  # type: ignore[misc]
        figures |= {f"{name}, median ms": median, f"{name}, slowest ms": slowest}
    action = {"action": {"terms": {"field": "action"}}}
    figures["actions, median ms"] = timed(lambda: count(app.search, {"match_all": {}}, action, limit=None))[0]
    figures["command, median ms"] = timed(lambda: command(world, "search"), COMMAND_ROUNDS)[0]
    for form in ("ndjson", "csv"):
        begun = time.perf_counter()
        command(world, "export", "--format", form, "--output", str(world.folder / f"all.{form}"))
        figures[f"export {form}, rows/s"] = rows / (time.perf_counter() - begun)
    return figures


def viewed(app: Application, options: dict[str, Any]) -> None:
    """Ask what the table view asks, its histogram and freshness included."""
    asking = question(app, {**NOTHING_ASKED, **options})
    look(app.search, asking.query, limit=LIMIT, order=Order.NEWEST, row_of=asking.row_of, histogram=True)
    asked_freshness(app)


def timed(ask: Callable[[], object], rounds: int = ROUNDS) -> tuple[float, float]:
    """Return the median and the slowest time in milliseconds; the first round only warms up."""
    ask()
    figures = []
    for _ in range(rounds):
        begun = time.perf_counter()
        ask()
        figures.append((time.perf_counter() - begun) * 1000)
    return statistics.median(figures), max(figures)


def command(world: World, *arguments: str) -> None:
    """Run a verb to its end; its modules are compiled once, as those of an installed agent are."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    asked = [sys.executable, "-m", "agent", "-c", str(world.config), *arguments]
    subprocess.run(asked, check=True, capture_output=True, env=environ)


if __name__ == "__main__":
    main()
