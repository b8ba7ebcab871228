"""`actions`: what the Audit tab's drop-down lists, with counts."""

from __future__ import annotations

from typing import Any

import click

from agent.cli.app import Application
from agent.cli.asking import asked_freshness, filter_options, index_expected, question, warn
from agent.cli.output import json_option, print_json
from agent.cli.search import console
from agent.searching.groups import count


@click.command()
@filter_options
@json_option
@click.pass_obj
def actions(app: Application, *, asked: dict[str, Any], as_json: bool) -> int:
    """List every action seen in a range, with counts, most frequent first."""
    with index_expected(app):
        asking = question(app, asked)
        by = {"action": {"terms": {"field": "action", "missing_bucket": True}}}
        found = count(app.search, asking.query, by, limit=None)
        fresh = asked_freshness(app)
    warn(fresh)
    if as_json:
        answer = {"instance": app.instance, "total": found.total, "freshness": fresh.described()}
        print_json({**answer, "range": asking.filters.range.described(), "actions": found.groups})
        return 0
    from agent.searching import drawing  # noqa: PLC0415  drawing is for people only

    screen = console()
    screen.print(drawing.groups(found.groups, ["action"], asking.zone, screen.width))
    screen.print(f"{found.groups_total:,} actions in {found.total:,} rows · {fresh.line()}", soft_wrap=True)
    return 0
