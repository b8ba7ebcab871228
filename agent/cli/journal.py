"""`journal`: list what was deleted, skipped or changed, and check the chain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from agent.cli.app import Application
from agent.cli.output import json_option, print_json, print_line
from agent.opensearch.state import ClusterState
from agent.retention.journal import Entry, Kind, verify
from agent.retention.ledger import LedgerStore, ledger_name

BROKEN = 1


@click.command()
@click.option("--verify", "check", is_flag=True, help="Check every entry against the one before it.")
@click.option("--head", default=None, metavar="HASH", help="With --verify: the hash the last entry must have.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="Newest entries to list.")
@json_option
@click.pass_obj
def journal(app: Application, *, check: bool, head: str | None, limit: int, as_json: bool) -> int:
    """List what was deleted or skipped, by which rule, when and by whom; --verify checks the chain."""
    if check:
        return _verify(app, head, as_json=as_json)
    first = max(0, app.journal.head() - limit)
    entries = list(app.journal.entries(first))
    if as_json:
        print_json({"instance": app.instance, "entries": entries})
        return 0
    for entry in entries:
        print_line(f"{entry['number']:>6}  {entry['at']}  {entry['kind']:<20} {_told(entry)}  by {entry['who']}")
    if not entries:
        print_line("the journal is empty")
    return 0


def _verify(app: Application, head: str | None, *, as_json: bool) -> int:
    ledger = LedgerStore(ClusterState(app.cluster, app.names.state, ledger_name(app.instance)))
    noted = ledger.read().journaled
    verdict = verify(app.journal.entries(), head=head, noted=noted)
    if as_json:
        print_json(
            {
                "instance": app.instance,
                "intact": verdict.intact,
                "entries": verdict.entries,
                "head": verdict.head,
                "broken_at": verdict.broken_at,
                "reason": verdict.reason,
            }
        )
    elif verdict.intact:
        print_line(f"intact: {verdict.entries} entries, head {verdict.head}")
    else:
        print_line(f"broken at entry {verdict.broken_at}: {verdict.reason}")
    return 0 if verdict.intact else BROKEN


def _told(entry: Entry) -> str:
    what: dict[str, Any] = entry["what"]
    if entry["kind"] != Kind.RETENTION:
        return ", ".join(f"{key} {value}" for key, value in what.items() if not isinstance(value, dict | list))
    parts = [f"{side}: {_counted(what[side])}" for side in ("rows", "documents")]
    if what["dropped_partitions"]:
        parts.append(f"dropped {', '.join(what['dropped_partitions'])}")
    if not what["finished"]:
        parts.append("interrupted")
    return "; ".join(parts)


def _counted(rules: dict[str, Any]) -> str:
    return ", ".join(_each(rules)) or "none"


def _each(rules: dict[str, Any]) -> Iterator[str]:
    for rule, each in rules.items():
        ids = f" (ids {each['first_id']}–{each['last_id']})" if each["first_id"] is not None else ""
        yield f"{each['deleted']} by {rule}{ids}"
