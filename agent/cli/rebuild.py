"""`rebuild`: apply a changed mapping to old partitions, while the agent goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict

import click

from agent.cli.app import Application
from agent.cli.bar import Bar, bar
from agent.cli.line import Line
from agent.cli.output import json_option, print_json, print_line
from agent.errors import TemporaryError
from agent.mapping.catalogue import Catalogue
from agent.mysql.lease import Lease
from agent.opensearch.reindex import Rebuild
from agent.stop_signals import stop_on_signals
from agent.verifying.concrete import ConcreteIndices
from agent.verifying.rebuild import PartitionRebuild, Rebuilt


@click.command()
@click.option("--partition", metavar="YYYY.MM", help="Rebuild this partition.")
@click.option("--all", "every", is_flag=True, help="Rebuild every partition, one after the other.")
@json_option
@click.pass_obj
def rebuild(app: Application, *, partition: str | None, every: bool, as_json: bool) -> int:
    """Apply a changed mapping or shard count to old partitions; may be interrupted and repeated."""
    if every == (partition is not None):
        raise click.UsageError("name one partition with --partition, or all of them with --all")
    app.make_ready()
    names = _all(app) if every else [str(partition)]
    lease = Lease(app.database, f"{app.instance}:rebuild")
    if not lease.acquire():
        raise TemporaryError("another rebuild is under way", where=app.instance, kind="standby")
    stop, begun = threading.Event(), time.monotonic()
    done: list[Rebuilt] = []
    try:
        with stop_on_signals(stop, lambda _name: None):
            for name in names:
                done.append(_rebuilt(app, name, _interruptible(stop, lease)))
                if not as_json:
                    _say(done[-1])
    finally:
        lease.release()
    if as_json:
        rebuilt = [asdict(each) for each in done]
        print_json({"instance": app.instance, "partitions": rebuilt, "seconds": round(time.monotonic() - begun, 3)})
    return 0


def _all(app: Application) -> list[str]:
    return [found.name for found in app.partitions.listed() if found.current and not found.closed]


def _interruptible(stop: threading.Event, lease: Lease) -> Callable[[float], None]:
    """Return a wait that ends the work at a signal, or when another process may have begun the same."""

    def wait(seconds: float) -> None:
        if stop.wait(seconds):
            raise click.Abort
        if not lease.acquire():
            raise TemporaryError("another rebuild has begun", kind="lease_lost")

    return wait


def _rebuilt(app: Application, partition: str, wait: Callable[[float], None]) -> Rebuilt:
    drawing = _Drawing(f"rebuilding {partition}")
    try:
        return PartitionRebuild(
            blocks=Rebuild(app.cluster, app.names, app.partitions),
            indices=ConcreteIndices(app.cluster, app.names, app.partitions),
            catalogue=_catalogue(app, partition),
            ship=lambda ids: _shipped(app, ids),
            with_row=lambda ids: {int(row[0] or 0) for row in app.rows.by_ids(ids).rows},
            sleep=wait,
            progress=drawing.reach,
        ).run(partition)
    finally:
        drawing.close()


def _catalogue(app: Application, partition: str) -> Catalogue:
    """Return what the new index is to map: the partition's own paths first, then every other partition's.

    What is an object here stays one, whatever it is elsewhere; types are those of `context_fields.yml` as it is now.
    """
    context = app.configuration.settings.context
    catalogue = Catalogue(
        max_fields=context.max_fields,
        max_depth=context.max_depth,
        rules=app.field_rules,
        sensitive=app.redaction.key_rule,
    )
    for name in app.table.shape.extra:
        catalogue.admit_column(name)
    others = [name for name in _all(app) if name != partition]
    for name in [partition, *others]:
        catalogue.merge_mapping(app.partitions.mapping(name) or {}, name)
    return catalogue


def _shipped(app: Application, ids: Sequence[int]) -> set[int]:
    """Ship the rows of these ids through the write alias as it is now."""
    rows = app.rows.by_ids(ids).rows
    if rows:
        # A line of its own: it must learn the mapping of the index that has just taken the place.
        Line(app).shipper.ship(rows, app.configuration.settings.tail.bulk_bytes)
    return {int(row[0] or 0) for row in rows}


class _Drawing:
    """A bar that learns its total from the work."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._bar: AbstractContextManager[Bar] | None = None
        self._shown: Bar | None = None

    def reach(self, done: int, total: int) -> None:
        if self._shown is None:
            self._bar = bar(self._label, total)
            self._shown = self._bar.__enter__()
        self._shown.reach(done)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)


def _say(done: Rebuilt) -> None:
    print_line(
        f"{done.partition}: {done.documents} documents in {done.index}, {done.reshipped} shipped again from the table, "
        f"{done.replaced} dropped" + (" (went on where a run before was interrupted)" if done.resumed else "")
    )
