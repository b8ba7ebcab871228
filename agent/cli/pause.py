"""`pause` and `resume`: a person's word, recorded with who and why in the state document; the daemon obeys."""

from __future__ import annotations

import getpass
import socket
from typing import Any

import click

from agent.cli.app import Application, now_text
from agent.cli.output import json_option, print_json, print_line
from agent.retention.journal import Kind
from agent.state import Document

WHAT = click.argument("what", type=click.Choice(["tail", "retention"]), default="tail")


@click.command()
@WHAT
@click.option("--why", default="", help="The reason, shown by `status`.")
@json_option
@click.pass_obj
def pause(app: Application, *, what: str, why: str, as_json: bool) -> int:
    """Pause tailing (default) or retention of a running daemon; it obeys within one poll."""
    pause = {"who": who(), "why": why, "since": now_text()}
    _record(app, what, pause, Kind.PAUSED)
    _say(app, what, pause, as_json=as_json)
    return 0


@click.command()
@WHAT
@json_option
@click.pass_obj
def resume(app: Application, *, what: str, as_json: bool) -> int:
    """Resume what was paused."""
    _record(app, what, None, Kind.RESUMED)
    _say(app, what, None, as_json=as_json)
    return 0


def who() -> str:
    """Name the person at the terminal, for records."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number without a name.
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _record(app: Application, what: str, pause: dict[str, str] | None, kind: Kind) -> None:
    app.make_ready()

    def change(members: Document) -> dict[str, Any]:
        return {"instance": app.instance, "paused": {**(members.get("paused") or {}), what: pause}}

    app.state.update(change)
    app.journal.append(kind, {"what": what, "why": (pause or {}).get("why", "")}, at=now_text(), who=who())


def _say(app: Application, what: str, pause: dict[str, str] | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"instance": app.instance, "what": what, "paused": pause})
    else:
        print_line(f"{what} of {app.instance} is {'paused' if pause else 'resumed'}")
