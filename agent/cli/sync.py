"""`sync`: catch up to now and exit."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import click

from agent.backoff import delay_seconds
from agent.cli.app import Application
from agent.cli.line import Line
from agent.cli.output import json_option, print_json, print_line
from agent.daemon import stop_on_signals
from agent.errors import TemporaryError

LEASE_SECONDS = 10.0
TRIES = 5


class Progress(Protocol):
    """Told how far the work has come."""

    def advance(self, rows: int) -> None:
        """Add rows."""
        ...


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
        with _bar(backlog) as bar:
            _ship_all(line, stop, taken, bar)
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


def _ship_all(line: Line, stop: threading.Event, taken: Counter[str], bar: Progress) -> None:
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
        bar.advance(step.taken.counts["indexed"])
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


class _NoBar:
    def advance(self, rows: int) -> None:
        del rows


class _Bar:
    def __init__(self, total: int) -> None:
        from rich.console import Console  # noqa: PLC0415  drawing is for terminals only
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import (
            Progress as RichProgress,
        )

        self._progress = RichProgress(
            TextColumn("syncing"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("rows", total=total)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def advance(self, rows: int) -> None:
        self._progress.advance(self._task, rows)


def _bar(total: int) -> AbstractContextManager[Progress]:
    if total and sys.stderr.isatty():
        return _Bar(total)
    return nullcontext(_NoBar())
