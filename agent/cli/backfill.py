"""`backfill`: ship a range or slice of the table again, leaving checkpoint and lease alone."""

from __future__ import annotations

import re
import threading
import time

import click

from agent.backoff import delay_seconds
from agent.cli.app import Application
from agent.cli.bar import bar
from agent.cli.line import Line
from agent.cli.output import json_option, print_json, print_line
from agent.errors import ConfigError, TemporaryError
from agent.stop_signals import stop_on_signals
from agent.verifying.backfill import Backfill, Share
from agent.verifying.findings import MOST_ID

TRIES = 10  # a good half minute in a row without any progress, then whoever schedules it may try again


class Slice(click.ParamType[tuple[int, int]]):
    """One part of n, counted from 0: `0/4` to `3/4`."""

    name = "i/n"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return the part and how many there are."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", value.strip())
        index, count = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 0 <= index < count:
            self.fail(f"{value!r} is not one of 0/n to n-1/n, such as 0/4, 1/4, 2/4, 3/4", param, ctx)
        return index, count


@click.command()
@click.option("--from-id", type=click.IntRange(1, MOST_ID), help="Ship from this id on.")
@click.option("--to-id", type=click.IntRange(1, MOST_ID), help="Ship up to this id.")
@click.option("--slice", "part", type=Slice(), help="Ship one of n slices, 0/n to n-1/n; each in a process of its own.")
@json_option
@click.pass_obj
def backfill(
    app: Application, *, from_id: int | None, to_id: int | None, part: tuple[int, int] | None, as_json: bool
) -> int:
    """Ship a range or slice of the table again; any number may run side by side, and beside the daemon."""
    if from_id is not None and to_id is not None and from_id > to_id:
        raise ConfigError("an empty range", got=f"--from-id {from_id} --to-id {to_id}")
    bounds = app.rows.bounds()
    index, count = part or (0, 1)
    low = max(from_id or 1, bounds.min_id or 1)
    share = Share(low=low, high=min(to_id or bounds.max_id or 0, bounds.max_id or 0), index=index, count=count)
    app.make_ready()
    line, stop, begun = Line(app), threading.Event(), time.monotonic()
    tail = app.configuration.settings.tail
    work = Backfill(
        rows=app.rows,
        pipeline=line.pipeline,
        share=share,
        batch_rows=tail.batch_rows,
        batch_bytes=tail.bulk_bytes,
    )
    try:
        with stop_on_signals(stop, lambda _name: None):
            _ship_all(work, share, stop)
    finally:
        line.close()
    _say(app, work, share, stopped=stop.is_set(), seconds=time.monotonic() - begun, as_json=as_json)
    return 130 if stop.is_set() else 0


def _ship_all(work: Backfill, share: Share, stop: threading.Event) -> None:
    failures = 0
    with bar("backfilling", share.high - share.low + 1) as shown:
        while True:
            try:
                for settled in work.steps(stop.is_set):
                    failures = 0 if settled else failures
                    shown.reach(work.settled - share.low + 1)
            except TemporaryError as error:
                failures += 1
                if failures >= TRIES:
                    raise
                if stop.wait(delay_seconds(failures, lambda: 0.5, error.retry_after_seconds)):
                    return
                continue
            return


def _say(app: Application, work: Backfill, share: Share, *, stopped: bool, seconds: float, as_json: bool) -> None:
    answer = {
        "instance": app.instance,
        "from_id": share.low,
        "to_id": share.high,
        "slice": f"{share.index}/{share.count}",
        "indexed": work.counts["indexed"],
        "dead_letters": work.counts["dead_letters"],
        "refused": work.counts["refused"],
        "settled": work.settled,
        "complete": not stopped,
        "seconds": round(seconds, 3),
    }
    if as_json:
        print_json(answer)
        return
    if share.low > share.high:
        print_line(f"nothing to ship: the table has no id from {share.low} on")
        return
    print_line(
        f"indexed {answer['indexed']} rows of ids {share.low} to {share.high} (slice {answer['slice']}) in "
        f"{seconds:.1f} s, {answer['dead_letters']} dead letters, {answer['refused']} expired rows left out"
    )
    if stopped:
        print_line(f"stopped: everything up to id {work.settled} is shipped; repeating it doubles nothing")
