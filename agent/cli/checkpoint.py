"""`checkpoint show` and `checkpoint rewind`: look at durable progress, or set it back on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import click

from agent.cli.app import Application, now_text
from agent.cli.line import Line
from agent.cli.output import json_option, print_json, print_line
from agent.cli.pause import who
from agent.errors import ConfigError
from agent.retention.journal import Kind
from agent.tailing.gaps import Progress

GAPS_SHOWN = 20


@click.group()
def checkpoint() -> None:
    """Show the checkpoint, or rewind it on purpose."""


@checkpoint.command()
@json_option
@click.pass_obj
def show(app: Application, *, as_json: bool) -> int:
    """Show watermark, frontier, open gaps and the watch list."""
    progress = _stored(app)
    if as_json:
        print_json(_described(app, progress))
        return 0
    for line in told(progress):
        print_line(line)
    return 0


@checkpoint.command()
@click.option(
    "--to-id", type=click.IntRange(min=0), required=True, help="The new watermark; rows above it are re-read."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def rewind(app: Application, *, to_id: int, yes: bool, as_json: bool) -> int:
    """Set the watermark back; rows above it are shipped again onto their own documents."""
    line = Line(app)
    app.state.refresh_unclaimed()
    line.checkpoint.open()
    before = line.checkpoint.progress.watermark
    if not yes and not as_json:
        click.confirm(f"Ship all rows above {to_id} again (watermark is {before})?", abort=True, err=True)
    if not yes and as_json:
        raise ConfigError("rewind asks first", remedy="add --yes")
    app.make_ready()
    line.checkpoint.rewind(to_id)
    app.journal.append(Kind.CHECKPOINT_REWOUND, {"from_id": before, "to_id": to_id}, at=now_text(), who=who())
    if as_json:
        print_json(_described(app, line.checkpoint.progress))
    else:
        print_line(f"watermark of {app.instance} set back from {before} to {to_id}")
    return 0


def told(progress: Progress) -> Iterator[str]:
    """Yield the lines a person reads."""
    yield f"watermark {progress.watermark} · frontier {progress.frontier} · skipped {progress.skipped_total}"
    for gap in progress.gaps[:GAPS_SHOWN]:
        yield f"gap {gap.first}-{gap.last} open since {_instant(gap.sighting.seen_at)}"
    if len(progress.gaps) > GAPS_SHOWN:
        yield f"… and {len(progress.gaps) - GAPS_SHOWN} more gaps"
    for watched in progress.watch[:GAPS_SHOWN]:
        yield f"watched {watched.first}-{watched.last} until {_instant(watched.until)}"
    if len(progress.watch) > GAPS_SHOWN:
        yield f"… and {len(progress.watch) - GAPS_SHOWN} more watched ranges"


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stored(app: Application) -> Progress:
    line = Line(app)
    app.state.refresh_unclaimed()
    line.checkpoint.open()
    return line.checkpoint.progress


def _described(app: Application, progress: Progress) -> dict[str, object]:
    return {
        "instance": app.instance,
        "watermark": progress.watermark,
        "frontier": progress.frontier,
        "open_gaps": len(progress.gaps),
        "gap_ids": progress.gap_ids,
        "gaps": [[gap.first, gap.last] for gap in progress.gaps[:GAPS_SHOWN]],
        "watch": [[watched.first, watched.last] for watched in progress.watch[:GAPS_SHOWN]],
        "skipped_total": progress.skipped_total,
    }
