"""`status`: one line a person can read, or the same as JSON."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import click

from agent.cli.app import Application
from agent.cli.output import json_option, print_json, print_line
from agent.errors import AgentError
from agent.mysql.lag import lag_seconds
from agent.mysql.lease import Lease
from agent.observing.line import neutralise
from agent.observing.status import LiveFacts, is_silent, line, report
from agent.opensearch.facts import Facts


@click.command()
@json_option
@click.pass_obj
def status(app: Application, *, as_json: bool) -> int:
    """Say in one line where the agent stands."""
    app.state.refresh_unclaimed()
    members = app.state.members
    now, live = _measured(app, int(members.get("frontier") or 0))
    poll_seconds = app.configuration.settings.tail.poll_seconds
    if members and is_silent(members, now, poll_seconds):
        live = replace(live, unheard=_unheard(app))
    answer = report(members or None, instance=app.instance, now=now, poll_seconds=poll_seconds, live=live)
    if as_json:
        print_json(answer)
    else:
        print_line(line(answer))
    return 0


def _measured(app: Application, frontier: int) -> tuple[datetime, LiveFacts]:
    """Measure lag and backlog by the database's clock; without the database, nothing is claimed about them."""
    dead_letters = app.dead_letters.count()
    try:
        backlog = app.rows.backlog(frontier)
    except AgentError as error:
        click.echo(neutralise(app.mask(f"warning: lag and backlog are not measured: {error}")), err=True)
        return datetime.now(UTC), LiveFacts(dead_letters=dead_letters)
    lag = lag_seconds(backlog.oldest_created_at, backlog.now, ZoneInfo(app.configuration.settings.source.time_zone))
    now = datetime.fromisoformat(backlog.now).replace(tzinfo=UTC)
    return now, LiveFacts(lag_seconds=lag or 0.0, backlog_rows=backlog.rows, dead_letters=dead_letters)


def _unheard(app: Application) -> str:
    """Say why an agent that holds the lease gives no sign of life in its state document; "" when none holds it."""
    with suppress(AgentError):
        if Lease(app.database, app.instance).holder() is not None:
            return _blocks(app) or "its log and /readyz say why"
    return ""


def _blocks(app: Application) -> str:
    """Name what keeps the agent from writing, as far as the cluster can say."""
    with suppress(AgentError):
        found = Facts(app.cluster, app.names).blocks()
        return "; ".join(f"{index} is blocked ({', '.join(told)})" for index, told in list(found.items())[:3])
    return ""
