"""`search`: the Audit tab from the shell."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from agent.cli.app import Application
from agent.cli.asking import (
    Question,
    asked_freshness,
    filter_options,
    ids_of,
    index_expected,
    limit_of,
    live_fields,
    question,
    warn,
)
from agent.cli.output import json_option, print_json
from agent.errors import ConfigError, PermanentError, TemporaryError
from agent.searching.export import CsvLines, Lines, NdjsonLines
from agent.searching.follow import Follow
from agent.searching.freshness import Freshness
from agent.searching.rows import Row
from agent.searching.view import Order, View, by_ids, look

if TYPE_CHECKING:
    from rich.console import Console

FORMATS = ("table", "json", "ndjson", "csv")
DEFAULT_LIMIT = 100
FOLLOW_SECONDS = 1.0
# How often a follower looks whether the agent still ships.
FRESHNESS_SECONDS = 15.0
# Wide enough for any line when nobody's screen is there to be filled.
_NO_SCREEN = 4_000


@click.command()
@filter_options
@click.option("--limit", type=int, default=DEFAULT_LIMIT, show_default=True, help="Rows at most.")
@click.option(
    "--sort",
    "order",
    type=click.Choice([str(order) for order in Order]),
    default="-created_at",
    show_default=True,
    help="The order of rows; a leading minus means newest or highest first.",
)
@click.option("--show", metavar="ID", multiple=True, help="One row in full, its context laid out.")
@click.option("--follow", is_flag=True, help="Go on with rows as they come in, until Ctrl-C.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="A table for people; json, ndjson or csv for programs.",
)
@json_option
@click.pass_obj
def search(
    app: Application,
    *,
    asked: dict[str, Any],
    limit: int,
    order: str,
    show: tuple[str, ...],
    follow: bool,
    form: str,
    as_json: bool,
) -> int:
    """Search the audit log, newest first."""
    form = "json" if as_json else form
    if follow:
        _refuse_beside_follow(form, asked["until"], show, order)
    shown = ids_of(show, "show")
    limit = limit_of(limit)
    with index_expected(app):
        asking = question(app, asked)
        if follow:
            _follow(app, asking, form, limit)
        if shown:
            view, fresh = _shown(app, shown), asked_freshness(app)
        else:
            view = look(
                app.search,
                asking.query,
                limit=limit,
                order=Order(order),
                row_of=asking.row_of,
                histogram=form == "table",
            )
            fresh = asked_freshness(app)
        _print(app, view, fresh, asking, form, in_full=bool(shown))
    return 0


def _refuse_beside_follow(form: str, until: str | None, show: tuple[str, ...], order: str) -> None:
    if form == "json":
        raise ConfigError("--follow has no end, which one JSON object must have", remedy="use --format ndjson")
    if until is not None:
        raise ConfigError("--follow has no end, and --to names one", got=f"--to {until}")
    if show:
        raise ConfigError("--follow goes on with new rows, and --show names old ones", got=f"--show {show[0]}")
    if order != Order.NEWEST:
        raise ConfigError("--follow shows rows as they come in", got=f"--sort {order}", remedy="leave --sort out")


def _shown(app: Application, ids: list[int]) -> View:
    rows = by_ids(app.search, ids)
    missing = sorted(set(ids) - {row["id"] for row in rows})
    if missing:
        remedy = f"`audit-agent explain {missing[0]}` says where it is"
        raise PermanentError("no such row in the index", got=", ".join(map(str, missing)), remedy=remedy)
    return View(rows=rows, total=len(rows), bars=[])


def _print(app: Application, view: View, fresh: Freshness, asking: Question, form: str, *, in_full: bool) -> None:
    warn(fresh)
    if form == "json":
        answer = {"instance": app.instance, "total": view.total, "freshness": fresh.described()}
        print_json({**answer, "range": asking.filters.range.described(), "rows": view.rows})
    elif form == "table":
        _draw(view, fresh, asking, in_full=in_full)
    else:
        lines = _lines(app, asking, form)
        click.echo(lines.header(), nl=False)
        for row in view.rows:
            click.echo(lines.line(row), nl=False)


def _lines(app: Application, asking: Question, form: str) -> Lines:
    if form == "ndjson":
        return NdjsonLines()
    zone = None if asking.zone.key == "UTC" else asking.zone
    return CsvLines(extra_columns=live_fields(app).extra_columns, zone=zone)


def _draw(view: View, fresh: Freshness, asking: Question, *, in_full: bool) -> None:
    from agent.searching import drawing  # noqa: PLC0415  drawing is for people only

    screen = console()
    if in_full:
        for row in view.rows:
            screen.print(drawing.in_full(row, asking.zone), soft_wrap=True)
        return
    bars = drawing.histogram(view.bars, asking.zone)
    if bars:
        screen.print(bars, soft_wrap=True)
    if view.rows:
        screen.print(drawing.table(view.rows, asking.zone, screen.width))
    found = f"{len(view.rows):,} of {view.total:,} rows" if view.total else "no rows"
    marked = ", * = the id stands in the context only" if any("matched_in_context" in row for row in view.rows) else ""
    screen.print(f"{found} · {fresh.line()}{marked}", soft_wrap=True)


def console() -> Console:
    """Return what tables are drawn on: as wide as the screen, or as the table when there is none."""
    from rich.console import Console  # noqa: PLC0415  drawing is for people only

    width = None if sys.stdout.isatty() else _NO_SCREEN
    return Console(width=width, markup=False, highlight=False, emoji=False)


class _Alarm:
    """Say each problem once, as long as it lasts."""

    def __init__(self) -> None:
        self._told: str | None = None

    def tell(self, problem: str | None) -> None:
        """Take note of how things stand."""
        if problem and problem != self._told:
            click.echo(f"warning: {problem}", err=True)
        self._told = problem


def _follow(app: Application, asking: Question, form: str, limit: int) -> None:
    """Show the newest rows and then each new one, until somebody interrupts."""
    fresh, looked_at = asked_freshness(app), time.monotonic()
    alarm = _Alarm()
    alarm.tell(fresh.warning)
    following = Follow(app.search, asking.query, watermark=fresh.watermark, row_of=asking.row_of)
    view = look(app.search, asking.query, limit=limit, order=Order.NEWEST, row_of=asking.row_of)
    following.leave_out(view.rows)
    write = _writer(app, asking, form)
    for row in reversed(view.rows):
        write(row)
    while True:
        sys.stdout.flush()
        time.sleep(FOLLOW_SECONDS)
        try:
            for row in following.new_rows():
                write(row)
            if time.monotonic() - looked_at > FRESHNESS_SECONDS:
                fresh, looked_at = asked_freshness(app), time.monotonic()
            alarm.tell(fresh.warning)
        except TemporaryError as failure:
            alarm.tell(str(failure))


def _writer(app: Application, asking: Question, form: str) -> Callable[[Row], None]:
    if form == "table":
        from agent.searching import drawing  # noqa: PLC0415  drawing is for people only

        screen = console()
        return lambda row: screen.print(drawing.plain_line(row, asking.zone), soft_wrap=True)
    lines = _lines(app, asking, form)
    click.echo(lines.header(), nl=False)
    return lambda row: click.echo(lines.line(row), nl=False)
