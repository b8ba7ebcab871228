"""`top`: rows counted by the values of some fields, and when each was seen first and last."""

from __future__ import annotations

from typing import Any

import click

from agent.cli.app import Application
from agent.cli.asking import asked_freshness, field_of, filter_options, index_expected, limit_of, question, warn
from agent.cli.output import json_option, print_json
from agent.cli.search import console
from agent.searching.groups import GroupOrder, by_of, count

DEFAULT_LIMIT = 100


@click.command()
@filter_options
@click.option(
    "--by",
    default="module_slug,action",
    show_default=True,
    help="Columns, context.<field>, or hour, day, week, month.",
)
@click.option("--limit", type=int, default=DEFAULT_LIMIT, show_default=True, help="Groups at most.")
@click.option(
    "--sort",
    "order",
    type=click.Choice([str(order) for order in GroupOrder]),
    default="count",
    show_default=True,
    help="What comes first: most rows, or the latest sight.",
)
@json_option
@click.pass_obj
def top(app: Application, *, asked: dict[str, Any], by: str, limit: int, order: str, as_json: bool) -> int:
    """Count rows by the values of fields, most first, with first and last seen."""
    limit = limit_of(limit)
    with index_expected(app):
        asking = question(app, asked)
        sources = by_of(by, field_of(app), asking.zone.key)
        found = count(app.search, asking.query, sources, limit=limit, order=GroupOrder(order))
        fresh = asked_freshness(app)
    warn(fresh)
    if as_json:
        answer = {"instance": app.instance, "total": found.total, "freshness": fresh.described()}
        answer |= {"range": asking.filters.range.described(), "by": list(sources)}
        print_json({**answer, "groups_total": found.groups_total, "rows": found.groups})
        return 0
    from agent.searching import drawing  # noqa: PLC0415  drawing is for people only

    screen = console()
    screen.print(drawing.groups(found.groups, list(sources), asking.zone, screen.width))
    shown = f"{len(found.groups):,} of {found.groups_total:,} groups, {found.total:,} rows"
    screen.print(f"{shown} · {fresh.line()}", soft_wrap=True)
    return 0
