"""`verify`: compare table and index row by row; --repair makes them agree."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import cast

import click

from agent.backoff import HOPELESS, delay_seconds
from agent.cli.app import Application
from agent.cli.backfill import TRIES
from agent.cli.bar import bar
from agent.cli.line import Line
from agent.cli.output import json_option, print_json, print_line
from agent.cli.pause import who
from agent.cli.verification import Ship, ago, calendar, verification
from agent.errors import ConfigError, TemporaryError
from agent.opensearch.client import Patience
from agent.row import Row
from agent.stop_signals import stop_on_signals
from agent.tailing.gaps import Progress
from agent.verifying.findings import MOST_ID, Drift, Findings, Scope
from agent.verifying.since import first_id_since

DRIFT = 3
IDS_SHOWN = 20
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Span(click.ParamType[timedelta]):
    """A length of time such as `7d` or `24h`."""

    name = "span"

    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the length of time."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,6})([mhdw])", value.strip().lower())
        if found is None:
            self.fail(f"{value!r} is not like 90m, 24h, 7d or 4w", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


@click.command()
@click.option("--from-id", type=click.IntRange(1, MOST_ID), help="Compare from this id on.")
@click.option("--to-id", type=click.IntRange(1, MOST_ID), help="Compare up to this id.")
@click.option("--last", type=Span(), help="Compare rows of the last 90m, 24h, 7d, 4w.")
@click.option("--deep", is_flag=True, help="Derive each document again and compare it field by field.")
@click.option("--repair", is_flag=True, help="Ship missing and different rows again.")
@click.option("--delete-orphans", is_flag=True, help="Delete documents that rightly should have a row and have none.")
@json_option
@click.pass_obj
def verify(
    app: Application,
    *,
    from_id: int | None,
    to_id: int | None,
    last: timedelta | None,
    deep: bool,
    repair: bool,
    delete_orphans: bool,
    as_json: bool,
) -> int:
    """Compare table and index row by row, up to the watermark; exit 3 when drift was found and not repaired."""
    if from_id is not None and to_id is not None and from_id > to_id:
        raise ConfigError("an empty range", got=f"--from-id {from_id} --to-id {to_id}")
    line = Line(app)
    app.state.refresh_unclaimed()
    line.checkpoint.open()
    progress = line.checkpoint.progress
    end = to_id or MOST_ID
    low = from_id or 1
    if last is not None:
        low = max(low, _first_since(app, last, progress))
    scope = Scope(
        low=low,
        high=min(end, progress.watermark),
        last=end,
        deep=deep,
        repair=repair,
        delete_orphans=delete_orphans,
    )
    if repair or delete_orphans:
        # Another table's rows are no measure for these documents: it is recognised as the tail would.
        line.check_source()
        app.make_ready()
    stop = threading.Event()
    with stop_on_signals(stop, lambda _name: None):
        findings = _compared(app, line, progress, scope, stop)
    if as_json:
        about = {"instance": app.instance, "watermark": progress.watermark, "complete": not stop.is_set()}
        print_json({**about, **findings.as_json()})
    else:
        _say(app, findings, stopped=stop.is_set())
    if stop.is_set():
        return 130
    return DRIFT if findings.left else 0


def _compared(app: Application, line: Line, progress: Progress, scope: Scope, stop: threading.Event) -> Findings:
    patience = _patience(stop)
    ship = _patient(line, app.configuration.settings.tail.bulk_bytes, patience)
    app.cluster.sit_out(patience)
    work = verification(app, progress, ship=ship, who=who())
    findings = Findings(scope)
    with bar("verifying", scope.high - scope.low + 1) as shown:
        for _ in work.slices(findings):
            shown.reach(findings.at - scope.low + 1)
            if stop.is_set():
                break
    return findings


def _patience(stop: threading.Event) -> Patience:
    """Return what sits out a busy cluster and an index that vanishes while it is asked, as `backfill` does."""

    def wait(failure: TemporaryError, failures: int) -> bool:
        if failures >= TRIES or failure.kind in HOPELESS:
            return False
        if stop.wait(delay_seconds(failures, lambda: 0.5, failure.retry_after_seconds)):
            raise click.Abort from failure
        return True

    return wait


def _patient(line: Line, max_bytes: int, patience: Patience) -> Ship:
    """Return what ships rows again."""

    def ship(rows: Sequence[Row]) -> Mapping[str, int]:
        failures = 0
        while True:
            try:
                return line.shipper.ship(rows, max_bytes).counts
            except TemporaryError as failure:
                failures += 1
                if not patience(failure, failures):
                    raise

    return ship


def _first_since(app: Application, last: timedelta, progress: Progress) -> int:
    place = calendar(app)
    return first_id_since(
        app.rows, lambda row: place.place(cast("str | None", row[1]))[1], ago(app, last), low=1, high=progress.watermark
    )


def _say(app: Application, findings: Findings, *, stopped: bool) -> None:
    scope, seconds = findings.scope, max(findings.seconds, 0.001)
    print_line(
        f"{app.instance}: {findings.rows} rows and {findings.documents} documents, ids {scope.low} to {scope.high}, "
        f"in {seconds:.1f} s ({findings.rows / seconds:,.0f} rows/s)"
    )
    for kind in Drift:
        ids = findings.samples[kind]
        shown = ", ".join(map(str, ids[:IDS_SHOWN])) + (", …" if len(ids) > IDS_SHOWN else "")
        print_line(f"{kind}: {findings.drift[kind]}" + (f" ({shown})" if ids else ""))
    for row_id, names in list(findings.fields.items())[:IDS_SHOWN]:
        print_line(f"  {row_id} differs in {', '.join(names)}")
    if findings.explained:
        print_line("explained: " + ", ".join(f"{count} {reason}" for reason, count in findings.explained.items()))
    if scope.repair or scope.delete_orphans:
        print_line(
            f"repaired: {findings.repaired}, dead letters: {findings.dead_letters}, "
            f"orphans deleted: {findings.orphans_deleted}, left: {findings.left}"
        )
    print_line(_conclusion(findings, stopped=stopped))


def _conclusion(findings: Findings, *, stopped: bool) -> str:
    """Return the last line: never that sides agree of which nothing was seen."""
    scope = findings.scope
    if stopped:
        return f"interrupted at id {findings.at}: nothing is said about the ids above"
    if findings.left:
        names = (("--repair", scope.repair), ("--delete-orphans", scope.delete_orphans))
        what = {"--repair": "ships missing and different rows again", "--delete-orphans": "removes orphans"}
        left = [f"`{name}` {what[name]}" for name, done in names if not done]
        return f"remedy: {', '.join(left) or 'run it again; what is left changed meanwhile'}"
    if scope.low > scope.high and not findings.documents:
        return f"nothing to compare: no id from {scope.low} on is settled (see `status`)"
    return "table and index agree"
