"""`retain`: the plan of retention; with --execute, the run."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

import click

from agent.cli.app import Application
from agent.cli.output import json_option, print_json, print_line
from agent.cli.pause import who
from agent.cli.retaining import Retaining
from agent.errors import TemporaryError
from agent.retention.plan import Plan, SidePlan
from agent.retention.report import Report
from agent.retention.run import BrakeRefused
from agent.retention.slices import Slice, Stopped, drive
from agent.stop_signals import stop_on_signals

BRAKE_REFUSED = 4
INTERRUPTED = 130
LEFT_OVER = 1


@click.command()
@click.option("--execute", is_flag=True, help="Delete what the plan says; without it nothing is touched.")
@click.option("--release-brake", is_flag=True, help="Do it although a brake refuses the plan. Needs --execute.")
@json_option
@click.pass_obj
def retain(app: Application, *, execute: bool, release_brake: bool, as_json: bool) -> int:
    """Plan retention: what would go by which rule, on both sides. --execute does it."""
    if release_brake and not execute:
        raise click.UsageError("--release-brake does nothing without --execute")
    retaining = Retaining(app, app.configuration.retention, _config_digest(app))
    stop = threading.Event()
    with stop_on_signals(stop, lambda _: None):
        try:
            if execute:
                return _execute(app, retaining, stop, release_brake=release_brake, as_json=as_json)
            return _preview(app, retaining, stop, as_json=as_json)
        except Stopped:
            click.echo("interrupted; the next run counts and finishes what was begun", err=True)
            return INTERRUPTED


class Waits:
    """Say on stderr what a run waits for, once for each wait."""

    def __init__(self) -> None:
        self._is_waiting = False

    def __call__(self, piece: Slice) -> None:
        """Hear of one piece of work."""
        if piece.reason and not self._is_waiting:
            click.echo(f"waiting: {piece.reason}", err=True)
        self._is_waiting = bool(piece.reason)


def _preview(app: Application, retaining: Retaining, stop: threading.Event, *, as_json: bool) -> int:
    work = retaining.retention.preview(retaining.rules(), watermark=retaining.watermark())
    planned = drive(work, stop.wait, Waits())
    if as_json:
        print_json({"instance": app.instance, "mode": retaining.settings.mode, "executed": False, **planned.as_json()})
    else:
        _print_plan(planned)
        print_line("nothing was deleted; `retain --execute` does it")
    return 0


def _execute(
    app: Application, retaining: Retaining, stop: threading.Event, *, release_brake: bool, as_json: bool
) -> int:
    retaining.check_not_paused()
    if not retaining.acquire():
        raise TemporaryError("another process deletes for this instance now", remedy="wait until its run has ended")
    try:
        work = retaining.retention.execute(
            retaining.rules(),
            watermark=retaining.watermark(),
            who=who(),
            config_digest=retaining.config_digest,
            by_person=True,
            release_brake=release_brake,
        )
        report = drive(work, stop.wait, _watched(app, retaining))
    except BrakeRefused as refusal:
        if as_json:
            refused = refusal.plan.as_json()
            print_json({"instance": app.instance, "mode": retaining.settings.mode, "executed": False, **refused})
        click.echo(f"error: {refusal}", err=True)
        return BRAKE_REFUSED
    finally:
        retaining.release()
    if as_json:
        print_json({"instance": app.instance, "mode": retaining.settings.mode, "executed": True, **report.as_json()})
    else:
        _print_plan(report.plan)
        _print_report(report)
    return LEFT_OVER if report.left.rows or report.left.documents else 0


def _watched(app: Application, retaining: Retaining) -> Callable[[Slice], None]:
    """Return what follows a run: says its waits, and ends it when its rules have changed."""
    waits = Waits()

    def heard(piece: Slice) -> None:
        waits(piece)
        # A hold that is written down during a run must find its rows still there.
        if _config_digest(app) != retaining.config_digest:
            remedy = "look at the plan again: `audit-agent retain`"
            raise TemporaryError("the retention rules changed during a run", remedy=remedy, kind="rules_changed")

    return heard


def _config_digest(app: Application) -> str:
    """Return the SHA-256 of retention.yml as it is now; of one that is gone, that of nothing."""
    file = app.configuration.settings.files.retention
    return hashlib.sha256(file.read_bytes() if file and file.is_file() else b"").hexdigest()


def _print_plan(planned: Plan) -> None:
    for side in (planned.rows, planned.documents):
        print_line(f"{side.side}: {side.expired} of {side.total} expired")
        _print_side(side)
    if planned.policy.unsettled is not None:
        first, last = planned.policy.unsettled
        print_line(
            f"unsettled: ids {first} to {last} are above the watermark; what they hold stays until it is indexed"
        )
    for reason in planned.brakes:
        print_line(f"brake: {reason}")
    if planned.policy.bound is not None:
        newly = f"{planned.newly_rows} rows and {planned.newly_documents} documents"
        print_line(f"shortened: {newly} more expire by the new rules; they wait for the next run")
    if planned.orphans:
        print_line(f"mirror: {planned.orphans} documents whose rows Core deleted")
    for note in planned.notes:
        print_line(f"note: {note}")


def _print_side(side: SidePlan) -> None:
    for each in side.rules:
        age = f"{each.days} days" if each.days else "for ever"
        line = f"  {each.rule:<20} kept {age:<10} {each.expired.count:>9} expired"
        if each.expired.count:
            line += f"  {each.expired.oldest} … {each.expired.newest}"
            line += f"  ~{each.expired.bytes / 1e6:.1f} MB" if each.expired.bytes else ""
        print_line(line)
    for name, count in side.held:
        print_line(f"  {name:<20} held {count:>25}")


def _print_report(report: Report) -> None:
    tally = report.tally
    print_line(f"deleted: {tally.rows_deleted} rows, {tally.documents_deleted + tally.mirrored} documents")
    if tally.dropped_partitions:
        print_line(f"dropped: {', '.join(tally.dropped_partitions)}")
    if tally.archives:
        print_line(f"archived: {tally.archived_rows} rows in {len(tally.archives)} files")
    if tally.kept_in_use:
        print_line(f"in use: {tally.kept_in_use} rows others held or changed; the next run tries them again")
    if tally.kept_unconfirmed or tally.kept_dead_letters:
        kept = f"{tally.kept_unconfirmed} rows the index does not confirm, {tally.kept_dead_letters} dead letters"
        print_line(f"kept: {kept}; `verify --repair` or `dead-letters` settles them")
    if report.left.rows or report.left.documents:
        print_line(f"left: {report.left.rows} rows and {report.left.documents} documents are expired and still there")
    else:
        print_line("verified: nothing expired is left")
