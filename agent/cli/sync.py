"""`sync`: catch up to now and exit."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import click

from agent.backoff import delay_seconds
from agent.cli.app import Application
from agent.cli.bar import Bar, bar
from agent.cli.line import Line
from agent.cli.output import json_option, print_json, print_line
from agent.errors import TemporaryError
from agent.stop_signals import stop_on_signals

LEASE_SECONDS = 10.0
TRIES = 5


@click.command()
@click.option("--restart", is_flag=True, help="Begin again at id 0 on purpose; doubles nothing.")
@json_option
@click.pass_obj
def sync(app: Application, *, restart: bool, as_json: bool) -> int:
    """Catch up to now and exit."""
    stop = threading.Event()
    with stop_on_signals(stop, lambda _name: None):
        result = catch_up(app, stop, restart=restart)
    if as_json:
        print_json(result)
    else:
        seconds = max(result["seconds"], 0.001)
        print_line(
            f"indexed {result['indexed']} rows in {seconds:.1f} s ({result['indexed'] / seconds:,.0f} rows/s), "
            f"{result['dead_letters']} dead letters, watermark {result['watermark']}, "
            f"{result['open_gaps']} open gaps"
        )
    return 130 if stop.is_set() else 0


def catch_up(app: Application, stop: threading.Event, *, restart: bool) -> dict[str, Any]:
    """Ship every visible row; return what was done. Raises TemporaryError when another agent ships."""
    line = Line(app)
    line.stopping = stop.is_set
    begun = time.monotonic()
    taken: Counter[str] = Counter()
    _take_lease(line, stop)
    try:
        if restart:
            line.begin_again()
        lost = line.take_over()
        if lost:
            click.echo(f"warning: rows {lost[0]}-{lost[1]} were purged before they could be read", err=True)
        _, backlog = line.measure()
        with bar("syncing", backlog) as shown:
            _ship_all(line, stop, taken, shown)
        line.finish("sync has ended")
    finally:
        line.lease.release()
        line.close()
    progress = line.checkpoint.progress
    return {
        "instance": app.instance,
        "indexed": taken["indexed"],
        "dead_letters": taken["dead_letters"],
        "refused": taken["refused"],
        "watermark": progress.watermark,
        "frontier": progress.frontier,
        "open_gaps": len(progress.gaps),
        "seconds": round(time.monotonic() - begun, 3),
    }


def _ship_all(line: Line, stop: threading.Event, taken: Counter[str], shown: Bar) -> None:
    failures = 0
    while not stop.is_set():
        try:
            step = line.tail.step()
        except TemporaryError as error:
            failures += 1
            if failures >= TRIES:
                raise
            stop.wait(delay_seconds(failures, lambda: 0.0, error.retry_after_seconds))
            continue
        failures = 0
        taken.update(step.taken.counts)
        shown.reach(taken["indexed"])
        if step.caught_up:
            return
    taken.update(line.tail.drain().taken.counts)


def _take_lease(line: Line, stop: threading.Event) -> None:
    deadline = time.monotonic() + LEASE_SECONDS
    while not line.lease.acquire():
        if time.monotonic() > deadline or stop.wait(0.2):
            raise TemporaryError(
                "another agent ships for this instance",
                where=f"lease audit-agent:{line.instance}",
                remedy="the daemon is running and catches up by itself; `status` shows how far it is",
                kind="standby",
            )
