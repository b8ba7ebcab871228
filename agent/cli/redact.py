"""`redact --scan`: find secrets that were indexed before a rule knew them, or past it."""

from __future__ import annotations

import threading

import click

from agent.cli.app import Application
from agent.cli.bar import bar
from agent.cli.output import json_option, print_json, print_line
from agent.errors import TemporaryError
from agent.stop_signals import stop_on_signals
from agent.verifying.scan import Scanned, scan

FOUND = 3
IDS_SHOWN = 20
_HIGHEST_ID = 2**63 - 1


@click.command()
@click.option("--scan", "scans", is_flag=True, help="Look through the indexed documents.")
@click.option("--from-id", type=click.IntRange(min=1), default=1, help="Look from this id on.")
@click.option("--to-id", type=click.IntRange(min=1), default=_HIGHEST_ID, help="Look up to this id.")
@json_option
@click.pass_obj
def redact(app: Application, *, scans: bool, from_id: int, to_id: int, as_json: bool) -> int:
    """Scan what is indexed for secrets that slipped through; exit 3 when there are any. Shows ids and rules only."""
    if not scans:
        raise click.UsageError("say --scan: rows are redacted as they are shipped, this verb only looks")
    stop, scanned = threading.Event(), Scanned()
    with stop_on_signals(stop, lambda _name: None):
        _look(app, from_id, to_id, scanned, stop)
    if as_json:
        print_json(
            {
                "instance": app.instance,
                "documents": scanned.documents,
                "found": dict(scanned.found),
                "samples": scanned.ids,
                "indices": {rule: sorted(names) for rule, names in scanned.partitions.items()},
            }
        )
    else:
        _say(app, scanned)
    if stop.is_set():
        return 130
    return FOUND if scanned.found else 0


def _look(app: Application, low: int, high: int, scanned: Scanned, stop: threading.Event) -> None:
    try:
        app.search.refresh()
        total = app.search.count({"term": {"instance": app.instance}})
        with bar("scanning", total) as shown:
            for _ in scan(app.search, app.redaction, app.instance, (low, high), scanned):
                shown.reach(scanned.documents)
                if stop.is_set():
                    return
    except TemporaryError as failure:
        if failure.kind != "missing_index":  # nothing was ever indexed: nothing slipped through
            raise


def _say(app: Application, scanned: Scanned) -> None:
    print_line(f"{scanned.documents} documents of {app.instance} looked at")
    for rule, count in scanned.found.most_common():
        ids = scanned.ids[rule]
        print_line(
            f"{rule}: {count} documents ({', '.join(map(str, ids[:IDS_SHOWN]))}{', …' if count > IDS_SHOWN else ''})"
        )
    if scanned.found:
        print_line("remedy: `backfill` (or `verify --deep --repair`) ships these rows again, redacted by today's rules")
    else:
        print_line("nothing slipped through")
